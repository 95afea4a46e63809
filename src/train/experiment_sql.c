/*-------------------------------------------------------------------------
 * experiment_sql.c
 *		tune_performance_model(), resume_tuning(), get_trials(): experiments
 *		asked for and looked at.  A worker runs them (tune.c).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/export.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "train/experiment.h"
#include "train/queue.h"

#define TRIALS_MIN		2		/* the default and another */
#define TRIALS_MAX		1000
#define SEED_MAX		(INT64CONST(1) << 53)	/* beyond, a double does not hold it */
#define LOOKBACK_DAYS	90		/* as train_performance_model() has it by default */
#define TIME_LIMIT_DEFAULT	USECS_PER_HOUR
#define TIME_LIMIT_MIN	USECS_PER_SEC
#define TIME_LIMIT_MAX	USECS_PER_DAY

PGAML_FUNCTION_INFO_V1(pgaml_tune_performance_model);
PGAML_FUNCTION_INFO_V1(pgaml_resume_tuning);
PGAML_FUNCTION_INFO_V1(pgaml_get_trials);

static void
need_worker(void)
{
	if (pgaml_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tuning needs pganalytics_ml to be preloaded"),
				 errdetail("A worker runs it in the background."),
				 errhint("Add this line to postgresql.conf and restart: shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'")));
}

static int64
time_limit_of(const Interval *interval)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;
	bool		sane = days >= -1 && days <= 1 && interval->time >= -TIME_LIMIT_MAX && interval->time <= TIME_LIMIT_MAX;
	int64		limit = sane ? days * USECS_PER_DAY + interval->time : 0;

	if (limit < TIME_LIMIT_MIN || limit > TIME_LIMIT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time_limit must be from 1 second to 1 day")));
	return limit;
}

static void
parse_options(FunctionCallInfo fcinfo, PgamlExperiment *experiment)
{
	MlTuneOptions *options = &experiment->options;
	char	   *sampler = text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *pruner = text_to_cstring(PG_GETARG_TEXT_PP(3));
	int64		seed = PG_GETARG_INT64(6);

	pgaml_ml_tune_options_default(options);
	options->n_trials = PG_GETARG_INT32(1);
	if (options->n_trials < TRIALS_MIN || options->n_trials > TRIALS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("n_trials must be from %d to %d, not %d", TRIALS_MIN, TRIALS_MAX, options->n_trials)));
	if (!pgaml_ml_sampler_from_name(sampler, &options->sampler))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown sampler \"%s\"", sampler),
				 errhint("Allowed are: random, grid, tpe.")));
	if (!pgaml_ml_pruner_from_name(pruner, &options->pruner))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown pruner \"%s\"", pruner),
				 errhint("Allowed are: none, median, halving.")));
	if (seed < 0 || seed > SEED_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("seed must be from 0 to " INT64_FORMAT, SEED_MAX)));
	options->seed = (uint64) seed;
	experiment->time_limit = PG_ARGISNULL(4) ? TIME_LIMIT_DEFAULT : time_limit_of(PG_GETARG_INTERVAL_P(4));
}

static void
parse_arguments(FunctionCallInfo fcinfo, PgamlExperiment *experiment)
{
	static const char *const arguments[] = {"model_type", "n_trials", "sampler", "pruner", "time_limit", "split", "seed"};

	for (int i = 0; i < lengthof(arguments); i++)
		if (PG_ARGISNULL(i) && i != 0 && i != 4)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be NULL", arguments[i])));
	memset(experiment, 0, sizeof(*experiment));
	experiment->split = text_to_cstring(PG_GETARG_TEXT_PP(5));
	parse_options(fcinfo, experiment);
	pgaml_request_fill(&experiment->request, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   LOOKBACK_DAYS, NULL, experiment->split);
	experiment->request.params.seed = experiment->options.seed;
	/* However often it is interrupted, and however long it waits: the same rows. */
	if (experiment->request.split.until == 0)
		pgaml_split_freeze(&experiment->request.split, LOOKBACK_DAYS, experiment->options.seed);
}

/* Inside the bracket: queue what is left of an experiment. */
static int64
queue(const PgamlExperiment *experiment, const char *reason, Oid userid)
{
	char	   *arguments = psprintf("{\"experiment_id\": " INT64_FORMAT ", \"time_limit_s\": " INT64_FORMAT "}",
									 experiment->id, (experiment->time_limit + USECS_PER_SEC - 1) / USECS_PER_SEC);
	int64		job_id = pgaml_queue_add("tune", arguments, reason, userid);

	pgaml_experiment_queue(experiment->id, job_id);
	return job_id;
}

static char *
where_to_look(int64 experiment_id)
{
	return psprintf("queued; starts when this transaction has committed and a training worker is free, "
					"see list_experiments() and get_trials(" INT64_FORMAT ")", experiment_id);
}

/*
 * tune_performance_model(model_type text, n_trials int, sampler text, pruner text,
 *						  time_limit interval, split text, seed bigint)
 * RETURNS TABLE (job_id bigint, experiment_id bigint, status text, message text), one row
 */
Datum
pgaml_tune_performance_model(PG_FUNCTION_ARGS)
{
	PgamlExperiment experiment;
	PgamlSpi	spi;
	TupleDesc	desc;
	Oid			userid = GetUserId();
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	pgaml_require_writable("tune_performance_model()");
	parse_arguments(fcinfo, &experiment);
	need_worker();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgaml_spi_open(&spi);
	pgaml_dataset_require(&experiment.request);	/* what would fail at once in the worker fails here */
	pgaml_experiment_create(&experiment, userid);
	values[0] = Int64GetDatum(queue(&experiment, "asked for", userid));
	pgaml_spi_close(&spi);

	values[1] = Int64GetDatum(experiment.id);
	values[2] = CStringGetTextDatum("pending");
	values[3] = CStringGetTextDatum(where_to_look(experiment.id));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

pg_noreturn static void
unknown_experiment(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("experiment " INT64_FORMAT " does not exist", id),
			 errhint("list_experiments() shows those that there are.")));
}

/*
 * resume_tuning(experiment_id bigint)
 * RETURNS TABLE (experiment_id bigint, job_id bigint, status text, message text), one row
 */
Datum
pgaml_resume_tuning(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	PgamlExperiment experiment;
	PgamlSpi	spi;
	TupleDesc	desc;
	Oid			userid = GetUserId();
	char	   *status;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	pgaml_require_writable("resume_tuning()");
	need_worker();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgaml_spi_open(&spi);
	status = pgaml_experiment_read(id, &experiment);
	if (status == NULL)
		unknown_experiment(id);
	if (strcmp(status, "pending") == 0 || strcmp(status, "running") == 0 || strcmp(status, "completed") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("experiment " INT64_FORMAT " is %s", id, status),
				 errdetail("Only one that was cancelled, failed or ran out of time can be resumed.")));
	values[1] = Int64GetDatum(queue(&experiment, "resumed", userid));
	pgaml_spi_close(&spi);

	values[0] = Int64GetDatum(id);
	values[2] = CStringGetTextDatum("pending");
	values[3] = CStringGetTextDatum(where_to_look(id));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * get_trials(experiment_id bigint)
 * RETURNS TABLE (number int, state text, hyperparameters jsonb, value double precision,
 *				  fold_values double precision[], confirm_values double precision[],
 *				  cpu_ms double precision, started_at timestamptz, finished_at timestamptz,
 *				  message text, chosen boolean)
 */
Datum
pgaml_get_trials(PG_FUNCTION_ARGS)
{
	static const char known_sql[] = "SELECT FROM pganalytics.experiments WHERE experiment_id = $1";
	static const char sql[] =
		"SELECT t.number, t.state, t.hyperparameters, t.value, t.fold_values, t.confirm_values, t.cpu_ms, t.started_at, "
		"       t.finished_at, t.message, t.number IS NOT DISTINCT FROM e.best_trial "
		"  FROM pganalytics.trials t JOIN pganalytics.experiments e ON e.experiment_id = t.experiment_id "
		" WHERE t.experiment_id = $1 ORDER BY t.number";
	Oid			types[] = {INT8OID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	PgamlSpi	spi;

	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	if (pgaml_spi_exec(known_sql, 1, types, values, NULL, true) == 0)
		unknown_experiment(PG_GETARG_INT64(0));
	pgaml_spi_into(sql, 1, types, values, NULL, (ReturnSetInfo *) fcinfo->resultinfo);
	pgaml_spi_close(&spi);
	return (Datum) 0;
}
