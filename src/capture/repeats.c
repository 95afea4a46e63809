/*-------------------------------------------------------------------------
 * repeats.c
 *		Feeds every execution to repeats_core.c, and hands ended runs over.
 *
 * Hooks call this for every watched execution, sampled or not: a run is
 * counted exactly while capture thins.  Rows come from ExecutorRun, times from
 * the instrumentation that pg_stat_statements has asked for, the clock from
 * the start of the client's message, which the server reads anyway.
 *
 * Ended runs of one kind add up in a small table of this backend and leave it
 * through a bag in shared memory: at once when the last one left a second ago,
 * so that a loop that runs now and then is seen now, and one that runs all the
 * time does not flood the bag.  A full bag keeps them waiting here; what has to
 * go nevertheless is counted as dropped.
 *
 * Nothing here raises an error or waits; no memory is allocated after the first
 * execution of a session.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/instrument.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/export.h"
#include "base/mix.h"
#include "base/shmem.h"
#include "compat/compat.h"
#include "capture/capture.h"
#include "capture/capture_internal.h"
#include "capture/repeats_core.h"

#define WAITING			16		/* kinds of runs that wait here */
#define PACE			USECS_PER_SEC	/* between two records of one kind */
#define CROWDED_PACE	(60 * USECS_PER_SEC)	/* while the bag is more than half full */
#define STATE_COLUMNS	6

PGAML_FUNCTION_INFO_V1(pgaml_repeats_state);

/* Runs of one kind. */
typedef struct Waiting
{
	TimestampTz left_at;		/* when a record of this kind was put into the bag last */
	PgamlRepeat sum;			/* queryid 0: free; runs 0: nothing waits */
} Waiting;

PgamlRuns	pgaml_runs;
static Waiting waiting[WAITING];
static bool installed = false;
static char seen_application[NAMEDATALEN];
static uint64 told_evicted = 0;
static uint64 told_unexplained = 0;

/* ---- the way out ---- */

/* Put what waits into the bag; false when it is full and the record stays here. */
static bool
put(Waiting *one, bool must)
{
	uint64		ticket;
	PgamlRepeat *place;

	if (one->sum.runs == 0)
		return true;
	if (!must && pgaml_bag_used(pgaml_repeat_bag) >= pgaml_repeat_bag->size)
		return false;
	place = pgaml_bag_claim(pgaml_repeat_bag, &ticket);
	if (place == NULL && !must)
		return false;
	if (place != NULL)
	{
		*place = one->sum;
		pgaml_bag_publish(pgaml_repeat_bag, ticket);
	}
	one->left_at = one->sum.last_at;
	one->sum.runs = one->sum.executions = one->sum.longest = 0;
	one->sum.known = one->sum.previous_rows = one->sum.matched = 0;
	one->sum.ms = 0.0;
	return true;
}

static bool
same_kind(const PgamlRepeat *sum, const PgamlRun *run)
{
	return sum->queryid == run->queryid && sum->previous_queryid == run->previous_queryid &&
		sum->userid == run->userid && sum->toplevel == run->toplevel && sum->burst == run->burst &&
		strcmp(sum->application, seen_application) == 0;
}

/* Where runs of this kind add up; another kind's place when none is free. */
static Waiting *
place_of(const PgamlRun *run)
{
	Waiting    *best = &waiting[0];

	for (int i = 0; i < WAITING; i++)
	{
		if (same_kind(&waiting[i].sum, run))
			return &waiting[i];
		if (waiting[i].left_at < best->left_at)
			best = &waiting[i];
	}
	(void) put(best, true);
	memset(best, 0, sizeof(*best));
	best->sum.dbid = MyDatabaseId;
	best->sum.userid = run->userid;
	best->sum.queryid = run->queryid;
	best->sum.previous_queryid = run->previous_queryid;
	best->sum.toplevel = run->toplevel;
	best->sum.burst = run->burst;
	strlcpy(best->sum.application, seen_application, NAMEDATALEN);
	best->sum.session_id = (int64) pgaml_mix((uint64) MyProcPid, (uint64) MyStartTimestamp);
	return best;
}

static void
add_run(const PgamlRun *run, void *arg)
{
	Waiting    *one = place_of(run);
	PgamlRepeat *sum = &one->sum;
	TimestampTz pace = pgaml_bag_used(pgaml_repeat_bag) > pgaml_repeat_bag->size / 2 ? CROWDED_PACE : PACE;

	if (sum->runs == 0)
		sum->first_at = run->first_at;
	sum->runs++;
	sum->executions += run->length;
	sum->longest = Max(sum->longest, (int64) run->length);
	if (run->previous_queryid != 0 && run->previous_rows >= 0)
	{
		sum->known++;
		sum->previous_rows += run->previous_rows;
	}
	if (run->matched)
		sum->matched++;
	sum->ms += run->ms;
	sum->first_at = Min(sum->first_at, run->first_at);
	sum->last_at = Max(sum->last_at, run->last_at);
	if (one->left_at == 0 || sum->last_at - one->left_at >= pace || sum->last_at < one->left_at)
		(void) put(one, false);
}

/* Give the counts of the core to shared memory. */
static pg_noinline void
tell_counts(void)
{
	if (pgaml_runs.evicted != told_evicted)
		pg_atomic_fetch_add_u64(&pgaml_shared->repeats_evicted, pgaml_runs.evicted - told_evicted);
	if (pgaml_runs.unexplained != told_unexplained)
		pg_atomic_fetch_add_u64(&pgaml_shared->repeats_unexplained, pgaml_runs.unexplained - told_unexplained);
	told_evicted = pgaml_runs.evicted;
	told_unexplained = pgaml_runs.unexplained;
}

/* Everything that waits here; with last, also what the bag has no room for is given up. */
static void
put_all(bool last)
{
	for (int i = 0; i < WAITING; i++)
		(void) put(&waiting[i], last);
	tell_counts();
}

static void
leave_backend(int code, Datum arg)
{
	pgaml_runs_close(&pgaml_runs);
	put_all(true);
}

/* ---- transactions ---- */

static void
end_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			if (pgaml_hot.runs_lxid == InvalidLocalTransactionId)
				return;
			pgaml_runs_transaction_end(&pgaml_runs);
			if (unlikely(pgaml_runs.evicted + pgaml_runs.unexplained != told_evicted + told_unexplained))
				tell_counts();
			pgaml_hot.runs_lxid = InvalidLocalTransactionId;
			break;
		default:
			break;
	}
}

/* Once per session; shielded, because it allocates. */
static void
install(void *arg)
{
	pgaml_runs_init(&pgaml_runs, add_run, NULL);
	RegisterXactCallback(end_transaction, NULL);
	before_shmem_exit(leave_backend, (Datum) 0);
	installed = true;
}

bool
pgaml_repeats_transaction(LocalTransactionId lxid, TimestampTz now)
{
	const char *name = application_name ? application_name : "";

	if (!installed && !pgaml_shield_run(install, NULL))
		return false;
	if (strncmp(name, seen_application, NAMEDATALEN - 1) != 0)
	{
		pgaml_runs_close(&pgaml_runs);
		strlcpy(seen_application, name, NAMEDATALEN);
	}
	pgaml_hot.runs_lxid = lxid;
	pgaml_runs_transaction(&pgaml_runs, now);
	return true;
}

/* ---- for the worker ---- */

int
pgaml_capture_take_repeats(Oid dbid, uint32 *from, PgamlRepeat *out, int max)
{
	return pgaml_bag_take(pgaml_repeat_bag, dbid, from, out, max);
}

/* What this session still holds of runs that have ended. */
void
pgaml_capture_give_repeats(void)
{
	if (installed)
		put_all(false);
}

/*
 * pganalytics.repeats_state(): put, dropped, waiting, room, evicted,
 * unexplained; all NULL without preload
 */
Datum
pgaml_repeats_state(PG_FUNCTION_ARGS)
{
	PgamlBag   *bag = pgaml_repeat_bag;
	TupleDesc	desc;
	Datum		values[STATE_COLUMNS] = {0};
	bool		nulls[STATE_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, bag == NULL, sizeof(nulls));
	if (bag != NULL)
	{
		values[0] = Int64GetDatum((int64) pgaml_bag_put(bag));
		values[1] = Int64GetDatum((int64) pg_atomic_read_u64(&bag->dropped));
		values[2] = Int32GetDatum((int32) pgaml_bag_used(bag));
		values[3] = Int32GetDatum((int32) bag->size);
		values[4] = Int64GetDatum((int64) pg_atomic_read_u64(&pgaml_shared->repeats_evicted));
		values[5] = Int64GetDatum((int64) pg_atomic_read_u64(&pgaml_shared->repeats_unexplained));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
