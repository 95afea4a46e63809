/*-------------------------------------------------------------------------
 * record.c
 *		Follows one execution from its start to its end, error or cancel.
 *
 * A sampled execution has a record in its es_query_cxt, linked in a
 * list of this backend; a reset callback takes it off the list, so an
 * execution that is dropped without an end leaves nothing behind.  Executions
 * that are not sampled cost a look at the list's head.
 *
 * Every execution is counted once: a thinned one at its start, a sampled one
 * when its outcome is known.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "executor/instrument.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "tcop/dest.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/mix.h"
#include "base/shmem.h"
#include "compat/compat.h"
#include "capture/capture_internal.h"

#define PLANNED_SLOTS	4		/* statements planned and not yet started */

typedef struct PgamlFollowed
{
	struct PgamlFollowed *next;
	QueryDesc  *query;			/* NULL once the outcome is known */
	MemoryContextCallback gone;
	bool		asked;			/* nodes are counted for us */
	bool		fetched_all;	/* the last fetch came to the end */
	bool		again;			/* rows may have been fetched more than once */
	bool		explained;		/* by EXPLAIN ANALYZE */
	uint64		fetched;		/* rows over all fetches */
	PgamlSample sample;
} PgamlFollowed;

/* An execution that is sampled. */
typedef struct Starting
{
	QueryDesc  *query;
	const PgamlStart *start;
	double		planning_ms;
} Starting;

typedef struct Planned
{
	int64		queryid;		/* 0: free */
	double		ms;
} Planned;

static Planned planned[PLANNED_SLOTS];

/* application_name last hashed. */
static char hashed_name[NAMEDATALEN];
static int32 name_hash = 0;

/* ---- planning time ---- */

void
pgaml_record_planned(int64 queryid, double ms)
{
	Planned    *slot = &planned[pgaml_hot.planned++ % PLANNED_SLOTS];

	slot->queryid = queryid;
	slot->ms = ms;
}

void
pgaml_record_forget_planned(void)
{
	if (pgaml_hot.planned == 0)
		return;
	pgaml_hot.planned = 0;
	memset(planned, 0, sizeof(planned));
}

/* Time of the planning that led to this execution, NaN if it came from a cache. */
static double
take_planned(int64 queryid)
{
	for (int i = 0; i < PLANNED_SLOTS && pgaml_hot.planned > 0; i++)
	{
		if (planned[i].queryid == queryid)
		{
			double		ms = planned[i].ms;

			planned[i].queryid = 0;
			if (pgaml_hot.planned == 1)
				pgaml_hot.planned = 0;
			return ms;
		}
	}
	return NAN;
}

/* ---- start ---- */

static int32
application_hash(void)
{
	const char *name = application_name ? application_name : "";

	if (name_hash == 0 || strncmp(name, hashed_name, NAMEDATALEN - 1) != 0)
	{
		strlcpy(hashed_name, name, NAMEDATALEN);
		name_hash = (int32) hash_bytes((const unsigned char *) hashed_name,
									   (int) strlen(hashed_name));
	}
	return name_hash;
}

/* What is known when an execution starts; the rest is not instrumented yet. */
static void
describe_start(QueryDesc *query, double planning_ms, PgamlSample *sample)
{
	if (pgaml_hot.session.id == 0)
		pgaml_hot.session.id = (int64) pgaml_mix((uint64) MyProcPid, (uint64) MyStartTimestamp);
	sample->dbid = MyDatabaseId;
	sample->queryid = (int64) query->plannedstmt->queryId;
	sample->active_backends = (int16) (pgaml_shmem_active() + (pgaml_hot.depth == 0 ? 1 : 0));
	sample->planning_ms = planning_ms;
	sample->top_rows_estimated = query->plannedstmt->planTree->plan_rows;
	sample->top_rows_true = NAN;
	sample->worst_rows_estimated = NAN;
	sample->worst_rows_true = NAN;
	sample->worst_node = -1;
	sample->jit_ms = NAN;
	sample->sort_memory_kb = -1;
	sample->sort_disk_kb = -1;
	sample->hash_memory_kb = -1;
	sample->batches = -1;
	sample->place = pgaml_hot.session.place;
	sample->session_id = pgaml_hot.session.id;
	sample->transaction_no = pgaml_hot.session.transaction_no;
	sample->previous_queryid = pgaml_hot.session.previous_queryid;
	sample->previous_rows = pgaml_hot.session.previous_rows;
	sample->application_hash = application_hash();
}

/* Reset callback: the query's memory goes away. */
static void
forget_followed(void *arg)
{
	PgamlFollowed **link = &pgaml_hot.followed;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link == NULL)
		return;
	if ((*link)->query != NULL)
		pgaml_watch_dropped();
	*link = (*link)->next;
}

/* Shielded work.  Allocates in es_query_cxt, as pg_stat_statements does. */
static void
follow(void *arg)
{
	const Starting *starting = arg;
	QueryDesc  *query = starting->query;
	MemoryContext old = MemoryContextSwitchTo(query->estate->es_query_cxt);
	PgamlFollowed *followed = palloc0(sizeof(PgamlFollowed));

	PGAML_FAULT("capture-follow");
	if (query->totaltime == NULL)
		query->totaltime = InstrAlloc(1, INSTRUMENT_ALL, false);
	MemoryContextSwitchTo(old);

	describe_start(query, starting->planning_ms, &followed->sample);
	followed->sample.weight = starting->start->weight;
	pgaml_known_plan(query->plannedstmt, starting->start->rhythm, &followed->sample);
	followed->query = query;
	followed->asked = starting->start->asked;
	followed->gone.func = forget_followed;
	followed->gone.arg = followed;
	MemoryContextRegisterResetCallback(query->estate->es_query_cxt, &followed->gone);
	followed->next = pgaml_hot.followed;
	pgaml_hot.followed = followed;
}

void
pgaml_record_decide(QueryDesc *query, PgamlStart *start)
{
	start->asked = pgaml_sampling_nodes() && pgaml_nodes_ask(query);
}

void
pgaml_record_start(QueryDesc *query, const PgamlStart *start)
{
	Starting	starting = {query, start, 0.0};

	if (start->asked)
		pgaml_nodes_asked(query);
	starting.planning_ms = take_planned((int64) query->plannedstmt->queryId);
	if (!pgaml_shield_run(follow, &starting))
		pgaml_watch_lost();
}

void
pgaml_record_passed_by(const QueryDesc *query)
{
	(void) take_planned((int64) query->plannedstmt->queryId);
}

/* ---- run ---- */

static PgamlFollowed *
find_followed(const QueryDesc *query)
{
	PgamlFollowed *followed = pgaml_hot.followed;

	while (followed != NULL && followed->query != query)
		followed = followed->next;
	return followed;
}

/*
 * Did EXPLAIN ANALYZE run it?  What others ask of the nodes, auto_explain for
 * example, they ask of a statement whose rows go somewhere.
 *
 * CAUTION: only while it runs; where its rows went may be gone at its end.
 */
static bool
is_explained(const QueryDesc *query)
{
	CommandDest to = query->dest->mydest;

	return query->instrument_options != 0 && (to == DestNone || to == DestIntoRel || PGAML_DEST_EXPLAINS(to));
}

/*
 * One fetch is over.  A portal that can scroll is rewound when it is to be
 * kept beyond its transaction, and then read to its end: whether that is the
 * case, or what is left was fetched, cannot be told.
 */
void
pgaml_record_ran(QueryDesc *query, ScanDirection direction, uint64 count)
{
	PgamlFollowed *followed = find_followed(query);
	uint64		rows = query->estate->es_processed;

	if (followed == NULL)
		return;
	followed->explained = is_explained(query);
	if (ScanDirectionIsNoMovement(direction))
		return;
	if (ScanDirectionIsBackward(direction) ||
		(count == 0 && followed->fetched > 0 && (query->estate->es_top_eflags & EXEC_FLAG_BACKWARD) != 0))
		followed->again = true;
	followed->fetched_all = count == 0 || rows < count;
	followed->fetched += rows;
}

/* Shielded work. */
static void
read_nodes(void *arg)
{
	PgamlFollowed *followed = arg;
	QueryDesc  *query = followed->query;

	PGAML_FAULT("capture-nodes");
	pgaml_nodes_read(query, (followed->fetched_all ? 0 : PGAML_READ_CUT) |
					 (followed->again ? PGAML_READ_AGAIN : 0), followed->asked, &followed->sample);
	if (query->operation == CMD_SELECT && !query->plannedstmt->hasModifyingCTE &&
		followed->fetched_all && !followed->again)
		followed->sample.top_rows_true = (double) followed->fetched;
}

/* The run is over, triggers included; the plan's state is still there. */
void
pgaml_record_finished(QueryDesc *query)
{
	PgamlFollowed *followed = find_followed(query);

	if (followed == NULL || query->planstate == NULL)
		return;
	if (!pgaml_shield_run(read_nodes, followed))
	{
		followed->query = NULL;
		pgaml_watch_lost();
	}
}

/* ---- end ---- */

static void
describe_usage(const BufferUsage *buffers, const WalUsage *wal, PgamlSample *sample)
{
	sample->shared_blks_hit = buffers->shared_blks_hit;
	sample->shared_blks_read = buffers->shared_blks_read;
	sample->shared_blks_dirtied = buffers->shared_blks_dirtied;
	sample->shared_blks_written = buffers->shared_blks_written;
	sample->temp_blks_read = buffers->temp_blks_read;
	sample->temp_blks_written = buffers->temp_blks_written;
	sample->blk_read_ms = NAN;
	sample->blk_write_ms = NAN;
	if (track_io_timing)
	{
		sample->blk_read_ms = INSTR_TIME_GET_MILLISEC(PGAML_BLK_READ_TIME(buffers));
		sample->blk_write_ms = INSTR_TIME_GET_MILLISEC(PGAML_BLK_WRITE_TIME(buffers));
	}
	sample->wal_bytes = (int64) wal->wal_bytes;
}

/* Time spent compiling, NaN if nothing was compiled. */
static double
jit_ms(const EState *estate)
{
	const JitInstrumentation *spent;

	if (estate->es_jit == NULL)
		return NAN;
	spent = &estate->es_jit->instr;
	return INSTR_TIME_GET_MILLISEC(spent->generation_counter) +
		INSTR_TIME_GET_MILLISEC(spent->inlining_counter) +
		INSTR_TIME_GET_MILLISEC(spent->optimization_counter) +
		INSTR_TIME_GET_MILLISEC(spent->emission_counter);
}

/* Time so far, in ms, also while the clock is running. */
static double
elapsed_ms(const Instrumentation *total)
{
	double		ms = total->total * 1000.0 + INSTR_TIME_GET_MILLISEC(total->counter);
	instr_time	now;

	if (!INSTR_TIME_IS_ZERO(total->starttime))
	{
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, total->starttime);
		ms += INSTR_TIME_GET_MILLISEC(now);
	}
	return ms;
}

/* Give the sample away.  It cannot be found again. */
static void
hand_over(PgamlFollowed *followed, PgamlOutcome outcome)
{
	PgamlSample *sample = &followed->sample;

	sample->outcome = (char) outcome;
	sample->sampled_at = pgaml_clock_now();
	sample->userid = GetUserId();
	sample->toplevel = pgaml_hot.depth == 0;
	pgaml_mailbox_put_sample(sample);
	pgaml_watch_ended();
	followed->query = NULL;
}

void
pgaml_record_failed(QueryDesc *query)
{
	PgamlFollowed *followed = find_followed(query);
	Instrumentation *total = query->totaltime;

	if (!pgaml_watch_on())
		return;
	pgaml_hot.session.previous_queryid = (int64) query->plannedstmt->queryId;
	pgaml_hot.session.previous_rows = -1;
	if (followed == NULL || total == NULL)
		return;
	followed->sample.execution_ms = elapsed_ms(total);
	followed->sample.rows = (int64) PGAML_ROWS_PROCESSED(query->estate);
	if (!INSTR_TIME_IS_ZERO(total->starttime))
	{
		BufferUsageAccumDiff(&total->bufusage, &pgBufferUsage, &total->bufusage_start);
		WalUsageAccumDiff(&total->walusage, &pgWalUsage, &total->walusage_start);
	}
	describe_usage(&total->bufusage, &total->walusage, &followed->sample);
	hand_over(followed, geterrcode() == ERRCODE_QUERY_CANCELED ?
			  PGAML_OUTCOME_CANCELLED : PGAML_OUTCOME_ERROR);
}

/* Shielded work. */
static void
finish(void *arg)
{
	PgamlFollowed *followed = arg;
	QueryDesc  *query = followed->query;
	PgamlSample *sample = &followed->sample;

	PGAML_FAULT("capture-finish");
	/* Several hooks may do this; the first one does the work. */
	InstrEndLoop(query->totaltime);
	sample->execution_ms = query->totaltime->total * 1000.0;
	sample->rows = pgaml_hot.session.previous_rows;
	sample->jit_ms = jit_ms(query->estate);
	describe_usage(&query->totaltime->bufusage, &query->totaltime->walusage, sample);
	hand_over(followed, followed->explained ? PGAML_OUTCOME_EXPLAINED : PGAML_OUTCOME_DONE);
}

void
pgaml_record_end(QueryDesc *query)
{
	PgamlFollowed *followed = find_followed(query);

	if (followed == NULL || query->totaltime == NULL)
		return;
	if (!pgaml_shield_run(finish, followed))
	{
		followed->query = NULL;
		pgaml_watch_lost();
	}
}
