/*-------------------------------------------------------------------------
 * request.c
 *		What a training run is asked for: arguments, checked, and as JSON.
 *
 * The same checks meet the arguments of train_performance_model() and those
 * that a job keeps in training_jobs.arguments.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "base/clock.h"
#include "base/guc.h"
#include "train/train.h"

#define DEFAULT_SEED	1
#define DEFAULT_LEAVES	512		/* of a tree: small enough that one prediction stays within a few microseconds */
#define DEFAULT_FEATURES 0.5	/* share that a boosted tree may use: plan facts repeat each other, and a tree without
								 * the strongest one is less wrong about statements never seen */

/* Names that the type takes, for the hint. */
static char *
allowed_names(const MlParams *params)
{
	StringInfoData out;
	const char *name;
	double		value;

	initStringInfo(&out);
	for (int i = 0; pgaml_ml_params_get(params, i, &name, &value); i++)
		appendStringInfo(&out, "%s%s", i > 0 ? ", " : "", name);
	return out.data;
}

static void
set_parameter(MlParams *params, const char *name, const JsonbValue *json)
{
	MlError		error = {0};
	const char *known;
	double		value;
	bool		exists = false;
	bool		worded = false;

	for (int i = 0; !exists && pgaml_ml_params_get(params, i, &known, &value); i++)
	{
		exists = strcmp(name, known) == 0;
		worded = pgaml_ml_params_text(params, i) != NULL;
	}
	if (!exists)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown hyper-parameter \"%s\" for model type \"%s\"", name, pgaml_ml_type_name(params->type)),
				 errhint("Allowed are: %s.", allowed_names(params))));
	if (json->type != (worded ? jbvString : jbvNumeric))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hyper-parameter \"%s\" must be a %s", name, worded ? "string" : "number")));
	if (worded)
	{
		char	   *text = pnstrdup(json->val.string.val, json->val.string.len);

		if (pgaml_ml_params_set_text(params, name, text, &error) != ML_OK)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("hyper-parameter \"%s\" cannot be \"%s\": %s", name, text, error.message)));
		return;
	}
	/* beyond a double it becomes infinite, which is out of any range */
	value = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(json->val.numeric)));
	if (pgaml_ml_params_set(params, name, value, &error) != ML_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hyper-parameter \"%s\" cannot be %g: %s", name, value, error.message)));
}

static void
parse_hyperparameters(MlParams *params, Jsonb *json)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hyperparameters must be a JSON object"),
				 errhint("For example '{\"n_trees\": 200}'.")));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		(void) JsonbIteratorNext(&iterator, &value, true);
		set_parameter(params, name, &value);
	}
}

MlModelType
pgaml_default_model_type(void)
{
	static const MlModelType defaults[] = {
		[PGAML_RETRAIN_LINEAR] = ML_LINEAR_REGRESSION,
		[PGAML_RETRAIN_TREE] = ML_DECISION_TREE,
		[PGAML_RETRAIN_FOREST] = ML_RANDOM_FOREST,
		[PGAML_RETRAIN_BOOSTING] = ML_GRADIENT_BOOSTING
	};

	return defaults[pgaml_retrain_model_type];
}

void
pgaml_default_params(MlModelType type, MlParams *params)
{
	pgaml_ml_params_default(type, params);
	params->seed = DEFAULT_SEED;
	params->max_leaves = Min(params->max_leaves, DEFAULT_LEAVES);
	if (type == ML_GRADIENT_BOOSTING)
		params->feature_fraction = DEFAULT_FEATURES;
}

MlModelType
pgaml_model_type_named(const char *name)
{
	MlModelType type;

	if (!pgaml_ml_type_from_name(name, &type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown model type \"%s\"", name),
				 errhint("Allowed are: linear_regression, decision_tree, random_forest, gradient_boosting.")));
	return type;
}

void
pgaml_request_fill(PgamlTrainRequest *request, const char *model_type, int lookback_days,
				   Jsonb *hyperparameters, const char *split)
{
	memset(request, 0, sizeof(*request));
	pgaml_check_lookback(lookback_days);
	request->lookback_days = lookback_days;
	pgaml_default_params(model_type ? pgaml_model_type_named(model_type) : pgaml_default_model_type(), &request->params);
	if (hyperparameters != NULL)
		parse_hyperparameters(&request->params, hyperparameters);
	pgaml_split_find(split, &request->split);
}

char *
pgaml_request_json(const PgamlTrainRequest *request)
{
	return psprintf("{\"model_type\": \"%s\", \"lookback_days\": %d, \"hyperparameters\": %s, \"split\": %s}",
					pgaml_ml_type_name(request->params.type), request->lookback_days,
					pgaml_params_json(&request->params), pgaml_split_json(&request->split));
}

JsonbValue *
pgaml_request_member(Jsonb *object, const char *name)
{
	/* CAUTION: the server takes for granted that it is an object. */
	if (!JB_ROOT_IS_OBJECT(object))
		return NULL;
	return getKeyJsonValueFromContainer(&object->root, name, strlen(name), NULL);
}

static char *
text_member(Jsonb *object, const char *name)
{
	JsonbValue *value = pgaml_request_member(object, name);

	if (value == NULL || value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the arguments of the job have no \"%s\"", name)));
	return pnstrdup(value->val.string.val, value->val.string.len);
}

void
pgaml_request_parse(PgamlTrainRequest *request, Jsonb *arguments)
{
	JsonbValue *lookback = pgaml_request_member(arguments, "lookback_days");
	JsonbValue *hyperparameters = pgaml_request_member(arguments, "hyperparameters");

	if (lookback == NULL || lookback->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the arguments of the job have no \"%s\"", "lookback_days")));
	pgaml_request_fill(request, text_member(arguments, "model_type"),
					   DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(lookback->val.numeric))),
					   hyperparameters ? JsonbValueToJsonb(hyperparameters) : NULL,
					   pgaml_split_strategy_name(PGAML_SPLIT_TIME));
	pgaml_split_parse(pgaml_request_member(arguments, "split"), &request->split);
}

PgamlWindow
pgaml_request_window(const PgamlTrainRequest *request)
{
	if (request->split.until != 0)
		return (PgamlWindow) {.since = request->split.from, .until = request->split.until};
	return (PgamlWindow) {.since = pgaml_clock_now() - request->lookback_days * USECS_PER_DAY, .until = DT_NOEND};
}
