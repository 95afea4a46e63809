/*-------------------------------------------------------------------------
 * what_if_size.c
 *		From a table's statistics to the size of an index on it.
 *
 * Asks the planner's own functions: rows of the table, share of rows that a
 * predicate lets in, width, nulls and different values of columns, extended
 * statistics.  The arithmetic is index_size_core.c's.
 *
 * An expression that has no statistics is taken to have as many different
 * values as the columns in it, and their nulls.  The planner itself assumes
 * 200 values there when it estimates rows; for a size that would be far off.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/gist.h"
#include "catalog/pg_am.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "compat/compat.h"
#include "plan/index_size_core.h"
#include "plan/what_if_internal.h"

#define BRIN_PAGES_PER_RANGE	128	/* the server's default, which the planner assumes */
#define MINMAX_VALUES	2		/* that BRIN stores per range */
#define MAX_COMMON		1000	/* most common values looked at */

/* What is known of the values of one column. */
typedef struct Values
{
	double		width;			/* < 0: not known */
	double		null_frac;
	double		distinct;
	int			ncommon;
	float	   *common;			/* shares of rows, of the most common values */
} Values;

/* A query on nothing but the table, for the planner's estimates. */
static PlannerInfo *
plan_table(Relation table)
{
	PlannerInfo *root = makeNode(PlannerInfo);
	ParseState *pstate = make_parsestate(NULL);

	(void) addRangeTableEntryForRelation(pstate, table, AccessShareLock, NULL, false, true);
	root->glob = makeNode(PlannerGlobal);
	root->parse = makeNode(Query);
	root->parse->commandType = CMD_SELECT;
	root->parse->rtable = pstate->p_rtable;
	PGAML_COPY_PERMISSIONS(root->parse, pstate);
	root->planner_cxt = CurrentMemoryContext;
	root->query_level = 1;
	setup_simple_rel_arrays(root);
	(void) build_simple_rel(root, 1, NULL);
	free_parsestate(pstate);
	return root;
}

static Values
values_of(PlannerInfo *root, Node *expr)
{
	VariableStatData data;
	Values		values = {.width = -1.0};
	bool		guessed;

	examine_variable(root, expr, 0, &data);
	values.distinct = get_variable_numdistinct(&data, &guessed);
	if (HeapTupleIsValid(data.statsTuple))
	{
		Form_pg_statistic stats = (Form_pg_statistic) GETSTRUCT(data.statsTuple);
		AttStatsSlot slot;

		values.width = stats->stawidth;
		values.null_frac = stats->stanullfrac;
		if (get_attstatsslot(&slot, data.statsTuple, STATISTIC_KIND_MCV, InvalidOid, ATTSTATSSLOT_NUMBERS))
		{
			values.ncommon = Min(slot.nnumbers, MAX_COMMON);
			values.common = palloc(sizeof(float) * Max(values.ncommon, 1));
			memcpy(values.common, slot.numbers, sizeof(float) * values.ncommon);
			free_attstatsslot(&slot);
		}
	}
	else if (!IsA(expr, Var))
		values.distinct = -1.0;
	ReleaseVariableStats(data);
	return values;
}

/* Without statistics of its own: as its columns. */
static Values
values_of_columns(PlannerInfo *root, Node *expr, double rows)
{
	List	   *vars = pull_var_clause(expr, PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS);
	Values		values = {.width = -1.0,.distinct = 1.0};
	List	   *seen = NIL;
	ListCell   *cell;

	foreach(cell, vars)
	{
		Node	   *var = lfirst(cell);
		Values		one;

		if (list_member(seen, var))
			continue;
		seen = lappend(seen, var);
		one = values_of(root, var);
		values.distinct = Min(values.distinct * one.distinct, rows);
		values.null_frac = Max(values.null_frac, one.null_frac);
		if (exprType(var) == exprType(expr))
			values.width = Max(values.width, one.width);
	}
	if (exprType(expr) == BOOLOID)
		values.distinct = Min(values.distinct, 2.0);
	return values;
}

/* Of the given number of values, those expected among some of all rows. */
static double
distinct_among(double distinct, double rows, double all)
{
	double		each = all / Max(distinct, 1.0);

	if (rows >= all || all <= 0.0)
		return distinct;
	return distinct * (1.0 - pow(1.0 - rows / all, Max(each, 1.0)));
}

/* Does the predicate let in only rows in which the value is not null? */
static bool
never_null(const MadeUpLeaf *leaf, Node *expr)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) expr;
	test->nulltesttype = IS_NOT_NULL;
	test->argisrow = false;
	test->location = -1;
	return leaf->pred != NIL && predicate_implied_by(list_make1(test), leaf->pred, false);
}

/* Keys of an index on one column: null, the most common values, all others. */
static int
group_values(const Values *values, double rows, PgamlIndexGroup *groups)
{
	double		left = rows * (1.0 - values->null_frac);
	double		others = values->distinct - values->ncommon;
	int			n = 0;

	if (values->null_frac > 0.0)
		groups[n++] = (PgamlIndexGroup) {1.0, rows * values->null_frac, true};
	for (int i = 0; i < values->ncommon && left > 0.0; i++)
	{
		double		common = Min(values->common[i] * rows, left);

		groups[n++] = (PgamlIndexGroup) {1.0, common, false};
		left -= common;
	}
	if (left >= 1.0)
	{
		others = Min(Max(others, 1.0), left);
		groups[n++] = (PgamlIndexGroup) {others, left / others, false};
	}
	return n;
}

/* How one column of the index is stored, and what is known of its values. */
static Values
describe_column(PlannerInfo *root, const MadeUpIndex *index, const MadeUpLeaf *leaf, int i, Node *expr,
				PgamlIndexColumn *column)
{
	double		all = root->simple_rel_array[1]->tuples;
	Values		values = values_of(root, expr);
	int16		length;
	bool		by_value;
	char		align;

	if (values.distinct < 0.0)
		values = values_of_columns(root, expr, all);
	values.distinct = Max(distinct_among(values.distinct, leaf->tuples, all), 1.0);
	if (never_null(leaf, expr))
		values.null_frac = 0.0;
	if (index->am == HASH_AM_OID)
	{
		column->width = sizeof(uint32);
		column->align = sizeof(uint32);
	}
	else
	{
		get_typlenbyvalalign(index->types[i], &length, &by_value, &align);
		column->varying = length < 0;
		column->width = length >= 0 ? length :
			values.width >= 0.0 && exprType(expr) == index->types[i] ? values.width :
			get_typavgwidth(index->types[i], index->typmods[i]);
		/* Short values have a header of one byte and are not aligned. */
		column->align = length == -1 && column->width < 127.0 ? 1 :
			align == TYPALIGN_DOUBLE ? 8 : align == TYPALIGN_INT ? 4 : align == TYPALIGN_SHORT ? 2 : 1;
	}
	column->null_frac = Min(Max(values.null_frac, 0.0), 1.0);
	return values;
}

/* Do extended statistics know how many combinations of columns there are? */
static bool
combinations_known(PlannerInfo *root)
{
	ListCell   *cell;

	foreach(cell, root->simple_rel_array[1]->statlist)
	{
		if (((StatisticExtInfo *) lfirst(cell))->kind == STATS_EXT_NDISTINCT)
			return true;
	}
	return false;
}

/* Different values of the first columns together. */
static double
distinct_together(PlannerInfo *root, const MadeUpLeaf *leaf, List *exprs, double before, double next)
{
	double		all = root->simple_rel_array[1]->tuples;
	double		possible = before * next;

	if (list_length(exprs) > 1 && combinations_known(root))
		possible = distinct_among(estimate_num_groups(root, exprs, all, NULL, NULL), leaf->tuples, all);
	else if (list_length(exprs) > 1)
	{
		/* As many as rows drawn at random would hit. */
		possible *= -expm1(-leaf->tuples / Max(possible, 1.0));
		possible = Max(possible, Max(before, next));
	}
	return Max(Min(possible, leaf->tuples), 1.0);
}

static void
describe_columns(PlannerInfo *root, const MadeUpIndex *index, const MadeUpLeaf *leaf, Relation table,
				 PgamlIndexShape *shape, PgamlIndexGroup *groups)
{
	ListCell   *expr_cell = list_head(leaf->exprs);
	List	   *exprs = NIL;
	double		distinct = 1.0;

	for (int i = 0; i < index->ncolumns; i++)
	{
		PgamlIndexColumn *column = &shape->columns[i];
		Form_pg_attribute attribute;
		Node	   *expr;
		Values		values;

		if (leaf->keys[i] == 0)
		{
			expr = lfirst(expr_cell);
			expr_cell = lnext(leaf->exprs, expr_cell);
		}
		else
		{
			attribute = TupleDescAttr(RelationGetDescr(table), leaf->keys[i] - 1);
			expr = (Node *) makeVar(1, leaf->keys[i], attribute->atttypid, attribute->atttypmod,
									attribute->attcollation, 0);
		}
		values = describe_column(root, index, leaf, i, expr, column);
		if (i >= index->nkeys)
			continue;
		exprs = lappend(exprs, expr);
		distinct = distinct_together(root, leaf, exprs, distinct, values.distinct);
		column->distinct = distinct;
		if (index->nkeys == 1)
			shape->ngroups = group_values(&values, shape->tuples, groups);
	}
	if (index->nkeys > 1 && shape->tuples >= 1.0)
	{
		groups[0] = (PgamlIndexGroup) {distinct, shape->tuples / distinct, false};
		shape->ngroups = 1;
	}
}

/* Entries of BRIN are values of a range of pages; GiST's depend on how it is built. */
static PgamlIndexSize
size_of(const MadeUpIndex *index, const PgamlIndexShape *shape, double table_pages)
{
	if (index->am == BTREE_AM_OID)
		return pgaml_index_size_btree(shape);
	if (index->am == HASH_AM_OID)
		return pgaml_index_size_hash(shape);
	if (index->am == BRIN_AM_OID)
		return pgaml_index_size_brin(shape, table_pages, BRIN_PAGES_PER_RANGE, MINMAX_VALUES);
	for (int i = 0; i < index->nkeys; i++)
	{
		if (!OidIsValid(get_opfamily_proc(index->opfamilies[i], index->opcintypes[i], index->opcintypes[i],
										  GIST_SORTSUPPORT_PROC)))
			return pgaml_index_size_gist(shape, false);
	}
	return pgaml_index_size_gist(shape, true);
}

void
pgaml_made_up_size(const MadeUpIndex *index, MadeUpLeaf *leaf, Relation table)
{
	PlannerInfo *root = plan_table(table);
	RelOptInfo *rel = root->simple_rel_array[1];
	PgamlIndexShape shape = {0};
	PgamlIndexSize size;

	leaf->tuples = rel->tuples;
	if (leaf->pred != NIL)
		leaf->tuples *= clauselist_selectivity(root, leaf->pred, 0, JOIN_INNER, NULL);
	rel->rows = rel->tuples;
	/* The planner takes a young empty table for one of a few pages; an index on it has none. */
	shape.tuples = RelationGetNumberOfBlocks(table) == 0 ? 0.0 : rint(leaf->tuples);
	shape.ncolumns = index->ncolumns;
	shape.nkeys = index->nkeys;
	shape.fillfactor = index->fillfactor;
	shape.deduplicate = index->deduplicate;
	shape.block_size = BLCKSZ;
	shape.groups = palloc(sizeof(PgamlIndexGroup) * (MAX_COMMON + 2));
	describe_columns(root, index, leaf, table, &shape, (PgamlIndexGroup *) shape.groups);
	size = size_of(index, &shape, RelationGetNumberOfBlocks(table));
	leaf->pages = (BlockNumber) Min(Max(size.pages, 1.0), (double) MaxBlockNumber);
	leaf->height = size.height;
}
