/*-------------------------------------------------------------------------
 * join.c
 *		Which statement of this installation is a restored one?
 *
 * A dump carries statements and history under the query identifiers of the
 * server they come from; here the same statement usually has another one,
 * for it is made of OIDs.  What stays the same is the normalized text.
 *
 * The answer is kept in statement_aliases and nothing else is touched: rows
 * that were restored stay as they came, so that a second restore of the same
 * dump meets its own keys instead of adding up, and a dump of this database
 * carries them on as they were.  Readers take pganalytics.joined_history.
 *
 * A text that several own statements share (the same query in two schemas)
 * is nobody's: whose history it was cannot be told, unless one of them has
 * the very query identifier it had there.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "history/history.h"
#include "history/history_internal.h"

/* What statement_aliases should hold; $1 is the own origin. */
#define WANTED \
	"SELECT f.origin, f.queryid, coalesce(same.queryid, one.queryid) AS own_queryid" \
	" FROM pganalytics.statements f" \
	" LEFT JOIN pganalytics.statements same ON same.queryid = f.queryid AND same.origin = $1" \
	" AND same.plannable AND same.command_tag = f.command_tag AND same.query = f.query" \
	" LEFT JOIN (SELECT s.command_tag, s.query, min(s.queryid) AS queryid FROM pganalytics.statements s" \
	" WHERE s.origin = $1 AND s.plannable GROUP BY s.command_tag, s.query HAVING count(*) = 1) one" \
	" ON one.command_tag = f.command_tag AND one.query = f.query" \
	" WHERE f.origin <> $1 AND f.plannable AND (same.queryid IS NOT NULL OR one.queryid IS NOT NULL)"

/* New texts were read, or a restore may have brought something. */
static bool
is_due(const CollectorState *state, TimestampTz now)
{
	return state->last_join == DT_NOBEGIN || state->last_text_read >= state->last_join ||
		now < state->last_join || now - state->last_join >= pgaml_text_interval * USECS_PER_SEC;
}

static bool
anything_restored(Oid *type, Datum *origin)
{
	return pgaml_spi_exec("SELECT FROM pganalytics.origins o WHERE o.origin <> $1 LIMIT 1",
						  1, type, origin, NULL, false) > 0;
}

void
pgaml_history_join(void)
{
	CollectorState state;
	TimestampTz now = pgaml_clock_now();
	Oid			types[] = {UUIDOID, TIMESTAMPTZOID};
	Datum		values[2];

	pgaml_history_state_lock(&state);
	values[0] = UUIDPGetDatum(&state.origin);
	values[1] = TimestampTzGetDatum(now);
	if (!is_due(&state, now) || !anything_restored(types, values))
		return;
	pgaml_spi_exec("DELETE FROM pganalytics.statement_aliases a WHERE NOT EXISTS (SELECT FROM (" WANTED ") w"
				   " WHERE w.origin = a.origin AND w.queryid = a.queryid AND w.own_queryid = a.own_queryid)",
				   1, types, values, NULL, false);
	pgaml_spi_exec("INSERT INTO pganalytics.statement_aliases (origin, queryid, own_queryid) " WANTED
				   " ON CONFLICT (origin, queryid) DO NOTHING",
				   1, types, values, NULL, false);
	pgaml_spi_exec("UPDATE pganalytics.collector_state SET last_join = $1", 1, types + 1, values + 1, NULL, false);
}
