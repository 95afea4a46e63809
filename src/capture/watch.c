/*-------------------------------------------------------------------------
 * watch.c
 *		Which statements count: depth, settings, database.
 *
 * A sample must correspond to an execution that pg_stat_statements counts,
 * so depth and the settings track and track_utility are read as it reads
 * them.  All state is this backend's; the only shared accesses are the
 * directory version, this backend's byte in pgaml_active, and counters.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "compat/compat.h"
#include "capture/capture_internal.h"

#define FLUSH_EVERY		256		/* executions counted here before they are flushed */

typedef struct PgssSettings
{
	const int  *track;			/* NULL: pg_stat_statements is not loaded */
	const bool *track_utility;
	int			top;			/* values of track */
	int			all;
} PgssSettings;

int			pgaml_watch_depth = 0;

static PgssSettings pgss;
static bool pgss_looked_up = false;

static bool exit_registered = false;
static volatile uint8 no_backend;
static volatile uint8 *my_active = &no_backend;

static uint32 unflushed_executions = 0;
static uint32 unflushed_thinned = 0;

/* Value of a name of an enum setting, or -1. */
static int
enum_value(const struct config_enum *setting, const char *name)
{
	const struct config_enum_entry *entry;

	for (entry = setting->options; entry->name != NULL; entry++)
	{
		if (strcmp(entry->name, name) == 0)
			return entry->val;
	}
	return -1;
}

/* Find the variables behind the settings, once per backend. */
static void
look_up_pgss(void)
{
	struct config_generic *track = pgaml_find_setting("pg_stat_statements.track");
	struct config_generic *utility = pgaml_find_setting("pg_stat_statements.track_utility");

	pgss_looked_up = true;
	if (track == NULL || track->vartype != PGC_ENUM ||
		utility == NULL || utility->vartype != PGC_BOOL)
		return;
	pgss.top = enum_value((struct config_enum *) track, "top");
	pgss.all = enum_value((struct config_enum *) track, "all");
	pgss.track_utility = ((struct config_bool *) utility)->variable;
	pgss.track = ((struct config_enum *) track)->variable;
}

/* Does pg_stat_statements count statements at the current depth? */
static bool
pgss_counts(void)
{
	if (unlikely(!pgss_looked_up))
		look_up_pgss();
	return pgss.track != NULL && !IsParallelWorker() &&
		(*pgss.track == pgss.all || (*pgss.track == pgss.top && pgaml_watch_depth == 0));
}

/* Leave nothing behind in shared memory. */
static void
leave_backend(int code, Datum arg)
{
	*my_active = 0;
	my_active = &no_backend;
	pgaml_watch_flush();
}

static void
register_exit(void)
{
	exit_registered = true;
	before_shmem_exit(leave_backend, (Datum) 0);
	if (!IsParallelWorker() && PGAML_MY_PROC_NUMBER >= 0 && PGAML_MY_PROC_NUMBER < MaxBackends)
		my_active = &pgaml_active[PGAML_MY_PROC_NUMBER];
}

void
pgaml_watch_enter(void)
{
	if (pgaml_watch_depth++ > 0)
		return;
	if (unlikely(!exit_registered) && MyProc != NULL)
		register_exit();
	*my_active = 1;
}

void
pgaml_watch_leave(void)
{
	if (--pgaml_watch_depth == 0)
		*my_active = 0;
}

bool
pgaml_watch_on(void)
{
	return pgaml_capture && pgss_counts() && pgaml_shmem_here() && !pgaml_spi_inside();
}

bool
pgaml_watch_utility_nests(const Node *statement)
{
	if (!PGAML_UTILITY_HANDLED(statement))
		return false;
	return PGAML_UNTRACKED_UTILITY_NESTS || (pgss_counts() && *pgss.track_utility);
}

void
pgaml_watch_count(uint32 executions, uint32 thinned)
{
	unflushed_executions += executions;
	unflushed_thinned += thinned;
	if (unlikely(unflushed_executions >= FLUSH_EVERY))
		pgaml_watch_flush();
}

void
pgaml_watch_lost(void)
{
	pg_atomic_fetch_add_u64(&pgaml_shared->errors, 1);
	pgaml_watch_count(1, 0);
}

void
pgaml_watch_flush(void)
{
	if (unflushed_executions > 0)
		pg_atomic_fetch_add_u64(&pgaml_shared->executions, unflushed_executions);
	if (unflushed_thinned > 0)
		pg_atomic_fetch_add_u64(&pgaml_shared->thinned, unflushed_thinned);
	unflushed_executions = 0;
	unflushed_thinned = 0;
}
