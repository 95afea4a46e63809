/*-------------------------------------------------------------------------
 * nodes.c
 *		What the nodes of a finished execution tell: rows, sorts, hashes.
 *
 * Memory of sorts and hashes is read from every sample; rows only where the
 * nodes were instrumented, by us (pgaml_nodes_ask) or by somebody else.
 * Called after the run and before ExecutorEnd, when the server still has all
 * of it and has fetched the shares of parallel workers.  Takes no lock,
 * allocates nothing, raises no error.
 * Trees too deep for the stack are read as far as they were walked.
 *
 * Nodes are numbered in the order in which EXPLAIN prints them, from 0.
 *
 * A count of rows is not always the truth about the node.  What a parent does
 * with its child (a limit, a semijoin, a merge join) says how it is to be
 * read; nodes that take in all of their input before they give a row make
 * their child whole again.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/hashjoin.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/tuplesort.h"

#include "capture/capture_internal.h"
#include "capture/worst_core.h"

/*
 * The bit in instrument_options that asks for row counts.  It is not
 * INSTRUMENT_ROWS, so that it can be told from what others ask for.  The
 * executor counts rows when any bit is set.
 */
#define ASKED				(1 << 29)
#define VISITED_WORDS		8	/* subplans 1..512 are read once; others are not read */

/* How the row count of a node is to be read, beside PGAML_READ_*. */
#define READ_SHORT			4	/* fewer processes ran it than the planner counted on */

typedef struct Walk
{
	PgamlSample *sample;
	PgamlWorst	worst;
	int32		next_place;
	bool		hide;			/* leave no trace of our having asked */
	bool		counted;		/* a node had a row count */
	double		calls;			/* of nodes: rows and executions */
	uint64		visited[VISITED_WORDS]; /* subplans, by plan_id - 1 */
} Walk;

static void visit(Walk *walk, PlanState *node, int reading);

bool
pgaml_nodes_ask(QueryDesc *query)
{
	if (query->instrument_options != 0)
		return false;
	query->instrument_options = ASKED;
	return true;
}

void
pgaml_nodes_asked(QueryDesc *query)
{
	query->instrument_options &= ~ASKED;
}

/* ---- memory ---- */

static int64
kilobytes(uint64 bytes)
{
	return (int64) ((bytes + 1023) / 1024);
}

static void
add_sort(PgamlSample *sample, int64 memory_kb, int64 disk_kb)
{
	sample->sort_memory_kb = Max(sample->sort_memory_kb, memory_kb);
	sample->sort_disk_kb = Max(sample->sort_disk_kb, disk_kb);
}

static void
add_sort_stats(PgamlSample *sample, const TuplesortInstrumentation *stats)
{
	if (stats->sortMethod == SORT_TYPE_STILL_IN_PROGRESS)
		return;
	if (stats->spaceType == SORT_SPACE_TYPE_MEMORY)
		add_sort(sample, stats->spaceUsed, 0);
	else
		add_sort(sample, -1, stats->spaceUsed);
}

static void
read_sort(PgamlSample *sample, SortState *sort)
{
	if (sort->sort_Done && sort->tuplesortstate != NULL)
	{
		TuplesortInstrumentation stats;

		tuplesort_get_stats(sort->tuplesortstate, &stats);
		add_sort_stats(sample, &stats);
	}
	for (int i = 0; sort->shared_info != NULL && i < sort->shared_info->num_workers; i++)
		add_sort_stats(sample, &sort->shared_info->sinstrument[i]);
}

static void
add_sort_groups(PgamlSample *sample, const IncrementalSortGroupInfo *groups)
{
	if (groups->groupCount > 0)
		add_sort(sample, groups->maxMemorySpaceUsed > 0 ? groups->maxMemorySpaceUsed : -1,
				 groups->maxDiskSpaceUsed);
}

/* The server keeps these only where rows are counted. */
static void
read_incremental_sort(PgamlSample *sample, const IncrementalSortState *sort)
{
	add_sort_groups(sample, &sort->incsort_info.fullsortGroupInfo);
	add_sort_groups(sample, &sort->incsort_info.prefixsortGroupInfo);
	for (int i = 0; sort->shared_info != NULL && i < sort->shared_info->num_workers; i++)
	{
		add_sort_groups(sample, &sort->shared_info->sinfo[i].fullsortGroupInfo);
		add_sort_groups(sample, &sort->shared_info->sinfo[i].prefixsortGroupInfo);
	}
}

static void
add_hash(PgamlSample *sample, uint64 bytes, int batches)
{
	sample->hash_memory_kb = Max(sample->hash_memory_kb, kilobytes(bytes));
	sample->batches = Max(sample->batches, batches);
}

static void
add_hash_stats(PgamlSample *sample, const HashInstrumentation *stats)
{
	if (stats->nbatch > 0)
		add_hash(sample, stats->space_peak, stats->nbatch);
}

/*
 * EXPLAIN shows what a hash gathered also without ANALYZE, and auto_explain
 * has it do so after us: what is there only because of us is taken away.
 */
static void
read_hash(PgamlSample *sample, HashState *hash, bool hide)
{
	if (hash->hashtable != NULL)
		add_hash(sample, hash->hashtable->spacePeak, hash->hashtable->nbatch);
	if (hash->hinstrument != NULL)
		add_hash_stats(sample, hash->hinstrument);
	for (int i = 0; hash->shared_info != NULL && i < hash->shared_info->num_workers; i++)
		add_hash_stats(sample, &hash->shared_info->hinstrument[i]);
	if (hide)
	{
		hash->hinstrument = NULL;
		hash->shared_info = NULL;
	}
}

static void
read_aggregate(PgamlSample *sample, const AggState *agg)
{
	if (agg->aggstrategy != AGG_HASHED && agg->aggstrategy != AGG_MIXED)
		return;
	if (agg->hash_mem_peak > 0)
		add_hash(sample, agg->hash_mem_peak, agg->hash_batches_used);
	for (int i = 0; agg->shared_info != NULL && i < agg->shared_info->num_workers; i++)
	{
		const AggregateInstrumentation *stats = &agg->shared_info->sinstrument[i];

		if (stats->hash_mem_peak > 0)
			add_hash(sample, stats->hash_mem_peak, stats->hash_batches_used);
	}
}

/* The peak is only noted when something had to be thrown out. */
static void
read_memoize(PgamlSample *sample, const MemoizeState *memoize)
{
	if (memoize->stats.cache_misses > 0)
		add_hash(sample, Max(memoize->stats.mem_peak, memoize->mem_used), -1);
	for (int i = 0; memoize->shared_info != NULL && i < memoize->shared_info->num_workers; i++)
	{
		const MemoizeInstrumentation *stats = &memoize->shared_info->sinstrument[i];

		if (stats->cache_misses > 0)
			add_hash(sample, stats->mem_peak, -1);
	}
}

static void
read_memory(Walk *walk, PlanState *node)
{
	PgamlSample *sample = walk->sample;

	switch (nodeTag(node))
	{
		case T_SortState:
			read_sort(sample, (SortState *) node);
			break;
		case T_IncrementalSortState:
			read_incremental_sort(sample, (IncrementalSortState *) node);
			break;
		case T_HashState:
			read_hash(sample, (HashState *) node, walk->hide);
			break;
		case T_AggState:
			read_aggregate(sample, (AggState *) node);
			break;
		case T_MemoizeState:
			read_memoize(sample, (MemoizeState *) node);
			break;
		default:
			break;
	}
}

/* ---- rows ---- */

/* Executions of a node so far, the one at hand included. */
static double
loops_of(const Instrumentation *counts)
{
	return counts->nloops + (counts->running ? 1.0 : 0.0);
}

static double
rows_of(const Instrumentation *counts)
{
	return counts->ntuples + (counts->running ? counts->tuplecount : 0.0);
}

static void
read_rows(Walk *walk, const PlanState *node, int32 place, int reading)
{
	double		loops = loops_of(node->instrument);
	double		rows = rows_of(node->instrument);

	if (loops <= 0.0)
		return;
	walk->counted = true;
	walk->calls += loops + rows;
	/* The server counts no rows of bitmaps that are put together. */
	if ((reading & (PGAML_READ_AGAIN | READ_SHORT)) == 0 && !IsA(node, BitmapAndState) && !IsA(node, BitmapOrState))
	{
		PgamlNodeRows counted = {place, node->plan->plan_rows, rows / loops, (reading & PGAML_READ_CUT) != 0};

		pgaml_worst_consider(&walk->worst, &counted);
	}
}

/* Did the limit see the end of its input?  Only known of its last execution. */
static bool
limit_saw_all(const LimitState *limit)
{
	return (limit->lstate == LIMIT_SUBPLANEOF || limit->lstate == LIMIT_EMPTY) &&
		limit->ps.instrument != NULL && loops_of(limit->ps.instrument) <= 1.0;
}

static bool
workers_missing(const PlanState *node)
{
	if (IsA(node, GatherState))
		return ((const GatherState *) node)->nworkers_launched < ((const Gather *) node->plan)->num_workers;
	return ((const GatherMergeState *) node)->nworkers_launched < ((const GatherMerge *) node->plan)->num_workers;
}

/* An empty hash table ends a join after a look at the other side. */
static bool
hash_was_empty(const PlanState *join)
{
	const PlanState *hash = innerPlanState(join);

	return hash == NULL || hash->instrument == NULL || rows_of(hash->instrument) <= 0.0;
}

static void
reading_of_join(const PlanState *node, int *outer, int *inner)
{
	const JoinState *join = (const JoinState *) node;

	if (IsA(node, NestLoopState))
	{
		if (join->single_match || join->jointype == JOIN_ANTI)
			*inner |= PGAML_READ_CUT;
	}
	else if (IsA(node, HashJoinState))
	{
		if (hash_was_empty(node))
			*outer |= PGAML_READ_CUT;
		*inner &= READ_SHORT;
	}
	else
	{
		const MergeJoinState *merge = (const MergeJoinState *) node;

		if (!merge->mj_FillOuter)
			*outer |= PGAML_READ_CUT;
		if (!merge->mj_FillInner)
			*inner |= PGAML_READ_CUT;
		if (!((const MergeJoin *) node->plan)->skip_mark_restore)
			*inner |= PGAML_READ_AGAIN;
	}
}

/* How the row counts of a node's children are to be read. */
static void
reading_of_children(const PlanState *node, int reading, int *outer, int *inner)
{
	*outer = *inner = reading;
	switch (nodeTag(node))
	{
		case T_LimitState:
			if (!limit_saw_all((const LimitState *) node))
				*outer |= PGAML_READ_CUT;
			break;
		case T_SortState:
		case T_HashState:
		case T_BitmapHeapScanState:
			*outer = reading & READ_SHORT;
			break;
		case T_MaterialState:
			*outer = (reading & READ_SHORT) |
				(((const MaterialState *) node)->eof_underlying ? 0 : PGAML_READ_CUT);
			break;
		case T_AggState:
			if (((const AggState *) node)->aggstrategy != AGG_SORTED)
				*outer = reading & READ_SHORT;
			break;
		case T_SetOpState:
			if (((const SetOp *) node->plan)->strategy == SETOP_HASHED)
				*outer = *inner = reading & READ_SHORT;
			else if (innerPlanState(node) != NULL)
				*outer = *inner = reading | PGAML_READ_CUT;
			break;
		case T_WindowAggState:
			if (((const WindowAgg *) node->plan)->runCondition != NIL)
				*outer |= PGAML_READ_CUT;
			break;
		case T_MemoizeState:
			if (((const MemoizeState *) node)->singlerow)
				*outer |= PGAML_READ_CUT;
			break;
		case T_GatherState:
		case T_GatherMergeState:
			if (workers_missing(node))
				*outer |= READ_SHORT;
			break;
		case T_NestLoopState:
		case T_HashJoinState:
		case T_MergeJoinState:
			reading_of_join(node, outer, inner);
			break;
		default:
			break;
	}
}

/* ---- the walk ---- */

/*
 * A subplan is read where it is first used.  EXISTS, ANY and ALL stop when
 * they know enough; how much of a CTE was asked for is not known here.
 */
static void
visit_subplans(Walk *walk, List *subplans)
{
	ListCell   *cell;

	foreach(cell, subplans)
	{
		SubPlanState *state = lfirst_node(SubPlanState, cell);
		const SubPlan *subplan = state->subplan;
		int			bit = subplan->plan_id - 1;
		int			reading = 0;

		if (bit < 0 || bit >= VISITED_WORDS * 64 || (walk->visited[bit / 64] >> (bit % 64)) & 1)
			continue;
		walk->visited[bit / 64] |= UINT64CONST(1) << (bit % 64);
		if (subplan->subLinkType == CTE_SUBLINK ||
			(!subplan->useHashTable && (subplan->subLinkType == EXISTS_SUBLINK ||
										subplan->subLinkType == ANY_SUBLINK ||
										subplan->subLinkType == ALL_SUBLINK)))
			reading = PGAML_READ_CUT;
		visit(walk, state->planstate, reading);
	}
}

static void
visit_members(Walk *walk, PlanState **members, int count, int reading)
{
	for (int i = 0; i < count; i++)
		visit(walk, members[i], reading);
}

/* Children that are not lefttree or righttree. */
static void
visit_special_children(Walk *walk, PlanState *node, int reading)
{
	ListCell   *cell;

	switch (nodeTag(node))
	{
		case T_AppendState:
			visit_members(walk, ((AppendState *) node)->appendplans, ((AppendState *) node)->as_nplans, reading);
			break;
		case T_MergeAppendState:
			visit_members(walk, ((MergeAppendState *) node)->mergeplans,
						  ((MergeAppendState *) node)->ms_nplans, reading);
			break;
		case T_BitmapAndState:
			visit_members(walk, ((BitmapAndState *) node)->bitmapplans,
						  ((BitmapAndState *) node)->nplans, reading);
			break;
		case T_BitmapOrState:
			visit_members(walk, ((BitmapOrState *) node)->bitmapplans,
						  ((BitmapOrState *) node)->nplans, reading);
			break;
		case T_SubqueryScanState:
			visit(walk, ((SubqueryScanState *) node)->subplan, reading);
			break;
		case T_CustomScanState:
			foreach(cell, ((CustomScanState *) node)->custom_ps)
				visit(walk, lfirst(cell), reading);
			break;
		default:
			break;
	}
}

/* The order is that of EXPLAIN. */
static void
visit(Walk *walk, PlanState *node, int reading)
{
	int32		place;
	int			outer;
	int			inner;

	if (node == NULL || stack_is_too_deep())
		return;
	place = walk->next_place++;
	read_memory(walk, node);
	if (node->instrument != NULL)
		read_rows(walk, node, place, reading);

	visit_subplans(walk, node->initPlan);
	reading_of_children(node, reading, &outer, &inner);
	visit(walk, outerPlanState(node), outer);
	visit(walk, innerPlanState(node), inner);
	visit_special_children(walk, node, reading);
	visit_subplans(walk, node->subPlan);
}

void
pgaml_nodes_read(QueryDesc *query, int reading, bool asked, PgamlSample *sample)
{
	Walk		walk = {0};
	const Instrumentation *top = query->planstate->instrument;

	walk.sample = sample;
	walk.hide = asked && query->instrument_options == 0;
	pgaml_worst_begin(&walk.worst);
	/* A cursor that was rewound: its executions were not all whole. */
	if (top != NULL && loops_of(top) > 1.0)
		reading |= PGAML_READ_CUT;
	visit(&walk, query->planstate, reading);

	sample->nodes_counted = walk.counted;
	sample->worst_node = walk.worst.place;
	sample->worst_rows_estimated = walk.worst.estimated;
	sample->worst_rows_true = walk.worst.actual;
	if (asked)
		pgaml_budget_add_nodes(INSTRUMENT_ROWS, walk.calls);
}
