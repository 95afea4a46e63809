/*-------------------------------------------------------------------------
 * capture_internal.h
 *		What the files of this room share.
 *
 * hooks.c asks watch.c whether a statement counts, sampling.c whether this
 * execution is sampled, record.c to follow it; nodes.c reads the nodes of its
 * plan at the end; known_plans.c and statement.c describe plans and statements
 * once; mailbox.c hands records over; shield.c and budget.c keep errors and
 * cost within bounds.  Nothing here raises an error, waits, or reads a catalog.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_CAPTURE_INTERNAL_H
#define PGAML_CAPTURE_INTERNAL_H

#include "access/xact.h"
#include "executor/execdesc.h"
#include "parser/analyze.h"

#include "base/facts_table.h"
#include "base/sample.h"
#include "capture/hot.h"
#include "capture/repeats_core.h"

/* Reached without the indirection that symbols of other libraries need. */
#pragma GCC visibility push(hidden)

/* ---- watch.c: what counts; see hot.h for the rest ---- */

/* Does a utility statement add a level of depth? */
extern bool pgaml_watch_utility_nests(const Node *statement);

/* One that is captured came to its end. */
extern void pgaml_watch_ended(void);

/* An execution whose sample was lost to an error of ours. */
extern void pgaml_watch_lost(void);

/* One that is captured was dropped before its outcome was known. */
extern void pgaml_watch_dropped(void);

/* ---- sampling.c: which executions ---- */

typedef struct PgamlRhythm
{
	uint64		key;			/* statement and coarse shape of its plan */
	uint64		epoch;			/* tick and settings for which executions were counted */
	uint32		executions;		/* in this backend and epoch */
	uint32		next;			/* the one of them at which something happens */
	float		weight;			/* of that one if it is captured; 0: it only is where to draw again */
	int64		last_plan_id;	/* plan whose facts were offered last; 0 */
} PgamlRhythm;

/*
 * Executions this one stands for, or 0: leave it.  *rhythm is where this
 * statement is counted; NULL when it was not looked at.
 */
extern float pgaml_sampling_weight(const PlannedStmt *plan, PgamlRhythm **rhythm);

/* Shall the rows of every node of a captured execution be counted? */
extern bool pgaml_sampling_nodes(void);

/* ---- known_plans.c: plans seen before ---- */

/* Plan id and values of this plan; walks it only when it is new here. */
extern void pgaml_known_plan(const PlannedStmt *plan, PgamlRhythm *rhythm, PgamlSample *sample);

/* ---- statement.c: parameter types and search_path ---- */

/* Hash of the search_path in force, never 0. */
extern int64 pgaml_search_path_hash(void);

/* Key and search_path of facts about a statement of the current user; the rest is zeroed. */
extern void pgaml_statement_begin(PgamlStatementFacts *facts, int64 queryid);

/* Offer what parse analysis knows of a statement, once per statement, user and path. */
extern void pgaml_statement_seen(const Query *query, const JumbleState *jstate);

/* ---- record.c: one execution from start to end ---- */

extern void pgaml_record_planned(int64 queryid, double ms);
extern void pgaml_record_forget_planned(void);

/* What was decided about an execution before ExecutorStart. */
typedef struct PgamlStart
{
	float		weight;			/* executions this one stands for; 0: not sampled */
	bool		asked;			/* rows of every node are counted for us */
	PgamlRhythm *rhythm;
} PgamlStart;

/* Before and after ExecutorStart of an execution that is captured. */
extern void pgaml_record_decide(QueryDesc *query, PgamlStart *start);
extern void pgaml_record_start(QueryDesc *query, const PgamlStart *start);

/* An execution that is not captured has been planned: forget when. */
extern void pgaml_record_passed_by(const QueryDesc *query);

/* After ExecutorRun and ExecutorFinish that did not fail, while pgaml_hot.followed is not NULL. */
extern void pgaml_record_ran(QueryDesc *query, ScanDirection direction, uint64 count);
extern void pgaml_record_finished(QueryDesc *query);

extern void pgaml_record_failed(QueryDesc *query);

/* Before ExecutorEnd of a watched execution, likewise. */
extern void pgaml_record_end(QueryDesc *query);

/* ---- nodes.c: what the nodes of a plan tell after the run ---- */

#define PGAML_READ_CUT		1	/* the node may have been stopped before its end */
#define PGAML_READ_AGAIN	2	/* its rows may have been counted more than once */

/*
 * Ask for row counts of every node, before ExecutorStart; false when somebody
 * else instruments already.  Afterwards nobody shall see that we asked.
 */
extern bool pgaml_nodes_ask(QueryDesc *query);
extern void pgaml_nodes_asked(QueryDesc *query);

/*
 * Memory of sorts and hashes, and the worst estimate if rows were counted,
 * of a finished execution.  reading: PGAML_READ_* of the top node.
 */
extern void pgaml_nodes_read(QueryDesc *query, int reading, bool asked, PgamlSample *sample);

/* ---- shield.c: errors of ours stay ours ---- */

typedef void (*PgamlShieldedWork) (void *arg);

/*
 * Run what only a captured execution needs.  Its time is measured; an error
 * of it is counted and logged, not raised: then false.  The work may palloc;
 * it holds no lock while it calls what can raise.
 *
 * CAUTION: not while an error is in flight, as in pgaml_record_failed, where
 * nothing may raise.
 */
extern bool pgaml_shield_run(PgamlShieldedWork work, void *arg);

/* ---- budget.c: what the hooks cost ---- */

/* Shielded work that took so long, measured with a clock; from start to now. */
extern void pgaml_budget_add_work(const instr_time *start);

/* What was spent since the last flush to shared memory; the level is set when it is time. */
extern void pgaml_budget_flush(void);

/*
 * So many pairs of InstrStartNode and InstrStopNode with these options
 * (INSTRUMENT_...) ran in the executor because of us: their cost is ours.
 */
extern void pgaml_budget_add_nodes(int instrument_options, double pairs);

/* ---- repeats.c: runs of one statement; every watched execution, sampled or not ---- */

extern PgamlRuns pgaml_runs;

/*
 * The first execution in a transaction; false when it cannot be followed.
 * Another application_name is another client of a pooler.
 */
extern bool pgaml_repeats_transaction(LocalTransactionId lxid, TimestampTz now);

static inline void
pgaml_repeats_start(const QueryDesc *query)
{
	LocalTransactionId lxid = PGAML_MY_LXID;
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (unlikely(lxid != pgaml_hot.runs_lxid) && unlikely(!pgaml_repeats_transaction(lxid, now)))
		return;
	pgaml_runs_start(&pgaml_runs, query, (int64) query->plannedstmt->queryId, GetUserId(),
					 pgaml_hot.depth == 0, now);
}

/* ExecutorRun came back; an execution ended or failed.  Others than started ones are ignored. */
static inline void
pgaml_repeats_ran(const QueryDesc *query)
{
	pgaml_runs_rows(&pgaml_runs, query, (int64) query->estate->es_processed);
}

static inline void
pgaml_repeats_failed(const QueryDesc *query)
{
	pgaml_runs_fail(&pgaml_runs, query);
}

static inline void
pgaml_repeats_end(const QueryDesc *query)
{
	const Instrumentation *total = query->totaltime;

	if (pgaml_runs.nopen > 0)
		pgaml_runs_end(&pgaml_runs, query, total == NULL ? 0.0 :
					   total->total * 1000.0 + INSTR_TIME_GET_MILLISEC(total->counter));
}

/* ---- mailbox.c: the way to the worker ---- */

/* Put a sample into the ring, or drop and count it. */
extern void pgaml_mailbox_put_sample(const PgamlSample *sample);

/* Put or replace facts; false when the lock is busy or the table full. */
extern bool pgaml_mailbox_put_facts(const PgamlStatementFacts *facts);

#pragma GCC visibility pop

#endif							/* PGAML_CAPTURE_INTERNAL_H */
