/*-------------------------------------------------------------------------
 * guard.c
 *		Warns of, or stops, executions that are predicted to take too long.
 *
 * Asked when an execution starts, before anything else is done for it: the
 * lower bound of the 90 % interval is compared with max_predicted_time.  That
 * happens to statements of clients and of their functions, prepared or not,
 * and under EXPLAIN ANALYZE; not to plain EXPLAIN, parallel workers, background
 * processes and work of our own, nor to what foreign keys check and cascade: that
 * belongs to a statement that was let in, as late as at COMMIT, and runs as the
 * owner of a table.  This is the one hook that may raise an error.
 *
 * On any doubt the execution is let through, and the reason counted: no
 * prediction, an interval that was not calibrated, a plan outside of what the
 * model was trained on (also where history answers: it is that of other plans
 * then), a lock that is not free, an error of ours, a parallel
 * query, a standby (which could not keep the decision).
 *
 * Off, it costs a comparison.  On, it costs a look into a small memory of
 * verdicts by a fingerprint of the plan; a plan that is not there is predicted
 * (predict/by_plan.h).  A verdict holds until models change, for VERDICT_TTL at
 * most, and one that could not be reached for RETRY.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "plan/plan.h"
#include "predict/by_plan.h"
#include "predict/guard.h"
#include "predict/log.h"
#include "registry/registry.h"

#define GUARD_COVERAGE	0.90	/* of the interval, whatever prediction_interval says */
#define VERDICTS		256		/* a power of two */
#define VERDICT_TTL		(60 * USECS_PER_SEC)
#define RETRY			(1 * USECS_PER_SEC)
#define FLUSH_EVERY		256		/* executions counted here before they are flushed */

/* What is known of a plan. */
typedef struct Verdict
{
	uint64		fingerprint;	/* 0: free */
	uint64		generation;		/* of models */
	TimestampTz good_until;
	bool		open;			/* it is let through, for this reason */
	PgamlGuardOpen reason;
	TimestampTz told_at;		/* start of the client's statement in which a decision about it was logged; 0 */
	PgamlPrediction prediction; /* unless open */
} Verdict;

static ExecutorStart_hook_type prev_executor_start = NULL;

static Verdict *verdicts = NULL;
static MemoryContext scratch = NULL;
static bool exit_registered = false;
static TimestampTz warned_at = 0;	/* start of the client's statement that was warned last */

static uint32 unflushed_checked = 0;
static uint32 unflushed_open[PGAML_OPEN_COUNT];

/* ---- counting ---- */

void
pgaml_guard_flush(void)
{
	PgamlGuardCounters *guard;

	if (pgaml_shared == NULL || unflushed_checked == 0)
		return;
	guard = &pgaml_shared->guard;
	pg_atomic_fetch_add_u64(&guard->checked, unflushed_checked);
	unflushed_checked = 0;
	for (int i = 0; i < PGAML_OPEN_COUNT; i++)
	{
		if (unflushed_open[i] > 0)
			pg_atomic_fetch_add_u64(&guard->open[i], unflushed_open[i]);
		unflushed_open[i] = 0;
	}
}

static void
leave_backend(int code, Datum arg)
{
	pgaml_guard_flush();
}

/* Memory of this backend, made at its first check; false when there is none. */
static bool
prepare(void)
{
	if (verdicts != NULL)
		return true;
	if (scratch == NULL)
		scratch = AllocSetContextCreate(TopMemoryContext, "pganalytics_ml guard", ALLOCSET_SMALL_SIZES);
	verdicts = MemoryContextAllocExtended(TopMemoryContext, VERDICTS * sizeof(Verdict), MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	return verdicts != NULL;
}

/* ---- the verdict about a plan ---- */

static void
let_through(Verdict *verdict, PgamlGuardOpen reason)
{
	verdict->open = true;
	verdict->reason = reason;
}

/* Predict this plan.  In a context of its own: a function may start plans in a loop. */
static void
judge(const PlannedStmt *plan, Verdict *verdict)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	PgamlPrediction *prediction = &verdict->prediction;
	PgamlPlanFacts facts;

	pgaml_plan_facts(plan, &facts);
	if (!pgaml_predict_plan_try(&facts, (int64) plan->queryId, GUARD_COVERAGE, false, prediction))
	{
		let_through(verdict, PGAML_OPEN_NOT_READ);
		verdict->good_until = GetCurrentStatementStartTimestamp() + RETRY;
	}
	else if (prediction->source == ML_SOURCE_NONE || !(prediction->lower_ms >= 0.0))
		let_through(verdict, PGAML_OPEN_NO_PREDICTION);
	else if (prediction->group == ML_INTERVAL_PARAMETRIC)
		let_through(verdict, PGAML_OPEN_NOT_CALIBRATED);
	else if (!prediction->plan_in_range || (prediction->source == ML_SOURCE_HISTORY && prediction->novel))
		let_through(verdict, PGAML_OPEN_OUT_OF_RANGE);
	prediction->reason = NULL;
	MemoryContextSwitchTo(old);
	MemoryContextReset(scratch);
}

static Verdict *
verdict_on(const PlannedStmt *plan)
{
	uint64		fingerprint = pgaml_plan_fingerprint(plan, 0);
	Verdict    *verdict = &verdicts[fingerprint & (VERDICTS - 1)];
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (likely(verdict->fingerprint == fingerprint && verdict->generation == pgaml_registry_generation() &&
			   now < verdict->good_until))
		return verdict;
	memset(verdict, 0, sizeof(*verdict));	/* free while it is made, whatever fails */
	verdict->good_until = now + VERDICT_TTL;
	judge(plan, verdict);
	verdict->generation = pgaml_registry_generation();
	verdict->fingerprint = fingerprint;
	return verdict;
}

/* ---- what follows from it ---- */

/* Keep the decision, once per plan in a client's statement. */
static void
keep_decision(Verdict *verdict, PgamlGuardDecision decision)
{
	TimestampTz began = GetCurrentStatementStartTimestamp();

	if (verdict->told_at == began)
		return;
	verdict->told_at = began;
	(void) pgaml_log_decision(&verdict->prediction, decision, pgaml_max_predicted_time);
}

static int
say_prediction(const PgamlPrediction *prediction)
{
	return errdetail("It is predicted to take %.4g ms, between %.4g and %.4g ms in 90 %% of the cases; the limit is %.4g ms.",
					 prediction->predicted_ms, prediction->lower_ms, prediction->upper_ms, pgaml_max_predicted_time);
}

static int
say_way_out(void)
{
	return errhint("EXPLAIN shows its plan. A superuser lifts the limit with pganalytics_ml.max_predicted_time or "
				   "pganalytics_ml.guard_mode, for a session, role or database.");
}

static void
decide(Verdict *verdict)
{
	PgamlGuardCounters *guard = &pgaml_shared->guard;

	if (pgaml_guard_mode == PGAML_GUARD_CANCEL)
	{
		pg_atomic_fetch_add_u64(&guard->cancelled, 1);
		keep_decision(verdict, PGAML_DECISION_CANCELLED);
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling statement that is predicted to take longer than pganalytics_ml.max_predicted_time"),
				 say_prediction(&verdict->prediction), say_way_out()));
	}
	if (warned_at == GetCurrentStatementStartTimestamp())
	{
		pg_atomic_fetch_add_u64(&guard->repeated, 1);
		return;
	}
	warned_at = GetCurrentStatementStartTimestamp();
	pg_atomic_fetch_add_u64(&guard->warned, 1);
	keep_decision(verdict, PGAML_DECISION_WARNED);
	ereport(WARNING,
			(errmsg("statement is predicted to take longer than pganalytics_ml.max_predicted_time"),
			 say_prediction(&verdict->prediction), say_way_out()));
}

/* Why nothing can be predicted now, whatever the plan is; PGAML_OPEN_COUNT: it can. */
static PgamlGuardOpen
in_the_way(void)
{
	if (RecoveryInProgress())
		return PGAML_OPEN_RECOVERY;
	if (IsInParallelMode())
		return PGAML_OPEN_PARALLEL;
	if (!prepare())
		return PGAML_OPEN_NOT_READ;
	return PGAML_OPEN_COUNT;
}

static void
check(const PlannedStmt *plan)
{
	PgamlGuardOpen open = in_the_way();

	if (open != PGAML_OPEN_RECOVERY && !pgaml_shmem_here())
		return;					/* a database without the extension */
	if (unlikely(!exit_registered))
	{
		before_shmem_exit(leave_backend, (Datum) 0);
		exit_registered = true;
	}
	unflushed_checked++;
	if (open == PGAML_OPEN_COUNT)
	{
		Verdict    *verdict = verdict_on(plan);

		if (!verdict->open && verdict->prediction.lower_ms > pgaml_max_predicted_time)
			decide(verdict);
		else if (verdict->open)
			open = verdict->reason;
	}
	if (open != PGAML_OPEN_COUNT)
		unflushed_open[open]++;
	if (unlikely(unflushed_checked >= FLUSH_EVERY))
		pgaml_guard_flush();
}

static inline void
call_executor_start(QueryDesc *queryDesc, int eflags)
{
	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

/* While a limit is set. */
static pg_noinline void
limited_executor_start(QueryDesc *queryDesc, int eflags)
{
	if (pgaml_guard_mode != PGAML_GUARD_OFF && (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 &&
		MyBackendType == B_BACKEND && !IsParallelWorker() && !pgaml_spi_inside() &&
		!InNoForceRLSOperation())	/* which only foreign keys ask for */
		check(queryDesc->plannedstmt);
	call_executor_start(queryDesc, eflags);
}

static void
guard_executor_start(QueryDesc *queryDesc, int eflags)
{
	if (unlikely(pgaml_max_predicted_time > 0.0))
		limited_executor_start(queryDesc, eflags);
	else
		call_executor_start(queryDesc, eflags);
}

void
pgaml_guard_install(void)
{
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = guard_executor_start;
}
