/*-------------------------------------------------------------------------
 * drift.c
 *		Once an hour: does the model in production still fit what runs?
 *
 * Called by the visiting worker and by maintain_models(), in a transaction
 * that may write.  What a signal means stands in drift_signals.c; here is
 * what follows from it: rows of drift_signals, an event when a signal crosses
 * its threshold and when it comes back, and a retraining: at most one a day
 * per signal, after ever longer waits while none makes it better, and none
 * while one waits or runs.
 *
 * A retraining for drift looks back as far as the drift lasts, and a day
 * more: of a longer window the first 60 % are learnt from, which is what no
 * longer holds.  Whether its model is any better is found out on held-out
 * rows, as of any other.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "train/queue.h"
#include "watch/champion.h"
#include "watch/drift.h"
#include "watch/drift_signals.h"
#include "watch/drift_truth.h"

#define CHECK_EVERY		USECS_PER_HOUR
#define LOOKBACK_MAX	90		/* days, of a retraining for drift */
#define SAMPLES_FACTOR	5		/* on min_training_samples: rows that it should have */

/* One check. */
typedef struct Check
{
	TimestampTz now;
	int64		model_id;		/* in production */
	PgamlLive  *live;			/* NULL: nothing to judge by */
	PgamlDriftWish *wish;		/* NULL: retrainings are queued */
} Check;

/* A signal as the last check left it. */
typedef struct Before
{
	int64		model_id;		/* 0: there was no check */
	bool		crossed;
	TimestampTz since;
} Before;

/*
 * Is it time?  Notes the moment if so.  A clock that went back makes it due;
 * somebody else's check that is under way does not.
 */
static bool
take_turn(TimestampTz now)
{
	static const char look[] =
		"SELECT 1 FROM pganalytics.drift_state "
		" WHERE checked_at IS NULL OR checked_at <= $1 OR checked_at > $2 FOR UPDATE SKIP LOCKED";
	static const char note[] = "UPDATE pganalytics.drift_state SET checked_at = $2";
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[] = {TimestampTzGetDatum(now - CHECK_EVERY), TimestampTzGetDatum(now)};

	if (pgaml_spi_exec(look, 2, types, values, NULL, false) == 0)
		return false;
	pgaml_spi_exec(note, 2, types, values, NULL, false);
	return true;
}

static void
read_before(const char *signal, Before *out)
{
	static const char sql[] = "SELECT model_id, crossed, since FROM pganalytics.drift_signals WHERE signal = $1";
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(signal)};
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		since;
	bool		isnull;

	memset(out, 0, sizeof(*out));
	if (pgaml_spi_exec(sql, 1, types, values, NULL, false) == 0)
		return;
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	out->model_id = pgaml_row_int8(tuple, desc, 1, 0);
	out->crossed = DatumGetBool(SPI_getbinval(tuple, desc, 2, &isnull));
	since = SPI_getbinval(tuple, desc, 3, &isnull);
	out->since = isnull ? 0 : DatumGetTimestampTz(since);
}

static void
write_signal(const Check *check, const char *signal, const PgamlSignalValue *value, TimestampTz since)
{
	static const char sql[] =
		"INSERT INTO pganalytics.drift_signals AS d (signal, model_id, value, threshold, crossed, since, checked_at, detail) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb) "
		"ON CONFLICT (signal) DO UPDATE SET model_id = excluded.model_id, value = excluded.value, "
		"  threshold = excluded.threshold, crossed = excluded.crossed, since = excluded.since, "
		"  checked_at = excluded.checked_at, detail = excluded.detail";
	Oid			types[] = {TEXTOID, INT8OID, FLOAT8OID, FLOAT8OID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(signal), Int64GetDatum(check->model_id), Float8GetDatum(value->value),
		Float8GetDatum(value->threshold), BoolGetDatum(value->crossed), TimestampTzGetDatum(since),
		TimestampTzGetDatum(check->now), CStringGetTextDatum(value->detail)
	};
	char		nulls[] = {
		' ', ' ', isnan(value->value) ? 'n' : ' ', isnan(value->threshold) ? 'n' : ' ', ' ',
		since == 0 ? 'n' : ' ', ' ', ' ', '\0'
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, nulls, false);
}

/*
 * May a retraining be asked for because of this?  Once a day at most; and as
 * long as the signal stays crossed, which is when no better model was found,
 * not before that has lasted twice as long as when it was last asked for.
 * What was asked for while the clock was ahead does not count.
 */
static bool
may_ask(const char *reason, TimestampTz now, TimestampTz since)
{
	static const char sql[] =
		"SELECT FROM pganalytics.training_jobs "
		" WHERE reason = $1 AND requested_at > least($2 - interval '1 day', $3 + ($2 - $3) / 2) AND requested_at <= $2 LIMIT 1";
	Oid			types[] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[] = {
		CStringGetTextDatum(reason), TimestampTzGetDatum(now), TimestampTzGetDatum(since)
	};

	return pgaml_spi_exec(sql, 3, types, values, NULL, false) == 0;
}

/* Days to look back: as long as it lasts and one more, but enough rows. */
static int
lookback_days(const PgamlLive *live, TimestampTz since)
{
	double		days = floor((double) (live->until - since) / USECS_PER_DAY) + 1.0;
	double		rows_a_day = (double) live->rows->seen / ((double) (live->until - live->from) / USECS_PER_DAY);

	days = Max(days, ceil(SAMPLES_FACTOR * pgaml_min_training_samples / Max(rows_a_day, 1e-3)));
	return (int) Min(days, LOOKBACK_MAX);
}

static void
retrain(const Check *check, const char *signal, TimestampTz since)
{
	char	   *reason = psprintf("drift: %s", signal);
	PgamlDriftWish *wish = check->wish;
	PgamlTrainRequest request;

	if ((wish != NULL && wish->wanted) || pgaml_queue_busy("train") || !may_ask(reason, check->now, since))
		return;
	pgaml_request_fill(&request, NULL, lookback_days(check->live, since), NULL, "time");
	if (wish == NULL)
	{
		(void) pgaml_queue_add("train", pgaml_request_json(&request), reason, GetUserId());
		return;
	}
	wish->wanted = true;
	wish->request = request;
	strlcpy(wish->reason, reason, sizeof(wish->reason));
}

/* Why a signal is no longer crossed. */
static char *
why_over(const Check *check, const char *signal, const PgamlSignalValue *value, const Before *before)
{
	if (before->model_id != check->model_id)
		return psprintf("%s: model " INT64_FORMAT " has taken the place of model " INT64_FORMAT, signal,
						check->model_id, before->model_id);
	if (isnan(value->value))
		return psprintf("%s cannot be judged any more", signal);
	return psprintf("%s is %.4g, its threshold %.4g", signal, value->value, value->threshold);
}

/* One signal of the model in production: what it is now, and what follows. */
static void
handle(const Check *check, const char *signal, const PgamlSignalValue *value)
{
	Before		before;
	bool		same_model;
	TimestampTz since;

	read_before(signal, &before);
	same_model = before.model_id == check->model_id;
	since = same_model && before.crossed == value->crossed ? before.since : check->now;
	write_signal(check, signal, value, since);
	if (before.crossed && !(same_model && value->crossed))
		pgaml_event_write("drift_over", before.model_id, 0, why_over(check, signal, value, &before), NULL);
	if (value->crossed && !(same_model && before.crossed))
		pgaml_event_write("drift", check->model_id, 0,
						  psprintf("%s is %.4g, its threshold %.4g", signal, value->value, value->threshold),
						  value->detail);
	if (value->crossed)
		retrain(check, signal, since);
}

static int64
production_model(void)
{
	static const char sql[] =
		"SELECT m.model_id FROM pganalytics.models m WHERE m.stage = 'production'";

	return pgaml_spi_run(sql, false) > 0 ? pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0) : 0;
}

/*
 * What was usual in training; NULL, and why, when the model does not keep it.
 * It may have come from elsewhere with a restore: what is no reference must
 * not end the check, which also decides about production and staging.
 */
static PgamlDriftReference *
read_reference(int64 model_id, MemoryContext context, const char **why)
{
	PgamlDriftReference *volatile reference = NULL;
	ResourceOwner owner = CurrentResourceOwner;

	*why = "what was usual in training is not kept with the model";
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		reference = pgaml_drift_reference_read(model_id);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		*why = "what the model keeps as usual in training is damaged";
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return reference;
}

/* Without a model there is nothing to say: model_drift() says so. */
static void
look(Check *check, MemoryContext context)
{
	PgamlSignalValue values[PGAML_SIGNAL_COUNT];
	PgamlDriftReference *reference;
	const char *why;
	const char *damage;

	check->model_id = production_model();
	if (check->model_id == 0)
	{
		pgaml_spi_run("DELETE FROM pganalytics.drift_signals", false);
		pgaml_champion_decide(NULL);
		return;
	}
	check->live = pgaml_live_read(context, &why);
	reference = read_reference(check->model_id, context, &damage);
	if (check->live == NULL)
		pgaml_drift_unknown(why, values);
	else if (reference == NULL)
		pgaml_drift_unknown(damage, values);
	else
		pgaml_drift_measure(check->live, reference, values);
	for (int i = 0; i < PGAML_SIGNAL_COUNT; i++)
		handle(check, pgaml_signal_names[i], &values[i]);
	if (check->live != NULL)
		pgaml_drift_write_truth(check->live);
	pgaml_champion_decide(check->live);
}

bool
pgaml_drift_check(PgamlDriftWish *wish)
{
	Check		check = {.now = pgaml_clock_now(), .wish = wish};
	MemoryContext context;
	MemoryContext old;

	if (wish != NULL)
		memset(wish, 0, sizeof(*wish));
	if (!take_turn(check.now))
		return false;
	PGAML_FAULT("drift_check");
	context = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml drift", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	look(&check, context);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return true;
}
