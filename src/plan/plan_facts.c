/*-------------------------------------------------------------------------
 * plan_facts.c
 *		Walks a finished plan once and describes it as numbers.
 *
 * Owns the meaning of PgamlPlanFact and of plan_id.  A plan_id says which
 * shape a plan has: node types and their nesting, join types, strategies,
 * scanned relations and indexes.  Costs, row counts and constants are not
 * part of it.  Where an extension gave the plan an identifier (18 and later),
 * that is taken, so that ours says what theirs does; facts are always those of
 * this walk.  Loading or unloading such an extension makes every plan new.
 *
 * Called from hooks: no lock, no catalog, no allocation, no error.  Trees too
 * deep for the stack are described as far as they were walked.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "executor/hashjoin.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"

#include "base/mix.h"
#include "compat/compat.h"
#include "plan/plan.h"

#define MAX_ESTIMATE		1e30	/* products of row counts stop here */
#define VISITED_WORDS		8		/* subplans 1..512 are walked where they are used */
#define AGG_ENTRY_OVERHEAD	64		/* bytes of a group in a hash table beside its tuple */

/* Where in the plan the walk is. */
typedef struct Place
{
	double		loops;			/* estimated executions of this node */
	int			depth;			/* nodes above this one, itself included */
	int			level;			/* SubPlans and subquery scans around it */
	double		bound;			/* rows the parent will take; < 0: all */
} Place;

typedef struct Walk
{
	const PlannedStmt *stmt;
	PgamlPlanFacts *out;
	uint64		hash;
	uint64		visited[VISITED_WORDS]; /* subplans walked, by plan_id - 1 */
	double		max_rows;
	double		sum_rows;
	double		spill_bytes;
	double		seq_cost;
	double		inner_loops;
	double		subplan_cost;
	double		max_cost;
	double		looped_rows;
	double		sorted_rows;
	double		grouped_rows;
	double		modified_rows;
	double		outer_rows;		/* rows for which the node at hand evaluates expressions, over all its loops */
	Place		place;			/* of the node at hand */
} Walk;

static void walk_plan(Walk *walk, const Plan *plan, Place place);

static void
add_hash(Walk *walk, uint64 value)
{
	walk->hash = pgaml_mix(walk->hash, value);
}

/* Insert into the ascending list unless it is there. */
static void
add_relation(PgamlPlanFacts *out, Oid relid)
{
	int			at = out->nrelations;

	while (at > 0 && out->relations[at - 1] > relid)
		at--;
	if (at > 0 && out->relations[at - 1] == relid)
		return;
	if (out->nrelations == PGAML_MAX_RELATIONS)
	{
		out->relations_cut = true;
		return;
	}
	memmove(&out->relations[at + 1], &out->relations[at],
			(out->nrelations - at) * sizeof(Oid));
	out->relations[at] = relid;
	out->nrelations++;
}

/* The relation behind an entry of the range table, or InvalidOid. */
static Oid
stored_relation(const Walk *walk, Index rti)
{
	const RangeTblEntry *rte;

	if (rti == 0 || rti > list_length(walk->stmt->rtable))
		return InvalidOid;
	rte = rt_fetch(rti, walk->stmt->rtable);
	return rte->rtekind == RTE_RELATION ? rte->relid : InvalidOid;
}

/* The count that a node of this type raises, or -1. */
static int
family_of(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
			return PGAML_PF_SEQ_SCANS;
		case T_IndexScan:
			return PGAML_PF_INDEX_SCANS;
		case T_IndexOnlyScan:
			return PGAML_PF_INDEX_ONLY_SCANS;
		case T_BitmapHeapScan:
			return PGAML_PF_BITMAP_SCANS;
		case T_TidScan:
		case T_TidRangeScan:
		case T_SubqueryScan:
		case T_FunctionScan:
		case T_ValuesScan:
		case T_TableFuncScan:
		case T_CteScan:
		case T_NamedTuplestoreScan:
		case T_WorkTableScan:
		case T_ForeignScan:
		case T_CustomScan:
			return PGAML_PF_OTHER_SCANS;
		case T_NestLoop:
			return PGAML_PF_NESTED_LOOPS;
		case T_HashJoin:
			return PGAML_PF_HASH_JOINS;
		case T_MergeJoin:
			return PGAML_PF_MERGE_JOINS;
		case T_Sort:
		case T_IncrementalSort:
			return PGAML_PF_SORTS;
		case T_Agg:
			return ((const Agg *) plan)->aggstrategy == AGG_HASHED ||
				((const Agg *) plan)->aggstrategy == AGG_MIXED ?
				PGAML_PF_HASH_AGGREGATES : PGAML_PF_OTHER_AGGREGATES;
		case T_Group:
		case T_WindowAgg:
			return PGAML_PF_OTHER_AGGREGATES;
		case T_Material:
		case T_Memoize:
			return PGAML_PF_MATERIALIZES;
		case T_Append:
		case T_MergeAppend:
		case T_RecursiveUnion:
		case T_SetOp:
			return PGAML_PF_APPENDS;
		case T_Limit:
			return PGAML_PF_LIMITS;
		default:
			return -1;
	}
}

/* Range table index of the node's relation, or 0. */
static Index
scan_relid(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_ForeignScan:
		case T_CustomScan:
			return ((const Scan *) plan)->scanrelid;
		default:
			return 0;
	}
}

/* What beside type, nesting and relation tells two nodes apart. */
static uint64
variant_of(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_IndexScan:
			return ((const IndexScan *) plan)->indexid;
		case T_IndexOnlyScan:
			return ((const IndexOnlyScan *) plan)->indexid;
		case T_BitmapIndexScan:
			return ((const BitmapIndexScan *) plan)->indexid;
		case T_NestLoop:
		case T_HashJoin:
		case T_MergeJoin:
			return ((const Join *) plan)->jointype;
		case T_Agg:
			return ((uint64) ((const Agg *) plan)->aggstrategy << 32) |
				((uint64) ((const Agg *) plan)->aggsplit << 16) |
				(uint16) ((const Agg *) plan)->numCols;
		case T_Sort:
		case T_IncrementalSort:
			return ((const Sort *) plan)->numCols;
		case T_SetOp:
			return ((uint64) ((const SetOp *) plan)->cmd << 32) |
				((const SetOp *) plan)->strategy;
		case T_ModifyTable:
			return ((const ModifyTable *) plan)->operation;
		default:
			return 0;
	}
}

static void
add_estimate(double *sum, double rows)
{
	*sum = Min(*sum + rows, MAX_ESTIMATE);
}

/* Rows that a node puts out and takes in, and what it costs. */
static void
count_rows(Walk *walk, const Plan *plan, int family, double loops)
{
	double		input = plan->lefttree != NULL ? loops * plan->lefttree->plan_rows : 0.0;

	walk->max_rows = Max(walk->max_rows, plan->plan_rows);
	walk->max_cost = Max(walk->max_cost, plan->total_cost);
	add_estimate(&walk->sum_rows, plan->plan_rows);
	add_estimate(&walk->looped_rows, loops * plan->plan_rows);
	if (family == PGAML_PF_SORTS)
		add_estimate(&walk->sorted_rows, input);
	else if (family == PGAML_PF_HASH_AGGREGATES || family == PGAML_PF_OTHER_AGGREGATES)
		add_estimate(&walk->grouped_rows, input);
	else if (IsA(plan, ModifyTable))
		add_estimate(&walk->modified_rows, input);
}

/* Memory that rows of this width take beyond a limit, in bytes. */
static double
beyond(double rows, double width, double limit)
{
	return Max(rows * width - limit, 0.0);
}

/*
 * Bytes that a sort or hash is estimated to need beyond its memory.  Tuple
 * sizes are those that the planner's cost model uses.
 */
static double
spill_of(const Plan *plan, double bound)
{
	const Plan *input = plan->lefttree;
	double		tuple = MAXALIGN(plan->plan_width);
	double		hash_limit = (double) get_hash_memory_limit();

	switch (nodeTag(plan))
	{
		case T_Sort:
			if (input == NULL)
				return 0.0;
			return beyond(bound >= 0.0 ? Min(bound, input->plan_rows) : input->plan_rows,
						  tuple + MAXALIGN(SizeofHeapTupleHeader), work_mem * 1024.0);
		case T_Hash:
			return beyond(plan->plan_rows,
						  tuple + HJTUPLE_OVERHEAD + MAXALIGN(SizeofMinimalTupleHeader),
						  hash_limit);
		case T_Agg:
			if (family_of(plan) != PGAML_PF_HASH_AGGREGATES)
				return 0.0;
			return beyond(((const Agg *) plan)->numGroups,
						  tuple + AGG_ENTRY_OVERHEAD + ((const Agg *) plan)->transitionSpace,
						  hash_limit);
		default:
			return 0.0;
	}
}

static void
add_scan(Walk *walk, const Plan *plan)
{
	Oid			relid = stored_relation(walk, scan_relid(plan));

	add_hash(walk, relid);
	if (!OidIsValid(relid))
		return;
	walk->out->values[PGAML_PF_RELATIONS]++;
	add_relation(walk->out, relid);
	if (family_of(plan) == PGAML_PF_SEQ_SCANS)
		walk->seq_cost += plan->total_cost;
}

/* Everything about one node except its children and expressions. */
static void
add_node(Walk *walk, const Plan *plan, const Place *place)
{
	float	   *values = walk->out->values;
	int			family = family_of(plan);

	add_hash(walk, ((uint64) nodeTag(plan) << 32) | (uint32) place->depth);
	add_hash(walk, variant_of(plan) + (plan->parallel_aware ? UINT64CONST(1) << 63 : 0));
	values[PGAML_PF_NODES]++;
	values[PGAML_PF_DEPTH] = Max(values[PGAML_PF_DEPTH], place->depth);
	if (family >= 0)
		values[family]++;
	add_scan(walk, plan);
	count_rows(walk, plan, family, place->loops);
	walk->spill_bytes += spill_of(plan, place->bound);
	if (IsA(plan, Gather))
		values[PGAML_PF_PARALLEL_WORKERS] += ((const Gather *) plan)->num_workers;
	else if (IsA(plan, GatherMerge))
		values[PGAML_PF_PARALLEL_WORKERS] += ((const GatherMerge *) plan)->num_workers;
	else if (IsA(plan, ModifyTable))
	{
		ListCell   *cell;

		foreach(cell, ((const ModifyTable *) plan)->resultRelations)
		{
			Oid			relid = stored_relation(walk, lfirst_int(cell));

			add_hash(walk, relid);
			if (OidIsValid(relid))
				add_relation(walk->out, relid);
		}
	}
}

/* Walk a SubPlan where it is first used. */
static void
walk_subplan(Walk *walk, int plan_id, Place place)
{
	int			bit = plan_id - 1;

	if (bit < 0 || bit >= VISITED_WORDS * 64 || bit >= list_length(walk->stmt->subplans) ||
		(walk->visited[bit / 64] >> (bit % 64)) & 1)
		return;
	walk->visited[bit / 64] |= UINT64CONST(1) << (bit % 64);
	place.level++;
	place.depth++;
	place.bound = -1.0;
	walk->out->values[PGAML_PF_SUBQUERY_DEPTH] =
		Max(walk->out->values[PGAML_PF_SUBQUERY_DEPTH], place.level);
	walk_plan(walk, list_nth(walk->stmt->subplans, bit), place);
}

/*
 * Look for SubPlans in an expression.  The executor has walked the same
 * expressions with larger frames just before.
 */
static bool
walk_expression(Node *node, void *context)
{
	Walk	   *walk = context;

	if (node == NULL || stack_is_too_deep())
		return false;
	if (IsA(node, SubPlan))
	{
		SubPlan    *subplan = (SubPlan *) node;
		Place		saved_place = walk->place;
		double		saved_rows = walk->outer_rows;
		Place		place = saved_place;

		if (subplan->parParam != NIL)
		{
			walk->subplan_cost = Max(walk->subplan_cost,
									 subplan->per_call_cost * walk->outer_rows);
			place.loops = walk->outer_rows;
		}
		walk_subplan(walk, subplan->plan_id, place);
		walk->place = saved_place;
		walk->outer_rows = saved_rows;
	}
	return expression_tree_walker(node, walk_expression, context);
}

static void
walk_expressions(Walk *walk, const Plan *plan, const Place *place)
{
	ListCell   *cell;

	if (walk->stmt->subplans == NIL)
		return;
	walk->place = *place;
	walk->outer_rows = place->loops * (plan->lefttree ? plan->lefttree->plan_rows : plan->plan_rows);
	foreach(cell, plan->initPlan)
		walk_subplan(walk, lfirst_node(SubPlan, cell)->plan_id, *place);
	walk_expression((Node *) plan->qual, walk);
	walk_expression((Node *) plan->targetlist, walk);
	if (IsA(plan, NestLoop) || IsA(plan, HashJoin) || IsA(plan, MergeJoin))
		walk_expression((Node *) ((const Join *) plan)->joinqual, walk);
	else if (IsA(plan, Result))
		walk_expression(((const Result *) plan)->resconstantqual, walk);
}

static void
walk_list(Walk *walk, List *plans, Place place)
{
	ListCell   *cell;

	foreach(cell, plans)
		walk_plan(walk, lfirst(cell), place);
}

/* Children that are not lefttree or righttree. */
static void
walk_special_children(Walk *walk, const Plan *plan, Place place)
{
	switch (nodeTag(plan))
	{
		case T_Append:
			walk_list(walk, ((const Append *) plan)->appendplans, place);
			break;
		case T_MergeAppend:
			walk_list(walk, ((const MergeAppend *) plan)->mergeplans, place);
			break;
		case T_BitmapAnd:
			walk_list(walk, ((const BitmapAnd *) plan)->bitmapplans, place);
			break;
		case T_BitmapOr:
			walk_list(walk, ((const BitmapOr *) plan)->bitmapplans, place);
			break;
		case T_CustomScan:
			walk_list(walk, ((const CustomScan *) plan)->custom_plans, place);
			break;
		case T_SubqueryScan:
			place.level++;
			walk->out->values[PGAML_PF_SUBQUERY_DEPTH] =
				Max(walk->out->values[PGAML_PF_SUBQUERY_DEPTH], place.level);
			walk_plan(walk, ((const SubqueryScan *) plan)->subplan, place);
			break;
		default:
			break;
	}
}

static void
walk_plan(Walk *walk, const Plan *plan, Place place)
{
	Place		child = place;

	if (plan == NULL || stack_is_too_deep())
		return;
	add_node(walk, plan, &place);
	walk_expressions(walk, plan, &place);

	child.depth++;
	child.bound = IsA(plan, Limit) ? plan->plan_rows : -1.0;
	walk_plan(walk, plan->lefttree, child);
	child.bound = -1.0;
	if (IsA(plan, NestLoop) && plan->lefttree != NULL)
	{
		child.loops = Min(place.loops * plan->lefttree->plan_rows, MAX_ESTIMATE);
		add_estimate(&walk->inner_loops, child.loops);
	}
	walk_plan(walk, plan->righttree, child);
	child.loops = place.loops;
	walk_special_children(walk, plan, child);
}

/* ln(1 + x), and NaN stays NaN. */
static float
log_of(double x)
{
	return (float) log1p(Min(Max(x, 0.0), MAX_ESTIMATE));
}

static void
store_sums(const Walk *walk, float *values)
{
	const PlannedStmt *stmt = walk->stmt;
	const Plan *top = stmt->planTree;

	values[PGAML_PF_LOG_COST] = log_of(top->total_cost);
	values[PGAML_PF_LOG_STARTUP_COST] = log_of(top->startup_cost);
	values[PGAML_PF_LOG_ROWS] = log_of(top->plan_rows);
	values[PGAML_PF_WIDTH] = (float) top->plan_width;
	values[PGAML_PF_LOG_MAX_ROWS] = log_of(walk->max_rows);
	values[PGAML_PF_LOG_SUM_ROWS] = log_of(walk->sum_rows);
	values[PGAML_PF_SUBPLANS] = (float) list_length(stmt->subplans);
	values[PGAML_PF_MODIFIES] = stmt->commandType != CMD_SELECT || stmt->hasModifyingCTE;
	values[PGAML_PF_LOG_SPILL_KB] = log_of(walk->spill_bytes / 1024.0);
	values[PGAML_PF_LOG_SEQ_COST] = log_of(walk->seq_cost);
	values[PGAML_PF_LOG_INNER_LOOPS] = log_of(walk->inner_loops);
	values[PGAML_PF_SUBPLAN_LOG_COST] = log_of(walk->subplan_cost);
	values[PGAML_PF_LOG_MAX_COST] = log_of(walk->max_cost);
	values[PGAML_PF_LOG_LOOPED_ROWS] = log_of(walk->looped_rows);
	values[PGAML_PF_LOG_SORTED_ROWS] = log_of(walk->sorted_rows);
	values[PGAML_PF_LOG_GROUPED_ROWS] = log_of(walk->grouped_rows);
	values[PGAML_PF_LOG_MODIFIED_ROWS] = log_of(walk->modified_rows);
	values[PGAML_PF_JIT] = (stmt->jitFlags & PGJIT_PERFORM) != 0;
}

void
pgaml_plan_facts(const PlannedStmt *plan, PgamlPlanFacts *out)
{
	Walk		walk = {0};
	Place		top = {.loops = 1.0,.depth = 1,.level = 0,.bound = -1.0};

	memset(out, 0, sizeof(PgamlPlanFacts));
	walk.stmt = plan;
	walk.out = out;
	add_hash(&walk, plan->commandType);
	walk_plan(&walk, plan->planTree, top);
	/* Those used in expressions that were not looked at. */
	for (int i = 1; i <= list_length(plan->subplans); i++)
		walk_subplan(&walk, i, top);
	store_sums(&walk, out->values);
	out->plan_id = PGAML_CORE_PLAN_ID(plan);
	if (out->plan_id == 0)
		out->plan_id = walk.hash != 0 ? (int64) walk.hash : 1;
}
