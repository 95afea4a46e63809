/*-------------------------------------------------------------------------
 * queue.c
 *		Puts training jobs into the queue.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/spi_run.h"
#include "base/training.h"
#include "train/queue.h"

int64
pgaml_queue_add(const char *kind, const char *arguments, const char *reason, Oid requested_by)
{
	static const char sql[] =
		"INSERT INTO pganalytics.training_jobs (kind, arguments, reason, status, requested_by, requested_at, not_before) "
		"VALUES ($1, $2::jsonb, $3, 'pending', $4, $5, $5) RETURNING job_id";
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, OIDOID, TIMESTAMPTZOID};
	Datum		values[] = {
		CStringGetTextDatum(kind), CStringGetTextDatum(arguments), CStringGetTextDatum(reason),
		ObjectIdGetDatum(requested_by), TimestampTzGetDatum(pgaml_clock_now())
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
	pgaml_training_announce();
	return pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}

bool
pgaml_queue_busy(const char *kind)
{
	static const char sql[] =
		"SELECT FROM pganalytics.training_jobs WHERE kind = $1 AND status IN ('pending', 'training') LIMIT 1";
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(kind)};

	return pgaml_spi_exec(sql, 1, types, values, NULL, false) > 0;
}
