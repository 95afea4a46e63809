/*-------------------------------------------------------------------------
 * champion.c
 *		What live truth decides about the models in production and staging.
 *
 * All models answered the same executions (live.c).  Once an hour:
 *
 * 1. A model in production that is worse than its predecessor on what ran
 *	  since its activation is rolled back: once, and never to a model that was
 *	  rolled back itself.  A model that came by a rollback is not rolled back
 *	  again, so two models never take turns.
 * 2. The model in staging is promoted when it is better than the one in
 *	  production on what ran since both were there, archived when it is worse,
 *	  or when its time is over.
 * 3. Old models are forgotten.
 *
 * Every hour is a look at data that grow, so the bounds are those that hold
 * for all looks together (series/paired.c, step 3).  Executions within
 * LEAST_SPAN of each other count as dependent: a busy morning is one
 * observation.  With 6 of them a verdict comes after a day and a half at the
 * earliest.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "base/clock.h"
#include "base/spi_run.h"
#include "registry/registry.h"
#include "train/judge.h"
#include "watch/champion.h"

#define ALPHA			0.005	/* probability that any look errs */
#define INFORMATION		100.0	/* executions; the looks are sharpest at 5 to 20 times as many */
#define LEAST_ROWS		200		/* executions new to both models */
#define LEAST_SPAN		(6.0 * SECS_PER_HOUR)
#define EFFECT			0.05	/* share by which the one in production has to be worse */
#define STAGING_DAYS	7		/* after which a model in staging is archived */

/* What the registry says now of the model in production; live may be older. */
typedef struct Champion
{
	int64		model_id;		/* 0: there is none */
	int64		predecessor_id;
	TimestampTz activated_at;
	bool		final;			/* it came by a rollback, or it or its predecessor was rolled back */
} Champion;

static Champion
read_champion(void)
{
	static const char sql[] =
		"SELECT p.model_id, p.predecessor_id, coalesce(p.activated_at, p.created_at), "
		"       p.arrival IS NOT DISTINCT FROM 'rollback' OR p.rolled_back_at IS NOT NULL OR o.rolled_back_at IS NOT NULL "
		"  FROM pganalytics.models p LEFT JOIN pganalytics.models o ON o.model_id = p.predecessor_id AND o.meant "
		" WHERE p.stage = 'production'";
	Champion	champion = {0};
	bool		isnull;

	if (pgaml_spi_run(sql, false) > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		champion.model_id = pgaml_row_int8(row, desc, 1, 0);
		champion.predecessor_id = pgaml_row_int8(row, desc, 2, 0);
		champion.activated_at = DatumGetTimestampTz(SPI_getbinval(row, desc, 3, &isnull));
		champion.final = DatumGetBool(SPI_getbinval(row, desc, 4, &isnull));
	}
	return champion;
}

/* Two models on the executions since then; false when they are too few to say anything. */
static bool
pair(const PgamlLive *live, const PgamlLiveModel *a, const PgamlLiveModel *b, TimestampTz since,
	 SeriesPaired *errors, SeriesPaired *scores)
{
	int64		n = live->rows->data.nrows;
	double	   *at = palloc_extended(sizeof(double) * n, MCXT_ALLOC_HUGE);
	double	   *error = palloc_extended(sizeof(double) * n, MCXT_ALLOC_HUGE);
	double	   *score = palloc_extended(sizeof(double) * n, MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < n; i++)
	{
		bool		counts = live->rows->at[i] >= (double) since / USECS_PER_SEC;

		at[i] = live->rows->at[i];
		error[i] = counts ? a->error[i] : get_float8_nan();
		score[i] = counts ? a->winkler[i] : get_float8_nan();
	}
	pgaml_judge_pair(error, b->error, at, n, LEAST_SPAN, errors);
	pgaml_judge_pair(score, b->winkler, at, n, LEAST_SPAN, scores);
	pfree(score);
	pfree(error);
	pfree(at);
	return errors->n >= LEAST_ROWS && pgaml_judge_missing(errors) == NULL;
}

/* Probability of error that this look may take, on either side. */
static double
tail_of(const SeriesPaired *errors)
{
	return pgaml_series_looks_tail(errors->n / INFORMATION, ALPHA);
}

/* Is the mean of a higher, beyond doubt and by enough to act on? */
static bool
higher(const SeriesPaired *paired, double tail)
{
	double		lower;
	double		upper;

	if (pgaml_judge_missing(paired) != NULL)
		return false;
	pgaml_series_bounds(paired, tail, &lower, &upper);
	return lower > 0.0 && paired->mean_a >= (1.0 + EFFECT) * paired->mean_b;
}

/* Has the error of a been shown lower? */
static bool
lower_error(const SeriesPaired *errors, double tail)
{
	double		lower;
	double		upper;

	pgaml_series_bounds(errors, tail, &lower, &upper);
	return upper < 0.0;
}

static char *
percent_higher(const char *what, const SeriesPaired *paired)
{
	return psprintf("%s %.4f against %.4f, %+.1f %%, on " INT64_FORMAT " executions", what,
					paired->mean_a, paired->mean_b, 100.0 * paired->difference / paired->mean_b, paired->n);
}

/* True when the model in production was rolled back. */
static bool
judge_production(const PgamlLive *live, const Champion *champion)
{
	const PgamlLiveModel *production = pgaml_live_model(live, PGAML_LIVE_PRODUCTION);
	const PgamlLiveModel *predecessor = pgaml_live_model(live, PGAML_LIVE_PREDECESSOR);
	PgamlChange change = {0};
	SeriesPaired errors;
	SeriesPaired scores;
	double		tail;
	bool		by_error;

	if (champion->final || predecessor == NULL || predecessor->model_id != champion->predecessor_id)
		return false;
	if (!pair(live, production, predecessor, champion->activated_at, &errors, &scores))
		return false;
	tail = tail_of(&errors);
	by_error = higher(&errors, tail);
	/* intervals are half of an answer */
	if (!by_error && !(higher(&scores, tail) && !lower_error(&errors, tail)))
		return false;
	change.figures = pgaml_judge_json(&errors, &scores);
	change.why = psprintf("worse than model " INT64_FORMAT " on live truth: %s", predecessor->model_id,
						  by_error ? percent_higher("mean absolute log error", &errors) :
						  percent_higher("interval score", &scores));
	(void) pgaml_registry_rollback(&change);
	ereport(LOG,
			(errmsg("pganalytics_ml: model " INT64_FORMAT " rolled back: %s", production->model_id, change.why)));
	return true;
}

static void
judge_staging(const PgamlLive *live, const Champion *champion)
{
	const PgamlLiveModel *production = pgaml_live_model(live, PGAML_LIVE_PRODUCTION);
	const PgamlLiveModel *staging = pgaml_live_model(live, PGAML_LIVE_STAGING);
	PgamlChange change = {.promotion = true};
	PgamlVerdict verdict;
	SeriesPaired errors;
	SeriesPaired scores;

	if (staging == NULL || !pair(live, staging, production, Max(staging->since, champion->activated_at), &errors, &scores))
		return;
	verdict = pgaml_judge_verdict(&errors, &scores, tail_of(&errors));
	if (verdict != PGAML_VERDICT_BETTER && verdict != PGAML_VERDICT_WORSE)
		return;
	change.figures = pgaml_judge_json(&errors, &scores);
	change.why = psprintf("%s than model " INT64_FORMAT " on live truth: %s",
						  verdict == PGAML_VERDICT_BETTER ? "better" : "worse", production->model_id,
						  percent_higher("mean absolute log error", &errors));
	if (verdict == PGAML_VERDICT_BETTER)
		pgaml_registry_activate(staging->model_id, &change);
	else
		pgaml_registry_archive(staging->model_id, &change);
	ereport(LOG,
			(errmsg("pganalytics_ml: model " INT64_FORMAT " %s: %s", staging->model_id,
					verdict == PGAML_VERDICT_BETTER ? "promoted" : "archived", change.why)));
}

/* Who waits in staging for too long leaves it. */
static void
end_staging(void)
{
	static const char sql[] =
		"SELECT m.model_id FROM pganalytics.models m WHERE m.stage = 'staging' AND m.staged_at < $1";
	Oid			types[] = {TIMESTAMPTZOID};
	Datum		values[] = {TimestampTzGetDatum(pgaml_clock_now() - STAGING_DAYS * USECS_PER_DAY)};
	PgamlChange change = {.why = psprintf("live truth did not show it better within %d days", STAGING_DAYS)};

	if (pgaml_spi_exec(sql, 1, types, values, NULL, false) > 0)
		pgaml_registry_archive(pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0), &change);
}

void
pgaml_champion_decide(const PgamlLive *live)
{
	Champion	champion;

	if (!pgaml_registry_try_lock())
		return;
	champion = read_champion();
	/* whoever asked for another model meanwhile has decided */
	if (live != NULL && champion.model_id != 0 && live->models[0].model_id == champion.model_id &&
		!judge_production(live, &champion))
		judge_staging(live, &champion);
	end_staging();
	pgaml_registry_retire();
}
