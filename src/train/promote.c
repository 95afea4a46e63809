/*-------------------------------------------------------------------------
 * promote.c
 *		Does a new model take the place of the one in production?
 *
 * Both answer the same newest held-out rows, which neither was fitted or
 * calibrated on, and the rule of judge.h decides:
 *
 *		no model in production, or it cannot serve		production
 *		shown better									production
 *		shown worse, or not different at all			stays a candidate
 *		neither											staging: live truth decides (watch/champion.c)
 *
 * Caller: run.c, under the registry's lock, so the model in production is the
 * one that would be replaced.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "base/guc.h"
#include "train/promote.h"

#define TAIL	((1.0 - PGAML_JUDGE_CONFIDENCE) / 2.0)

/* Test rows that are new to both, thinned evenly to what models are compared on. */
static uint8 *
newest_rows(const PgamlDataset *dataset, TimestampTz from)
{
	uint8	   *wanted = palloc_extended(Max(dataset->data.nrows, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	double		since = (double) from / USECS_PER_SEC;
	int64		n = 0;
	int64		every;

	for (int64 i = 0; i < dataset->data.nrows; i++)
		n += wanted[i] = dataset->part[i] == ML_PART_TEST && dataset->at[i] >= since;
	every = (n + PGAML_JUDGE_MAX_ROWS - 1) / PGAML_JUDGE_MAX_ROWS;
	n = 0;
	for (int64 i = 0; i < dataset->data.nrows && every > 1; i++)
		if (wanted[i])
			wanted[i] = n++ % every == 0;
	return wanted;
}

void
pgaml_promote_decide(const PgamlTrainRun *run, PgamlPromotion *out)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml comparison",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const PgamlDataset *dataset = run->dataset;
	PgamlServing incumbent;
	PgamlMlMemory memory;
	PgamlJudged ours;
	PgamlJudged theirs;
	uint8	   *wanted;

	memset(out, 0, sizeof(*out));
	pgaml_ml_memory_init(&memory, context, (Size) pgaml_training_memory * 1024);
	if (pgaml_registry_read(0, false, &memory.allocator, &incumbent))
		out->incumbent_id = incumbent.model_id;
	if (out->incumbent_id != 0 && incumbent.stages != NULL)
	{
		out->incumbent_serves = true;
		wanted = newest_rows(dataset, Max(run->heldout_from, incumbent.heldout_from));
		pgaml_judge(run->stages, dataset, wanted, &ours);
		pgaml_judge(incumbent.stages, dataset, wanted, &theirs);
		pgaml_judge_pair(ours.error, theirs.error, dataset->at, dataset->data.nrows, 0.0, &out->errors);
		pgaml_judge_pair(ours.winkler, theirs.winkler, dataset->at, dataset->data.nrows, 0.0, &out->scores);
		out->verdict = pgaml_judge_verdict(&out->errors, &out->scores, TAIL);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* The difference of the errors in words: "3.2 % lower (-4.1 .. -2.3 %)". */
static char *
difference(const SeriesPaired *pair)
{
	double		unit = pair->mean_b / 100.0;
	double		change = pair->difference / unit;

	if (!isfinite(change))
		return pstrdup("different");
	if (!isfinite(pair->lower) || !isfinite(pair->upper))
		return psprintf("%.1f %% %s", fabs(change), change < 0.0 ? "lower" : "higher");
	return psprintf("%.1f %% %s (95 %% interval %+.1f .. %+.1f %%)", fabs(change), change < 0.0 ? "lower" : "higher",
					pair->lower / unit, pair->upper / unit);
}

/* What the comparison came to, for message, card and event. */
static char *
explain(const PgamlPromotion *promotion)
{
	StringInfoData out;
	const SeriesPaired *errors = &promotion->errors;

	initStringInfo(&out);
	if (promotion->incumbent_id == 0)
		appendStringInfoString(&out, "no model was in production");
	else if (!promotion->incumbent_serves)
		appendStringInfo(&out, "model " INT64_FORMAT " could not serve", promotion->incumbent_id);
	else if (promotion->verdict == PGAML_VERDICT_UNKNOWN)
		appendStringInfo(&out, "too little to compare it with model " INT64_FORMAT ": %s",
						 promotion->incumbent_id, pgaml_judge_missing(errors));
	else if (promotion->verdict == PGAML_VERDICT_SAME)
		appendStringInfo(&out, "it answers as model " INT64_FORMAT " does", promotion->incumbent_id);
	else
	{
		appendStringInfo(&out, "mean absolute log error %.4f against %.4f of model " INT64_FORMAT " on the same "
						 INT64_FORMAT " newest rows, %s", errors->mean_a, errors->mean_b,
						 promotion->incumbent_id, errors->n, difference(errors));
		if (promotion->verdict == PGAML_VERDICT_BETTER && !(errors->mean_a <= (1.0 - PGAML_JUDGE_MARGIN) * errors->mean_b))
			appendStringInfo(&out, "; interval score %s", difference(&promotion->scores));
		appendStringInfoString(&out, promotion->verdict == PGAML_VERDICT_BETTER ? ": better" :
							   promotion->verdict == PGAML_VERDICT_WORSE ? ": worse" :
							   ": neither better nor worse is shown");
	}
	return out.data;
}

static char *
describe(const PgamlTrainRun *run, const char *stage, const char *why)
{
	StringInfoData out;
	double		days = (double) (run->dataset->window_end - run->dataset->window_start) / USECS_PER_DAY;
	char	   *gone;

	initStringInfo(&out);
	appendStringInfo(&out, "model " INT64_FORMAT " (%s, version %d), %s: ", run->model_id,
					 pgaml_ml_type_name(run->request.params.type), run->version, stage);
	if (run->report.serving.n > 0)
		appendStringInfo(&out, "median q-error %.3f and p90 %.2f on " INT64_FORMAT " held-out samples",
						 run->report.serving.metrics.q50, run->report.serving.metrics.q90, run->report.serving.n);
	else
		appendStringInfoString(&out, "nothing could be held out to measure it");
	appendStringInfo(&out, "; %s; data of %.1f days, " INT64_FORMAT " samples of %d statements",
					 why, days, run->dataset->data.nrows, run->dataset->data.ngroups);
	gone = pgaml_split_gone(&run->request.split, run->dataset->seen);
	if (gone != NULL)
		appendStringInfo(&out, "; %s", gone);
	return out.data;
}

void
pgaml_promote_apply(PgamlTrainRun *run, const PgamlPromotion *promotion)
{
	PgamlChange change = {.why = explain(promotion), .promotion = true};
	const char *stage = "kept as candidate";
	bool		open = promotion->verdict == PGAML_VERDICT_OPEN || promotion->verdict == PGAML_VERDICT_UNKNOWN;

	if (promotion->incumbent_serves)
		change.figures = pgaml_judge_json(&promotion->errors, &promotion->scores);
	run->promoted = !run->candidate_only && (!promotion->incumbent_serves || promotion->verdict == PGAML_VERDICT_BETTER);
	if (run->promoted)
	{
		stage = "in production";
		pgaml_registry_activate(run->model_id, &change);
	}
	else if (open && !run->candidate_only)
	{
		stage = "in staging";
		pgaml_registry_stage(run->model_id, &change);
	}
	else
		pgaml_registry_keep(run->model_id, &change);
	run->message = MemoryContextStrdup(run->context, describe(run, stage, change.why));
}
