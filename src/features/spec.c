/*-------------------------------------------------------------------------
 * spec.c
 *		Names, units and meanings of the features.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "features/spec.h"
#include "plan/plan.h"

#define NEEDS_BUCKET	"no complete bucket of history yet"
#define NEEDS_TABLES	"no captured plan, or its tables were never vacuumed or analyzed"
#define NEEDS_PLAN		"no captured plan: preload pganalytics_ml"
#define NEEDS_RUNS		"no captured execution and no history yet"
#define NEEDS_OWN_PLAN	"only known of an execution whose own plan is known, not of a query identifier"

static const PgamlFeatureName canonical[PGAML_F_CANONICAL] = {
	{"query_calls_per_hour", "calls/h", "mean over the newest 24 complete buckets", NEEDS_BUCKET},
	{"mean_table_size_mb", "MB", "mean size of the tables in the plan", NEEDS_TABLES},
	{"index_count", "count", "indexes on the tables in the plan", NEEDS_TABLES},
	{"has_seq_scan", "0/1", "the plan scans a table sequentially", NEEDS_PLAN},
	{"has_nested_loop", "0/1", "the plan has a nested loop", NEEDS_PLAN},
	{"subquery_depth", "count", "deepest nesting of subplans and subquery scans", NEEDS_PLAN},
	{"concurrent_queries_avg", "count", "statements running when it starts, itself included", NEEDS_PLAN},
	{"available_memory_pct", "%", "physical memory that is available", "the operating system does not tell"},
	{"std_dev_calls", "calls/h", "standard deviation of calls per hour between buckets", NEEDS_BUCKET},
	{"peak_hour_calls", "calls/h", "largest calls per hour of any of the same buckets", NEEDS_BUCKET},
	{"table_row_count", "rows", "rows in the tables of the plan", NEEDS_TABLES},
	{"avg_row_width_bytes", "bytes", "mean row width of the tables in the plan", NEEDS_TABLES},
};

static const PgamlFeatureName lags[PGAML_F_COUNT - PGAML_F_LAG_CENTER] = {
	{"lag_log_center", "ln ms", "median of the recent executions", NEEDS_RUNS},
	{"lag_log_spread", "ln", "robust standard deviation of the recent executions", NEEDS_RUNS},
	{"lag_runs", "count", "recent executions known, at most 32", NEEDS_RUNS},
	{"lag_log_age", "ln s", "age of the newest of them", NEEDS_RUNS},
	{"lag_log_rows", "ln rows", "rows per call of the recent executions", NEEDS_RUNS},
	{"lag_hit_ratio", "0..1", "shared blocks found in cache by the recent executions", NEEDS_RUNS},
	{"lag_cost_departure", "ln", "cost of the execution's own plan against the recent executions", NEEDS_OWN_PLAN},
	{"lag_rows_departure", "ln", "estimated rows of the execution's own plan against the recent executions", NEEDS_OWN_PLAN},
	{"lag_near_departure", "ln", "time of the recent executions with the most similar plans against all of them", NEEDS_OWN_PLAN},
	{"lag_line_departure", "ln", "time at this cost on the line through the recent executions against their centre", NEEDS_OWN_PLAN},
};

const MlStageLayout pgaml_feature_layout = {
	.feature_version = PGAML_FEATURE_VERSION,
	.nfeatures = PGAML_F_COUNT,
	.lag_center = PGAML_F_LAG_CENTER,
	.lag_spread = PGAML_F_LAG_SPREAD,
	.lag_runs = PGAML_F_LAG_RUNS,
	.cost = PGAML_F_PLAN + PGAML_PF_LOG_COST,
	.roles = {
		[PGAML_F_CALLS_PER_HOUR] = ML_ROLE_PAST,
		[PGAML_F_HAS_SEQ_SCAN] = ML_ROLE_PLAN,
		[PGAML_F_HAS_NESTED_LOOP] = ML_ROLE_PLAN,
		[PGAML_F_SUBQUERY_DEPTH] = ML_ROLE_PLAN,
		[PGAML_F_CONCURRENT_QUERIES] = ML_ROLE_PAST,
		[PGAML_F_STD_DEV_CALLS] = ML_ROLE_PAST,
		[PGAML_F_PEAK_HOUR_CALLS] = ML_ROLE_PAST,
		[PGAML_F_PLAN ... PGAML_F_PLAN + PGAML_PF_COUNT - 1] = ML_ROLE_PLAN,
		[PGAML_F_LAG_CENTER] = ML_ROLE_PAST,
		[PGAML_F_LAG_SPREAD] = ML_ROLE_PAST,
		[PGAML_F_LAG_RUNS] = ML_ROLE_PAST,
		[PGAML_F_LAG_AGE] = ML_ROLE_PAST | ML_ROLE_PLAN,	/* at the start of the very execution */
		[PGAML_F_LAG_ROWS] = ML_ROLE_PAST,
		[PGAML_F_LAG_HIT_RATIO] = ML_ROLE_PAST,
		[PGAML_F_LAG_COST_DEPARTURE ... PGAML_F_COUNT - 1] = ML_ROLE_PAST | ML_ROLE_PLAN
	},
};

PgamlFeatureName
pgaml_feature_name(int feature)
{
	const PgamlPlanFactName *fact;

	Assert(feature >= 0 && feature < PGAML_F_COUNT);
	if (feature < PGAML_F_CANONICAL)
		return canonical[feature];
	if (feature >= PGAML_F_LAG_CENTER)
		return lags[feature - PGAML_F_LAG_CENTER];
	fact = &pgaml_plan_fact_names[feature - PGAML_F_PLAN];
	return (PgamlFeatureName) {fact->name, fact->unit, fact->meaning, NEEDS_PLAN};
}
