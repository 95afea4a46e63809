/*-------------------------------------------------------------------------
 * plan_fact_names.c
 *		Names, units and meanings of the plan facts, in stored order.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "plan/plan.h"

const PgamlPlanFactName pgaml_plan_fact_names[PGAML_PF_COUNT] = {
	[PGAML_PF_LOG_COST] = {"log_cost", "ln(1 + cost)", "total cost of the plan"},
	[PGAML_PF_LOG_STARTUP_COST] = {"log_startup_cost", "ln(1 + cost)", "startup cost of the plan"},
	[PGAML_PF_LOG_ROWS] = {"log_rows", "ln(1 + rows)", "estimated rows of the result"},
	[PGAML_PF_WIDTH] = {"width", "bytes", "estimated width of a result row"},
	[PGAML_PF_LOG_MAX_ROWS] = {"log_max_rows", "ln(1 + rows)", "largest estimated row count of any node"},
	[PGAML_PF_LOG_SUM_ROWS] = {"log_sum_rows", "ln(1 + rows)", "estimated rows summed over all nodes"},
	[PGAML_PF_NODES] = {"nodes", "count", "nodes of the plan, subplans included"},
	[PGAML_PF_DEPTH] = {"depth", "nodes", "longest path from the top node to a leaf"},
	[PGAML_PF_RELATIONS] = {"relations", "count", "scans of a stored relation"},
	[PGAML_PF_SEQ_SCANS] = {"seq_scans", "count", "sequential and sample scans"},
	[PGAML_PF_INDEX_SCANS] = {"index_scans", "count", "index scans"},
	[PGAML_PF_INDEX_ONLY_SCANS] = {"index_only_scans", "count", "index-only scans"},
	[PGAML_PF_BITMAP_SCANS] = {"bitmap_scans", "count", "bitmap heap scans"},
	[PGAML_PF_OTHER_SCANS] = {"other_scans", "count", "subquery, function, values, CTE, foreign and other scans"},
	[PGAML_PF_NESTED_LOOPS] = {"nested_loops", "count", "nested loop joins"},
	[PGAML_PF_HASH_JOINS] = {"hash_joins", "count", "hash joins"},
	[PGAML_PF_MERGE_JOINS] = {"merge_joins", "count", "merge joins"},
	[PGAML_PF_SORTS] = {"sorts", "count", "sorts and incremental sorts"},
	[PGAML_PF_HASH_AGGREGATES] = {"hash_aggregates", "count", "hashed aggregates"},
	[PGAML_PF_OTHER_AGGREGATES] = {"other_aggregates", "count", "plain and sorted aggregates, window functions, groups"},
	[PGAML_PF_MATERIALIZES] = {"materializes", "count", "materialize and memoize nodes"},
	[PGAML_PF_APPENDS] = {"appends", "count", "appends, merge appends and set operations"},
	[PGAML_PF_LIMITS] = {"limits", "count", "limits"},
	[PGAML_PF_SUBPLANS] = {"subplans", "count", "SubPlans and InitPlans"},
	[PGAML_PF_SUBQUERY_DEPTH] = {"plan_subquery_depth", "levels", "deepest nesting of SubPlans and subquery scans"},
	[PGAML_PF_MODIFIES] = {"modifies", "0 or 1", "the plan changes data"},
	[PGAML_PF_PARALLEL_WORKERS] = {"parallel_workers", "count", "parallel workers planned"},
	[PGAML_PF_LOG_SPILL_KB] = {"log_spill_kb", "ln(1 + kB)", "memory that sorts and hashes are estimated to need beyond their limit"},
	[PGAML_PF_LOG_SEQ_COST] = {"log_seq_cost", "ln(1 + cost)", "cost of all sequential scans"},
	[PGAML_PF_LOG_INNER_LOOPS] = {"log_inner_loops", "ln(1 + loops)", "estimated executions of the inner sides of nested loops"},
	[PGAML_PF_SUBPLAN_LOG_COST] = {"subplan_log_cost", "ln(1 + cost)", "cost per call of the costliest correlated SubPlan times the rows it is called for"},
	[PGAML_PF_JIT] = {"jit", "0 or 1", "the plan asks for just-in-time compilation"},
	[PGAML_PF_LOG_MAX_COST] = {"log_max_cost", "ln(1 + cost)", "largest cost of any node, also of one that a LIMIT stops early"},
	[PGAML_PF_LOG_LOOPED_ROWS] = {"log_looped_rows", "ln(1 + rows)", "estimated rows over all nodes and all their executions"},
	[PGAML_PF_LOG_SORTED_ROWS] = {"log_sorted_rows", "ln(1 + rows)", "estimated rows that go into sorts"},
	[PGAML_PF_LOG_GROUPED_ROWS] = {"log_grouped_rows", "ln(1 + rows)", "estimated rows that go into aggregates and window functions"},
	[PGAML_PF_LOG_MODIFIED_ROWS] = {"log_modified_rows", "ln(1 + rows)", "estimated rows that are inserted, updated or deleted"},
};
