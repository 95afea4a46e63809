/*-------------------------------------------------------------------------
 * event.c
 *		Writes and shows what the extension did by itself.
 *
 * An event is written in the transaction of what it tells, so the two are
 * never apart.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/export.h"
#include "base/spi_run.h"

#define MOST_ROWS	1000

PGAML_FUNCTION_INFO_V1(pgaml_recent_events);

void
pgaml_event_write(const char *kind, int64 model_id, int64 job_id, const char *message, const char *detail)
{
	static const char sql[] =
		"INSERT INTO pganalytics.events (at, kind, model_id, job_id, message, detail) "
		"VALUES ($1, $2, nullif($3, 0), nullif($4, 0), $5, $6::jsonb)";
	Oid			types[] = {TIMESTAMPTZOID, TEXTOID, INT8OID, INT8OID, TEXTOID, TEXTOID};
	Datum		values[] = {
		TimestampTzGetDatum(pgaml_clock_now()), CStringGetTextDatum(kind), Int64GetDatum(model_id),
		Int64GetDatum(job_id), CStringGetTextDatum(message), detail ? CStringGetTextDatum(detail) : (Datum) 0
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, detail ? NULL : "     n", false);
}

/* recent_events(max_rows integer) RETURNS TABLE (...), newest first */
Datum
pgaml_recent_events(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		"SELECT event_id, at, kind, model_id, job_id, message, detail FROM pganalytics.events "
		" ORDER BY event_id DESC LIMIT $1";
	int32		max_rows = PG_GETARG_INT32(0);
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(max_rows)};
	PgamlSpi	spi;

	if (max_rows < 1 || max_rows > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be from 1 to %d, not %d", MOST_ROWS, max_rows)));
	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	pgaml_spi_into(sql, 1, types, values, NULL, (ReturnSetInfo *) fcinfo->resultinfo);
	pgaml_spi_close(&spi);
	return (Datum) 0;
}
