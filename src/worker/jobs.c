/*-------------------------------------------------------------------------
 * jobs.c
 *		Training jobs in their table: taken, run, settled, and found when their
 *		worker is gone.
 *
 * A job is marked as training, and that is committed, before its work begins:
 * after a crash one sees what was under way.  Its worker stands in a training
 * slot from before that commit until after the job has ended, so a job marked
 * as training that stands in no slot was left behind.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/elog.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/training.h"
#include "train/job.h"
#include "worker/jobs_core.h"
#include "worker/worker_internal.h"

#define WAITING_ROWS	100		/* of the queue that are read at a time */
#define LOCKED_RETRY_US	USECS_PER_SEC	/* all that wait are locked by somebody: look again */

/* A kind of job and what runs it. */
typedef struct JobKind
{
	const char *kind;
	void		(*run) (PgamlJob *job);
	int64		(*limit) (Jsonb *arguments);	/* s that it may take; NULL: training_time_limit */
} JobKind;

static const JobKind kinds[] = {
	{"train", pgaml_train_job, NULL},
	{"tune", pgaml_tune_job, pgaml_tune_time_limit},
};

/* What becomes of a job that did not complete. */
typedef struct Outcome
{
	const char *status;
	bool		counts;			/* as an attempt */
	TimestampTz not_before;		/* when pending */
	const char *error;			/* NULL: none */
} Outcome;

/* The front of the queue as read last; each is checked again when it is taken. */
static int64 waiting[WAITING_ROWS];
static int	nwaiting = 0;
static int	next_waiting = 0;

/* When the next pending job may start; 0: there is none.  Inside the bracket. */
static TimestampTz
next_due(void)
{
	static const char sql[] =
		"SELECT not_before FROM pganalytics.training_jobs WHERE status = 'pending' ORDER BY not_before, job_id LIMIT 1";
	bool		isnull;

	if (pgaml_spi_run(sql, false) == 0)
		return 0;
	return DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* A job that is due further ahead than any delay was set before the clock went back. */
static void
read_waiting(TimestampTz now)
{
	static const char sql[] =
		"SELECT job_id FROM pganalytics.training_jobs WHERE status = 'pending' "
		"   AND (not_before <= $1 OR not_before > $2) ORDER BY not_before, job_id LIMIT $3";
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID};
	Datum		values[] = {
		TimestampTzGetDatum(now), TimestampTzGetDatum(now + PGAML_JOB_RETRY_MAX_US), Int32GetDatum(WAITING_ROWS)
	};

	nwaiting = (int) pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
	next_waiting = 0;
	for (int i = 0; i < nwaiting; i++)
		waiting[i] = pgaml_row_int8(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, 0);
}

/* Lock a job that may still start and copy it; false when it may not, or somebody else has it. */
static bool
lock_pending(int64 job_id, TimestampTz now, MemoryContext context, PgamlJob *job)
{
	static const char sql[] =
		"SELECT attempt::int8, requested_by, kind, reason, arguments FROM pganalytics.training_jobs "
		" WHERE job_id = $1 AND status = 'pending' AND (not_before <= $2 OR not_before > $3) FOR UPDATE SKIP LOCKED";
	Oid			types[] = {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[] = {
		Int64GetDatum(job_id), TimestampTzGetDatum(now), TimestampTzGetDatum(now + PGAML_JOB_RETRY_MAX_US)
	};
	MemoryContext old;
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;

	if (pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false) == 0)
		return false;
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	memset(job, 0, sizeof(*job));
	job->job_id = job_id;
	job->extension = pgaml_extension_oid();
	job->attempt = (int) pgaml_row_int8(tuple, desc, 1, 0) + 1;
	job->requested_by = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
	job->context = context;
	old = MemoryContextSwitchTo(context);
	strlcpy(job->kind, TextDatumGetCString(SPI_getbinval(tuple, desc, 3, &isnull)), sizeof(job->kind));
	job->reason = TextDatumGetCString(SPI_getbinval(tuple, desc, 4, &isnull));
	job->arguments = DatumGetJsonbPCopy(SPI_getbinval(tuple, desc, 5, &isnull));
	MemoryContextSwitchTo(old);
	return true;
}

static const JobKind *
find_kind(const PgamlJob *job)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].kind, job->kind) == 0)
			return &kinds[i];
	return NULL;
}

/* Mark it as under way; the slot comes first. */
static void
mark_taken(PgamlJob *job)
{
	static const char sql[] =
		"UPDATE pganalytics.training_jobs SET status = 'training', attempt = $2, started_at = $3, finished_at = NULL, "
		"       worker_pid = $4, progress = 0 WHERE job_id = $1";
	Oid			types[] = {INT8OID, INT4OID, TIMESTAMPTZOID, INT4OID};
	Datum		values[] = {
		Int64GetDatum(job->job_id), Int32GetDatum(job->attempt), TimestampTzGetDatum(pgaml_clock_now()),
		Int32GetDatum(MyProcPid)
	};

	const JobKind *kind = find_kind(job);
	int64		limit = kind != NULL && kind->limit != NULL ? kind->limit(job->arguments) : pgaml_training_time_limit;

	pgaml_training_begin(job, pgaml_jobs_hard_limit(limit));
	job->deadline = GetCurrentTimestamp() + limit * USECS_PER_SEC;
	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}

/* Find the first of the queue that can be had; due is when the next one may start. */
static bool
take_first(MemoryContext context, PgamlJob *job, TimestampTz *due)
{
	TimestampTz now = pgaml_clock_now();
	bool		again = true;
	bool		locked = false;

	for (;;)
	{
		if (next_waiting == nwaiting)
		{
			if (!again)
				break;
			read_waiting(now);
			again = false;
			if (nwaiting == 0)
				break;
		}
		if (lock_pending(waiting[next_waiting++], now, context, job))
		{
			mark_taken(job);
			*due = next_waiting < nwaiting ? now : next_due();
			return true;
		}
		locked = !again;
	}
	*due = next_due();
	if (locked && *due != 0 && *due <= now)
		*due = now + LOCKED_RETRY_US;
	return false;
}

/*
 * Outside a transaction: take the first job of the queue that may start, and
 * commit that.  False when there is none, or the extension is about to go.
 */
bool
pgaml_jobs_take(MemoryContext context, PgamlJob *job)
{
	PgamlSpi	spi;
	int64		overdue;
	uint64		serial = pgaml_training_serial(&overdue);
	TimestampTz due = 0;
	bool		taken;

	if (!pgaml_session_open(&spi, "pganalytics_ml: taking a job"))
		return false;
	taken = take_first(context, job, &due);
	pgaml_session_close(&spi);
	pgaml_training_due(serial, due);
	return taken;
}

void
pgaml_jobs_run(PgamlJob *job)
{
	const JobKind *kind = find_kind(job);

	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("jobs of kind \"%s\" cannot be run by this version", job->kind)));
	kind->run(job);
}

/*
 * The row of a job that is still at this attempt; the rest of its columns
 * follow from the status.  False when it is not.
 */
static bool
write_outcome(int64 job_id, int attempt, double progress, const Outcome *outcome)
{
	static const char sql[] =
		"UPDATE pganalytics.training_jobs SET status = $3, attempt = attempt - $4, not_before = coalesce($5, not_before), "
		"       error = $6, worker_pid = NULL, progress = CASE WHEN $3 = 'pending' THEN 0 ELSE $8 END, "
		"       finished_at = CASE WHEN $3 = 'pending' THEN NULL ELSE $7 END "
		" WHERE job_id = $1 AND status = 'training' AND attempt = $2";
	Oid			types[] = {INT8OID, INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID};
	Datum		values[] = {
		Int64GetDatum(job_id), Int32GetDatum(attempt), CStringGetTextDatum(outcome->status),
		Int32GetDatum(outcome->counts ? 0 : 1), TimestampTzGetDatum(outcome->not_before),
		outcome->error ? CStringGetTextDatum(outcome->error) : (Datum) 0, TimestampTzGetDatum(pgaml_clock_now()),
		Float8GetDatum(progress)
	};
	char		nulls[] = {' ', ' ', ' ', ' ', outcome->not_before != 0 ? ' ' : 'n', outcome->error ? ' ' : 'n', ' ', ' ', '\0'};

	return pgaml_spi_exec(sql, lengthof(types), types, values, nulls, false) > 0;
}

static Outcome
retry_or_fail(int attempt, const char *error, bool stays)
{
	Outcome		outcome = {"failed", true, 0, error};

	if (!stays && attempt < PGAML_JOB_ATTEMPTS)
	{
		outcome.status = "pending";
		outcome.not_before = pgaml_clock_now() +
			pgaml_jobs_retry_delay(attempt, pg_prng_double(&pg_global_prng_state));
	}
	return outcome;
}

/* Message, detail and hint as sentences. */
static char *
error_text(const ErrorData *error)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, error->message);
	if (error->detail != NULL || error->hint != NULL)
		appendStringInfoChar(&out, '.');
	if (error->detail != NULL)
		appendStringInfo(&out, " %s", error->detail);
	if (error->hint != NULL)
		appendStringInfo(&out, " %s", error->hint);
	return out.data;
}

/* What becomes of a job whose run raised this error? */
static Outcome
judge(const PgamlJob *job, PgamlJobStop stop, bool interrupted, const ErrorData *error)
{
	bool		cancelled = error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	bool		late = GetCurrentTimestamp() >= job->deadline;

	if (stop == PGAML_STOP_CANCELLED)
		return (Outcome) {"cancelled", true, 0, NULL};
	if (stop == PGAML_STOP_WANTED && cancelled)
		return (Outcome) {"pending", false, pgaml_clock_now(), NULL};
	if (cancelled && late)
		return (Outcome) {"failed", true, 0,
			psprintf(strcmp(job->kind, "tune") == 0 ?
					 "the search stopped after its time_limit and pganalytics_ml.training_time_limit (%d s) for the fit at its end. "
					 "Go on with resume_tuning(), or raise them." :
					 "training stopped after pganalytics_ml.training_time_limit (%d s). "
					 "Raise the setting, ask for a shorter lookback_days, or for fewer trees.",
					 pgaml_training_time_limit)};
	if (cancelled && interrupted)
		return (Outcome) {"cancelled", true, 0, "its worker was cancelled by an administrator"};
	return retry_or_fail(job->attempt, error_text(error),
						 pgaml_jobs_error_stays(unpack_sql_state(error->sqlerrcode)));
}

/* The same words are not logged again by the same process. */
static void
log_failure(const PgamlJob *job, const char *dbname, const Outcome *outcome)
{
	static uint32 logged = 0;
	uint32		hash;

	if (outcome->error == NULL || !outcome->counts)
		return;
	hash = string_hash(outcome->error, strlen(outcome->error) + 1) | 1;
	if (hash == logged)
		return;
	logged = hash;
	ereport(LOG,
			(errmsg("pganalytics_ml: job " INT64_FORMAT " (%s) in database \"%s\" %s: %s", job->job_id, job->kind, dbname,
					strcmp(outcome->status, "pending") == 0 ? "will be tried again" : outcome->status,
					outcome->error)));
}

/* Lock the row of a job; false when it is not there any more, or somebody else's. */
static bool
lock_taken(const PgamlJob *job, bool *cancel_requested)
{
	static const char sql[] =
		"SELECT cancel_requested::int4::int8 FROM pganalytics.training_jobs "
		" WHERE job_id = $1 AND status = 'training' AND attempt = $2 FOR UPDATE";
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(job->job_id), Int32GetDatum(job->attempt)};

	if (pgaml_spi_exec(sql, 2, types, values, NULL, false) == 0)
		return false;
	*cancel_requested = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0) != 0;
	return true;
}

/*
 * Outside a transaction: record what became of a job whose run raised an error.
 * stop is why it was interrupted, if it was by one of ours; interrupted tells
 * that it was by anybody.  Does nothing when extension or job are gone.
 */
void
pgaml_jobs_settle(PgamlJob *job, PgamlJobStop stop, bool interrupted, const ErrorData *error)
{
	PgamlSpi	spi;
	Outcome		outcome;
	char	   *dbname;
	bool		cancel_requested = false;

	if (!pgaml_session_open(&spi, "pganalytics_ml: recording the end of a job"))
		return;
	dbname = get_database_name(MyDatabaseId);
	if (pgaml_extension_oid() == job->extension && lock_taken(job, &cancel_requested))
	{
		outcome = judge(job, cancel_requested ? PGAML_STOP_CANCELLED : stop, interrupted, error);
		(void) write_outcome(job->job_id, job->attempt, pgaml_shared->training[pgaml_training_slot].progress, &outcome);
		log_failure(job, dbname, &outcome);
	}
	pgaml_session_close(&spi);
}

/* What becomes of a job whose worker is gone? */
static Outcome
judge_orphan(int64 job_id, int attempt, bool cancelled, int64 overdue)
{
	if (cancelled)
		return (Outcome) {"cancelled", true, 0, NULL};
	if (job_id == overdue)
		return retry_or_fail(attempt, "its worker did not stop in time after pganalytics_ml.training_time_limit and was ended. "
							 "Raise the setting, ask for a shorter lookback_days, or for fewer trees.", true);
	return retry_or_fail(attempt, "its worker ended before the job did: the server stopped, or the process was ended", false);
}

/*
 * Jobs marked as under way that no worker is at.  Inside the bracket.  One to
 * be cancelled that a worker is at is cancelled again: the wish was committed
 * with COMMIT PREPARED, which knows nothing of it.
 */
static void
settle_orphans(int64 overdue)
{
	static const char sql[] =
		"SELECT job_id, attempt::int8, cancel_requested::int4::int8 FROM pganalytics.training_jobs "
		" WHERE status = 'training' ORDER BY job_id";
	int			n = (int) pgaml_spi_run(sql, false);
	SPITupleTable *rows = SPI_tuptable;
	PgamlTrainingSlot slots[PGAML_TRAINING_MAX];

	/* CAUTION: after the rows; a worker enters its slot before it marks a row. */
	pgaml_training_copy(slots);
	for (int i = 0; i < n; i++)
	{
		int64		job_id = pgaml_row_int8(rows->vals[i], rows->tupdesc, 1, 0);
		int			attempt = (int) pgaml_row_int8(rows->vals[i], rows->tupdesc, 2, 0);
		bool		cancelled = pgaml_row_int8(rows->vals[i], rows->tupdesc, 3, 0) != 0;
		const PgamlTrainingSlot *slot = pgaml_training_find(slots, job_id);
		Outcome		outcome;

		if (slot != NULL)
		{
			if (cancelled && slot->stop == PGAML_STOP_NONE)
				pgaml_training_cancel(job_id);
			continue;
		}
		outcome = judge_orphan(job_id, attempt, cancelled, overdue);
		/* its worker may have recorded its end since the rows were read */
		if (!write_outcome(job_id, attempt, 0.0, &outcome))
			continue;
		ereport(LOG,
				(errmsg("pganalytics_ml: job " INT64_FORMAT " lost its worker in attempt %d and %s", job_id, attempt,
						strcmp(outcome.status, "pending") == 0 ? "will be tried again" :
						strcmp(outcome.status, "failed") == 0 ? "has failed" : "is cancelled")));
	}
}

/* Nobody waits for what a worker does for an extension that was dropped and created again. */
static void
stop_strangers(void)
{
	PgamlTrainingSlot slots[PGAML_TRAINING_MAX];
	Oid			extension = pgaml_extension_oid();

	pgaml_training_copy(slots);
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
		if (slots[i].dbid == MyDatabaseId && slots[i].job_id != 0 && slots[i].extension != extension)
			pgaml_training_interrupt(i, slots[i].serial);
}

/*
 * Inside the bracket: settle jobs that a crash left behind, and tell the
 * launcher when the next one may start.
 */
void
pgaml_jobs_look(void)
{
	int64		overdue;
	uint64		serial = pgaml_training_serial(&overdue);

	settle_orphans(overdue);
	stop_strangers();
	pgaml_training_due(serial, next_due());
}
