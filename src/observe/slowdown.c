/*-------------------------------------------------------------------------
 * slowdown.c
 *		explain_slowdown(): why does a statement take longer than it did?
 *
 * One row for the change of the mean time and, when there are executions
 * enough on either side, one for each cause; these add up to the first.  Each
 * has its evidence in a sentence.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/acl.h"
#include "base/clock.h"
#include "base/export.h"
#include "observe/slowdown.h"
#include "plan/plan.h"
#include "registry/ml_adapter.h"

#define COLUMNS		11

PGAML_FUNCTION_INFO_V1(pgaml_explain_slowdown);

/* What a row says beside the change. */
typedef struct Row
{
	const char *factor;
	const PgamlSlowPart *part;	/* NULL: not known */
	double		share;			/* percent; NaN */
	double		before;			/* NaN: there is nothing to measure */
	double		after;
	const char *unit;			/* NULL */
	const char *evidence;
} Row;

static void
set_number(Datum *values, bool *nulls, int column, double number)
{
	nulls[column] = !isfinite(number);
	values[column] = Float8GetDatum(number);
}

static void
put_row(ReturnSetInfo *rsinfo, const Row *row, const int64 *captured)
{
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {false};

	values[0] = CStringGetTextDatum(row->factor);
	set_number(values, nulls, 1, row->part != NULL ? row->part->change_ms : NAN);
	set_number(values, nulls, 2, row->part != NULL ? row->part->lower_ms : NAN);
	set_number(values, nulls, 3, row->part != NULL ? row->part->upper_ms : NAN);
	set_number(values, nulls, 4, row->share);
	set_number(values, nulls, 5, row->before);
	set_number(values, nulls, 6, row->after);
	nulls[7] = row->unit == NULL;
	if (row->unit != NULL)
		values[7] = CStringGetTextDatum(row->unit);
	nulls[8] = nulls[9] = captured == NULL;
	if (captured != NULL)
	{
		values[8] = Int64GetDatum(captured[0]);
		values[9] = Int64GetDatum(captured[1]);
	}
	values[10] = CStringGetTextDatum(row->evidence);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* ---- evidence ---- */

static const char *
since_when(const PgamlSlowEvidence *evidence)
{
	return TIMESTAMP_IS_NOBEGIN(evidence->from) ? "the oldest sample" : pstrdup(timestamptz_to_str(evidence->from));
}

static const char *
say_total(const PgamlSlowEvidence *evidence, const PgamlSlowdown *split)
{
	double		before = split->window[0].ms;
	double		after = split->window[1].ms;
	const char *windows = psprintf(INT64_FORMAT " captured executions from %s on and " INT64_FORMAT " since %s",
								   evidence->captured[0], since_when(evidence), evidence->captured[1],
								   pstrdup(timestamptz_to_str(evidence->since)));

	if (!split->changed)
		return psprintf("no change: the mean of %.4g ms is %.4g ms now, which is less than a tenth or within chance; %s",
						before, after, windows);
	return psprintf("%s: the mean of %.4g ms is %.4g ms now; %s", after > before ? "slower" : "faster", before, after, windows);
}

/* The plan that most executions of a window have. */
static int
usual_plan(const PgamlSlowMeans *window, int nplans)
{
	int			best = 0;

	for (int p = 1; p < nplans; p++)
		if (window->share[p] > window->share[best])
			best = p;
	return best;
}

static const char *
plan_name(const PgamlSlowPlanSeen *plan)
{
	return plan->plan_id == 0 ? "several rare plans" : psprintf("plan " INT64_FORMAT, plan->plan_id);
}

/* Kinds of nodes of which the two have different numbers. */
static const char *
plan_difference(const PgamlSlowPlanSeen *a, const PgamlSlowPlanSeen *b)
{
	static const PgamlPlanFact kinds[] = {
		PGAML_PF_SEQ_SCANS, PGAML_PF_INDEX_SCANS, PGAML_PF_INDEX_ONLY_SCANS, PGAML_PF_BITMAP_SCANS, PGAML_PF_OTHER_SCANS,
		PGAML_PF_NESTED_LOOPS, PGAML_PF_HASH_JOINS, PGAML_PF_MERGE_JOINS, PGAML_PF_SORTS, PGAML_PF_HASH_AGGREGATES,
		PGAML_PF_OTHER_AGGREGATES, PGAML_PF_MATERIALIZES, PGAML_PF_SUBPLANS, PGAML_PF_PARALLEL_WORKERS, PGAML_PF_JIT
	};
	StringInfoData text;

	initStringInfo(&text);
	for (int k = 0; k < lengthof(kinds); k++)
	{
		double		x = rint(a->sum[kinds[k]]);
		double		y = rint(b->sum[kinds[k]]);

		if (x != y && !isnan(x) && !isnan(y))
			appendStringInfo(&text, "%s%s %.0f to %.0f", text.len == 0 ? " (" : ", ", pgaml_plan_fact_names[kinds[k]].name, x, y);
	}
	if (text.len > 0)
		appendStringInfoChar(&text, ')');
	return text.data;
}

static const char *
say_plan(const PgamlSlowEvidence *evidence, const PgamlSlowdown *split, Row *row)
{
	int			before = usual_plan(&split->window[0], evidence->nplans);
	int			after = usual_plan(&split->window[1], evidence->nplans);
	const PgamlSlowPlanSeen *old = &evidence->plans[before];
	const PgamlSlowPlanSeen *now = &evidence->plans[after];
	const char *expected = "";

	row->before = 100.0 * split->window[0].share[after];
	row->after = 100.0 * split->window[1].share[after];
	row->unit = "percent of executions with the plan usual now";
	if (before == after)
		return psprintf("%s is the usual one before and since, in %.3g %% and %.3g %% of the executions",
						plan_name(now), row->before, row->after);
	if (!isnan(old->predicted_ms) && !isnan(now->predicted_ms))
		expected = psprintf("; the model takes plans like these to need %.4g and %.4g ms", old->predicted_ms, now->predicted_ms);
	return psprintf("%s had %.3g %% of the executions and has %.3g %% now, %s had %.3g %% and has %.3g %%%s%s",
					plan_name(old), 100.0 * split->window[0].share[before], 100.0 * split->window[1].share[before],
					plan_name(now), row->before, row->after, plan_difference(old, now), expected);
}

static const char *
say_rows(const PgamlSlowdown *split, Row *row)
{
	const PgamlSlowMeans *w = split->window;

	row->before = w[0].rows;
	row->after = w[1].rows;
	row->unit = "rows returned or changed";
	return psprintf("an execution returned or changed %.4g rows and does %.4g now, it touched %.4g blocks and touches %.4g",
					w[0].rows, w[1].rows, w[0].blocks, w[1].blocks);
}

static const char *
say_cache(const PgamlSlowdown *split, Row *row)
{
	const PgamlSlowMeans *w = split->window;
	const char *cost = isnan(split->read_ms) ?
		psprintf("reading them took %.4g ms and takes %.4g ms", w[0].io_ms, w[1].io_ms) :
		psprintf("a block read is estimated at %.3g ms (track_io_timing = on would measure it)", split->read_ms);

	row->before = w[0].reads;
	row->after = w[1].reads;
	row->unit = "blocks not in cache";
	return psprintf("of %.4g blocks %.4g were not in cache, of %.4g now %.4g; %s",
					w[0].blocks, w[0].reads, w[1].blocks, w[1].reads, cost);
}

static const char *
say_spill(const PgamlSlowdown *split, Row *row)
{
	row->before = split->window[0].temp;
	row->after = split->window[1].temp;
	row->unit = "temporary blocks read and written";
	if (row->before == 0.0 && row->after == 0.0)
		return "no sort and no hash went to temporary files";
	return psprintf("sorts and hashes wrote and read %.4g temporary blocks and do %.4g now, at an estimated %.3g ms a block",
					row->before, row->after, split->temp_ms);
}

static const char *
say_concurrency(const PgamlSlowdown *split, Row *row)
{
	row->before = split->window[0].active;
	row->after = split->window[1].active;
	row->unit = "statements running at its start, itself included";
	return psprintf("%.3g statements were running when it started, %.3g now", row->before, row->after);
}

static const char *
say(PgamlCause cause, const PgamlSlowEvidence *evidence, const PgamlSlowdown *split, Row *row)
{
	switch (cause)
	{
		case PGAML_CAUSE_PLAN:
			return say_plan(evidence, split, row);
		case PGAML_CAUSE_ROWS:
			return say_rows(split, row);
		case PGAML_CAUSE_CACHE:
			return say_cache(split, row);
		case PGAML_CAUSE_SPILL:
			return say_spill(split, row);
		case PGAML_CAUSE_CONCURRENCY:
			return say_concurrency(split, row);
		default:
			return "what none of these accounts for: locks, functions, a slower machine, statistics that are not captured";
	}
}

static void
put_split(ReturnSetInfo *rsinfo, const PgamlSlowEvidence *evidence, const PgamlSlowdown *split)
{
	Row			row = {
		.factor = "total", .part = &split->total, .share = split->changed ? 100.0 : NAN,
		.before = split->window[0].ms, .after = split->window[1].ms, .unit = "ms"
	};

	row.evidence = say_total(evidence, split);
	put_row(rsinfo, &row, evidence->captured);
	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
	{
		row = (Row) {.factor = pgaml_slow_cause_name(c), .part = &split->part[c], .share = NAN, .before = NAN, .after = NAN};
		if (split->changed)
			row.share = 100.0 * split->part[c].change_ms / split->total.change_ms;
		row.evidence = say(c, evidence, split, &row);
		put_row(rsinfo, &row, evidence->captured);
	}
}

/* ---- too little ---- */

/* Too few executions were captured: what history says of the means, and no causes. */
static void
put_totals(ReturnSetInfo *rsinfo, const PgamlSlowEvidence *evidence)
{
	const PgamlSlowTotals *totals = evidence->totals;
	PgamlSlowPart part = {0.0, NAN, NAN};
	Row			row = {.factor = "total", .share = NAN, .before = NAN, .after = NAN, .unit = "ms"};
	const char *reason = psprintf("too few captured executions to tell causes: " INT64_FORMAT " from %s on and " INT64_FORMAT
								  " since, of which %d on either side are needed",
								  evidence->captured[0], since_when(evidence), evidence->captured[1], PGAML_SLOW_LEAST);

	if (totals[0].calls > 0.0)
		row.before = totals[0].mean_ms;
	if (totals[1].calls > 0.0)
		row.after = totals[1].mean_ms;
	part.change_ms = row.after - row.before;
	row.part = &part;
	row.evidence = reason;
	if (totals[0].calls > 0.0 || totals[1].calls > 0.0)
		row.evidence = psprintf("%s; history has %.0f calls in %.4g hours before (coverage %.2f) and %.0f in %.4g hours since (coverage %.2f)",
								reason, totals[0].calls, totals[0].hours, totals[0].coverage,
								totals[1].calls, totals[1].hours, totals[1].coverage);
	put_row(rsinfo, &row, evidence->captured);
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", PG_ARGISNULL(0) ? "queryid" : "since")));
	if (PG_GETARG_TIMESTAMPTZ(1) > pgaml_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since must not be in the future"),
				 errhint("Give the moment from which on the statement was slower, for example now() - interval '1 hour'.")));
}

static void
explain(ReturnSetInfo *rsinfo, int64 queryid, TimestampTz since)
{
	PgamlSlowEvidence *evidence = palloc(sizeof(PgamlSlowEvidence));
	PgamlSlowPlan expected[PGAML_SLOW_PLANS];
	PgamlSlowdown split;
	PgamlMlMemory memory;
	MlError		error = {0};
	MlStatus	status;

	pgaml_slow_read(queryid, since, evidence);
	if (!evidence->visible)
	{
		Row			row = {.factor = "total", .share = NAN, .before = NAN, .after = NAN};

		row.evidence = pgaml_acl_reads_all(GetUserId()) ? "unknown query identifier" :
			"unknown query identifier, or one that only other users ran (pg_read_all_stats sees all)";
		put_row(rsinfo, &row, NULL);
		return;
	}
	if (evidence->captured[0] < PGAML_SLOW_LEAST || evidence->captured[1] < PGAML_SLOW_LEAST)
	{
		put_totals(rsinfo, evidence);
		return;
	}
	(void) pgaml_slow_expect(evidence, expected);
	pgaml_ml_memory_init(&memory, CurrentMemoryContext, 0);
	status = pgaml_slowdown(evidence->runs, evidence->n, expected, evidence->nplans, &memory.allocator, &split, &error);
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not explain the slowdown");
	put_split(rsinfo, evidence, &split);
}

/*
 * explain_slowdown(queryid bigint, since timestamptz)
 * RETURNS TABLE (factor, change_ms, lower_ms, upper_ms, share_percent, before, after, unit,
 *				  executions_before, executions_since, evidence)
 */
Datum
pgaml_explain_slowdown(PG_FUNCTION_ARGS)
{
	check_arguments(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	explain((ReturnSetInfo *) fcinfo->resultinfo, PG_GETARG_INT64(0), PG_GETARG_TIMESTAMPTZ(1));
	return (Datum) 0;
}
