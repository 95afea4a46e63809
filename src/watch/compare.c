/*-------------------------------------------------------------------------
 * compare.c
 *		compare_models(): which of two models is better on rows new to both?
 *
 * The newest rows that neither was fitted or calibrated on, each answered
 * ahead of its execution by both; the difference is paired, with an interval
 * that knows that executions of one span of time depend on each other
 * (series/paired.c).  Writes nothing, so it works on a standby.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/export.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "registry/registry.h"
#include "train/judge.h"

#define LEAD_IN		(2 * USECS_PER_DAY) /* before the first row, so that it knows its recent runs */
#define COLUMNS		18

PGAML_FUNCTION_INFO_V1(pgaml_compare_models);

typedef struct Side
{
	PgamlMlMemory memory;
	PgamlServing model;
	PgamlJudged judged;
	double		q50;
	double		q90;
} Side;

/* Decode a model; ERROR when there is none, or it cannot answer. */
static void
read_side(int64 model_id, Side *side)
{
	pgaml_ml_memory_init(&side->memory, CurrentMemoryContext, (Size) pgaml_training_memory * 1024);
	if (model_id == 0 || !pgaml_registry_read(model_id, true, &side->memory.allocator, &side->model))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model " INT64_FORMAT " does not exist", model_id),
				 errhint("See list_models() for the models there are.")));
	if (side->model.stages == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model " INT64_FORMAT " cannot be compared", model_id),
				 errdetail("The problem is: %s.", side->model.problem)));
}

/* The newest executions that are new to both, as many as models are compared on; NULL when there are none. */
static PgamlDataset *
read_rows(TimestampTz heldout_from)
{
	static const char sql[] =
		"SELECT min(n.sampled_at) FROM (SELECT e.sampled_at FROM pganalytics.execution_samples e "
		"                                WHERE e.sampled_at >= $1 AND e.outcome = 'done' "
		"                                ORDER BY e.sampled_at DESC LIMIT $2) n";
	Oid			types[] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {TimestampTzGetDatum(heldout_from), Int64GetDatum(PGAML_JUDGE_MAX_ROWS)};
	PgamlWindow window = {.from = heldout_from, .until = DT_NOEND};
	Datum		newest;
	bool		isnull;

	pgaml_spi_exec(sql, 2, types, values, NULL, true);
	newest = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	/* fewer than that: all of them, and statement-hours that ended later */
	if (!isnull && pgaml_spi_exec("SELECT FROM pganalytics.execution_samples e WHERE e.sampled_at >= $1 "
								  "AND e.outcome = 'done' OFFSET $2 LIMIT 1", 2, types, values, NULL, true) > 0)
		window.from = DatumGetTimestampTz(newest);
	window.since = window.from - LEAD_IN;
	return pgaml_dataset_read_window(&window, PGAML_JUDGE_MAX_ROWS, CurrentMemoryContext);
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Ratios of predicted and true time, whichever is larger: median and p90 of the rows that both answer. */
static void
measure_ratios(Side *side, const Side *other, int64 nrows)
{
	double	   *known = palloc_extended(sizeof(double) * Max(nrows, 1), MCXT_ALLOC_HUGE);
	int64		n = 0;

	for (int64 i = 0; i < nrows; i++)
		if (isfinite(side->judged.error[i]) && isfinite(other->judged.error[i]))
			known[n++] = side->judged.error[i];
	qsort(known, n, sizeof(double), compare_double);
	side->q50 = n > 0 ? exp(known[n / 2]) : NAN;
	side->q90 = n > 0 ? exp(known[(int64) (n * 0.9)]) : NAN;
}

/* Statements that the rows are of, as far as both answer. */
static int32
count_statements(const PgamlDataset *rows, const Side *a, const Side *b)
{
	int32		n = 0;
	int32		last = -1;

	for (int64 i = 0; i < rows->data.nrows; i++)
		if (rows->group[i] != last && isfinite(a->judged.error[i]) && isfinite(b->judged.error[i]))
		{
			n++;
			last = rows->group[i];
		}
	return n;
}

static Datum
number(double value, bool *isnull)
{
	*isnull = !isfinite(value);
	return Float8GetDatum(value);
}

static double
share(const PgamlJudged *judged)
{
	return judged->intervals > 0 ? (double) judged->covered / judged->intervals : NAN;
}

static char *
verdict_text(const SeriesPaired *errors, const SeriesPaired *scores)
{
	switch (pgaml_judge_verdict(errors, scores, (1.0 - PGAML_JUDGE_CONFIDENCE) / 2.0))
	{
		case PGAML_VERDICT_UNKNOWN:
			return psprintf("not enough data: %s", pgaml_judge_missing(errors));
		case PGAML_VERDICT_SAME:
			return "both answer the same";
		case PGAML_VERDICT_BETTER:
			return "a is better";
		case PGAML_VERDICT_WORSE:
		case PGAML_VERDICT_OPEN:
			break;
	}
	/* the same rule the other way round */
	{
		SeriesPaired b_errors = *errors;
		SeriesPaired b_scores = *scores;

		b_errors.mean_a = errors->mean_b;
		b_errors.mean_b = errors->mean_a;
		b_errors.difference = -errors->difference;
		b_scores.mean_a = scores->mean_b;
		b_scores.mean_b = scores->mean_a;
		b_scores.difference = -scores->difference;
		return pgaml_judge_verdict(&b_errors, &b_scores, (1.0 - PGAML_JUDGE_CONFIDENCE) / 2.0) == PGAML_VERDICT_BETTER ?
			"b is better" : "no difference shown";
	}
}

/* Fill the row from rows (NULL: there are none). */
static void
fill(const PgamlDataset *rows, Side *a, Side *b, TimestampTz from, Datum *values, bool *nulls)
{
	SeriesPaired errors = {0};
	SeriesPaired scores = {0};
	int64		n = rows != NULL ? rows->data.nrows : 0;
	int			c = 0;

	if (rows != NULL)
	{
		pgaml_judge(a->model.stages, rows, NULL, &a->judged);
		pgaml_judge(b->model.stages, rows, NULL, &b->judged);
	}
	pgaml_judge_pair(a->judged.error, b->judged.error, n > 0 ? rows->at : NULL, n, 0.0, &errors);
	pgaml_judge_pair(a->judged.winkler, b->judged.winkler, n > 0 ? rows->at : NULL, n, 0.0, &scores);
	measure_ratios(a, b, n);
	measure_ratios(b, a, n);
	values[c++] = Int64GetDatum(errors.n);
	values[c++] = Int32GetDatum(n > 0 ? count_statements(rows, a, b) : 0);
	values[c++] = Int32GetDatum(errors.clusters);
	values[c++] = TimestampTzGetDatum(from);
	values[c] = number(errors.mean_a, &nulls[c]), c++;
	values[c] = number(errors.mean_b, &nulls[c]), c++;
	values[c] = number(errors.difference, &nulls[c]), c++;
	values[c] = number(errors.lower, &nulls[c]), c++;
	values[c] = number(errors.upper, &nulls[c]), c++;
	values[c] = number(scores.mean_a, &nulls[c]), c++;
	values[c] = number(scores.mean_b, &nulls[c]), c++;
	values[c] = number(share(&a->judged), &nulls[c]), c++;
	values[c] = number(share(&b->judged), &nulls[c]), c++;
	values[c] = number(a->q50, &nulls[c]), c++;
	values[c] = number(b->q50, &nulls[c]), c++;
	values[c] = number(a->q90, &nulls[c]), c++;
	values[c] = number(b->q90, &nulls[c]), c++;
	values[c++] = CStringGetTextDatum(verdict_text(&errors, &scores));
	Assert(c == COLUMNS);
}

/* compare_models(a bigint, b bigint) RETURNS one row */
Datum
pgaml_compare_models(PG_FUNCTION_ARGS)
{
	int64		a_id = PG_GETARG_INT64(0);
	int64		b_id = PG_GETARG_INT64(1);
	MemoryContext caller = CurrentMemoryContext;
	Side	   *a = palloc0(sizeof(Side));
	Side	   *b = palloc0(sizeof(Side));
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};
	PgamlSpi	spi;
	TupleDesc	desc;
	HeapTuple	row;
	TimestampTz from;
	MemoryContext old;

	if (a_id == b_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a and b are the same model")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	pgaml_spi_open(&spi);
	read_side(a_id, a);
	read_side(b_id, b);
	from = Max(a->model.heldout_from, b->model.heldout_from);
	fill(read_rows(from), a, b, from, values, nulls);
	old = MemoryContextSwitchTo(caller);
	row = heap_form_tuple(desc, values, nulls);
	MemoryContextSwitchTo(old);
	pgaml_spi_close(&spi);
	PG_RETURN_DATUM(HeapTupleGetDatum(row));
}
