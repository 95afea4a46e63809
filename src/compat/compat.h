/*-------------------------------------------------------------------------
 * compat.h
 *		Differences between server majors; the only use of PG_VERSION_NUM.
 *
 * Shims take the newest signature or name.  Each names the major that
 * brought the change.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_COMPAT_H
#define PGAML_COMPAT_H

#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "optimizer/pathnode.h"
#include "optimizer/plancat.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"

/* 16: JumbleState moved. */
#if PG_VERSION_NUM >= 160000
#include "nodes/queryjumble.h"
#else
#include "utils/queryjumble.h"
#endif

/* 16: varatt.h holds the varlena macros. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18: pg_noreturn stands before the declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* 18: the hook of ExecutorRun lost execute_once. */
#if PG_VERSION_NUM >= 180000
#define PGAML_RUN_PARAMS	QueryDesc *queryDesc, ScanDirection direction, uint64 count
#define PGAML_RUN_ARGS		queryDesc, direction, count
#else
#define PGAML_RUN_PARAMS	QueryDesc *queryDesc, ScanDirection direction, uint64 count, bool execute_once
#define PGAML_RUN_ARGS		queryDesc, direction, count, execute_once
#endif

/* 16: pg_stat_statements sums the rows of every fetch of a portal. */
#if PG_VERSION_NUM >= 160000
#define PGAML_ROWS_PROCESSED(estate)	((estate)->es_total_processed)
#else
#define PGAML_ROWS_PROCESSED(estate)	((estate)->es_processed)
#endif

/* 17: EXPLAIN (SERIALIZE) turns rows into text and drops them. */
#if PG_VERSION_NUM >= 170000
#define PGAML_DEST_EXPLAINS(to)	((to) == DestExplainSerialize)
#else
#define PGAML_DEST_EXPLAINS(to)	false
#endif

/* 17: block times are kept apart for shared, local and temporary blocks. */
#if PG_VERSION_NUM >= 170000
#define PGAML_BLK_READ_TIME(usage)	((usage)->shared_blk_read_time)
#define PGAML_BLK_WRITE_TIME(usage)	((usage)->shared_blk_write_time)
#else
#define PGAML_BLK_READ_TIME(usage)	((usage)->blk_read_time)
#define PGAML_BLK_WRITE_TIME(usage)	((usage)->blk_write_time)
#endif

/* 17: PGPROC.vxid, MyProcNumber. */
#if PG_VERSION_NUM >= 170000
#define PGAML_MY_LXID			(MyProc->vxid.lxid)
#define PGAML_MY_PROC_NUMBER	(MyProcNumber)
#else
#define PGAML_MY_LXID			(MyProc->lxid)
#define PGAML_MY_PROC_NUMBER	(MyProc->pgprocno)
#endif

/*
 * 17: pg_stat_statements counts depth in the planner, and in utility
 * statements whether or not it tracks them.
 */
#if PG_VERSION_NUM >= 170000
#define PGAML_PLANNER_NESTS				true
#define PGAML_UNTRACKED_UTILITY_NESTS	true
#else
#define PGAML_PLANNER_NESTS				false
#define PGAML_UNTRACKED_UTILITY_NESTS	false
#endif

/* 17: DEALLOCATE is tracked; EXECUTE and PREPARE never are. */
#if PG_VERSION_NUM >= 170000
#define PGAML_UTILITY_HANDLED(n)	(!IsA(n, ExecuteStmt) && !IsA(n, PrepareStmt))
#else
#define PGAML_UTILITY_HANDLED(n) \
	(!IsA(n, ExecuteStmt) && !IsA(n, PrepareStmt) && !IsA(n, DeallocateStmt))
#endif

/* 18: lists of constants are squashed, external parameters have locations. */
#if PG_VERSION_NUM >= 180000
#define PGAML_JUMBLE_SQUASHED(jstate)	((jstate)->has_squashed_lists)
#define PGAML_LOCATION_IS_LIST(l)		((l)->squashed)
#define PGAML_LOCATION_IS_PARAM(l)		((l)->extern_param)
#define PGAML_ARRAY_LIST_START(a)		((a)->list_start)
#else
#define PGAML_JUMBLE_SQUASHED(jstate)	false
#define PGAML_LOCATION_IS_LIST(l)		false
#define PGAML_LOCATION_IS_PARAM(l)		false
#define PGAML_ARRAY_LIST_START(a)		(-1)
#endif

/* 19: the hook that sees a table's indexes. */
#if PG_VERSION_NUM >= 190000
typedef build_simple_rel_hook_type PgamlRelationHook;
#define PGAML_RELATION_HOOK				build_simple_rel_hook
#define PGAML_RELATION_HOOK_PARAMS		PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte
#define PGAML_RELATION_HOOK_ARGS		root, rel, rte
#define PGAML_RELATION_HOOK_IS_TABLE	(rte->rtekind == RTE_RELATION)
#define PGAML_RELATION_HOOK_INHPARENT	(rte->inh)
#define PGAML_RELATION_HOOK_OID			(rte->relid)
#else
typedef get_relation_info_hook_type PgamlRelationHook;
#define PGAML_RELATION_HOOK				get_relation_info_hook
#define PGAML_RELATION_HOOK_PARAMS		PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel
#define PGAML_RELATION_HOOK_ARGS		root, relid, inhparent, rel
#define PGAML_RELATION_HOOK_IS_TABLE	true
#define PGAML_RELATION_HOOK_INHPARENT	(inhparent)
#define PGAML_RELATION_HOOK_OID			(relid)
#endif

/* 16: rights stand beside the range table. */
#if PG_VERSION_NUM >= 160000
#define PGAML_COPY_PERMISSIONS(query, pstate)	((query)->rteperminfos = (pstate)->p_rteperminfos)
#else
#define PGAML_COPY_PERMISSIONS(query, pstate)	((void) 0)
#endif

/* 16: rights on most objects are looked up by one function. */
#if PG_VERSION_NUM >= 160000
#define PGAML_MAY_CREATE_IN_TABLESPACE(oid) \
	(object_aclcheck(TableSpaceRelationId, oid, GetUserId(), ACL_CREATE) == ACLCHECK_OK)
#else
#define PGAML_MAY_CREATE_IN_TABLESPACE(oid) \
	(pg_tablespace_aclcheck(oid, GetUserId(), ACL_CREATE) == ACLCHECK_OK)
#endif

/* 18: bitmap scans of a table access method. */
#if PG_VERSION_NUM >= 180000
#define PGAML_TABLE_HAS_BITMAP_SCAN(rel)	((rel)->rd_tableam->scan_bitmap_next_tuple != NULL)
#else
#define PGAML_TABLE_HAS_BITMAP_SCAN(rel)	((rel)->rd_tableam->scan_bitmap_next_block != NULL)
#endif

/* 16: rights on relations stand apart from the range table; one function asks for rights on objects. */
#if PG_VERSION_NUM >= 160000
#define PGAML_CHECK_RELATIONS(query) \
	((void) ExecCheckPermissions((query)->rtable, (query)->rteperminfos, true))
#define PGAML_CHECK_PLANNED_RELATIONS(stmt) \
	((void) ExecCheckPermissions((stmt)->rtable, (stmt)->permInfos, true))
#define PGAML_FUNCTION_ACLCHECK(function, role) \
	object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE)
#else
#define PGAML_CHECK_RELATIONS(query)	((void) ExecCheckRTPerms((query)->rtable, true))
#define PGAML_CHECK_PLANNED_RELATIONS(stmt)	((void) ExecCheckRTPerms((stmt)->rtable, true))
#define PGAML_FUNCTION_ACLCHECK(function, role) pg_proc_aclcheck(function, role, ACL_EXECUTE)
#endif

/* 18: planner hooks of others can give a plan an identifier; 0: they did not. */
#if PG_VERSION_NUM >= 180000
#define PGAML_CORE_PLAN_ID(stmt)		((int64) (stmt)->planId)
#else
#define PGAML_CORE_PLAN_ID(stmt)		((int64) 0)
#endif

/* 16: jumbling needs no text.  18: it takes tables by their names, not by what the names stand for. */
#if PG_VERSION_NUM >= 160000
#define PGAML_JUMBLE(query, text)	JumbleQuery(query)
#else
#define PGAML_JUMBLE(query, text)	JumbleQuery(query, text)
#endif
#define PGAML_QUERYID_MEANS_OBJECTS	(PG_VERSION_NUM < 180000)

/* 16: find_option is exported.  NULL when there is no such setting. */
static inline struct config_generic *
pgaml_find_setting(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return find_option(name, false, true, 0);
#else
	struct config_generic **settings = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
	{
		if (strcmp(settings[i]->name, name) == 0)
			return settings[i];
	}
	return NULL;
#endif
}

#endif							/* PGAML_COMPAT_H */
