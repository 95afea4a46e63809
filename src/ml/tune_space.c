/*-------------------------------------------------------------------------
 * tune_space.c
 *		Which parameters of a type are worth searching, and where; values and
 *		their coordinates.
 *
 * params.c says what is allowed; here stands what is sensible.  Not searched
 * are: the seed; max_bins and max_depth where other parameters bound a tree
 * better; min_gain, whose scale is that of the target; the number of trees
 * of a forest, where more is never worse, only dearer; and the quantile loss,
 * which asks another question.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIGNIFICANT_DIGITS 6	/* a value survives being printed and read with so many */

#define LINEAR (1u << ML_LINEAR_REGRESSION)
#define TREE (1u << ML_DECISION_TREE)
#define FOREST (1u << ML_RANDOM_FOREST)
#define BOOSTING (1u << ML_GRADIENT_BOOSTING)

/* In order of importance, which a grid needs. */
static const struct
{
	unsigned	types;
	MlTuneDim	dim;
}			searched[] = {
	{LINEAR, {.name = "l2", .low = 1e-4, .high = 1e4, .log = true}},
	{BOOSTING, {.name = "learning_rate", .low = 0.02, .high = 0.3, .log = true}},
	{BOOSTING, {.name = "max_leaves", .low = 4, .high = 127, .log = true, .integer = true}},
	{TREE, {.name = "max_leaves", .low = 8, .high = 4096, .log = true, .integer = true}},
	{FOREST, {.name = "feature_fraction", .low = 0.1, .high = 1.0}},
	{TREE | FOREST | BOOSTING, {.name = "min_samples_leaf", .low = 1, .high = 100, .log = true, .integer = true}},
	{BOOSTING, {.name = "n_trees", .low = 30, .high = 400, .log = true, .integer = true}},
	{BOOSTING, {.name = "sample_fraction", .low = 0.5, .high = 1.0}},
	{FOREST, {.name = "sample_fraction", .low = 0.3, .high = 1.0}},
	{BOOSTING, {.name = "feature_fraction", .low = 0.3, .high = 1.0}},
	{BOOSTING, {.name = "l2", .low = 0.01, .high = 100, .log = true}},
	{BOOSTING, {.name = "loss", .nchoices = 2, .choices = {ML_LOSS_SQUARED, ML_LOSS_HUBER}}},
	{TREE, {.name = "max_depth", .low = 3, .high = 32, .log = true, .integer = true}},
};

void
pgaml_ml_tune_space_default(MlModelType type, MlTuneSpace *space)
{
	memset(space, 0, sizeof(*space));
	for (size_t i = 0; i < sizeof(searched) / sizeof(searched[0]); i++)
	{
		if (searched[i].types & (1u << type))
			space->dims[space->ndims++] = searched[i].dim;
	}
}

double
pgaml_ml_tune_get(const MlParams *params, const char *name)
{
	const char *found;
	double		value;

	for (int i = 0; pgaml_ml_params_get(params, i, &found, &value); i++)
	{
		if (strcmp(found, name) == 0)
			return value;
	}
	return NAN;
}

static MlStatus
check_dim(const MlTuneDim *dim, const MlParams *base, MlError *error)
{
	MlParams	params = *base;
	MlStatus	status = ML_OK;

	if (memchr(dim->name, '\0', sizeof(dim->name)) == NULL)
		return pgaml_ml_fail(error, ML_E_ARG, "name", "name of a parameter does not end");
	if (dim->nchoices < 0 || dim->nchoices > ML_TUNE_MAX_CHOICES)
		return pgaml_ml_fail(error, ML_E_ARG, dim->name, "%s must have at most %d choices",
							 dim->name, ML_TUNE_MAX_CHOICES);
	for (int32_t c = 0; c < dim->nchoices && status == ML_OK; c++)
		status = pgaml_ml_params_set(&params, dim->name, dim->choices[c], error);
	if (dim->nchoices > 0 || status != ML_OK)
		return status;
	if (!(dim->low < dim->high))
		return pgaml_ml_fail(error, ML_E_ARG, dim->name, "range of %s must not be empty", dim->name);
	if (dim->log && !(dim->low > 0.0))
		return pgaml_ml_fail(error, ML_E_ARG, dim->name, "logarithmic range of %s must begin above 0", dim->name);
	if (dim->integer && (dim->low != floor(dim->low) || dim->high != floor(dim->high)))
		return pgaml_ml_fail(error, ML_E_ARG, dim->name, "range of %s must be whole numbers", dim->name);
	status = pgaml_ml_params_set(&params, dim->name, dim->low, error);
	if (status == ML_OK)
		status = pgaml_ml_params_set(&params, dim->name, dim->high, error);

	/* the middle tells whether the parameter is a whole number and the range does not know */
	if (status == ML_OK)
		status = pgaml_ml_params_set(&params, dim->name, pgaml_ml_dim_value(dim, 0.51), error);
	return status;
}

MlStatus
pgaml_ml_tune_space_check(const MlTuneSpace *space, const MlParams *base, MlError *error)
{
	if (space->ndims < 1 || space->ndims > ML_TUNE_MAX_DIMS)
		return pgaml_ml_fail(error, ML_E_ARG, "space", "between 1 and %d parameters can be searched",
							 ML_TUNE_MAX_DIMS);
	for (int32_t d = 0; d < space->ndims; d++)
	{
		MlStatus	status = check_dim(&space->dims[d], base, error);

		if (status != ML_OK)
			return status;
		for (int32_t e = 0; e < d; e++)
		{
			if (strcmp(space->dims[d].name, space->dims[e].name) == 0)
				return pgaml_ml_fail(error, ML_E_ARG, space->dims[d].name, "%s is in the space twice",
									 space->dims[d].name);
		}
	}
	return ML_OK;
}

/*
 * The ends of a range on its scale.  Whole numbers own half a step on either
 * side, so that the first and the last are as likely as the others.
 */
static void
scale_ends(const MlTuneDim *dim, double *low, double *high)
{
	double		margin = dim->integer ? 0.5 : 0.0;

	*low = dim->low - margin;
	*high = dim->high + margin;
	if (dim->log)
	{
		*low = log(*low);
		*high = log(*high);
	}
}

/* The double nearest to a decimal of few digits. */
static double
round_digits(double value)
{
	int			digits;
	double		power;

	if (value == 0.0)
		return value;
	digits = SIGNIFICANT_DIGITS - 1 - (int) floor(log10(fabs(value)));
	if (digits < -22 || digits > 22)
		return value;			/* powers of ten beyond are not exact */
	power = pow(10.0, abs(digits));
	return digits >= 0 ? round(value * power) / power : round(value / power) * power;
}

double
pgaml_ml_dim_value(const MlTuneDim *dim, double coordinate)
{
	double		low;
	double		high;
	double		value;

	if (dim->nchoices > 0)
		return dim->choices[(int32_t) fmin(fmax(coordinate, 0.0), dim->nchoices - 1)];
	scale_ends(dim, &low, &high);
	value = low + coordinate * (high - low);
	if (dim->log)
		value = exp(value);
	value = dim->integer ? round(value) : round_digits(value);
	return fmin(fmax(value, dim->low), dim->high);
}

double
pgaml_ml_dim_coordinate(const MlTuneDim *dim, double value)
{
	double		low;
	double		high;
	double		at;

	for (int32_t c = 0; c < dim->nchoices; c++)
	{
		if (dim->choices[c] == value)
			return c;
	}
	if (dim->nchoices > 0)
		return 0.0;
	scale_ends(dim, &low, &high);
	/* the default may lie outside of a range that the caller has narrowed */
	value = fmin(fmax(value, dim->low), dim->high);
	at = ((dim->log ? log(value) : value) - low) / (high - low);
	return fmin(fmax(at, 0.0), 1.0);
}

void
pgaml_ml_tune_coordinates(const MlTuneSpace *space, const MlParams *params, double *coordinates)
{
	for (int32_t d = 0; d < space->ndims; d++)
		coordinates[d] = pgaml_ml_dim_coordinate(&space->dims[d], pgaml_ml_tune_get(params, space->dims[d].name));
}

void
pgaml_ml_tune_params(const MlTuneSpace *space, const MlParams *base,
					 const double *coordinates, MlParams *params)
{
	*params = *base;
	for (int32_t d = 0; d < space->ndims; d++)
		(void) pgaml_ml_params_set(params, space->dims[d].name,
								   pgaml_ml_dim_value(&space->dims[d], coordinates[d]), NULL);
}
