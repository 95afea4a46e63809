/*-------------------------------------------------------------------------
 * maintain.c
 *		maintain_models(): what the visits do for models, by hand.
 *
 * One row per step.  Without preload there are no visits and no workers: then
 * whoever calls collect_statements() and this function regularly does their
 * work, and a training that is due runs in the session when the caller waits
 * for it.  A training that fails is noted as a failed job, as a worker would,
 * and is due again after retrain_interval.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "registry/registry.h"
#include "registry/truth.h"
#include "train/train.h"
#include "watch/drift.h"
#include "worker/worker_internal.h"

PGAML_FUNCTION_INFO_V1(pgaml_maintain_models);

/* A training in this session, and how it ended. */
typedef struct Training
{
	PgamlTrainRun run;
	PgamlTrainRequest request;
	const char *reason;
	TimestampTz started_at;
	int64		job_id;
	ErrorData  *error;			/* NULL: it completed */
} Training;

static void
put_row(ReturnSetInfo *rsinfo, const char *step, const char *result)
{
	Datum		values[] = {CStringGetTextDatum(step), CStringGetTextDatum(result)};
	bool		nulls[] = {false, false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * Train in a subtransaction.  An error is kept in training, in the caller's
 * context, but for the user's own cancel, which goes on.
 */
static void
train_guarded(Training *training)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "pganalytics_ml training", ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		training->job_id = pgaml_train_here(&training->run, &training->request, training->reason, context);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		training->error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (training->error->sqlerrcode == ERRCODE_QUERY_CANCELED && !training->run.too_late)
			ReThrowError(training->error);
	}
	PG_END_TRY();
}

/* Inside the bracket: a job that failed; returns its number. */
static int64
store_failure(const Training *training)
{
	static const char sql[] =
		"INSERT INTO pganalytics.training_jobs (kind, arguments, status, reason, attempt, error, requested_by, "
		"                                       requested_at, started_at, finished_at, worker_pid) "
		"VALUES ('train', $1::jsonb, 'failed', $7, 1, $2, $3, $4, $4, $5, $6) RETURNING job_id";
	Oid			types[] = {TEXTOID, TEXTOID, OIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(pgaml_request_json(&training->request)), CStringGetTextDatum(training->error->message),
		ObjectIdGetDatum(training->run.userid), TimestampTzGetDatum(training->started_at),
		TimestampTzGetDatum(pgaml_clock_now()), Int32GetDatum(MyProcPid), CStringGetTextDatum(training->reason)
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
	return pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}

/* Outside of a bracket: train now; returns what came of it.  Without a wish of drift it is the schedule's training. */
static char *
train_now(const PgamlDriftWish *wish)
{
	Training   *training = palloc0(sizeof(Training));
	PgamlSpi	spi;

	training->reason = "schedule";
	if (wish != NULL)
	{
		training->request = wish->request;
		training->reason = wish->reason;
	}
	else
		pgaml_schedule_request(&training->request);
	training->started_at = pgaml_clock_now();
	train_guarded(training);
	pgaml_spi_open(&spi);
	if (training->error != NULL)
		training->job_id = store_failure(training);
	if (wish == NULL)
		pgaml_schedule_begun(training->job_id);
	pgaml_spi_close(&spi);
	if (training->error != NULL)
		return psprintf("job " INT64_FORMAT " failed: %s", training->job_id, training->error->message);
	return psprintf("job " INT64_FORMAT " completed: %s", training->job_id, training->run.message);
}

/* What is to be done about a retraining; returns what was. */
static char *
retrain(bool wait)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		due;
	char	   *why;
	char	   *result = NULL;
	PgamlSpi	spi;

	pgaml_spi_open(&spi);
	due = pgaml_schedule_due(&why);
	if (!due)
		result = MemoryContextStrdup(caller, why);
	else if (!wait && pgaml_shared != NULL)
		result = MemoryContextStrdup(caller, psprintf("queued as job " INT64_FORMAT, pgaml_schedule_queue()));
	else if (!wait)
		result = MemoryContextStrdup(caller, "due, but not queued: pganalytics_ml is not in shared_preload_libraries, "
									 "so no worker would train; call maintain_models(wait => true)");
	pgaml_spi_close(&spi);
	return result != NULL ? result : train_now(NULL);
}

/* Look for drift, if it is time; returns what came of it. */
static char *
look_for_drift(bool wait)
{
	PgamlDriftWish wish = {0};
	PgamlSpi	spi;
	bool		checked;

	pgaml_spi_open(&spi);
	checked = pgaml_drift_check(wait || pgaml_shared == NULL ? &wish : NULL);
	pgaml_spi_close(&spi);
	if (!checked)
		return "not due yet";
	if (wish.wanted && wait)
		return psprintf("%s: %s", wish.reason, train_now(&wish));
	if (wish.wanted)
		return psprintf("%s: a retraining is due, but not queued: pganalytics_ml is not in shared_preload_libraries, "
						"so no worker would train; call maintain_models(wait => true)", wish.reason);
	return "looked: model_drift() has the signals";
}

/* Predictions go to the log, and what came true of them is noted. */
static void
follow_predictions(ReturnSetInfo *rsinfo)
{
	PgamlSpi	spi;

	pgaml_spi_open(&spi);
	put_row(rsinfo, "predictions", psprintf(INT64_FORMAT " stored", pgaml_predictions_store()));
	put_row(rsinfo, "truth", psprintf(INT64_FORMAT " compared with what happened", pgaml_truth_match()));
	pgaml_spi_close(&spi);
}

static void
retire_models(ReturnSetInfo *rsinfo)
{
	PgamlSpi	spi;

	pgaml_spi_open(&spi);
	put_row(rsinfo, "models", psprintf(INT64_FORMAT " that are not needed any more deleted", pgaml_registry_retire()));
	pgaml_spi_close(&spi);
}

/* maintain_models(wait boolean) RETURNS TABLE (step text, result text) */
Datum
pgaml_maintain_models(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	pgaml_require_writable("maintain_models()");
	InitMaterializedSRF(fcinfo, 0);
	follow_predictions(rsinfo);
	put_row(rsinfo, "drift", look_for_drift(PG_GETARG_BOOL(0)));
	put_row(rsinfo, "retrain", retrain(PG_GETARG_BOOL(0)));
	retire_models(rsinfo);
	return (Datum) 0;
}
