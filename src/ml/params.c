/*-------------------------------------------------------------------------
 * params.c
 *		Names, defaults and ranges of the hyper-parameters.
 *
 * One table: a parameter belongs to the types in its mask, lives at its
 * offset, and has one range.  Everything that names, sets or checks a
 * parameter reads this table.
 *-------------------------------------------------------------------------
 */
#include "loss_internal.h"

#include <math.h>
#include <string.h>

#define TYPE_BIT(type) (1u << (type))
#define LINEAR TYPE_BIT(ML_LINEAR_REGRESSION)
#define TREE TYPE_BIT(ML_DECISION_TREE)
#define FOREST TYPE_BIT(ML_RANDOM_FOREST)
#define BOOSTING TYPE_BIT(ML_GRADIENT_BOOSTING)
#define TREES (TREE | FOREST | BOOSTING)

typedef enum ParamKind
{
	PARAM_DOUBLE,
	PARAM_INT32,
	PARAM_UINT64,
	PARAM_LOSS					/* MlLossKind, by name */
} ParamKind;

typedef struct ParamRow
{
	const char *name;
	unsigned	types;			/* mask of TYPE_BIT */
	ParamKind	kind;
	size_t		offset;			/* in MlParams */
	double		min;
	double		max;
} ParamRow;

static const ParamRow param_rows[] = {
	{"l2", LINEAR | BOOSTING, PARAM_DOUBLE, offsetof(MlParams, l2), 0.0, 1e15},
	{"n_trees", FOREST | BOOSTING, PARAM_INT32, offsetof(MlParams, n_trees), 1, ML_MAX_TREES},
	{"max_depth", TREES, PARAM_INT32, offsetof(MlParams, max_depth), 1, ML_MAX_DEPTH},
	{"max_leaves", TREES, PARAM_INT32, offsetof(MlParams, max_leaves), 2, ML_MAX_LEAVES},
	{"max_bins", TREES, PARAM_INT32, offsetof(MlParams, max_bins), 2, ML_MAX_BINS},
	{"min_samples_leaf", TREES, PARAM_DOUBLE, offsetof(MlParams, min_samples_leaf), 0.0, 1e15},
	{"min_gain", TREES, PARAM_DOUBLE, offsetof(MlParams, min_gain), 0.0, 1e300},
	{"feature_fraction", FOREST, PARAM_DOUBLE, offsetof(MlParams, feature_fraction), 0.0, 1.0},
	{"feature_fraction", BOOSTING, PARAM_DOUBLE, offsetof(MlParams, feature_fraction), 0.01, 1.0},
	{"sample_fraction", FOREST | BOOSTING, PARAM_DOUBLE, offsetof(MlParams, sample_fraction), 1e-6, 1.0},
	{"learning_rate", BOOSTING, PARAM_DOUBLE, offsetof(MlParams, learning_rate), 1e-6, 1.0},
	{"loss", BOOSTING, PARAM_LOSS, offsetof(MlParams, loss), 0, ML_LOSS_COUNT - 1},
	{"huber_delta", BOOSTING, PARAM_DOUBLE, offsetof(MlParams, huber_delta), 0.01, 1.0},
	{"quantile", BOOSTING, PARAM_DOUBLE, offsetof(MlParams, quantile), 0.001, 0.999},
	{"early_stopping_rounds", BOOSTING, PARAM_INT32, offsetof(MlParams, early_stopping_rounds), 0, ML_MAX_TREES},
	{"validation_fraction", BOOSTING, PARAM_DOUBLE, offsetof(MlParams, validation_fraction), 0.0, 0.9},
	{"monotone", BOOSTING, PARAM_INT32, offsetof(MlParams, monotone), 0, 1},
	{"seed", LINEAR | TREES, PARAM_UINT64, offsetof(MlParams, seed), 0.0, 9007199254740992.0},
};

#define N_PARAM_ROWS ((int) (sizeof(param_rows) / sizeof(param_rows[0])))

static const struct
{
	MlModelType type;
	const char *name;
}			type_names[] = {
	{ML_LINEAR_REGRESSION, "linear_regression"},
	{ML_DECISION_TREE, "decision_tree"},
	{ML_RANDOM_FOREST, "random_forest"},
	{ML_GRADIENT_BOOSTING, "gradient_boosting"},
};

#define N_TYPE_NAMES ((int) (sizeof(type_names) / sizeof(type_names[0])))

const char *
pgaml_ml_type_name(MlModelType type)
{
	for (int i = 0; i < N_TYPE_NAMES; i++)
	{
		if (type_names[i].type == type)
			return type_names[i].name;
	}
	return "unknown";
}

bool
pgaml_ml_type_from_name(const char *name, MlModelType *type)
{
	for (int i = 0; i < N_TYPE_NAMES; i++)
	{
		if (strcmp(type_names[i].name, name) == 0)
		{
			*type = type_names[i].type;
			return true;
		}
	}
	return false;
}

/*
 * Defaults: chosen so that the held-out R2 of test/bench/ml is not below
 * scikit-learn's, with models that stay small.  Boosting takes Huber's loss:
 * with heavy-tailed errors, which times have, its held-out error is a quarter
 * lower than that of squared loss, and with normal ones little higher.
 */
void
pgaml_ml_params_default(MlModelType type, MlParams *params)
{
	memset(params, 0, sizeof(*params));
	params->type = type;
	params->l2 = 1.0;
	params->n_trees = 100;
	params->max_bins = ML_MAX_BINS;
	params->sample_fraction = 1.0;
	if (type == ML_RANDOM_FOREST)
	{
		params->max_depth = 32;
		params->max_leaves = 16384;
		params->min_samples_leaf = 2.0;
		params->feature_fraction = 0.5;
	}
	else if (type == ML_GRADIENT_BOOSTING)
	{
		params->max_depth = 32;
		params->max_leaves = 31;
		params->min_samples_leaf = 10.0;
		params->feature_fraction = 1.0;
		params->learning_rate = 0.1;
		params->loss = ML_LOSS_HUBER;
		params->huber_delta = 0.9;
		params->quantile = 0.5;
		params->validation_fraction = 0.1;
	}
	else
	{
		params->max_depth = 16;
		params->max_leaves = 255;
		params->min_samples_leaf = 5.0;
		params->feature_fraction = 1.0;
	}
}

static double
get_value(const MlParams *params, const ParamRow *row)
{
	const char *field = (const char *) params + row->offset;

	switch (row->kind)
	{
		case PARAM_DOUBLE:
			return *(const double *) field;
		case PARAM_INT32:
			return *(const int32_t *) field;
		case PARAM_UINT64:
			return (double) *(const uint64_t *) field;
		case PARAM_LOSS:
			return (double) *(const MlLossKind *) field;
	}
	return NAN;
}

/*
 * ML_E_ARG that lists what is allowed.
 */
static MlStatus
refuse_choice(const ParamRow *row, MlError *error)
{
	char		names[100] = "";

	for (int i = 0; i <= (int) row->max; i++)
	{
		strncat(names, i > 0 ? ", " : "", sizeof(names) - strlen(names) - 1);
		strncat(names, pgaml_ml_loss_name(i), sizeof(names) - strlen(names) - 1);
	}
	return pgaml_ml_fail(error, ML_E_ARG, row->name, "%s must be one of %s", row->name, names);
}

/*
 * ML_E_ARG with the parameter's name when value is outside its range or not
 * whole where it must be.
 */
static MlStatus
check_value(const ParamRow *row, double value, MlError *error)
{
	if (row->kind == PARAM_LOSS && !(value >= row->min && value <= row->max && value == floor(value)))
		return refuse_choice(row, error);
	if (!(value >= row->min && value <= row->max))
		return pgaml_ml_fail(error, ML_E_ARG, row->name, "%s must be between %.15g and %.15g",
							 row->name, row->min, row->max);
	if (row->kind != PARAM_DOUBLE && value != floor(value))
		return pgaml_ml_fail(error, ML_E_ARG, row->name, "%s must be a whole number", row->name);
	return ML_OK;
}

/*
 * The type's parameter of that name, or NULL.
 */
static const ParamRow *
row_named(const MlParams *params, const char *name, MlError *error)
{
	for (int i = 0; i < N_PARAM_ROWS; i++)
	{
		const ParamRow *row = &param_rows[i];

		if ((row->types & TYPE_BIT(params->type)) != 0 && strcmp(row->name, name) == 0)
			return row;
	}
	(void) pgaml_ml_fail(error, ML_E_ARG, "name", "%s has no parameter \"%.60s\"",
						 pgaml_ml_type_name(params->type), name);
	return NULL;
}

/*
 * The type's i-th parameter, or NULL past the end.
 */
static const ParamRow *
row_at(const MlParams *params, int i)
{
	for (int r = 0; i >= 0 && r < N_PARAM_ROWS; r++)
	{
		if ((param_rows[r].types & TYPE_BIT(params->type)) != 0 && i-- == 0)
			return &param_rows[r];
	}
	return NULL;
}

MlStatus
pgaml_ml_params_set(MlParams *params, const char *name, double value, MlError *error)
{
	const ParamRow *row = row_named(params, name, error);
	char	   *field;
	MlStatus	status;

	if (row == NULL)
		return ML_E_ARG;
	status = check_value(row, value, error);
	if (status != ML_OK)
		return status;
	field = (char *) params + row->offset;
	if (row->kind == PARAM_DOUBLE)
		*(double *) field = value;
	else if (row->kind == PARAM_INT32)
		*(int32_t *) field = (int32_t) value;
	else if (row->kind == PARAM_UINT64)
		*(uint64_t *) field = (uint64_t) value;
	else
		*(MlLossKind *) field = (MlLossKind) value;
	return ML_OK;
}

MlStatus
pgaml_ml_params_set_text(MlParams *params, const char *name, const char *text, MlError *error)
{
	const ParamRow *row = row_named(params, name, error);

	if (row == NULL)
		return ML_E_ARG;
	if (row->kind != PARAM_LOSS)
		return pgaml_ml_fail(error, ML_E_ARG, row->name, "%s must be a number", row->name);
	for (int value = 0; value <= (int) row->max; value++)
	{
		if (strcmp(pgaml_ml_loss_name(value), text) == 0)
			return pgaml_ml_params_set(params, name, value, error);
	}
	return refuse_choice(row, error);
}

bool
pgaml_ml_params_get(const MlParams *params, int i, const char **name, double *value)
{
	const ParamRow *row = row_at(params, i);

	if (row == NULL)
		return false;
	*name = row->name;
	*value = get_value(params, row);
	return true;
}

const char *
pgaml_ml_params_text(const MlParams *params, int i)
{
	const ParamRow *row = row_at(params, i);

	return row != NULL && row->kind == PARAM_LOSS ? pgaml_ml_loss_name((MlLossKind) get_value(params, row)) : NULL;
}

MlStatus
pgaml_ml_params_check(const MlParams *params, MlError *error)
{
	if (params->type != ML_LINEAR_REGRESSION && params->type != ML_DECISION_TREE &&
		params->type != ML_RANDOM_FOREST && params->type != ML_GRADIENT_BOOSTING)
		return pgaml_ml_fail(error, ML_E_ARG, "type", "unknown model type %d", (int) params->type);

	for (int i = 0; i < N_PARAM_ROWS; i++)
	{
		const ParamRow *row = &param_rows[i];
		MlStatus	status;

		/* a seed may use all 64 bits */
		if ((row->types & TYPE_BIT(params->type)) == 0 || row->kind == PARAM_UINT64)
			continue;
		status = check_value(row, get_value(params, row), error);
		if (status != ML_OK)
			return status;
	}
	return ML_OK;
}
