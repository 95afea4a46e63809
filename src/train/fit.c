/*-------------------------------------------------------------------------
 * fit.c
 *		train_performance_model(): one training run in the session.
 *
 * Rows are read first, then fitted without touching the server, then the
 * model and its finished job are written.  A run that ends in an error
 * leaves no row.  The stop callback only reads flags; interrupts are
 * processed after the library has given everything back.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/ps_status.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "features/spec.h"
#include "registry/registry.h"
#include "train/train.h"

#define LOOKBACK_MIN	1		/* days */
#define LOOKBACK_MAX	365
#define DEFAULT_SEED	1
#define DEFAULT_LEAVES	512		/* of a tree: small enough that one prediction stays within a few microseconds */
#define DEFAULT_FEATURES 0.5	/* share that a boosted tree may use: plan facts repeat each other, and a tree without
								 * the strongest one is less wrong about statements never seen */
#define PROGRESS_EVERY	(2 * USECS_PER_SEC)

static const char *const split_names[] = {"time", "group", "random"};	/* by PgamlSplit */

PGAML_FUNCTION_INFO_V1(pgaml_train_performance_model);

/* What the stop callback looks at. */
typedef struct Watch
{
	TimestampTz deadline;
	TimestampTz next_report;
	bool		too_late;
	const char *type;
} Watch;

typedef struct Run
{
	PgamlTrainRequest request;
	PgamlDataset *dataset;
	PgamlMlMemory memory;
	Watch		watch;
	MlStages   *stages;
	MlStageReport report;
	uint8_t    *bytes;
	size_t		length;
	char	   *importance;		/* JSON; NULL: no time or memory left for it */
	char	   *statistics;		/* likewise */
	double		ms;
	TimestampTz started_at;
	Oid			userid;			/* who asked */
	int64		model_id;
	int32		version;
	bool		promoted;
	double		error;			/* held-out mean absolute log error */
	double		incumbent_error;	/* of the model in production on the same rows; NaN */
	int64		incumbent_id;	/* 0 = none */
} Run;

static bool
should_stop(void *state, double progress)
{
	Watch	   *watch = state;
	TimestampTz now = pgaml_clock_now();

	if (now >= watch->next_report)
	{
		char		line[128];

		snprintf(line, sizeof(line), "training %s %d%%", watch->type, (int) (progress * 100.0));
		set_ps_display(line);
		watch->next_report = now + PROGRESS_EVERY;
	}
	watch->too_late = now >= watch->deadline;
	return watch->too_late || (InterruptPending && (QueryCancelPending || ProcDiePending));
}

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

void
pgaml_check_lookback(int lookback_days)
{
	if (lookback_days < LOOKBACK_MIN || lookback_days > LOOKBACK_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lookback_days must be from %d to %d, not %d", LOOKBACK_MIN, LOOKBACK_MAX, lookback_days)));
}

static MlModelType
parse_type(FunctionCallInfo fcinfo)
{
	MlModelType type;
	char	   *name;

	if (PG_ARGISNULL(0))
		return pgaml_default_model_type();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!pgaml_ml_type_from_name(name, &type))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown model type \"%s\"", name),
				 errhint("Allowed are: linear_regression, decision_tree, random_forest, gradient_boosting.")));
	return type;
}

static PgamlSplit
parse_split(const char *name)
{
	for (int i = 0; i < lengthof(split_names); i++)
		if (strcmp(name, split_names[i]) == 0)
			return (PgamlSplit) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown split \"%s\"", name),
			 errhint("Allowed are: time, group, random.")));
	return PGAML_SPLIT_TIME;	/* not reached */
}

static void
parse_request(FunctionCallInfo fcinfo, PgamlTrainRequest *request)
{
	static const char *const arguments[] = {"model_type", "lookback_days", "hyperparameters", "split", "wait"};

	for (int i = 1; i < lengthof(arguments); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be NULL", arguments[i])));
	request->lookback_days = PG_GETARG_INT32(1);
	pgaml_check_lookback(request->lookback_days);
	pgaml_default_params(parse_type(fcinfo), &request->params);
	parse_hyperparameters(&request->params, PG_GETARG_JSONB_P(2));
	request->split = parse_split(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	if (!PG_GETARG_BOOL(4))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("training in the background is not available in this version"),
				 errhint("Call train_performance_model(wait => true) to train in this session.")));
}

/* Fit within memory and time; raises what went wrong. */
static void
fit(Run *run)
{
	MlStop		stop = {should_stop, &run->watch};
	MlError		error = {0};
	instr_time	start;
	instr_time	end;
	MlStatus	status;

	INSTR_TIME_SET_CURRENT(start);
	status = pgaml_ml_stages_fit(&run->dataset->data, &pgaml_feature_layout, &run->request.params,
								 &run->memory.allocator, &stop, &run->stages, &run->report, &error);
	CHECK_FOR_INTERRUPTS();
	if (status == ML_E_STOPPED && run->watch.too_late)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("training stopped after pganalytics_ml.training_time_limit (%d s)", pgaml_training_time_limit),
				 errhint("Raise the setting, ask for a shorter lookback_days, or for fewer trees.")));
	if (status == ML_E_NOMEM && run->memory.limit_hit)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("training does not fit into pganalytics_ml.training_memory (%d kB)", pgaml_training_memory),
				 errhint("Raise the setting, or ask for fewer trees or leaves.")));
	if (status == ML_OK)
		status = pgaml_ml_stages_encode(run->stages, &run->memory.allocator, &run->bytes, &run->length, &error);
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not train");
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	run->ms = INSTR_TIME_GET_MILLISEC(end);
}

/* What the model looks at; never a reason to lose it. */
static void
explain(Run *run)
{
	MlStop		stop = {should_stop, &run->watch};

	run->importance = pgaml_train_importance_json(run->stages, &run->dataset->data, run->request.params.seed,
												  &run->memory.allocator, &stop);
	CHECK_FOR_INTERRUPTS();
	run->statistics = pgaml_train_statistics_json(&run->dataset->data, &run->memory.allocator, &stop);
	CHECK_FOR_INTERRUPTS();
}

/* How the new model and the one in production do on the same newest rows. */
static void
compare(Run *run, const PgamlServing *incumbent)
{
	float	   *scratch = palloc(sizeof(float) * 2 * PGAML_F_COUNT);

	run->error = pgaml_ml_stages_error(run->stages, &run->dataset->data, ML_PART_TEST, scratch);
	run->incumbent_error = NAN;
	run->incumbent_id = incumbent->model_id;
	if (incumbent->stages != NULL)
		run->incumbent_error = pgaml_ml_stages_error(incumbent->stages, &run->dataset->data,
													 ML_PART_TEST, scratch);
	/* Without held-out rows, or with an incumbent that cannot serve, the new one is taken. */
	run->promoted = !(run->error > run->incumbent_error);
	pfree(scratch);
}

static void
store_model(Run *run)
{
	PgamlNewModel model = {
		.model_type = pgaml_ml_type_name(run->request.params.type),
		.feature_version = PGAML_FEATURE_VERSION,
		.hyperparameters = pgaml_params_json(&run->request.params),
		.window_start = run->dataset->window_start,
		.window_end = run->dataset->window_end,
		.training_samples = run->report.rows[ML_PART_TRAIN],
		.calibration_samples = run->report.rows[ML_PART_CALIBRATE],
		.heldout_samples = run->report.rows[ML_PART_TEST],
		.statements = run->dataset->data.ngroups,
		.seed = (int64) run->request.params.seed,
		.metrics = pgaml_report_metrics_json(&run->report, pgaml_ml_stages_model(run->stages)),
		.calibration = pgaml_report_calibration_json(&run->report),
		.importance = run->importance,
		.feature_statistics = run->statistics,
		.training_ms = run->ms,
		.training_bytes = run->memory.peak,
		.created_by = run->userid,
		.bytes = run->bytes,
		.length = run->length
	};

	strlcpy(model.data_hash, run->dataset->hash, sizeof(model.data_hash));
	run->model_id = pgaml_registry_store(&model, &run->version);
	if (run->promoted)
		pgaml_registry_activate(run->model_id);
}

static char *
describe(const Run *run)
{
	StringInfoData out;
	double		days = (double) (run->dataset->window_end - run->dataset->window_start) / USECS_PER_DAY;

	initStringInfo(&out);
	appendStringInfo(&out, "model " INT64_FORMAT " (%s, version %d), %s: ", run->model_id,
					 pgaml_ml_type_name(run->request.params.type), run->version,
					 run->promoted ? "in production" : "kept as candidate");
	if (run->report.serving.n > 0)
		appendStringInfo(&out, "median q-error %.3f and p90 %.2f on " INT64_FORMAT " held-out samples",
						 run->report.serving.metrics.q50, run->report.serving.metrics.q90, run->report.serving.n);
	else
		appendStringInfoString(&out, "nothing could be held out to measure it");
	if (isfinite(run->incumbent_error))
		appendStringInfo(&out, "; mean absolute log error %.4f against %.4f of model " INT64_FORMAT " on the same rows",
						 run->error, run->incumbent_error, run->incumbent_id);
	appendStringInfo(&out, "; data of %.1f days, " INT64_FORMAT " samples of %d statements",
					 days, run->dataset->data.nrows, run->dataset->data.ngroups);
	return out.data;
}

static char *
arguments_json(const Run *run)
{
	return psprintf("{\"model_type\": \"%s\", \"lookback_days\": %d, \"hyperparameters\": %s, \"split\": \"%s\"}",
					pgaml_ml_type_name(run->request.params.type), run->request.lookback_days,
					pgaml_params_json(&run->request.params), split_names[run->request.split]);
}

static int64
store_job(const Run *run, const char *message)
{
	static const char sql[] =
		"INSERT INTO pganalytics.training_jobs "
		"  (arguments, status, progress, model_id, rows_read, trees_grown, requested_by, requested_at, started_at, "
		"   finished_at, worker_pid, result) "
		"VALUES ($1::jsonb, 'completed', 1, $2, $3, $4, $5, $6, $6, $7, $8, "
		"        pg_catalog.jsonb_build_object('r_squared', $9, 'rmse', $10, 'mae', $11, "
		"                                      'training_samples', $12, 'message', $13)) "
		"RETURNING job_id";
	const MlStageScore *serving = &run->report.serving;
	Oid			types[] = {TEXTOID, INT8OID, INT8OID, INT4OID, OIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, INT8OID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(arguments_json(run)), Int64GetDatum(run->model_id), Int64GetDatum(run->dataset->seen),
		Int32GetDatum(pgaml_ml_model_trees(pgaml_ml_stages_model(run->stages))), ObjectIdGetDatum(run->userid),
		TimestampTzGetDatum(run->started_at), TimestampTzGetDatum(pgaml_clock_now()), Int32GetDatum(MyProcPid),
		Float8GetDatum(serving->metrics.r2), Float8GetDatum(serving->metrics.rmse), Float8GetDatum(serving->metrics.mae),
		Int64GetDatum(run->report.rows[ML_PART_TRAIN]), CStringGetTextDatum(message)
	};
	bool		measured = serving->n > 0;
	char		nulls[] = {
		' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', measured && isfinite(serving->metrics.r2) ? ' ' : 'n',
		measured ? ' ' : 'n', measured ? ' ' : 'n', ' ', ' ', '\0'
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, nulls, false);
	return pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}

/*
 * train_performance_model(model_type text, lookback_days int, hyperparameters jsonb,
 *						   split text, wait boolean)
 * RETURNS TABLE (job_id bigint, status text, message text)
 */
Datum
pgaml_train_performance_model(PG_FUNCTION_ARGS)
{
	Run			run = {.userid = GetUserId(), .started_at = pgaml_clock_now()};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml training",
												  ALLOCSET_DEFAULT_SIZES);
	const PgamlServing *incumbent;
	PgamlSpi	spi;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	char	   *message;

	parse_request(fcinfo, &run.request);
	PreventCommandIfReadOnly("train_performance_model()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	incumbent = pgaml_registry_serving();

	pgaml_spi_open(&spi);
	run.dataset = pgaml_dataset_read(&run.request, context);
	pgaml_dataset_split(run.dataset, run.request.split, run.request.params.seed);
	pgaml_ml_memory_init(&run.memory, context, (Size) pgaml_training_memory * 1024);
	run.watch.type = pgaml_ml_type_name(run.request.params.type);
	run.watch.deadline = run.started_at + pgaml_training_time_limit * USECS_PER_SEC;
	fit(&run);
	explain(&run);
	compare(&run, incumbent);
	store_model(&run);
	message = describe(&run);
	values[0] = Int64GetDatum(store_job(&run, message));
	message = MemoryContextStrdup(context, message);
	pgaml_spi_close(&spi);

	values[1] = CStringGetTextDatum("completed");
	values[2] = CStringGetTextDatum(message);
	MemoryContextDelete(context);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
