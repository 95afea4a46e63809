/*-------------------------------------------------------------------------
 * what_if.c
 *		Plans as they would be with other indexes: some made up, some gone.
 *
 * A hook of the planner, set on first use and passing on to whoever was there
 * before, adds and removes entries of a table's index list while one query is
 * planned, and does nothing at any other time.  Which query that is, the
 * pointer says: functions that are evaluated while it is planned may plan and
 * run queries of their own, which must see only what is there.
 *
 * Made-up indexes have OIDs from the top of the range that no relation has.
 * They do not outlive the planning, so nobody else can come to have them
 * meanwhile; one index at one place of the list always gets the same, so that
 * equal plans have equal plan ids.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/plancat.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat/compat.h"
#include "plan/what_if.h"
#include "plan/what_if_internal.h"

struct PgamlWhatIf
{
	MemoryContext context;		/* that of the caller */
	int			ncommands;
	const char *const *commands;
	int			nindexes;		/* after planning */
	PgamlWhatIfIndex *indexes;
};

/* Indexes of one planning. */
typedef struct Pretence
{
	const Query *query;			/* the one that is planned */
	List	   *made_up;		/* MadeUpIndex, NULL in the place of a removed one */
	List	   *removed;		/* OIDs of indexes, of their partitions too */
	List	   *infos;			/* PgamlWhatIfIndex, parallel to made_up */
	Oid			next_oid;
} Pretence;

static Pretence *pretence = NULL;	/* of the planning at hand */
static bool hook_set = false;
static PgamlRelationHook previous_hook = NULL;

PgamlWhatIf *
pgaml_what_if_create(const char *const *commands, int ncommands)
{
	PgamlWhatIf *what_if = palloc0(sizeof(PgamlWhatIf));

	what_if->context = CurrentMemoryContext;
	what_if->ncommands = ncommands;
	what_if->commands = commands;
	return what_if;
}

const PgamlWhatIfIndex *
pgaml_what_if_indexes(const PgamlWhatIf *what_if, int *count)
{
	*count = what_if->nindexes;
	return what_if->indexes;
}

/* ---------------------------------------------------------------------
 * The planner's view
 * ---------------------------------------------------------------------
 */

static List *
copy_for(List *exprs, Index varno)
{
	List	   *copy = copyObject(exprs);

	ChangeVarNodes((Node *) copy, 1, varno, 0);
	return copy;
}

/* One target per column, as index-only scans need it. */
static List *
target_list(const IndexOptInfo *info, Relation table)
{
	ListCell   *expr = list_head(info->indexprs);
	List	   *targets = NIL;

	for (int i = 0; i < info->ncolumns; i++)
	{
		Expr	   *column;

		if (info->indexkeys[i] == 0)
		{
			column = lfirst(expr);
			expr = lnext(info->indexprs, expr);
		}
		else
		{
			Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), info->indexkeys[i] - 1);

			column = (Expr *) makeVar(info->rel->relid, info->indexkeys[i], attribute->atttypid,
									  attribute->atttypmod, attribute->attcollation, 0);
		}
		targets = lappend(targets, makeTargetEntry(column, i + 1, NULL, false));
	}
	return targets;
}

static void
set_abilities(IndexOptInfo *info, const IndexAmRoutine *routine, Relation table)
{
	info->amcanorderbyop = routine->amcanorderbyop;
	info->amoptionalkey = routine->amoptionalkey;
	info->amsearcharray = routine->amsearcharray;
	info->amsearchnulls = routine->amsearchnulls;
	info->amcanparallel = routine->amcanparallel;
	info->amhasgettuple = routine->amgettuple != NULL;
	info->amhasgetbitmap = routine->amgetbitmap != NULL && PGAML_TABLE_HAS_BITMAP_SCAN(table);
	info->amcanmarkpos = routine->ammarkpos != NULL && routine->amrestrpos != NULL;
	info->amcostestimate = routine->amcostestimate;
}

/* What get_relation_info() makes of an index, for one that is not there. */
static IndexOptInfo *
index_info(const MadeUpIndex *index, const MadeUpLeaf *leaf, RelOptInfo *rel, Relation table)
{
	IndexOptInfo *info = makeNode(IndexOptInfo);
	int			nkeys = index->nkeys;

	info->indexoid = leaf->indexoid;
	info->reltablespace = OidIsValid(index->tablespace) ? index->tablespace : InvalidOid;
	info->rel = rel;
	info->relam = index->am;
	info->ncolumns = index->ncolumns;
	info->nkeycolumns = nkeys;
	info->indexkeys = palloc(sizeof(int) * index->ncolumns);
	info->canreturn = palloc(sizeof(bool) * index->ncolumns);
	for (int i = 0; i < index->ncolumns; i++)
	{
		info->indexkeys[i] = leaf->keys[i];
		info->canreturn[i] = index->canreturn[i];
	}
	info->indexcollations = memcpy(palloc(sizeof(Oid) * nkeys), index->collations, sizeof(Oid) * nkeys);
	info->opfamily = memcpy(palloc(sizeof(Oid) * nkeys), index->opfamilies, sizeof(Oid) * nkeys);
	info->opcintype = memcpy(palloc(sizeof(Oid) * nkeys), index->opcintypes, sizeof(Oid) * nkeys);
	info->opclassoptions = palloc0(sizeof(bytea *) * nkeys);
	if (index->am == BTREE_AM_OID)
	{
		info->sortopfamily = info->opfamily;
		info->reverse_sort = memcpy(palloc(sizeof(bool) * nkeys), index->reverse, sizeof(bool) * nkeys);
		info->nulls_first = memcpy(palloc(sizeof(bool) * nkeys), index->nulls_first, sizeof(bool) * nkeys);
	}
	set_abilities(info, index->routine, table);
	info->indexprs = copy_for(leaf->exprs, rel->relid);
	info->indpred = copy_for(leaf->pred, rel->relid);
	info->indextlist = target_list(info, table);
	info->unique = index->unique;
	info->immediate = true;
	info->hypothetical = true;
	info->pages = leaf->pages;
	info->tuples = leaf->pred == NIL ? rel->tuples : Min(leaf->tuples, rel->tuples);
	info->tree_height = leaf->height;
	return info;
}

static void
remove_indexes(RelOptInfo *rel)
{
	ListCell   *cell;

	foreach(cell, rel->indexlist)
	{
		if (list_member_oid(pretence->removed, ((IndexOptInfo *) lfirst(cell))->indexoid))
			rel->indexlist = foreach_delete_current(rel->indexlist, cell);
	}
}

/* The newest index comes first, as the planner orders those that are there. */
static void
add_indexes(RelOptInfo *rel, Oid relid)
{
	ListCell   *cell;
	ListCell   *leaf_cell;

	foreach(cell, pretence->made_up)
	{
		const MadeUpIndex *index = lfirst(cell);

		if (index == NULL)
			continue;
		foreach(leaf_cell, index->leaves)
		{
			const MadeUpLeaf *leaf = lfirst(leaf_cell);
			Relation	table;

			if (leaf->relid != relid)
				continue;
			table = table_open(relid, NoLock);
			rel->indexlist = lcons(index_info(index, leaf, rel, table), rel->indexlist);
			table_close(table, NoLock);
		}
	}
}

/* Is this part of the query that the made-up indexes are for? */
static bool
is_ours(const PlannerInfo *root)
{
	while (root->parent_root != NULL)
		root = root->parent_root;
	return pretence != NULL && pretence->query != NULL && root->parse == pretence->query;
}

static void
relation_hook(PGAML_RELATION_HOOK_PARAMS)
{
	if (previous_hook != NULL)
		previous_hook(PGAML_RELATION_HOOK_ARGS);
	if (!is_ours(root) || !PGAML_RELATION_HOOK_IS_TABLE)
		return;
	remove_indexes(rel);
	if (!PGAML_RELATION_HOOK_INHPARENT)
		add_indexes(rel, PGAML_RELATION_HOOK_OID);
}

/* ---------------------------------------------------------------------
 * From commands to indexes
 * ---------------------------------------------------------------------
 */

/* A position in a command must not be taken for one in the query that calls us. */
static void
name_command(void *command)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(command);
	}
	else
		errcontext("hypothetical index \"%s\"", (const char *) command);
}

static Oid
unused_oid(void)
{
	while (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(pretence->next_oid)))
		pretence->next_oid--;
	return pretence->next_oid--;
}

/* The index as it is on one table: columns may have other numbers in a partition. */
static void
add_leaf(MadeUpIndex *index, Relation parent, Oid relid)
{
	MadeUpLeaf *leaf = palloc0(sizeof(MadeUpLeaf));
	Relation	table = table_open(relid, NoLock);
	AttrMap    *map = make_attrmap(RelationGetNumberOfAttributes(parent));
	bool		whole_row;

	for (int i = 0; i < map->maplen; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(parent), i);

		map->attnums[i] = attribute->attisdropped ? 0 : get_attnum(relid, NameStr(attribute->attname));
	}
	leaf->relid = relid;
	leaf->indexoid = unused_oid();
	for (int i = 0; i < index->ncolumns; i++)
		leaf->keys[i] = index->keys[i] > 0 ? map->attnums[index->keys[i] - 1] : 0;
	leaf->exprs = (List *) map_variable_attnos((Node *) index->exprs, 1, 0, map, table->rd_rel->reltype, &whole_row);
	leaf->pred = (List *) map_variable_attnos((Node *) index->pred, 1, 0, map, table->rd_rel->reltype, &whole_row);
	pgaml_made_up_size(index, leaf, table);
	index->leaves = lappend(index->leaves, leaf);
	table_close(table, NoLock);
	free_attrmap(map);
}

/* On a partitioned table: an index on every partition that can have one. */
static void
add_leaves(MadeUpIndex *index)
{
	Relation	parent = table_open(index->relid, NoLock);
	ListCell   *cell;

	if (parent->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		add_leaf(index, parent, index->relid);
	else
	{
		foreach(cell, find_all_inheritors(index->relid, AccessShareLock, NULL))
		{
			char		relkind = get_rel_relkind(lfirst_oid(cell));

			if (relkind == RELKIND_RELATION)
				add_leaf(index, parent, lfirst_oid(cell));
			CHECK_FOR_INTERRUPTS();
		}
	}
	table_close(parent, NoLock);
}

static PgamlWhatIfIndex *
add_info(const char *name)
{
	PgamlWhatIfIndex *info = palloc0(sizeof(PgamlWhatIfIndex));

	info->name = pstrdup(name);
	pretence->infos = lappend(pretence->infos, info);
	return info;
}

/* There must be no relation of this name, unless it was removed before, nor another made-up one. */
static void
refuse_taken_name(const MadeUpIndex *index, bool skip)
{
	Oid			taken = get_relname_relid(index->name, get_rel_namespace(index->relid));
	ListCell   *cell;
	bool		is_taken = OidIsValid(taken) && !list_member_oid(pretence->removed, taken);

	foreach(cell, pretence->made_up)
	{
		const MadeUpIndex *other = lfirst(cell);

		if (other != NULL && strcmp(other->name, index->name) == 0 &&
			get_rel_namespace(other->relid) == get_rel_namespace(index->relid))
			is_taken = true;
	}
	if (is_taken && !skip)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", index->name)));
}

static void
create_index(IndexStmt *stmt, const char *command)
{
	bool		named = stmt->idxname != NULL;
	MadeUpIndex *index = pgaml_made_up_index(stmt, command);
	PgamlWhatIfIndex *info = add_info(index->name);
	ListCell   *cell;

	if (named)
		refuse_taken_name(index, false);
	add_leaves(index);
	pretence->made_up = lappend(pretence->made_up, index);
	info->unique = index->unique;
	foreach(cell, index->leaves)
		info->bytes += (double) ((MadeUpLeaf *) lfirst(cell))->pages * BLCKSZ;
}

/* An index that a constraint stands on cannot be dropped alone. */
static void
check_removal(Oid indexid, const RangeVar *name)
{
	Oid			relid = IndexGetRelation(indexid, false);
	Oid			constraint = get_index_constraint(indexid);

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
	if (OidIsValid(constraint) || get_index_ref_constraints(indexid) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop index %s because a constraint on table %s requires it",
						name->relname, get_rel_name(relid)),
				 errhint("An index of a constraint cannot be left out.")));
}

static void
drop_index(const DropStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->objects)
	{
		RangeVar   *name = makeRangeVarFromNameList(lfirst(cell));
		Oid			indexid = RangeVarGetRelid(name, AccessShareLock, true);
		char		relkind;

		if (!OidIsValid(indexid) && stmt->missing_ok)
			continue;
		if (!OidIsValid(indexid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("index \"%s\" does not exist", name->relname)));
		relkind = get_rel_relkind(indexid);
		if (relkind != RELKIND_INDEX && relkind != RELKIND_PARTITIONED_INDEX)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not an index", name->relname)));
		check_removal(indexid, name);
		pretence->removed = list_concat(pretence->removed, find_all_inheritors(indexid, AccessShareLock, NULL));
		pretence->made_up = lappend(pretence->made_up, NULL);
		add_info(name->relname)->removed = true;
	}
}

static void
understand(const char *command)
{
	List	   *parsed = raw_parser(command, RAW_PARSE_DEFAULT);
	Node	   *stmt = list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : NULL;

	if (stmt != NULL && IsA(stmt, IndexStmt))
		create_index((IndexStmt *) stmt, command);
	else if (stmt != NULL && IsA(stmt, DropStmt) && ((DropStmt *) stmt)->removeType == OBJECT_INDEX)
		drop_index((DropStmt *) stmt);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a hypothetical index must be one CREATE INDEX or DROP INDEX command")));
}

static void
understand_all(const PgamlWhatIf *what_if)
{
	ErrorContextCallback callback = {.callback = name_command,.previous = error_context_stack};

	error_context_stack = &callback;
	for (int i = 0; i < what_if->ncommands; i++)
	{
		callback.arg = unconstify(char *, what_if->commands[i]);
		understand(what_if->commands[i]);
	}
	error_context_stack = callback.previous;
}

/* ---------------------------------------------------------------------
 * Which of them the plan uses
 * ---------------------------------------------------------------------
 */

static void
mark_used(Oid indexoid)
{
	ListCell   *cell;
	ListCell   *leaf;
	ListCell   *info;

	forboth(cell, pretence->made_up, info, pretence->infos)
	{
		const MadeUpIndex *index = lfirst(cell);

		if (index == NULL)
			continue;
		foreach(leaf, index->leaves)
		{
			if (((MadeUpLeaf *) lfirst(leaf))->indexoid == indexoid)
				((PgamlWhatIfIndex *) lfirst(info))->used = true;
		}
	}
}

static void
walk_plans(List *plans);

static void
walk_plan(const Plan *plan)
{
	if (plan == NULL)
		return;
	check_stack_depth();
	if (IsA(plan, IndexScan))
		mark_used(((const IndexScan *) plan)->indexid);
	else if (IsA(plan, IndexOnlyScan))
		mark_used(((const IndexOnlyScan *) plan)->indexid);
	else if (IsA(plan, BitmapIndexScan))
		mark_used(((const BitmapIndexScan *) plan)->indexid);
	else if (IsA(plan, Append))
		walk_plans(((const Append *) plan)->appendplans);
	else if (IsA(plan, MergeAppend))
		walk_plans(((const MergeAppend *) plan)->mergeplans);
	else if (IsA(plan, BitmapAnd))
		walk_plans(((const BitmapAnd *) plan)->bitmapplans);
	else if (IsA(plan, BitmapOr))
		walk_plans(((const BitmapOr *) plan)->bitmapplans);
	else if (IsA(plan, CustomScan))
		walk_plans(((const CustomScan *) plan)->custom_plans);
	else if (IsA(plan, SubqueryScan))
		walk_plan(((const SubqueryScan *) plan)->subplan);
	walk_plan(plan->lefttree);
	walk_plan(plan->righttree);
}

static void
walk_plans(List *plans)
{
	ListCell   *cell;

	foreach(cell, plans)
		walk_plan(lfirst(cell));
}

/* What became of the commands, to where the caller can read it. */
static void
report(PgamlWhatIf *what_if)
{
	MemoryContext before = MemoryContextSwitchTo(what_if->context);
	ListCell   *cell;

	what_if->nindexes = 0;
	what_if->indexes = palloc(sizeof(PgamlWhatIfIndex) * Max(list_length(pretence->infos), 1));
	foreach(cell, pretence->infos)
	{
		PgamlWhatIfIndex *info = &what_if->indexes[what_if->nindexes++];

		*info = *(PgamlWhatIfIndex *) lfirst(cell);
		info->name = pstrdup(info->name);
	}
	MemoryContextSwitchTo(before);
}

PlannedStmt *
pgaml_what_if_plan(const PgamlWhatIf *what_if, Query *query, const char *text, int cursor_options)
{
	Pretence	mine = {.next_oid = OID_MAX};
	Pretence   *outer = pretence;	/* planning may call a function that asks the same */
	PlannedStmt *plan = NULL;

	if (!hook_set)
	{
		previous_hook = PGAML_RELATION_HOOK;
		PGAML_RELATION_HOOK = relation_hook;
		hook_set = true;
	}
	pretence = &mine;
	PG_TRY();
	{
		understand_all(what_if);
		mine.query = query;
		plan = pg_plan_query(query, text, cursor_options, NULL);
		walk_plan(plan->planTree);
		walk_plans(plan->subplans);
		report(unconstify(PgamlWhatIf *, what_if));
	}
	PG_FINALLY();
	{
		pretence = outer;
	}
	PG_END_TRY();
	return plan;
}
