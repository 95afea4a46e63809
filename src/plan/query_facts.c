/*-------------------------------------------------------------------------
 * query_facts.c
 *		What an analyzed query touches: rights it needs, temporary objects.
 *
 * The walks go into subqueries, CTEs and sublinks.  Rights on relations are
 * asked for through the executor's own function; rights on functions where
 * the executor asks for them when it starts: calls, operators, aggregates.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat/compat.h"
#include "plan/query_facts.h"

/* ---- rights ---- */

static bool
check_function(Oid function, void *context)
{
	AclResult	result;

	if (!OidIsValid(function))
		return false;
	result = PGAML_FUNCTION_ACLCHECK(function, GetUserId());
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
	return false;
}

/* Nodes whose functions the executor looks up without asking for a right. */
static bool
is_unchecked(const Node *node)
{
	return IsA(node, CoerceViaIO) || IsA(node, RowCompareExpr) || IsA(node, MinMaxExpr) ||
		IsA(node, SQLValueFunction) || IsA(node, XmlExpr);
}

static bool
check_rights(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		PGAML_CHECK_RELATIONS((Query *) node);
		return query_tree_walker((Query *) node, check_rights, context, 0);
	}
	if (!is_unchecked(node))
		(void) check_functions_in_node(node, check_function, NULL);
	return expression_tree_walker(node, check_rights, context);
}

void
pgaml_query_check_rights(Query *query)
{
	(void) check_rights((Node *) query, NULL);
}

/* ---- temporary objects ---- */

/* Is the schema temporary?  Remembers the object's name when it is. */
static bool
found_in(Oid schema, const char *name, const char **found)
{
	if (!OidIsValid(schema) || !isAnyTempNamespace(schema))
		return false;
	*found = name;
	return true;
}

static bool
temporary_relation(Oid relation, const char **found)
{
	return OidIsValid(relation) &&
		found_in(get_rel_namespace(relation), get_rel_name(relation), found);
}

static bool
temporary_function(Oid function, void *found)
{
	return OidIsValid(function) &&
		found_in(get_func_namespace(function), get_func_name(function), found);
}

/* Of the type itself and of what it is made of. */
static bool
temporary_type(Oid type, const char **found)
{
	while (OidIsValid(type))
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
		Form_pg_type form;
		Oid			schema;

		if (!HeapTupleIsValid(tuple))
			return false;
		form = (Form_pg_type) GETSTRUCT(tuple);
		schema = form->typnamespace;
		if (found_in(schema, pstrdup(NameStr(form->typname)), found))
		{
			ReleaseSysCache(tuple);
			return true;
		}
		type = OidIsValid(form->typbasetype) ? form->typbasetype : form->typelem;
		ReleaseSysCache(tuple);
	}
	return false;
}

static bool
temporary_operator(Oid operator, const char **found)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);

		result = found_in(form->oprnamespace, pstrdup(NameStr(form->oprname)), found);
		ReleaseSysCache(tuple);
	}
	return result;
}

static bool
temporary_in_types(List *types, const char **found)
{
	ListCell   *cell;

	foreach(cell, types)
		if (temporary_type(lfirst_oid(cell), found))
			return true;
	return false;
}

static bool
temporary_in_table(const RangeTblEntry *rte, const char **found)
{
	ListCell   *cell;

	if (rte->rtekind == RTE_RELATION && temporary_relation(rte->relid, found))
		return true;
	if (temporary_in_types(rte->coltypes, found))
		return true;
	foreach(cell, rte->functions)
		if (temporary_in_types(lfirst_node(RangeTblFunction, cell)->funccoltypes, found))
			return true;
	return rte->rtekind == RTE_TABLEFUNC && rte->tablefunc != NULL &&
		temporary_in_types(rte->tablefunc->coltypes, found);
}

/* A constant that names an object: 'name'::regclass and the like. */
static bool
temporary_name(const Const *constant, const char **found)
{
	if (constant->constisnull)
		return false;
	switch (constant->consttype)
	{
		case REGCLASSOID:
			return temporary_relation(DatumGetObjectId(constant->constvalue), found);
		case REGPROCOID:
		case REGPROCEDUREOID:
			return temporary_function(DatumGetObjectId(constant->constvalue), found);
		case REGTYPEOID:
			return temporary_type(DatumGetObjectId(constant->constvalue), found);
		default:
			return false;
	}
}

/* The operator of an expression that has one. */
static Oid
operator_of(const Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			return ((const OpExpr *) node)->opno;
		case T_ScalarArrayOpExpr:
			return ((const ScalarArrayOpExpr *) node)->opno;
		case T_SortGroupClause:
			return ((const SortGroupClause *) node)->eqop;
		default:
			return InvalidOid;
	}
}

/* Has the node a type that exprType() knows? */
static bool
is_typed(const Node *node)
{
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_Param:
		case T_Aggref:
		case T_WindowFunc:
		case T_FuncExpr:
		case T_OpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_CaseExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_CoerceToDomain:
		case T_SubLink:
		case T_FieldSelect:
		case T_FieldStore:
		case T_SetToDefault:
			return true;
		default:
			return false;
	}
}

static bool
find_temporary(Node *node, void *context)
{
	const char **found = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_temporary, context, QTW_EXAMINE_RTES_BEFORE | QTW_EXAMINE_SORTGROUP);
	if (IsA(node, RangeTblEntry))
		return temporary_in_table((RangeTblEntry *) node, found);
	if (IsA(node, Const) && temporary_name((Const *) node, found))
		return true;
	if (is_typed(node) && temporary_type(exprType(node), found))
		return true;
	if (OidIsValid(operator_of(node)) && temporary_operator(operator_of(node), found))
		return true;
	if (check_functions_in_node(node, temporary_function, context))
		return true;
	return expression_tree_walker(node, find_temporary, context);
}

const char *
pgaml_query_temporary(Query *query)
{
	const char *found = NULL;

	(void) find_temporary((Node *) query, &found);
	return found;
}
