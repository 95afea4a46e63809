/*-------------------------------------------------------------------------
 * retention.c
 *		Deletes what is older or more than the settings allow.
 *
 * Runs at most once a minute and deletes at most one batch per table, so that
 * no transaction grows long; what is left over goes the next time.  A
 * statement leaves with the last of its history.  After a jump of the clock
 * ages are counted from before it, until a day shows that it was none
 * (history_core.h).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "history/history.h"
#include "history/history_core.h"

#define RUN_INTERVAL	(60 * USECS_PER_SEC)
#define BATCH_ROWS		5000
#define SURPLUS_SHARE	50		/* rows are cut to a fiftieth under their limit */
#define UTILITY_AGE		(USECS_PER_DAY)

/* One rule: delete where the age is beyond the limit.  $1 cutoff, $2 rows at most. */
typedef struct AgeRule
{
	const int  *retention;		/* min */
	const char *sql;
} AgeRule;

#define DELETE_BATCH(tab, condition) \
	"DELETE FROM pganalytics." tab " WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM pganalytics." \
	tab " t WHERE " condition " LIMIT $2))"

static const AgeRule age_rules[] = {
	{&pgaml_history_retention, DELETE_BATCH("statement_history", "t.bucket_start < $1")},
	{&pgaml_history_retention, DELETE_BATCH("history_windows", "t.bucket_start < $1")},
	{&pgaml_history_retention, DELETE_BATCH("system_history", "t.bucket_start < $1")},
	{&pgaml_history_retention, DELETE_BATCH("statement_recent", "t.last_at < $1")},
	{&pgaml_history_retention, DELETE_BATCH("statement_users", "t.last_seen < $1"
		" AND NOT EXISTS (SELECT FROM pganalytics.statement_counters c"
		" WHERE c.queryid = t.queryid AND c.userid = t.userid)")},
	{&pgaml_history_retention, DELETE_BATCH("statements", "t.last_seen < $1"
		" AND NOT EXISTS (SELECT FROM pganalytics.statement_counters c WHERE c.queryid = t.queryid)"
		" AND NOT EXISTS (SELECT FROM pganalytics.statement_history h"
		" WHERE h.queryid = t.queryid AND h.origin = t.origin)")},
	{&pgaml_samples_retention, DELETE_BATCH("execution_samples", "t.sampled_at < $1")},
	{&pgaml_samples_retention, DELETE_BATCH("statement_repeats", "t.last_seen < $1")},
	{&pgaml_history_retention, DELETE_BATCH("events", "t.at < $1")},
	/* numbers rise with time, from the start of the server on: the oldest are looked at */
	{&pgaml_predictions_retention, DELETE_BATCH("predictions", "t.predicted_at < $1 AND t.prediction_id IN"
		" (SELECT o.prediction_id FROM pganalytics.predictions o ORDER BY o.prediction_id LIMIT $2)")},
	{&pgaml_jobs_retention, DELETE_BATCH("training_jobs", "t.finished_at < $1")},
	/* with their trials; one that ended early has no end */
	{&pgaml_jobs_retention, DELETE_BATCH("experiments", "coalesce(t.finished_at, t.started_at, t.requested_at) < $1"
		" AND NOT EXISTS (SELECT FROM pganalytics.training_jobs j"
		" WHERE j.job_id = t.job_id AND j.status IN ('pending', 'training'))")},
};

/* The other rule: so many rows at most, the oldest go. */
typedef struct CountRule
{
	const int  *max_rows;
	const char *live;			/* what the statistics say */
	const char *count;
	const char *cut;			/* $1 infinity, $2 rows */
} CountRule;

#define COUNT_RULE(setting, tab, place) \
	{&setting, "SELECT pg_stat_get_live_tuples('pganalytics." tab "'::regclass)", \
		"SELECT count(*) FROM pganalytics." tab, \
		"DELETE FROM pganalytics." tab " WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM pganalytics." \
		tab " t WHERE $1 = 'infinity' ORDER BY t." place " LIMIT $2))"}

/* Applications that name themselves anew every time must not fill the disk. */
static const int repeats_max_rows = 100000;

static const CountRule count_rules[] = {
	COUNT_RULE(pgaml_samples_max_rows, "execution_samples", "sampled_at"),
	COUNT_RULE(repeats_max_rows, "statement_repeats", "last_seen"),
	COUNT_RULE(pgaml_predictions_max_rows, "predictions", "prediction_id"),
};

static uint64
run_with_cutoff(const char *sql, TimestampTz cutoff, int64 rows)
{
	Oid			types[] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[] = {TimestampTzGetDatum(cutoff), Int64GetDatum(rows)};

	return pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}

static int64
count_of(const char *sql)
{
	bool		isnull;
	Datum		value;

	pgaml_spi_run(sql, false);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull ? 0 : DatumGetInt64(value);
}

/*
 * Counting a million rows every minute would cost more than it saves: they
 * are counted only when the statistics say that the limit is near, or know
 * nothing (after a crash).
 */
static void
cut_rows(const CountRule *rule)
{
	int64		live = count_of(rule->live);
	int64		surplus;

	if (live > 0 && live <= *rule->max_rows)
		return;
	surplus = count_of(rule->count) - *rule->max_rows;
	if (surplus <= 0)
		return;
	surplus += *rule->max_rows / SURPLUS_SHARE;
	run_with_cutoff(rule->cut, DT_NOEND, surplus);
}

/* Utility statements are remembered only to be recognised while they are counted. */
static void
forget_utilities(TimestampTz now)
{
	run_with_cutoff(DELETE_BATCH("statements", "NOT t.plannable AND t.last_seen < $1"
								 " AND NOT EXISTS (SELECT FROM pganalytics.statement_counters c"
								 " WHERE c.queryid = t.queryid)"),
					now - UTILITY_AGE, BATCH_ROWS);
	run_with_cutoff(DELETE_BATCH("statement_users", "t.last_seen < $1 AND NOT EXISTS"
								 " (SELECT FROM pganalytics.statements s WHERE s.queryid = t.queryid)"),
					now - UTILITY_AGE, BATCH_ROWS);
}

static bool
time_at(int column, int64_t *t)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	*t = isnull ? 0 : DatumGetTimestampTz(value);
	return !isnull;
}

static void
read_clock(HistoryClock *clock, bool read_only)
{
	memset(clock, 0, sizeof(*clock));
	if (pgaml_spi_run("SELECT last_retention, jump_from, jump_at FROM pganalytics.collector_state", read_only) == 0)
		return;
	clock->any = time_at(1, &clock->last);
	clock->jumped = time_at(2, &clock->jump_from) && time_at(3, &clock->jump_at);
}

static void
store_clock(const HistoryClock *clock)
{
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[] = {
		TimestampTzGetDatum(clock->last), TimestampTzGetDatum(clock->jump_from), TimestampTzGetDatum(clock->jump_at)
	};

	pgaml_spi_exec("UPDATE pganalytics.collector_state SET last_retention = $1, jump_from = $2, jump_at = $3",
				   lengthof(types), types, values, clock->jumped ? NULL : " nn", false);
}

TimestampTz
pgaml_history_settled_now(void)
{
	HistoryClock clock;

	read_clock(&clock, true);
	return pgaml_history_core_settle(&clock, pgaml_clock_now());
}

bool
pgaml_history_retire(void)
{
	TimestampTz now = pgaml_clock_now();
	TimestampTz settled;
	HistoryClock clock;

	pgaml_history_lock();
	read_clock(&clock, false);
	if (clock.any && now >= clock.last && now < clock.last + RUN_INTERVAL)
		return false;
	settled = pgaml_history_core_settle(&clock, now);
	store_clock(&clock);
	for (int i = 0; i < lengthof(age_rules); i++)
		run_with_cutoff(age_rules[i].sql, settled - *age_rules[i].retention * USECS_PER_MINUTE, BATCH_ROWS);
	for (int i = 0; i < lengthof(count_rules); i++)
		cut_rows(&count_rules[i]);
	forget_utilities(settled);
	return true;
}
