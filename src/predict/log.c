/*-------------------------------------------------------------------------
 * log.c
 *		Remembers a prediction, so that it can be compared with what happened.
 *
 * The record goes into a bag in shared memory, outside of any transaction:
 * what a transaction predicted before it was rolled back counts too.  The
 * worker stores it (registry/prediction_log.c).  Predictions are asked for in
 * loops over thousands of statements, each of which takes a fraction of a
 * microsecond, so this path allocates nothing and reads at most a coarse clock.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/float.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "predict/log.h"

/* Is there a log that this can go to? */
static bool
loggable(const PgamlPrediction *prediction)
{
	return prediction->source != ML_SOURCE_NONE && pgaml_shared != NULL && pgaml_shmem_here() &&
		!RecoveryInProgress() && !pgaml_spi_inside();
}

static bool
wanted(const PgamlPrediction *prediction)
{
	return pgaml_prediction_log_rate > 0.0 && loggable(prediction) &&
		(pgaml_prediction_log_rate >= 1.0 ||
		 pg_prng_double(&pg_global_prng_state) < pgaml_prediction_log_rate);
}

/* Now, to the tick of the kernel's timer where it has such a clock; not before this statement began. */
static TimestampTz
about_now(void)
{
	TimestampTz began = GetCurrentStatementStartTimestamp() + pgaml_fault_clock_us();
	TimestampTz now;
#ifdef CLOCK_REALTIME_COARSE
	struct timespec ts;

	(void) clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	now = ((int64) ts.tv_sec - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC +
		ts.tv_nsec / 1000 + pgaml_fault_clock_us();
#else
	now = pgaml_clock_now();
#endif
	return Max(began, now);
}

/* The next record is likely to be the one after this: have its memory here by then. */
static inline void
fetch_ahead(const PgamlPredictionRecord *record)
{
#ifdef __GNUC__
	__builtin_prefetch(record + 1, 1);
	__builtin_prefetch((const char *) (record + 2) - 1, 1);
#endif
}

static inline void
fill(PgamlPredictionRecord *record, uint64 ticket, const PgamlPrediction *prediction, TimestampTz at, float latency_us)
{
	/* The start of the server in microseconds and the ticket: no earlier prediction had this number. */
	record->prediction_id = pgaml_shared->boot_at + (int64) ticket;
	record->predicted_at = at;
	record->queryid = prediction->queryid;
	record->plan_id = prediction->plan_id;
	record->model_id = prediction->by_model ? prediction->model_id : 0;
	record->predicted_ms = prediction->predicted_ms;
	record->expected_ms = prediction->expected_ms;
	record->lower_ms = prediction->lower_ms;
	record->upper_ms = prediction->upper_ms;
	record->coverage = prediction->nominal;
	record->confidence = prediction->confidence;
	record->latency_us = latency_us;
	record->plan_cost = prediction->plan_cost;
	record->model_version = prediction->model_version;
	record->dbid = MyDatabaseId;
	record->userid = GetUserId();
	record->source = (uint8) prediction->source;
	record->group = (uint8) prediction->group;
	record->in_range = prediction->in_range;
	record->novel = prediction->novel;
	record->novel_known = prediction->plan_known && prediction->model_id != 0;
	record->cache_hit = prediction->cache_hit;
}

int64
pgaml_log_prediction(const PgamlPrediction *prediction, TimestampTz at, float latency_us)
{
	PgamlPredictionRecord *record;
	uint64		ticket;

	if (!wanted(prediction) || (record = pgaml_bag_claim(pgaml_prediction_bag, &ticket)) == NULL)
		return 0;
	fetch_ahead(record);
	fill(record, ticket, prediction, at != 0 ? at : about_now(), latency_us);
	record->decision = PGAML_DECISION_NONE;
	pgaml_bag_publish(pgaml_prediction_bag, ticket);
	return pgaml_shared->boot_at + (int64) ticket;
}

int64
pgaml_log_decision(const PgamlPrediction *prediction, PgamlGuardDecision decision, double limit_ms)
{
	PgamlPredictionRecord *record;
	uint64		ticket;

	if (!loggable(prediction) || (record = pgaml_bag_claim(pgaml_prediction_bag, &ticket)) == NULL)
		return 0;
	fill(record, ticket, prediction, pgaml_clock_now(), get_float4_nan());
	record->decision = (uint8) decision;
	record->limit_ms = (float) limit_ms;
	pgaml_bag_publish(pgaml_prediction_bag, ticket);
	return pgaml_shared->boot_at + (int64) ticket;
}
