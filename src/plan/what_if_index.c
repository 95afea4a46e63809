/*-------------------------------------------------------------------------
 * what_if_index.c
 *		Understands a CREATE INDEX command as the server would.
 *
 * Parsing, expressions, operator classes, collations and storage parameters
 * go through the server's own functions; what its index command checks in
 * between is checked here, with the same errors.  Beyond that, who asks must
 * be allowed to read the columns: sizes are made of their statistics.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/gist.h"
#include "access/hash.h"
#include "access/nbtree.h"
#include "access/reloptions.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_tablespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_utilcmd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "compat/compat.h"
#include "plan/what_if_internal.h"

#define GIST_FILLFACTOR		90	/* the server's default, which stands in a private header */

/* As the server: only what can have an index, in catalogs that are not its own. */
static void
check_table(Relation table, const IndexStmt *stmt)
{
	char		relkind = table->rd_rel->relkind;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot create index on relation \"%s\"", RelationGetRelationName(table)),
				 errdetail_relkind_not_supported(relkind)));
	if (IsSystemRelation(table))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied: \"%s\" is a system catalog", RelationGetRelationName(table))));
	if (RELATION_IS_OTHER_TEMP(table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create indexes on temporary tables of other sessions")));
	if (relkind == RELKIND_PARTITIONED_TABLE && stmt->concurrent)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create index on partitioned table \"%s\" concurrently",
						RelationGetRelationName(table))));
	if (relkind == RELKIND_PARTITIONED_TABLE && stmt->unique)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a hypothetical unique index on a partitioned table is not supported"),
				 errhint("Ask for it without UNIQUE.")));
	if (check_enable_rls(RelationGetRelid(table), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security hides rows of \"%s\", and the size of an index would tell of them",
						RelationGetRelationName(table))));
}

/* May who asks read every column that the index is made of? */
static void
check_rights(const MadeUpIndex *index, Relation table)
{
	Oid			relid = RelationGetRelid(table);
	Bitmapset  *columns = NULL;
	int			column = -1;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return;
	pull_varattnos((Node *) index->exprs, 1, &columns);
	pull_varattnos((Node *) index->pred, 1, &columns);
	for (int i = 0; i < index->ncolumns; i++)
	{
		if (index->keys[i] != 0)
			columns = bms_add_member(columns, index->keys[i] - FirstLowInvalidHeapAttributeNumber);
	}
	while ((column = bms_next_member(columns, column)) >= 0)
	{
		AttrNumber	attno = column + FirstLowInvalidHeapAttributeNumber;

		if (attno == InvalidAttrNumber ||
			pg_attribute_aclcheck(relid, attno, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(table->rd_rel->relkind),
						   RelationGetRelationName(table));
	}
}

static void
refuse_unless(bool can, const char *am, const char *what)
{
	if (!can)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method \"%s\" does not support %s", am, what)));
}

/* The access method, and whether it can be what is asked for. */
static void
set_access_method(MadeUpIndex *index, const IndexStmt *stmt)
{
	const char *am = stmt->accessMethod;
	int			nkeys = list_length(stmt->indexParams);

	index->am = get_index_am_oid(am, false);
	if (index->am != BTREE_AM_OID && index->am != HASH_AM_OID && index->am != BRIN_AM_OID && index->am != GIST_AM_OID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a hypothetical index with access method \"%s\" is not supported", am),
				 errdetail("What the planner would make of it depends on its contents, which statistics do not tell."),
				 errhint("btree, hash, brin and gist are supported.")));
	index->routine = GetIndexAmRoutineByAmId(index->am, false);
	refuse_unless(!stmt->unique || index->routine->amcanunique, am, "unique indexes");
	refuse_unless(stmt->indexIncludingParams == NIL || index->routine->amcaninclude, am, "included columns");
	refuse_unless(nkeys <= 1 || index->routine->amcanmulticol, am, "multicolumn indexes");
	if (nkeys + list_length(stmt->indexIncludingParams) > INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("cannot use more than %d columns in an index", INDEX_MAX_KEYS)));
}

/* Storage parameters: the server's check, then those that change a plan. */
static void
set_options(MadeUpIndex *index, const IndexStmt *stmt)
{
	Datum		options = transformRelOptions((Datum) 0, stmt->options, NULL, NULL, false, false);
	ListCell   *cell;

	(void) index_reloptions(index->routine->amoptions, options, true);
	index->fillfactor = index->am == BTREE_AM_OID ? BTREE_DEFAULT_FILLFACTOR :
		index->am == HASH_AM_OID ? HASH_DEFAULT_FILLFACTOR :
		index->am == GIST_AM_OID ? GIST_FILLFACTOR : 0;
	index->deduplicate = index->am == BTREE_AM_OID;
	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "fillfactor") == 0)
			index->fillfactor = defGetInt32(option);
		else if (strcmp(option->defname, "deduplicate_items") == 0)
			index->deduplicate = defGetBoolean(option);
		else if (strcmp(option->defname, "pages_per_range") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a hypothetical index with pages_per_range is not supported"),
					 errdetail("The planner costs an index that is not there with the default.")));
	}
}

static void
set_tablespace(MadeUpIndex *index, const IndexStmt *stmt, Relation table)
{
	index->tablespace = stmt->tableSpace != NULL ?
		get_tablespace_oid(stmt->tableSpace, false) :
		GetDefaultTablespace(table->rd_rel->relpersistence, false);
	if (OidIsValid(index->tablespace) && index->tablespace != MyDatabaseTableSpace &&
		!PGAML_MAY_CREATE_IN_TABLESPACE(index->tablespace))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLESPACE, get_tablespace_name(index->tablespace));
}

static void
refuse_mutable(Node *expr, const char *where)
{
	if (contain_mutable_functions((Node *) expression_planner(copyObject((Expr *) expr))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("functions in index %s must be marked IMMUTABLE", where)));
}

static AttrNumber
column_number(const char *name, Relation table)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(table), name);

	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" does not exist", name)));
	if (attno < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index creation on system columns is not supported")));
	return attno;
}

/* What the column is made of: a column of the table, or an expression. */
static void
set_source(MadeUpIndex *index, int i, const IndexElem *elem, Relation table)
{
	Node	   *expr = elem->expr;

	index->collations[i] = expr != NULL ? exprCollation(expr) : InvalidOid;
	if (expr != NULL && i >= index->nkeys)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("expressions are not supported in included columns")));
	/* A column in parentheses is a column, whatever its collation. */
	while (expr != NULL && IsA(expr, CollateExpr))
		expr = (Node *) ((CollateExpr *) expr)->arg;
	if (expr == NULL || (IsA(expr, Var) && ((Var *) expr)->varattno != InvalidAttrNumber))
	{
		Oid			collation;

		index->keys[i] = expr == NULL ? column_number(elem->name, table) : ((Var *) expr)->varattno;
		get_atttypetypmodcoll(RelationGetRelid(table), index->keys[i], &index->types[i], &index->typmods[i],
							  &collation);
		if (expr == NULL)
			index->collations[i] = collation;
		return;
	}
	index->types[i] = exprType(expr);
	index->typmods[i] = exprTypmod(expr);
	refuse_mutable(expr, "expression");
	index->exprs = lappend(index->exprs, expr);
}

static void
set_collation(MadeUpIndex *index, int i, const IndexElem *elem)
{
	if (elem->collation != NIL)
		index->collations[i] = get_collation_oid(elem->collation, false);
	if (type_is_collatable(index->types[i]))
	{
		if (!OidIsValid(index->collations[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_COLLATION),
					 errmsg("could not determine which collation to use for index expression"),
					 errhint("Use the COLLATE clause to set the collation explicitly.")));
	}
	else if (OidIsValid(index->collations[i]))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("collations are not supported by type %s", format_type_be(index->types[i]))));
}

static void
set_order(MadeUpIndex *index, int i, const IndexElem *elem, const char *am)
{
	refuse_unless(index->routine->amcanorder || elem->ordering == SORTBY_DEFAULT, am, "ASC/DESC options");
	refuse_unless(index->routine->amcanorder || elem->nulls_ordering == SORTBY_NULLS_DEFAULT, am,
				  "NULLS FIRST/LAST options");
	index->reverse[i] = elem->ordering == SORTBY_DESC;
	index->nulls_first[i] = elem->nulls_ordering == SORTBY_NULLS_DEFAULT ?
		index->reverse[i] : elem->nulls_ordering == SORTBY_NULLS_FIRST;
}

/* Can an index-only scan return the column? */
static bool
can_return(const MadeUpIndex *index, int i)
{
	Oid			family = index->opfamilies[i];
	Oid			type = index->opcintypes[i];

	if (index->am != GIST_AM_OID || i >= index->nkeys)
		return index->am == BTREE_AM_OID || index->am == GIST_AM_OID;
	return OidIsValid(get_opfamily_proc(family, type, type, GIST_FETCH_PROC)) ||
		!OidIsValid(get_opfamily_proc(family, type, type, GIST_COMPRESS_PROC));
}

/* The operator class, and the type that it stores. */
static void
set_opclass(MadeUpIndex *index, int i, IndexElem *elem, const char *am)
{
	Oid			opclass = ResolveOpClass(elem->opclass, index->types[i], am, index->am);
	HeapTuple	tuple;
	Form_pg_opclass form;

	if (elem->opclassopts != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a hypothetical index with operator class parameters is not supported")));
	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	index->opfamilies[i] = form->opcfamily;
	index->opcintypes[i] = form->opcintype;
	if (OidIsValid(form->opckeytype) && form->opckeytype != form->opcintype)
	{
		index->types[i] = form->opckeytype;
		index->typmods[i] = -1;
		if (index->am == GIST_AM_OID && get_typlen(form->opckeytype) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a hypothetical index with operator class \"%s\" is not supported",
							NameStr(form->opcname)),
					 errdetail("How large its entries become is not known before it is built.")));
	}
	ReleaseSysCache(tuple);
}

/* Included columns are stored and nothing else. */
static void
check_included(const IndexElem *elem)
{
	const char *what = elem->collation != NIL ? "a collation" :
		elem->opclass != NIL ? "an operator class" :
		elem->ordering != SORTBY_DEFAULT ? "ASC/DESC options" :
		elem->nulls_ordering != SORTBY_NULLS_DEFAULT ? "NULLS FIRST/LAST options" : NULL;

	if (what != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("including column does not support %s", what)));
}

static void
set_columns(MadeUpIndex *index, const IndexStmt *stmt, Relation table)
{
	ListCell   *cell;

	index->nkeys = list_length(stmt->indexParams);
	foreach(cell, stmt->indexParams)
	{
		IndexElem  *elem = lfirst_node(IndexElem, cell);
		int			i = index->ncolumns++;

		set_source(index, i, elem, table);
		set_collation(index, i, elem);
		set_opclass(index, i, elem, stmt->accessMethod);
		set_order(index, i, elem, stmt->accessMethod);
	}
	foreach(cell, stmt->indexIncludingParams)
	{
		IndexElem  *elem = lfirst_node(IndexElem, cell);

		check_included(elem);
		set_source(index, index->ncolumns++, elem, table);
	}
	for (int i = 0; i < index->ncolumns; i++)
		index->canreturn[i] = can_return(index, i);
}

/* Only where equal means the same bytes, as the server decides it. */
static bool
may_deduplicate(const MadeUpIndex *index)
{
	if (!index->deduplicate || index->unique || index->ncolumns != index->nkeys)
		return false;
	for (int i = 0; i < index->nkeys; i++)
	{
		Oid			type = index->opcintypes[i];
		Oid			proc = get_opfamily_proc(index->opfamilies[i], type, type, BTEQUALIMAGE_PROC);

		if (!OidIsValid(proc) ||
			!DatumGetBool(OidFunctionCall1Coll(proc, index->collations[i], ObjectIdGetDatum(type))))
			return false;
	}
	return true;
}

/* The name that the server would choose: table, columns, "idx". */
static char *
choose_name(const IndexStmt *stmt, Relation table)
{
	StringInfoData columns;
	ListCell   *cell;

	initStringInfo(&columns);
	foreach(cell, stmt->indexParams)
	{
		const IndexElem *elem = lfirst_node(IndexElem, cell);

		if (columns.len > 0)
			appendStringInfoChar(&columns, '_');
		appendStringInfoString(&columns, elem->name != NULL ? elem->name :
							   elem->indexcolname != NULL ? elem->indexcolname : "expr");
		if (columns.len >= NAMEDATALEN)
			break;
	}
	return ChooseRelationName(RelationGetRelationName(table), columns.data, "idx",
							  RelationGetNamespace(table), false);
}

/* Expressions as the planner meets them in its own indexes. */
static void
prepare_expressions(MadeUpIndex *index, Node *where)
{
	if (where != NULL)
	{
		refuse_mutable(where, "predicate");
		where = eval_const_expressions(NULL, where);
		where = (Node *) canonicalize_qual((Expr *) where, false);
		index->pred = make_ands_implicit((Expr *) where);
		fix_opfuncids((Node *) index->pred);
	}
	index->exprs = (List *) eval_const_expressions(NULL, (Node *) index->exprs);
	fix_opfuncids((Node *) index->exprs);
}

MadeUpIndex *
pgaml_made_up_index(IndexStmt *stmt, const char *text)
{
	MadeUpIndex *index = palloc0(sizeof(MadeUpIndex));
	Relation	table;

	index->relid = RangeVarGetRelid(stmt->relation, AccessShareLock, false);
	table = table_open(index->relid, NoLock);
	check_table(table, stmt);
	index->unique = stmt->unique;
	set_access_method(index, stmt);
	set_options(index, stmt);
	set_tablespace(index, stmt, table);
	stmt = transformIndexStmt(index->relid, stmt, text);
	set_columns(index, stmt, table);
	index->pred = list_make1(stmt->whereClause);
	check_rights(index, table);
	index->pred = NIL;
	prepare_expressions(index, stmt->whereClause);
	index->deduplicate = may_deduplicate(index);
	index->name = stmt->idxname != NULL ? pstrdup(stmt->idxname) : choose_name(stmt, table);
	table_close(table, NoLock);
	return index;
}
