/*-------------------------------------------------------------------------
 * status.c
 *		What do training jobs do?  get_training_status(), list_training_jobs(),
 *		cancel_training().
 *
 * What a job did is in its row; what one under way does now is in the slot of
 * its worker (base/training.h), and is joined to the row.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/spi_run.h"
#include "base/training.h"
#include "base/writable.h"

#define MOST_ROWS	10000

PGAML_FUNCTION_INFO_V1(pgaml_get_training_status);
PGAML_FUNCTION_INFO_V1(pgaml_list_training_jobs);
PGAML_FUNCTION_INFO_V1(pgaml_cancel_training);

static const char *const statuses[] = {"pending", "training", "completed", "failed", "cancelled"};

/* Columns of the type training_status; $1 is what live_jobs() says. */
#define STATUS_SQL \
	"SELECT j.job_id, j.kind, j.status, j.reason, coalesce(l.progress, j.progress), j.attempt, " \
	"       coalesce(l.rows_read, j.rows_read), coalesce(l.trees_grown, j.trees_grown), " \
	"       CASE WHEN l.progress > 0.02 THEN make_interval(secs => l.elapsed * (1 - l.progress) / l.progress) END, " \
	"       j.model_id, (j.result ->> 'r_squared')::float8, (j.result ->> 'rmse')::float8, (j.result ->> 'mae')::float8, " \
	"       (j.result ->> 'training_samples')::int8, " \
	"       CASE WHEN j.status = 'training' AND j.cancel_requested THEN 'is being cancelled' " \
	"            ELSE j.result ->> 'message' END, " \
	"       j.error, j.requested_at, CASE WHEN j.status = 'pending' THEN j.not_before END, j.started_at, j.finished_at " \
	"  FROM pganalytics.training_jobs j LEFT JOIN jsonb_to_recordset($1::jsonb) " \
	"       AS l(job_id int8, progress float8, rows_read int8, trees_grown int4, elapsed float8) " \
	"       ON l.job_id = j.job_id AND j.status = 'training' "

/* The jobs of this database that a worker is at, as JSON. */
static char *
live_jobs(void)
{
	PgamlTrainingSlot slots[PGAML_TRAINING_MAX];
	TimestampTz now = GetCurrentTimestamp();
	Oid			extension = pgaml_extension_oid();
	StringInfoData out;

	pgaml_training_copy(slots);
	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
	{
		const PgamlTrainingSlot *slot = &slots[i];

		if (slot->state != PGAML_WORKER_RUNNING || slot->dbid != MyDatabaseId || slot->job_id == 0 ||
			slot->extension != extension)
			continue;
		appendStringInfo(&out, "%s{\"job_id\": " INT64_FORMAT ", \"progress\": %.6f, \"rows_read\": " INT64_FORMAT
						 ", \"trees_grown\": %d, \"elapsed\": %.6f}", out.len > 1 ? ", " : "",
						 slot->job_id, slot->progress, slot->rows_read, slot->trees_grown,
						 (double) Max(now - slot->job_started_at, 0) / USECS_PER_SEC);
	}
	appendStringInfoChar(&out, ']');
	return out.data;
}

static void
no_such_job(int64 job_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("training job " INT64_FORMAT " does not exist", job_id),
			 errhint("See list_training_jobs() for the jobs there are; old ones are deleted after pganalytics_ml.jobs_retention.")));
}

/* get_training_status(job_id bigint) RETURNS SETOF training_status: one row, or ERROR */
Datum
pgaml_get_training_status(PG_FUNCTION_ARGS)
{
	static const char sql[] = STATUS_SQL "WHERE j.job_id = $2";
	int64		job_id = PG_GETARG_INT64(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			types[] = {TEXTOID, INT8OID};
	Datum		values[] = {CStringGetTextDatum(live_jobs()), Int64GetDatum(job_id)};
	PgamlSpi	spi;

	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	pgaml_spi_into(sql, lengthof(types), types, values, NULL, rsinfo);
	pgaml_spi_close(&spi);
	if (tuplestore_tuple_count(rsinfo->setResult) == 0)
		no_such_job(job_id);
	return (Datum) 0;
}

static void
check_status(const char *status)
{
	for (int i = 0; i < lengthof(statuses); i++)
		if (strcmp(status, statuses[i]) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown status \"%s\"", status),
			 errhint("Allowed are: pending, training, completed, failed, cancelled; NULL for all.")));
}

/* list_training_jobs(status text, max_rows integer) RETURNS SETOF training_status, newest first */
Datum
pgaml_list_training_jobs(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		STATUS_SQL "WHERE $2 IS NULL OR j.status = $2 ORDER BY j.job_id DESC LIMIT $3";
	Oid			types[] = {TEXTOID, TEXTOID, INT4OID};
	Datum		values[3];
	char		nulls[] = {' ', PG_ARGISNULL(0) ? 'n' : ' ', ' ', '\0'};
	PgamlSpi	spi;

	if (!PG_ARGISNULL(0))
		check_status(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("max_rows must not be NULL")));
	if (PG_GETARG_INT32(1) < 1 || PG_GETARG_INT32(1) > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be from 1 to %d, not %d", MOST_ROWS, PG_GETARG_INT32(1))));
	InitMaterializedSRF(fcinfo, 0);
	values[0] = CStringGetTextDatum(live_jobs());
	values[1] = PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0);
	values[2] = PG_GETARG_DATUM(1);
	pgaml_spi_open(&spi);
	pgaml_spi_into(sql, lengthof(types), types, values, nulls, (ReturnSetInfo *) fcinfo->resultinfo);
	pgaml_spi_close(&spi);
	return (Datum) 0;
}

/* Status of a job, its row locked; ERROR when there is none. */
static char *
lock_status(int64 job_id)
{
	static const char sql[] = "SELECT status FROM pganalytics.training_jobs WHERE job_id = $1 FOR UPDATE";
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};

	if (pgaml_spi_exec(sql, 1, types, values, NULL, false) == 0)
		no_such_job(job_id);
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* Is a worker at this job?  Its row must be locked: then the answer stays true until the job ends. */
static bool
is_under_way(int64 job_id)
{
	PgamlTrainingSlot slots[PGAML_TRAINING_MAX];

	pgaml_training_copy(slots);
	return pgaml_training_find(slots, job_id) != NULL;
}

/* Cancel a job that has not ended; returns what it is now. */
static const char *
cancel(int64 job_id, bool under_way)
{
	static const char ask[] = "UPDATE pganalytics.training_jobs SET cancel_requested = true WHERE job_id = $1";
	static const char end[] =
		"UPDATE pganalytics.training_jobs SET cancel_requested = true, status = 'cancelled', finished_at = $2 "
		" WHERE job_id = $1";
	Oid			types[] = {INT8OID, TIMESTAMPTZOID};
	Datum		values[] = {Int64GetDatum(job_id), TimestampTzGetDatum(pgaml_clock_now())};

	if (!under_way)
	{
		pgaml_spi_exec(end, 2, types, values, NULL, false);
		return "cancelled";
	}
	pgaml_spi_exec(ask, 1, types, values, NULL, false);
	pgaml_training_cancel(job_id);
	return "stopping";
}

/*
 * cancel_training(job_id bigint) RETURNS text: what the job is now; that of a
 * job that has ended does not change.
 */
Datum
pgaml_cancel_training(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	const char *status;
	text	   *result;
	PgamlSpi	spi;

	pgaml_require_writable("cancel_training()");
	pgaml_spi_open(&spi);
	status = lock_status(job_id);
	if (strcmp(status, "pending") == 0)
		status = cancel(job_id, false);
	else if (strcmp(status, "training") == 0)
		status = cancel(job_id, is_under_way(job_id));
	result = SPI_palloc(VARHDRSZ + strlen(status));
	SET_VARSIZE(result, VARHDRSZ + strlen(status));
	memcpy(VARDATA(result), status, strlen(status));
	pgaml_spi_close(&spi);
	PG_RETURN_TEXT_P(result);
}
