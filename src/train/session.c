/*-------------------------------------------------------------------------
 * session.c
 *		train_performance_model(): asked for in SQL, queued for a worker or
 *		trained in the session.
 *
 * In the session all phases (run.c) run in the caller's transaction, so a run
 * that ends in an error leaves no row.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/fault.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "registry/registry.h"
#include "train/queue.h"
#include "train/train.h"

PGAML_FUNCTION_INFO_V1(pgaml_train_performance_model);

static void
parse_arguments(FunctionCallInfo fcinfo, PgamlTrainRequest *request)
{
	static const char *const arguments[] = {"model_type", "lookback_days", "hyperparameters", "split", "wait"};

	for (int i = 1; i < lengthof(arguments); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be NULL", arguments[i])));
	pgaml_request_fill(request, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   PG_GETARG_INT32(1), PG_GETARG_JSONB_P(2), text_to_cstring(PG_GETARG_TEXT_PP(3)));
}

static int64
store_job(const PgamlTrainRun *run, const char *reason)
{
	static const char sql[] =
		"INSERT INTO pganalytics.training_jobs "
		"  (arguments, status, progress, attempt, model_id, rows_read, trees_grown, requested_by, requested_at, "
		"   started_at, finished_at, worker_pid, result, reason) "
		"VALUES ($1::jsonb, 'completed', 1, 1, $2, $3, $4, $5, $6, $6, $7, $8, $9::jsonb, $10) RETURNING job_id";
	Oid			types[] = {TEXTOID, INT8OID, INT8OID, INT4OID, OIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
	TEXTOID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(pgaml_request_json(&run->request)), Int64GetDatum(run->model_id), Int64GetDatum(run->dataset->seen),
		Int32GetDatum(pgaml_ml_model_trees(pgaml_ml_stages_model(run->stages))), ObjectIdGetDatum(run->userid),
		TimestampTzGetDatum(run->started_at), TimestampTzGetDatum(pgaml_clock_now()), Int32GetDatum(MyProcPid),
		CStringGetTextDatum(pgaml_run_result_json(run)), CStringGetTextDatum(reason)
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
	return pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}

int64
pgaml_train_here(PgamlTrainRun *run, const PgamlTrainRequest *request, const char *reason, MemoryContext context)
{
	PgamlSpi	spi;
	int64		job_id;

	pgaml_run_init(run, request, GetUserId(), context);
	pgaml_spi_open(&spi);
	pgaml_run_read(run);
	PGAML_FAULT("train_here");
	pgaml_run_fit(run);
	pgaml_run_store(run);
	job_id = store_job(run, reason);
	pgaml_spi_close(&spi);
	return job_id;
}

/*
 * Queue the job for a training worker.  What would fail at once there fails
 * here: the arguments were checked, now the number of samples.
 */
static int64
train_there(const PgamlTrainRequest *request)
{
	PgamlSpi	spi;
	int64		job_id;

	if (pgaml_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("training in the background needs pganalytics_ml to be preloaded"),
				 errdetail("Add this line to postgresql.conf and restart: shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'"),
				 errhint("Call train_performance_model(wait => true) to train in this session.")));
	pgaml_spi_open(&spi);
	pgaml_dataset_require(request);
	job_id = pgaml_queue_add("train", pgaml_request_json(request), "asked for", spi.saved_userid);
	pgaml_spi_close(&spi);
	return job_id;
}

/*
 * train_performance_model(model_type text, lookback_days int, hyperparameters jsonb,
 *						   split text, wait boolean)
 * RETURNS TABLE (job_id bigint, status text, message text)
 */
Datum
pgaml_train_performance_model(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml training",
												  ALLOCSET_DEFAULT_SIZES);
	PgamlTrainRequest request;
	PgamlTrainRun run;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	parse_arguments(fcinfo, &request);
	pgaml_require_writable("train_performance_model()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (PG_GETARG_BOOL(4))
	{
		values[0] = Int64GetDatum(pgaml_train_here(&run, &request, "asked for", context));
		values[1] = CStringGetTextDatum("completed");
		values[2] = CStringGetTextDatum(run.message);
	}
	else
	{
		int64		job_id = train_there(&request);

		values[0] = Int64GetDatum(job_id);
		values[1] = CStringGetTextDatum("pending");
		values[2] = CStringGetTextDatum(psprintf("queued; starts when this transaction has committed and a training worker "
												 "is free, see get_training_status(" INT64_FORMAT ")", job_id));
	}
	MemoryContextDelete(context);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
