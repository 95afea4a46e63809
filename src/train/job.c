/*-------------------------------------------------------------------------
 * job.c
 *		What a run may ask of its job (job.h), and the job of kind "train".
 *
 * Three transactions at most: one reads the rows, one stores model and
 * finished job together; between them there is neither transaction nor
 * snapshot, however long the fit takes.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/training.h"
#include "train/job.h"
#include "train/train.h"

#define LOCK_RETRY_MS	500		/* after somebody else's lock was in the way */
#define LOCK_GRACE		(15 * USECS_PER_SEC)	/* beyond half the time limit, waited for such a lock: the hard limit is later */

/*
 * A transaction with an open bracket.  The extension is held before anything
 * of it is touched.  One that was created again is another one, with jobs of
 * the same numbers.
 */
static void
open_bracket(const PgamlJob *job, PgamlSpi *spi, const char *activity)
{
	pgaml_xact_open(spi, activity);
	if (!pgaml_extension_hold() || pgaml_extension_oid() != job->extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the extension is being dropped")));
}

void
pgaml_job_open(PgamlJob *job, PgamlSpi *spi, const char *activity)
{
	open_bracket(job, spi, activity);
	enable_timeout_at(STATEMENT_TIMEOUT, job->deadline);
}

void
pgaml_job_close(PgamlJob *job, PgamlSpi *spi)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	pgaml_xact_close(spi);
	MemoryContextSwitchTo(job->context);
}

bool
pgaml_job_ask(void *state, double progress)
{
	pgaml_training_progress(progress, 0, 0);
	return pgaml_run_interrupted();
}

void
pgaml_job_show(int64 rows_read, int32 trees_grown)
{
	pgaml_training_progress(0.0, rows_read, trees_grown);
}

/*
 * The row of the job, locked: nobody else finishes or cancels it before this
 * transaction ends.
 */
static void
lock_job(const PgamlJob *job)
{
	static const char sql[] =
		"SELECT cancel_requested::int4::int8 FROM pganalytics.training_jobs "
		" WHERE job_id = $1 AND status = 'training' AND attempt = $2 FOR UPDATE";
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(job->job_id), Int32GetDatum(job->attempt)};

	if (pgaml_spi_exec(sql, 2, types, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job " INT64_FORMAT " is not there any more", job->job_id)));
	if (pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("job " INT64_FORMAT " was cancelled", job->job_id)));
}

static void
finish_job(const PgamlJob *job, const PgamlJobResult *result)
{
	static const char sql[] =
		"UPDATE pganalytics.training_jobs SET status = 'completed', progress = 1, error = NULL, finished_at = $2, "
		"       model_id = nullif($3, 0), rows_read = $4, trees_grown = $5, result = $6::jsonb WHERE job_id = $1";
	Oid			types[] = {INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT4OID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum(job->job_id), TimestampTzGetDatum(pgaml_clock_now()), Int64GetDatum(result->model_id),
		Int64GetDatum(result->rows_read), Int32GetDatum(result->trees_grown), CStringGetTextDatum(result->json)
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}

/* One try; false when somebody else's lock was in the way. */
static bool
try_store(PgamlJob *job, PgamlJobStore store, void *state)
{
	volatile bool stored = true;

	PG_TRY();
	{
		PgamlSpi	spi;
		PgamlJobResult result = {0};

		open_bracket(job, &spi, "pganalytics_ml: storing what a job found");
		lock_job(job);
		store(job, &spi, state, &result);
		finish_job(job, &result);
		PGAML_FAULT("job_store");
		pgaml_xact_close(&spi);
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		if (code != ERRCODE_LOCK_NOT_AVAILABLE && code != ERRCODE_T_R_DEADLOCK_DETECTED)
			PG_RE_THROW();
		stored = false;
		HOLD_INTERRUPTS();
		FlushErrorState();
		pgaml_xact_abort();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job->context);
	return stored;
}

void
pgaml_job_store(PgamlJob *job, PgamlJobStore store, void *state)
{
	TimestampTz patience = job->deadline + pgaml_training_time_limit * USECS_PER_SEC / 2 + LOCK_GRACE;

	while (!try_store(job, store, state))
	{
		if (GetCurrentTimestamp() >= patience)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("another transaction kept the job from storing what it found"),
					 errhint("End transactions that have changed models, such as one that is idle after activate_model().")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_RETRY_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	job->finished = true;
}

static void
store_run(PgamlJob *job, PgamlSpi *spi, void *state, PgamlJobResult *result)
{
	PgamlTrainRun *run = state;

	pgaml_run_store(run);
	result->model_id = run->model_id;
	result->rows_read = run->dataset->seen;
	result->trees_grown = pgaml_ml_model_trees(pgaml_ml_stages_model(run->stages));
	result->json = pgaml_run_result_json(run);
}

void
pgaml_train_job(PgamlJob *job)
{
	PgamlTrainRun *run = palloc(sizeof(PgamlTrainRun));
	PgamlTrainRequest request;
	PgamlSpi	spi;

	pgaml_request_parse(&request, job->arguments);
	pgaml_run_init(run, &request, job->requested_by, job->context);
	run->deadline = job->deadline;

	pgaml_job_open(job, &spi, "pganalytics_ml: reading rows to train on");
	pgaml_run_read(run);
	pgaml_job_close(job, &spi);

	PGAML_FAULT("job_fit");
	pgstat_report_activity(STATE_RUNNING, "pganalytics_ml: training a model");
	pgaml_run_fit(run);
	pgaml_job_store(job, store_run, run);
}
