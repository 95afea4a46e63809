/*-------------------------------------------------------------------------
 * watch.c
 *		Which statements count: depth, settings, database.  And how many did.
 *
 * A sample must correspond to an execution that pg_stat_statements counts,
 * so depth and the settings track and track_utility are read as it reads
 * them.  All state is this backend's; the only shared accesses are the
 * directory version, this backend's byte in pgaml_active, and counters.
 * What every statement pays stands in hot.h.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"

#include "compat/compat.h"
#include "capture/capture.h"
#include "capture/capture_internal.h"

#define FLUSH_SAMPLED	16		/* a captured one counts as so many of them: it costs more */

static const int tracks_nothing = -1;
static const bool *track_utility = NULL;
static volatile uint8 no_backend;
static bool leaving = false;

PgamlHot	pgaml_hot = {
	.until_timed = 1,
	.track = &tracks_nothing,
	.track_top = -2,
	.track_all = -2,
	.gate = 1.0f,
	.session.previous_rows = -1
};

/* Value of a name of an enum setting, or -2, which no setting has. */
static int
enum_value(const struct config_enum *setting, const char *name)
{
	const struct config_enum_entry *entry;

	for (entry = setting->options; entry->name != NULL; entry++)
	{
		if (strcmp(entry->name, name) == 0)
			return entry->val;
	}
	return -2;
}

void
pgaml_watch_look_up(void)
{
	struct config_generic *track = pgaml_find_setting("pg_stat_statements.track");
	struct config_generic *utility = pgaml_find_setting("pg_stat_statements.track_utility");

	pgaml_hot.looked_up = true;
	if (track == NULL || track->vartype != PGC_ENUM ||
		utility == NULL || utility->vartype != PGC_BOOL || IsParallelWorker())
		return;
	track_utility = ((struct config_bool *) utility)->variable;
	pgaml_hot.track_top = enum_value((struct config_enum *) track, "top");
	pgaml_hot.track_all = enum_value((struct config_enum *) track, "all");
	pgaml_hot.track = ((struct config_enum *) track)->variable;
}

/*
 * Leave nothing behind in shared memory.  The transaction may be aborted after
 * this: what is counted then is flushed at once.
 */
static void
leave_backend(int code, Datum arg)
{
	leaving = true;
	*pgaml_hot.active = 0;
	pgaml_hot.active = &no_backend;
	pgaml_capture_flush();
}

void
pgaml_watch_arrive(void)
{
	pgaml_hot.active = &no_backend;
	if (MyProc == NULL)
		return;
	before_shmem_exit(leave_backend, (Datum) 0);
	if (!IsParallelWorker() && PGAML_MY_PROC_NUMBER >= 0 && PGAML_MY_PROC_NUMBER < MaxBackends)
		pgaml_hot.active = &pgaml_active[(Size) PGAML_MY_PROC_NUMBER * PGAML_ACTIVE_STRIDE];
}

bool
pgaml_watch_utility_nests(const Node *statement)
{
	if (!PGAML_UTILITY_HANDLED(statement))
		return false;
	return PGAML_UNTRACKED_UTILITY_NESTS ||
		(pgaml_watch_counted() && track_utility != NULL && *track_utility);
}

static void
count_captured(void)
{
	pgaml_hot.executions++;
	pgaml_hot.pending += FLUSH_SAMPLED;
	if (pgaml_hot.pending >= PGAML_FLUSH_EVERY || leaving)
		pgaml_capture_flush();
}

void
pgaml_watch_ended(void)
{
	count_captured();
}

void
pgaml_watch_lost(void)
{
	pg_atomic_fetch_add_u64(&pgaml_shared->errors, 1);
	count_captured();
}

void
pgaml_watch_dropped(void)
{
	pg_atomic_fetch_add_u64(&pgaml_shared->unfinished, 1);
	count_captured();
}

static void
flush_count(pg_atomic_uint64 *shared, uint32 *here)
{
	if (*here > 0)
		pg_atomic_fetch_add_u64(shared, *here);
	*here = 0;
}

void
pgaml_capture_flush(void)
{
	if (pgaml_hot.pending == 0)
		return;
	flush_count(&pgaml_shared->executions, &pgaml_hot.executions);
	flush_count(&pgaml_shared->thinned, &pgaml_hot.thinned);
	flush_count(&pgaml_shared->skipped, &pgaml_hot.skipped);
	pgaml_hot.pending = 0;
	pgaml_budget_flush();
}
