/*-------------------------------------------------------------------------
 * judge.c
 *		What models say of rows, and whether one says it better.
 *
 * Used where models are compared: on held-out rows before one is promoted
 * (promote.c), on request (watch/compare.c), on live truth (watch/champion.c).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/float.h"

#include "train/judge.h"

#define ASK_EVERY	512			/* rows between two looks for interrupts */

void
pgaml_judge(const MlStages *stages, const PgamlDataset *dataset, const uint8 *wanted, PgamlJudged *out)
{
	int64		n = dataset->data.nrows;
	float	   *scratch = palloc(sizeof(float) * 2 * pgaml_ml_stages_layout(stages)->nfeatures);

	memset(out, 0, sizeof(*out));
	out->error = palloc_extended(sizeof(double) * Max(n, 1), MCXT_ALLOC_HUGE);
	out->winkler = palloc_extended(sizeof(double) * Max(n, 1), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < n; i++)
	{
		bool		known = dataset->recent != NULL;
		MlStageTruth truth = {.error = get_float8_nan(), .winkler = get_float8_nan()};

		if (i % ASK_EVERY == 0)
			CHECK_FOR_INTERRUPTS();
		if (wanted == NULL || wanted[i])
			pgaml_ml_stages_truth(stages, &dataset->data, i, known ? dataset->recent + i * PGAML_RECENT_RUNS : NULL,
								  known ? dataset->nrecent[i] : 0, PGAML_JUDGE_COVERAGE, scratch, &truth);
		out->error[i] = fabs(truth.error);
		out->winkler[i] = truth.winkler;
		out->rows += isfinite(truth.error);
		out->intervals += isfinite(truth.winkler);
		out->covered += isfinite(truth.winkler) && truth.covered;
	}
	pfree(scratch);
}

void
pgaml_judge_pair(const double *a, const double *b, const double *at, int64 n, double least, SeriesPaired *out)
{
	double	   *when = palloc_extended(sizeof(double) * Max(n, 1), MCXT_ALLOC_HUGE);
	int64	   *block = palloc_extended(sizeof(int64) * Max(n, 1), MCXT_ALLOC_HUGE);
	PgamlMlMemory memory;
	MlError		error = {0};
	MlStatus	status;

	/* the spans are of the time that is compared */
	for (int64 i = 0; i < n; i++)
		when[i] = isfinite(a[i]) && isfinite(b[i]) ? at[i] : get_float8_nan();
	pgaml_series_blocks(when, n, least, block);
	pgaml_ml_memory_init(&memory, CurrentMemoryContext, 0);
	status = pgaml_series_paired(a, b, block, n, PGAML_JUDGE_CONFIDENCE, &memory.allocator, out, &error);
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not compare");
	pfree(block);
	pfree(when);
}

static void
append_pair(StringInfo out, const char *name, const SeriesPaired *pair)
{
	appendStringInfo(out, "\"%s\": {\"rows\": " INT64_FORMAT ", \"spans\": %d", name, pair->n, pair->clusters);
	if (pair->n > 0)
		appendStringInfo(out, ", \"a\": %.6g, \"b\": %.6g", pair->mean_a, pair->mean_b);
	if (isfinite(pair->lower) && isfinite(pair->upper))
		appendStringInfo(out, ", \"lower\": %.6g, \"upper\": %.6g", pair->lower, pair->upper);
	appendStringInfoString(out, "}");
}

char *
pgaml_judge_json(const SeriesPaired *errors, const SeriesPaired *scores)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{");
	append_pair(&out, "error", errors);
	appendStringInfoString(&out, ", ");
	append_pair(&out, "interval_score", scores);
	appendStringInfoString(&out, "}");
	return out.data;
}

char *
pgaml_judge_missing(const SeriesPaired *errors)
{
	if (errors->n < PGAML_JUDGE_MIN_ROWS)
		return psprintf(INT64_FORMAT " of %d rows that are new to both", errors->n, PGAML_JUDGE_MIN_ROWS);
	if (errors->effective < PGAML_JUDGE_MIN_BLOCKS)
		return psprintf("the rows stand too close in time: they fill %.1f of %d spans, %.0f are needed",
						errors->effective, SERIES_BLOCKS, PGAML_JUDGE_MIN_BLOCKS);
	return NULL;
}

/* Is the mean of a lower, in the sense of an interval and by the margin? */
static bool
lower(const SeriesPaired *paired, double tail, double margin)
{
	double		low;
	double		high;

	pgaml_series_bounds(paired, tail, &low, &high);
	return high < 0.0 && paired->mean_a <= (1.0 - margin) * paired->mean_b;
}

PgamlVerdict
pgaml_judge_verdict(const SeriesPaired *errors, const SeriesPaired *scores, double tail)
{
	double		low;
	double		high;

	if (pgaml_judge_missing(errors) != NULL)
		return PGAML_VERDICT_UNKNOWN;
	if (errors->difference == 0.0 && errors->error == 0.0 && (scores->n == 0 || scores->difference == 0.0))
		return PGAML_VERDICT_SAME;
	if (lower(errors, tail, PGAML_JUDGE_MARGIN))
		return PGAML_VERDICT_BETTER;
	pgaml_series_bounds(errors, tail, &low, &high);
	if (low > 0.0)
		return PGAML_VERDICT_WORSE;
	if (high <= PGAML_JUDGE_MARGIN * errors->mean_b && pgaml_judge_missing(scores) == NULL &&
		lower(scores, tail, PGAML_JUDGE_MARGIN))
		return PGAML_VERDICT_BETTER;
	return PGAML_VERDICT_OPEN;
}
