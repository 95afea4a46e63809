/*-------------------------------------------------------------------------
 * row.c
 *		Builds one feature vector.
 *
 * The only place where the features of spec.h get their values, for training
 * and for prediction alike.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/float.h"

#include "features/features.h"

static void
fill_tables(const PgamlTables *tables, float *row)
{
	if (tables->known == 0)
		return;
	row[PGAML_F_TABLE_SIZE_MB] = tables->size_mb;
	row[PGAML_F_INDEX_COUNT] = tables->indexes;
	row[PGAML_F_TABLE_ROWS] = tables->rows;
	row[PGAML_F_ROW_WIDTH] = tables->row_width;
}

static void
fill_plan(const float *plan_values, float *row)
{
	if (plan_values == NULL)
		return;
	memcpy(&row[PGAML_F_PLAN], plan_values, sizeof(float) * PGAML_PF_COUNT);
	row[PGAML_F_HAS_SEQ_SCAN] = plan_values[PGAML_PF_SEQ_SCANS] > 0 ? 1 : 0;
	row[PGAML_F_HAS_NESTED_LOOP] = plan_values[PGAML_PF_NESTED_LOOPS] > 0 ? 1 : 0;
	row[PGAML_F_SUBQUERY_DEPTH] = plan_values[PGAML_PF_SUBQUERY_DEPTH];
}

static void
fill_lags(const PgamlRuns *runs, const PgamlRunsSummary *summary, double at, float *row)
{
	if (summary->runs == 0)
		return;
	row[PGAML_F_LAG_CENTER] = summary->center;
	row[PGAML_F_LAG_SPREAD] = summary->spread;
	row[PGAML_F_LAG_RUNS] = summary->runs;
	row[PGAML_F_LAG_AGE] = log1p(Max(at - pgaml_runs_newest_at(runs), 0.0));
	row[PGAML_F_LAG_ROWS] = log1p(summary->rows);
	row[PGAML_F_LAG_HIT_RATIO] = summary->hit_ratio;
}

/* How this plan differs from those of the recent runs. */
static void
fill_departure(const PgamlRuns *runs, const PgamlRunsSummary *summary, const float *plan_values, float *row)
{
	PgamlDeparture departure;

	if (plan_values == NULL)
		return;
	pgaml_runs_departure(runs, summary, plan_values[PGAML_PF_LOG_COST], plan_values[PGAML_PF_LOG_ROWS], &departure);
	row[PGAML_F_LAG_COST_DEPARTURE] = departure.cost;
	row[PGAML_F_LAG_ROWS_DEPARTURE] = departure.rows;
	row[PGAML_F_LAG_NEAR_DEPARTURE] = departure.near;
	row[PGAML_F_LAG_LINE_DEPARTURE] = departure.line;
}

void
pgaml_feature_row(const PgamlTables *tables, const PgamlRuns *runs, const PgamlCalls *calls,
				  int64 plan_id, const float *plan_values, const PgamlMoment *moment,
				  float *row, PgamlRunsSummary *summary)
{
	PgamlCallsSummary rate;

	for (int i = 0; i < PGAML_F_COUNT; i++)
		row[i] = get_float4_nan();
	pgaml_runs_summary(runs, plan_id, summary);
	pgaml_calls_summary(calls, moment->bucket, moment->per_hour, &rate);
	row[PGAML_F_CALLS_PER_HOUR] = rate.mean;
	row[PGAML_F_STD_DEV_CALLS] = rate.std_dev;
	row[PGAML_F_PEAK_HOUR_CALLS] = rate.peak;
	row[PGAML_F_CONCURRENT_QUERIES] = summary->active;
	row[PGAML_F_AVAILABLE_MEMORY] = moment->memory_pct;
	fill_tables(tables, row);
	fill_plan(plan_values, row);
	fill_lags(runs, summary, moment->at, row);
	fill_departure(runs, summary, plan_values, row);
}
