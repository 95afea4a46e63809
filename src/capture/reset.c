/*-------------------------------------------------------------------------
 * reset.c
 *		SQL: capture_reset(), which turns capture on again after errors of its own.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"

#include "base/event.h"
#include "base/export.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "capture/capture.h"

PGAML_FUNCTION_INFO_V1(pgaml_capture_reset);

/* The error that switched capture off, palloc'd; forgotten, like those counted. */
static char *
forget_errors(void)
{
	char	   *message = palloc(PGAML_ERROR_LEN);

	LWLockAcquire(pgaml_shared->facts_lock, LW_EXCLUSIVE);
	strlcpy(message, pgaml_shared->capture_error, PGAML_ERROR_LEN);
	pgaml_shared->capture_error[0] = '\0';
	pgaml_shared->capture_error_at = 0;
	LWLockRelease(pgaml_shared->facts_lock);
	pg_atomic_write_u64(&pgaml_shared->failures, 0);
	return message;
}

/* A hook cannot write the event; if this transaction fails, the next visit does. */
void
pgaml_capture_tell_off(void)
{
	Oid			types[] = {TIMESTAMPTZOID};
	Datum		values[1];
	char		message[PGAML_ERROR_LEN];

	if (pg_atomic_read_u32(&pgaml_shared->capture_off) == 0)
		return;
	values[0] = TimestampTzGetDatum((TimestampTz) pg_atomic_read_u64(&pgaml_shared->capture_off_at));
	if (pgaml_spi_exec("SELECT FROM pganalytics.events WHERE kind = 'capture_off' AND at >= $1",
					   lengthof(types), types, values, NULL, true) > 0)
		return;
	LWLockAcquire(pgaml_shared->facts_lock, LW_SHARED);
	strlcpy(message, pgaml_shared->capture_error, sizeof(message));
	LWLockRelease(pgaml_shared->facts_lock);
	pgaml_event_write("capture_off", 0, 0,
					  psprintf("capture has switched itself off after errors, the last one: %s; capture_reset() turns it on again", message), NULL);
}

/*
 * capture_reset() RETURNS boolean: was it off?  For the whole server, and at
 * once; the event is written in this database.
 */
Datum
pgaml_capture_reset(PG_FUNCTION_ARGS)
{
	PgamlSpi	spi;
	char	   *message;
	uint32		expected = 1;

	pgaml_require_preload("capture_reset()");
	pgaml_require_writable("capture_reset()");
	if (pg_atomic_read_u32(&pgaml_shared->capture_off) == 0)
		PG_RETURN_BOOL(false);

	pgaml_spi_open(&spi);
	message = forget_errors();
	pgaml_event_write("capture_reset", 0, 0,
					  psprintf("capture is on again; it was off after errors, the last one: %s", message), NULL);
	pgaml_spi_close(&spi);
	PG_RETURN_BOOL(pg_atomic_compare_exchange_u32(&pgaml_shared->capture_off, &expected, 0));
}
