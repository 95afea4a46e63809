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
#define MAX_GROUPS		4000	/* of keys found about equally often */
#define SHORT_WIDTH		127		/* bytes that a value with a short header has at most */
#define ENOUGH_WIDTHS	10		/* values that show how widths spread */
#define IN_ORDER		0.99999 /* correlation of what follows the order of the table */

/* What is known of the values of one column. */
typedef struct Values
{
	double		width;			/* mean, bytes; < 0: not known */
	double		null_frac;
	double		distinct;
	double		correlation;	/* of their order with that of the table */
	int			ncommon;
	float	   *common;			/* shares of rows, of the most common values */
	int			nwidths;		/* of values that statistics keep */
	float		widths[PGAML_INDEX_WIDTHS];
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

/* As it is stored: statistics keep a value with a long header, tables with a short one where it fits. */
static float
stored_width(Datum value)
{
	struct varlena *pointer = (struct varlena *) DatumGetPointer(value);

	if (VARATT_IS_4B_U(pointer) && VARATT_CAN_MAKE_SHORT(pointer))
		return VARATT_CONVERTED_SHORT_SIZE(pointer);
	return VARSIZE_ANY(pointer);
}

static void
add_width(Values *values, Datum value, double times)
{
	for (int i = 0; i < times && values->nwidths < PGAML_INDEX_WIDTHS; i++)
		values->widths[values->nwidths++] = stored_width(value);
}

/*
 * Widths of values of varying length that statistics keep, each as often as it
 * is found: the spread that the mean hides.
 */
static void
read_widths(Values *values, HeapTuple stats)
{
	AttStatsSlot slot;
	double		scale = PGAML_INDEX_WIDTHS / Max(1.0 - values->null_frac, 1e-6);

	if (get_attstatsslot(&slot, stats, STATISTIC_KIND_MCV, InvalidOid, ATTSTATSSLOT_VALUES))
	{
		if (get_typlen(slot.valuetype) == -1)
			for (int i = 0; i < Min(slot.nvalues, values->ncommon); i++)
				add_width(values, slot.values[i], rint(values->common[i] * scale));
		free_attstatsslot(&slot);
	}
	if (get_attstatsslot(&slot, stats, STATISTIC_KIND_HISTOGRAM, InvalidOid, ATTSTATSSLOT_VALUES))
	{
		int			n = Min(slot.nvalues, PGAML_INDEX_WIDTHS - values->nwidths);

		if (get_typlen(slot.valuetype) == -1)
			for (int i = 0; i < n; i++)
				add_width(values, slot.values[(int64) i * slot.nvalues / n], 1.0);
		free_attstatsslot(&slot);
	}
}

static void
read_correlation(Values *values, HeapTuple stats)
{
	AttStatsSlot slot;

	if (!get_attstatsslot(&slot, stats, STATISTIC_KIND_CORRELATION, InvalidOid, ATTSTATSSLOT_NUMBERS))
		return;
	if (slot.nnumbers == 1)
		values->correlation = slot.numbers[0];
	free_attstatsslot(&slot);
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
		read_correlation(&values, data.statsTuple);
		read_widths(&values, data.statsTuple);
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
		if (exprType(var) == exprType(expr) && one.width > values.width)
		{
			values.width = one.width;
			values.nwidths = one.nwidths;
			memcpy(values.widths, one.widths, sizeof(one.widths));
		}
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

	if (rows - left >= 1.0)
		groups[n++] = (PgamlIndexGroup) {1.0, rows - left, 1};
	for (int i = 0; i < values->ncommon && left >= 1.0; i++)
	{
		double		common = Max(Min(values->common[i] * rows, left), 1.0);

		groups[n++] = (PgamlIndexGroup) {1.0, common, 0};
		left -= common;
	}
	if (left >= 1.0)
	{
		others = Min(Max(others, 1.0), left);
		groups[n++] = (PgamlIndexGroup) {others, left / others, 0};
	}
	return n;
}

/* Keys when one more column joins: those in which it is null go apart. */
static int
split_nulls(PgamlIndexGroup *groups, int n, double null_frac, int column)
{
	int			before = n;

	for (int i = 0; i < before && n < MAX_GROUPS; i++)
	{
		PgamlIndexGroup *group = &groups[i];
		double		nulls = group->rows * null_frac;

		if (nulls < 1.0 || group->rows - nulls < 1.0)
			continue;
		groups[n++] = (PgamlIndexGroup) {group->keys, nulls, group->nulls | 1u << column};
		group->rows -= nulls;
	}
	return n;
}

/*
 * Each key splits into as many as its rows, drawn at random, would hit.  rows:
 * in which the new column is not null; together: how many keys there are in
 * all, if that is known, else 0.
 */
static double
split_groups(PgamlIndexGroup *groups, int n, double next, double rows, int column, double together)
{
	double		sum = 0.0;
	double		factor = 1.0;

	for (int pass = 0; pass < 2; pass++)
	{
		sum = 0.0;
		for (int i = 0; i < n; i++)
		{
			PgamlIndexGroup *group = &groups[i];
			double		parts = distinct_among(next, group->rows, rows) * factor;

			parts = group->nulls >> column & 1 ? 1.0 : Max(Min(parts, group->rows), 1.0);
			sum += group->keys * parts;
			if (pass == 1)
			{
				group->keys *= parts;
				group->rows /= parts;
			}
		}
		if (pass == 0 && together > 0.0 && sum > 0.0)
			factor = together / sum;
	}
	return sum;
}

/* Bytes of the values as they are stored. */
static void
set_widths(const MadeUpIndex *index, int i, Node *expr, const Values *values, PgamlIndexColumn *column)
{
	bool		as_in_table = exprType(expr) == index->types[i];
	double		width;
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(index->types[i], &length, &by_value, &align);
	width = length >= 0 ? length :
		as_in_table && values->width >= 0.0 ? values->width :
		get_typavgwidth(index->types[i], index->typmods[i]);
	column->align = align == TYPALIGN_DOUBLE ? 8 : align == TYPALIGN_INT ? 4 : align == TYPALIGN_SHORT ? 2 : 1;
	column->nwidths = 1;
	column->widths[0] = width;
	if (length >= 0)
		return;
	if (width < SHORT_WIDTH)	/* a header of one byte, and no alignment */
		column->align = 1;
	if (as_in_table && values->nwidths >= ENOUGH_WIDTHS)
	{
		column->nwidths = values->nwidths;
		memcpy(column->widths, values->widths, sizeof(float) * values->nwidths);
		return;
	}
	/* Nothing but a mean: spread over what alignment makes of it. */
	column->nwidths = 8;
	for (int w = 0; w < 8; w++)
		column->widths[w] = Max(width - 3.5 + w, 1.0);
}

/* How one column of the index is stored, and what is known of its values. */
static Values
describe_column(PlannerInfo *root, const MadeUpIndex *index, const MadeUpLeaf *leaf, int i, Node *expr,
				PgamlIndexColumn *column)
{
	double		all = root->simple_rel_array[1]->tuples;
	Values		values = values_of(root, expr);
	double		not_null;

	if (values.distinct < 0.0)
		values = values_of_columns(root, expr, all);
	not_null = all * (1.0 - values.null_frac);
	if (never_null(leaf, expr))
		values.null_frac = 0.0;
	values.distinct = Max(distinct_among(values.distinct, leaf->tuples * (1.0 - values.null_frac), not_null), 1.0);
	set_widths(index, i, expr, &values, column);
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

/*
 * Keys of the first columns when one more joins.  What extended statistics do
 * not tell is guessed: columns that both follow the order of the table go
 * together, others have nothing to do with each other.
 */
static double
join_column(PlannerInfo *root, const MadeUpLeaf *leaf, List *exprs, double before, const Values *next, bool in_order,
			PgamlIndexShape *shape, PgamlIndexGroup *groups)
{
	int			column = list_length(exprs) - 1;
	double		all = root->simple_rel_array[1]->tuples;
	double		together = 0.0;

	if (combinations_known(root))
		together = distinct_among(estimate_num_groups(root, exprs, all, NULL, NULL), leaf->tuples, all);
	else if (in_order)
		together = before + next->distinct;
	shape->ngroups = split_nulls(groups, shape->ngroups, next->null_frac, column);
	together = split_groups(groups, shape->ngroups, next->distinct, leaf->tuples * (1.0 - next->null_frac), column,
							together);
	return Max(Min(together, leaf->tuples), 1.0);
}

static Node *
column_expression(const MadeUpLeaf *leaf, int i, Relation table, ListCell **expr_cell)
{
	Form_pg_attribute attribute;
	Node	   *expr;

	if (leaf->keys[i] != 0)
	{
		attribute = TupleDescAttr(RelationGetDescr(table), leaf->keys[i] - 1);
		return (Node *) makeVar(1, leaf->keys[i], attribute->atttypid, attribute->atttypmod,
								attribute->attcollation, 0);
	}
	expr = lfirst(*expr_cell);
	*expr_cell = lnext(leaf->exprs, *expr_cell);
	return expr;
}

static void
describe_columns(PlannerInfo *root, const MadeUpIndex *index, const MadeUpLeaf *leaf, Relation table,
				 PgamlIndexShape *shape, PgamlIndexGroup *groups)
{
	ListCell   *expr_cell = list_head(leaf->exprs);
	List	   *exprs = NIL;
	bool		in_order = true;
	double		distinct = 1.0;

	for (int i = 0; i < index->ncolumns; i++)
	{
		Node	   *expr = column_expression(leaf, i, table, &expr_cell);
		Values		values = describe_column(root, index, leaf, i, expr, &shape->columns[i]);

		if (i >= index->nkeys)
			continue;
		exprs = lappend(exprs, expr);
		in_order = in_order && fabs(values.correlation) > IN_ORDER;
		if (i == 0)
		{
			shape->ngroups = group_values(&values, shape->tuples, groups);
			distinct = values.distinct;
		}
		else
			distinct = join_column(root, leaf, exprs, distinct, &values, in_order, shape, groups);
		shape->columns[i].distinct = distinct;
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
	shape.groups = palloc(sizeof(PgamlIndexGroup) * MAX_GROUPS);
	describe_columns(root, index, leaf, table, &shape, (PgamlIndexGroup *) shape.groups);
	size = size_of(index, &shape, RelationGetNumberOfBlocks(table));
	leaf->pages = (BlockNumber) Min(Max(size.pages, 1.0), (double) MaxBlockNumber);
	leaf->height = size.height;
}
