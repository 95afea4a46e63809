/*-------------------------------------------------------------------------
 * retention.c
 *		Deletes what is older or more than the settings allow.
 *
 * Runs at most once a minute and deletes at most one batch per table, so that
 * no transaction grows long; what is left over goes the next time.  A
 * statement leaves with the last of its history.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "history/history.h"

#define RUN_INTERVAL	(60 * USECS_PER_SEC)
#define BATCH_ROWS		5000
#define SURPLUS_SHARE	50		/* samples are cut to a fiftieth under their limit */
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
	{&pgaml_jobs_retention, DELETE_BATCH("training_jobs", "t.finished_at < $1")},
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
cut_samples(void)
{
	int64		live = count_of("SELECT pg_stat_get_live_tuples('pganalytics.execution_samples'::regclass)");
	int64		surplus;

	if (live > 0 && live <= pgaml_samples_max_rows)
		return;
	surplus = count_of("SELECT count(*) FROM pganalytics.execution_samples") - pgaml_samples_max_rows;
	if (surplus <= 0)
		return;
	surplus += pgaml_samples_max_rows / SURPLUS_SHARE;
	run_with_cutoff("DELETE FROM pganalytics.execution_samples WHERE ctid = ANY (ARRAY("
					"SELECT t.ctid FROM pganalytics.execution_samples t WHERE t.sampled_at < $1"
					" ORDER BY t.sampled_at LIMIT $2))",
					DT_NOEND, surplus);
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

/* True when a minute has passed; then this transaction is the one to delete. */
static bool
claim(TimestampTz now)
{
	return run_with_cutoff("UPDATE pganalytics.collector_state SET last_retention = $1"
						   " WHERE last_retention IS NULL OR last_retention > $1"
						   " OR last_retention <= $1 - $2 * interval '1 microsecond'",
						   now, RUN_INTERVAL) > 0;
}

void
pgaml_history_retire(void)
{
	TimestampTz now = pgaml_clock_now();

	pgaml_history_lock();
	if (!claim(now))
		return;
	for (int i = 0; i < lengthof(age_rules); i++)
		run_with_cutoff(age_rules[i].sql, now - *age_rules[i].retention * USECS_PER_MINUTE, BATCH_ROWS);
	cut_samples();
	forget_utilities(now);
}
