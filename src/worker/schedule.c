/*-------------------------------------------------------------------------
 * schedule.c
 *		Which retraining is due, and why is one put off?
 *
 * The rules of time are pure (schedule_core.h); this file knows what they
 * need: settings, the last run, its cost, the zone.  And what else must hold
 * when the time has come: no training waits or runs, and there are enough
 * samples that the model in production has not seen.
 *
 * The row of training_schedule says what happened; its last run follows the
 * jobs, each of which is looked at once, by its number: so a clock that was
 * set back is corrected once, and not again by the job.  Whoever decides holds
 * the row's lock until its transaction ends; nobody waits for it.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "train/queue.h"
#include "train/train.h"
#include "worker/schedule_core.h"
#include "worker/worker_internal.h"

#define LOOKBACK_DAYS	90		/* as train_performance_model() without arguments */
#define YOUNG_INTERVAL	(10 * USECS_PER_MINUTE)	/* least time between two trainings, however little the model has seen */
#define NEW_SHARE		0.05	/* of its training samples is new data worth another model */
#define MOMENT_LEN		64

PGAML_FUNCTION_INFO_V1(pgaml_training_schedule);

/* The row of training_schedule, and what it means now. */
typedef struct Look
{
	PgamlRetrain retrain;
	PgamlRetrainWait waits_for;
	TimestampTz next_run;		/* DT_NOEND: none */
	int64		last_job_id;	/* 0: none */
	TimestampTz skipped_at;		/* DT_NOBEGIN: not put off */
	char	   *skip_kind;		/* of the last event; NULL: none */
	char	   *skip_reason;
	bool		changed;		/* the row does not say it yet */
	int64		model_id;		/* in production; 0: none */
	int64		new_samples;	/* that it has not seen */
	int64		needed_samples;
} Look;

/* Columns of training_schedule() */
enum
{
	COL_ENABLED,
	COL_INTERVAL,
	COL_WINDOW,
	COL_TIME_ZONE,
	COL_LAST_RUN,
	COL_LAST_JOB_ID,
	COL_NEXT_RUN,
	COL_SKIP_REASON,
	COL_SKIPPED_AT,
	COL_NEW_SAMPLES,
	COL_NEEDED_SAMPLES,
	COL_COUNT
};

static int32_t
offset_at(void *state, int64_t at)
{
	int64		seconds = at / USECS_PER_SEC - (at % USECS_PER_SEC < 0);
	pg_time_t	t = seconds + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	struct pg_tm *tm = pg_localtime(&t, state);

	return tm != NULL ? tm->tm_gmtoff : 0;
}

/* log_timezone, because no session, role or database changes it: workers and sessions see the same schedule. */
static void
read_settings(PgamlRetrain *retrain)
{
	const char *problem = pgaml_daily_parse(pgaml_retrain_window, &retrain->window);
	pg_tz	   *zone = log_timezone;

	if (problem == NULL && retrain->window.zone[0] != '\0')
		zone = pg_tzset(retrain->window.zone);
	if (problem != NULL || zone == NULL)
		elog(ERROR, "cannot read pganalytics_ml.retrain_window \"%s\"", pgaml_retrain_window);
	retrain->zone.offset = offset_at;
	retrain->zone.state = zone;
	retrain->now = pgaml_clock_now();
	retrain->interval = pgaml_retrain_interval * USECS_PER_SEC;
	retrain->budget = pgaml_overhead_budget;
}

static bool
row_time(int column, TimestampTz *t)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	if (!isnull)
		*t = DatumGetTimestampTz(value);
	return !isnull;
}

/* False when the row cannot be locked: there is none, or somebody else decides just now. */
static bool
read_row(Look *look, bool lock)
{
	static const char sql[] =
		"SELECT last_run, last_job_id, skipped_at, skip_kind, skip_reason FROM pganalytics.training_schedule";
	static const char lock_sql[] =
		"SELECT last_run, last_job_id, skipped_at, skip_kind, skip_reason FROM pganalytics.training_schedule "
		"FOR UPDATE SKIP LOCKED";

	memset(look, 0, sizeof(*look));
	look->skipped_at = DT_NOBEGIN;
	look->next_run = DT_NOEND;
	if (pgaml_spi_run(lock ? lock_sql : sql, !lock) == 0)
		return !lock;
	look->retrain.has_run = row_time(1, &look->retrain.last_run);
	look->last_job_id = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, 0);
	(void) row_time(3, &look->skipped_at);
	look->skip_kind = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4);
	look->skip_reason = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 5);
	return true;
}

/* A training that has ended since is the last run; none began later than now. */
static void
follow_jobs(Look *look, bool read_only)
{
	static const char sql[] =
		"SELECT coalesce(started_at, requested_at), job_id FROM pganalytics.training_jobs "
		" WHERE kind = 'train' AND status IN ('completed', 'failed') AND job_id > $1 ORDER BY job_id DESC LIMIT 1";
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(look->last_job_id)};
	TimestampTz last_run = look->retrain.last_run;

	if (pgaml_spi_exec(sql, 1, types, values, NULL, read_only) > 0)
	{
		look->retrain.has_run = row_time(1, &look->retrain.last_run);
		look->last_job_id = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, 0);
		look->changed = true;
	}
	if (look->retrain.has_run)
		look->retrain.last_run = pgaml_schedule_last_run(look->retrain.last_run, look->retrain.now);
	look->changed = look->changed || look->retrain.last_run != last_run;
}

/* Time that the last training took; no longer than one may, so that a clock that jumped meanwhile does no harm. */
static void
read_cost(PgamlRetrain *retrain, bool read_only)
{
	static const char sql[] =
		"SELECT greatest(least(extract(epoch FROM j.finished_at - j.started_at)::float8, $1), "
		"                coalesce((SELECT max(m.training_ms) / 1000 FROM pganalytics.models m "
		"                           WHERE m.model_id = j.model_id AND m.meant), 0)) "
		"  FROM pganalytics.training_jobs j WHERE j.kind = 'train' AND j.started_at IS NOT NULL "
		"   AND j.finished_at IS NOT NULL ORDER BY j.job_id DESC LIMIT 1";
	Oid			types[] = {FLOAT8OID};
	Datum		values[] = {Float8GetDatum(pgaml_training_time_limit)};

	if (pgaml_spi_exec(sql, 1, types, values, NULL, read_only) > 0)
		retrain->cost = (int64) (pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) * USECS_PER_SEC);
}

/*
 * A model is good for about as long as what training saw: the first hours are
 * learnt from again after hours, not after retrain_interval.
 */
static void
shorten_for_young(PgamlRetrain *retrain, bool read_only)
{
	static const char sql[] =
		"SELECT extract(epoch FROM m.window_end - m.window_start)::float8 FROM pganalytics.models m "
		" ORDER BY m.created_at DESC, m.model_id DESC LIMIT 1";
	double		seen;

	if (retrain->interval == 0 || pgaml_spi_run(sql, read_only) == 0)
		return;
	seen = pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) * USECS_PER_SEC;
	if (seen < (double) retrain->interval)
		retrain->interval = Min(retrain->interval, Max((int64) seen, YOUNG_INTERVAL));
}

/* False as read_row. */
static bool
look_at_time(Look *look, bool lock)
{
	if (!read_row(look, lock))
		return false;
	read_settings(&look->retrain);
	follow_jobs(look, !lock);
	read_cost(&look->retrain, !lock);
	shorten_for_young(&look->retrain, !lock);
	look->waits_for = pgaml_schedule_retrain(&look->retrain, &look->next_run);
	return true;
}

/*
 * What the model in production has not seen.  Its data may end ahead of a
 * clock that was set back: then what came since the last run is new.
 */
static void
look_at_data(Look *look, bool read_only)
{
	static const char model_sql[] =
		"SELECT window_end, model_id, training_samples FROM pganalytics.models WHERE stage = 'production'";
	static const char width_sql[] = "SELECT bucket_width::int8 FROM pganalytics.collector_state";
	PgamlWindow window = {.since = look->retrain.now - LOOKBACK_DAYS * USECS_PER_DAY, .until = DT_NOEND};
	TimestampTz seen = DT_NOBEGIN;
	TimestampTz first;
	int			width = pgaml_bucket_interval;

	look->needed_samples = pgaml_min_training_samples;
	if (pgaml_spi_run(model_sql, read_only) > 0)
	{
		(void) row_time(1, &seen);
		look->model_id = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, 0);
		look->needed_samples = Max(look->needed_samples, (int64)
								   ceil(NEW_SHARE * pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, 0)));
		if (seen > look->retrain.now)
			seen = look->retrain.has_run ? look->retrain.last_run : DT_NOBEGIN;
	}
	if (pgaml_spi_run(width_sql, read_only) > 0)
		width = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, width);
	window.since = window.from = Max(window.since, seen);
	look->new_samples = pgaml_replay_count(&window, width, read_only, &first);
}

/* The row says what was seen and done. */
static void
store(const Look *look)
{
	static const char sql[] =
		"UPDATE pganalytics.training_schedule SET last_run = $1, last_job_id = nullif($2, 0), skipped_at = $3, "
		"       skip_kind = $4, skip_reason = $5";
	bool		skipped = !TIMESTAMP_IS_NOBEGIN(look->skipped_at);
	Oid			types[] = {TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID};
	Datum		values[] = {
		TimestampTzGetDatum(look->retrain.last_run), Int64GetDatum(look->last_job_id),
		TimestampTzGetDatum(look->skipped_at),
		look->skip_kind ? CStringGetTextDatum(look->skip_kind) : (Datum) 0,
		skipped ? CStringGetTextDatum(look->skip_reason) : (Datum) 0
	};
	char		nulls[] = {
		look->retrain.has_run ? ' ' : 'n', ' ', skipped ? ' ' : 'n', look->skip_kind ? ' ' : 'n', skipped ? ' ' : 'n', '\0'
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, nulls, false);
}

/* A moment as the window's clock shows it. */
static char *
moment(const Look *look, TimestampTz at)
{
	char	   *text = palloc(MOMENT_LEN);
	pg_time_t	t = timestamptz_to_time_t(at);

	pg_strftime(text, MOMENT_LEN, "%Y-%m-%d %H:%M:%S %Z", pg_localtime(&t, look->retrain.zone.state));
	return text;
}

/* The training that is due is put off; an event tells when the kind of reason changes. */
static void
put_off(Look *look, char *kind, char *reason)
{
	if (look->skip_kind == NULL || strcmp(kind, look->skip_kind) != 0)
		pgaml_event_write("retrain_skipped", look->model_id, 0, reason, NULL);
	else if (!TIMESTAMP_IS_NOBEGIN(look->skipped_at) && look->skip_reason && strcmp(reason, look->skip_reason) == 0)
		return;
	look->skip_kind = kind;
	look->skip_reason = reason;
	look->skipped_at = look->retrain.now;
	look->changed = true;
}

static void
put_off_until_later(Look *look)
{
	if (look->waits_for == PGAML_RETRAIN_WINDOW)
		put_off(look, "window", psprintf("retrain_window is closed until %s", moment(look, look->next_run)));
	else if (look->waits_for == PGAML_RETRAIN_NO_BUDGET)
		put_off(look, "overhead", "overhead_budget 0 allows no training");
	else
		put_off(look, "overhead", psprintf("the last training took %.1f s, which overhead_budget %g allows again at %s",
										   (double) look->retrain.cost / USECS_PER_SEC, pgaml_overhead_budget,
										   moment(look, look->next_run)));
}

/* The time has come: is there anything else against it?  True when not. */
static bool
may_begin(Look *look)
{
	/* Without workers nobody will do what waits. */
	if (pgaml_shared != NULL && (pgaml_queue_busy("train") || pgaml_queue_busy("tune")))
	{
		put_off(look, "busy", "another training is pending or running");
		return false;
	}
	look_at_data(look, false);
	if (look->new_samples >= look->needed_samples)
		return true;
	if (look->model_id == 0)
		put_off(look, "samples", psprintf("not enough samples: " INT64_FORMAT " of " INT64_FORMAT,
										  look->new_samples, look->needed_samples));
	else
		put_off(look, "new_data", psprintf("not enough new data: " INT64_FORMAT " of " INT64_FORMAT
										   " samples that model " INT64_FORMAT " has not seen",
										   look->new_samples, look->needed_samples, look->model_id));
	return false;
}

bool
pgaml_schedule_due(char **why)
{
	Look		look;
	bool		due = false;

	if (!look_at_time(&look, true))
	{
		pgaml_spi_run("INSERT INTO pganalytics.training_schedule DEFAULT VALUES ON CONFLICT (only_row) DO NOTHING", false);
		if (!look_at_time(&look, true))
		{
			*why = "another session is at it";
			return false;
		}
	}
	switch (look.waits_for)
	{
		case PGAML_RETRAIN_OFF:
			*why = "off: retrain_interval is 0";
			break;
		case PGAML_RETRAIN_INTERVAL:
			*why = psprintf("not due before %s", moment(&look, look.next_run));
			break;
		case PGAML_RETRAIN_NOW:
			due = may_begin(&look);
			*why = psprintf("put off: %s", look.skip_reason ? look.skip_reason : "");
			break;
		default:
			put_off_until_later(&look);
			*why = psprintf("put off: %s", look.skip_reason);
			break;
	}
	if (look.changed)
		store(&look);
	return due;
}

void
pgaml_schedule_begun(int64 job_id)
{
	static const char sql[] =
		"UPDATE pganalytics.training_schedule SET last_run = $1, last_job_id = $2, skipped_at = NULL, skip_reason = NULL";
	Oid			types[] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {TimestampTzGetDatum(pgaml_clock_now()), Int64GetDatum(job_id)};

	pgaml_spi_exec(sql, 2, types, values, NULL, false);
}

void
pgaml_schedule_request(PgamlTrainRequest *request)
{
	pgaml_request_fill(request, NULL, LOOKBACK_DAYS, NULL, "time");
}

int64
pgaml_schedule_queue(void)
{
	PgamlTrainRequest request;
	int64		job_id;

	pgaml_schedule_request(&request);
	job_id = pgaml_queue_add("train", pgaml_request_json(&request), "schedule", GetUserId());
	pgaml_schedule_begun(job_id);
	return job_id;
}

void
pgaml_schedule_visit(void)
{
	char	   *why;

	if (pgaml_schedule_due(&why))
		(void) pgaml_schedule_queue();
}

static Datum
seconds_as_interval(int seconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->day = seconds / SECS_PER_DAY;
	interval->time = seconds % SECS_PER_DAY * USECS_PER_SEC;
	return IntervalPGetDatum(interval);
}

/* Fills the row of training_schedule(); texts are those of the caller's context. */
static void
describe(const Look *look, Datum *values, bool *nulls)
{
	const PgamlRetrain *retrain = &look->retrain;
	bool		skipped = look->waits_for != PGAML_RETRAIN_OFF && look->waits_for != PGAML_RETRAIN_INTERVAL &&
		!TIMESTAMP_IS_NOBEGIN(look->skipped_at);

	values[COL_ENABLED] = BoolGetDatum(retrain->interval > 0);
	values[COL_INTERVAL] = seconds_as_interval(pgaml_retrain_interval);
	values[COL_WINDOW] = CStringGetTextDatum(pgaml_retrain_window);
	values[COL_TIME_ZONE] = CStringGetTextDatum(pg_get_timezone_name(retrain->zone.state));
	values[COL_LAST_RUN] = TimestampTzGetDatum(retrain->last_run);
	nulls[COL_LAST_RUN] = !retrain->has_run;
	values[COL_LAST_JOB_ID] = Int64GetDatum(look->last_job_id);
	nulls[COL_LAST_JOB_ID] = look->last_job_id == 0;
	values[COL_NEXT_RUN] = TimestampTzGetDatum(look->next_run);
	nulls[COL_NEXT_RUN] = TIMESTAMP_IS_NOEND(look->next_run);
	nulls[COL_SKIP_REASON] = nulls[COL_SKIPPED_AT] = !skipped;
	if (skipped)
	{
		values[COL_SKIP_REASON] = CStringGetTextDatum(look->skip_reason);
		values[COL_SKIPPED_AT] = TimestampTzGetDatum(look->skipped_at);
	}
	values[COL_NEW_SAMPLES] = Int64GetDatum(look->new_samples);
	values[COL_NEEDED_SAMPLES] = Int64GetDatum(look->needed_samples);
}

/* training_schedule(): one row.  Writes nothing, so it answers on a standby too. */
Datum
pgaml_training_schedule(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside;
	Datum		values[COL_COUNT];
	bool		nulls[COL_COUNT] = {0};
	TupleDesc	desc;
	PgamlSpi	spi;
	Look		look;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgaml_spi_open(&spi);
	(void) look_at_time(&look, false);
	look_at_data(&look, true);
	inside = MemoryContextSwitchTo(caller);
	describe(&look, values, nulls);
	MemoryContextSwitchTo(inside);
	pgaml_spi_close(&spi);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
