/*-------------------------------------------------------------------------
 * windows.c
 *		What history may miss: events cut into buckets, with their coverage.
 *
 * Coverage falls by the share of the bucket's time that is uncertain, times
 * the share of entries that the event can have touched; see README.md.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/batch.h"
#include "base/spi_run.h"
#include "history/history_internal.h"

/* A longer event leaves its oldest buckets without a row. */
#define MAX_SLICES	10000

/* Several events of one reason in one bucket add up their losses. */
void
pgaml_history_store_event(const CollectorState *state, const HistoryEvent *event,
						  int width, int64 entries)
{
	static const Oid types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID};
	Oid			scalar_types[] = {INT4OID, TEXTOID, INT8OID, UUIDOID};
	Datum		scalars[] = {
		Int32GetDatum(width),
		CStringGetTextDatum(pgaml_history_core_reasons[event->reason]),
		Int64GetDatum(entries),
		UUIDPGetDatum(&state->origin)
	};
	int			n = pgaml_history_core_slices(event, width, MAX_SLICES);
	HistorySlice *slices = palloc(sizeof(HistorySlice) * n);
	PgamlBatch	batch;

	n = pgaml_history_core_slice(event, width, slices, n);
	pgaml_batch_init(&batch, lengthof(types), types);
	for (int i = 0; i < n; i++)
	{
		Datum		row[] = {
			TimestampTzGetDatum(slices[i].bucket), TimestampTzGetDatum(slices[i].from),
			TimestampTzGetDatum(slices[i].to), Float8GetDatum(slices[i].loss)
		};

		pgaml_batch_add(&batch, row, NULL);
	}
	pgaml_batch_exec(&batch,
					 "INSERT INTO pganalytics.history_windows AS w (bucket_start, bucket_width, reason,"
					 " coverage, uncertain_from, uncertain_to, entries, origin)"
					 " SELECT e.bucket, $5, $6, greatest(1 - e.loss, 0), e.since, e.until, $7, $8"
					 " FROM unnest($1, $2, $3, $4) AS e(bucket, since, until, loss)"
					 " ON CONFLICT (bucket_start, bucket_width, reason, origin) DO UPDATE SET"
					 " coverage = greatest(w.coverage + excluded.coverage - 1, 0),"
					 " uncertain_from = least(w.uncertain_from, excluded.uncertain_from),"
					 " uncertain_to = greatest(w.uncertain_to, excluded.uncertain_to),"
					 " entries = w.entries + excluded.entries",
					 lengthof(scalar_types), scalar_types, scalars);
}
