/*-------------------------------------------------------------------------
 * live.c
 *		Reads the newest executions and what models would have said of them.
 *
 * Callers: drift.c, which asks whether the model in production still fits,
 * and champion.c, which compares models on the same rows.
 *
 * The span is bounded in days and in executions read; the rows kept of it are
 * thinned evenly, but each has its features and its recent runs from all that
 * ran before it.  A statement that did not run in the lead-in looks new.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/spi_run.h"
#include "registry/ml_adapter.h"
#include "registry/registry.h"
#include "watch/live.h"

#define SPAN_DAYS		7		/* looked back at */
#define LEAD_DAYS		2		/* before that, so that the first rows know their recent runs and calls */
#define EVENTS_MAX		400000	/* captured executions read, lead-in included: about two seconds */
#define ROWS_MAX		20000	/* kept of them */
#define LEAD_SHARE		0.25	/* of a span that was cut short */

/* Not fitted on, so far as a start can tell. */
static bool
is_new(const PgamlLiveModel *model, double at)
{
	return at > (double) model->fitted_until / USECS_PER_SEC;
}

/*
 * The latest whole hour since which no more than EVENTS_MAX executions were
 * captured, and not before earliest; half an hour ago if the last hours alone have more.
 */
static TimestampTz
bounded_since(TimestampTz earliest, TimestampTz now)
{
	static const char sql[] =
		"SELECT min(h.hour) FROM ("
		"  SELECT g.hour, sum(g.n) OVER (ORDER BY g.hour DESC) AS total FROM ("
		"    SELECT date_trunc('hour', e.sampled_at) AS hour, count(*) AS n FROM pganalytics.execution_samples e "
		"     WHERE e.sampled_at >= $1 AND e.sampled_at < $2 GROUP BY 1) g) h "
		" WHERE h.total <= $3 "
		"HAVING (SELECT count(*) FROM pganalytics.execution_samples e "
		"         WHERE e.sampled_at >= $1 AND e.sampled_at < $2) > $3";
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {TimestampTzGetDatum(earliest), TimestampTzGetDatum(now), Int64GetDatum(EVENTS_MAX)};
	Datum		value;
	bool		isnull;

	if (pgaml_spi_exec(sql, 3, types, values, NULL, true) == 0)
		return earliest;		/* they are all within the bound */
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? now - 30 * USECS_PER_MINUTE : Max(DatumGetTimestampTz(value), earliest);
}

static PgamlDataset *
read_rows(PgamlLive *live, MemoryContext context)
{
	TimestampTz wanted = live->until - SPAN_DAYS * USECS_PER_DAY;
	PgamlWindow window = {.until = live->until};

	window.since = bounded_since(wanted - LEAD_DAYS * USECS_PER_DAY, live->until);
	window.from = Max(wanted, window.since + (TimestampTz) (LEAD_SHARE * (live->until - window.since)));
	if (window.since <= wanted - LEAD_DAYS * USECS_PER_DAY)
		window.from = wanted;
	live->from = window.from;
	return pgaml_dataset_read_window(&window, ROWS_MAX, context);
}

/* Decode a model and add it; one that cannot serve is left out. */
static void
add_model(PgamlLive *live, const PgamlLiveModel *model, MemoryContext context)
{
	PgamlMlMemory *memory = MemoryContextAlloc(context, sizeof(PgamlMlMemory));
	PgamlServing serving;

	pgaml_ml_memory_init(memory, context, 0);
	if (!pgaml_registry_read(model->role == PGAML_LIVE_PRODUCTION ? 0 : model->model_id, false, &memory->allocator, &serving) || serving.stages == NULL)
		return;
	live->models[live->nmodels] = *model;
	live->models[live->nmodels++].stages = serving.stages;
}

/* The models to ask, that in production first. */
static void
read_models(PgamlLive *live, MemoryContext context)
{
	static const char sql[] =
		"SELECT p.model_id, 0::int8 AS role, coalesce(p.activated_at, p.created_at), p.window_end "
		"  FROM pganalytics.models p WHERE p.stage = 'production' "
		"UNION ALL "
		"SELECT o.model_id, 1, coalesce(o.activated_at, o.created_at), o.window_end "
		"  FROM pganalytics.models p JOIN pganalytics.models o ON o.model_id = p.predecessor_id AND o.meant "
		" WHERE p.stage = 'production' AND p.activated_at > $1 AND o.stage <> 'staging' "
		"UNION ALL "
		"SELECT o.model_id, 2, o.staged_at, o.window_end FROM pganalytics.models o WHERE o.stage = 'staging' "
		"ORDER BY role";
	Oid			types[] = {TIMESTAMPTZOID};
	Datum		values[] = {TimestampTzGetDatum(live->until - PGAML_LIVE_PROBATION_DAYS * USECS_PER_DAY)};
	PgamlLiveModel found[PGAML_LIVE_MODELS] = {{0}};
	int			n = (int) pgaml_spi_exec(sql, 1, types, values, NULL, false);
	bool		isnull;

	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		found[i].model_id = pgaml_row_int8(tuple, desc, 1, 0);
		found[i].role = (PgamlLiveRole) pgaml_row_int8(tuple, desc, 2, 0);
		found[i].since = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 3, &isnull));
		found[i].fitted_until = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull));
	}
	for (int i = 0; i < n; i++)
		if (i == 0 || live->nmodels > 0)
			add_model(live, &found[i], context);
	if (live->nmodels > 0 && live->models[0].role != PGAML_LIVE_PRODUCTION)
		live->nmodels = 0;
}

/* Ask a model about every row that is new to it. */
static void
judge(const PgamlLive *live, PgamlLiveModel *model)
{
	const PgamlDataset *rows = live->rows;
	int64		n = rows->data.nrows;
	float		scratch[2 * PGAML_F_COUNT];

	model->error = palloc(sizeof(double) * n);
	model->winkler = palloc(sizeof(double) * n);
	model->score = palloc(sizeof(float) * n);
	model->covered = palloc(n);
	model->novel = palloc(n);
	for (int64 i = 0; i < n; i++)
	{
		MlStageTruth truth = {.error = NAN, .score = NAN, .winkler = NAN};

		if (i % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		if (is_new(model, rows->at[i]))
			pgaml_ml_stages_truth(model->stages, &rows->data, i, rows->recent + i * PGAML_RECENT_RUNS,
								  rows->nrecent[i], PGAML_LIVE_COVERAGE, scratch, &truth);
		model->error[i] = fabs(truth.error);
		model->winkler[i] = truth.winkler;
		model->score[i] = truth.score;
		model->covered[i] = !truth.calibrated ? PGAML_NOT_JUDGED : truth.covered ? PGAML_COVERED : PGAML_MISSED;
		model->novel[i] = truth.novel;
		model->judged += !isnan(truth.error);
	}
}

PgamlLive *
pgaml_live_read(MemoryContext context, const char **why)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	PgamlLive  *live = palloc0(sizeof(PgamlLive));
	const char *reason = NULL;

	live->until = pgaml_clock_now();
	read_models(live, context);
	if (live->nmodels == 0)
		reason = "no model in production that can serve";
	else if ((live->rows = read_rows(live, context)) == NULL)
		reason = "no executions in the last 7 days";
	for (int i = 0; i < live->nmodels && reason == NULL; i++)
		judge(live, &live->models[i]);
	MemoryContextSwitchTo(old);
	if (why != NULL)
		*why = reason;
	return reason == NULL ? live : NULL;
}

const PgamlLiveModel *
pgaml_live_model(const PgamlLive *live, PgamlLiveRole role)
{
	for (int i = 0; i < live->nmodels; i++)
		if (live->models[i].role == role)
			return &live->models[i];
	return NULL;
}
