/*-------------------------------------------------------------------------
 * hooks.c
 *		The hooks themselves: depth, and calls into the rest of the room.
 *
 * Every hook calls the previous one or the standard function, exactly once.
 * Depth is counted where pg_stat_statements of the same major counts it, for
 * all statements, also while capture is off, and restored when they fail.
 * Hooks are guests: no error of ours, no waiting, no catalog access.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "executor/executor.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "portability/instr_time.h"
#include "tcop/utility.h"

#include "base/shmem.h"
#include "compat/compat.h"
#include "capture/capture.h"
#include "capture/capture_internal.h"

static post_parse_analyze_hook_type prev_post_parse_analyze = NULL;
static planner_hook_type prev_planner = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;
static ExecutorRun_hook_type prev_executor_run = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;
static ExecutorEnd_hook_type prev_executor_end = NULL;
static ProcessUtility_hook_type prev_process_utility = NULL;

static pg_attribute_hot void
capture_post_parse_analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	PgamlSpan	span;

	pgaml_span_begin(&span);
	pgaml_span_pause(&span);
	if (prev_post_parse_analyze)
		prev_post_parse_analyze(pstate, query, jstate);
	pgaml_span_resume(&span);

	if (jstate != NULL && query->queryId != 0 && query->utilityStmt == NULL && pgaml_watch_on())
		pgaml_statement_seen(query, jstate);
	pgaml_span_end(&span);
}

static PlannedStmt *
call_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (prev_planner)
		return prev_planner(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
}

/* Statements that the planner runs while it folds constants are nested. */
static PlannedStmt *
call_planner_nested(Query *parse, const char *query_string, int cursor_options,
					ParamListInfo params)
{
	PlannedStmt *result;

	pgaml_watch_enter();
	PG_TRY();
	{
		result = call_planner(parse, query_string, cursor_options, params);
	}
	PG_FINALLY();
	{
		pgaml_watch_leave();
	}
	PG_END_TRY();
	return result;
}

/* The time of a planning is not asked for when the next execution is passed by. */
static pg_attribute_hot PlannedStmt *
capture_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	int64		queryid = (int64) parse->queryId;
	PgamlSpan	span;
	bool		timed;
	instr_time	start;
	instr_time	end;
	PlannedStmt *result;

	pgaml_span_begin(&span);
	timed = queryid != 0 && pgaml_hot.skip == 0 && pgaml_watch_on();
	if (timed)
		INSTR_TIME_SET_CURRENT(start);
	pgaml_span_pause(&span);
	if (PGAML_PLANNER_NESTS)
		result = call_planner_nested(parse, query_string, cursor_options, params);
	else
		result = call_planner(parse, query_string, cursor_options, params);
	pgaml_span_resume(&span);
	if (timed)
	{
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		pgaml_record_planned(queryid, INSTR_TIME_GET_MILLISEC(end));
	}
	pgaml_span_end(&span);
	return result;
}

/*
 * While even looking at executions costs too much, the loops of functions are
 * not followed; those of clients are.
 */
static inline void
started(QueryDesc *queryDesc, const PgamlStart *start)
{
	pgaml_session_advance();
	if (pgaml_hot.depth == 0 || pgaml_hot.gate >= 1.0f)
		pgaml_repeats_start(queryDesc);
	if (unlikely(start->weight > 0.0f))
		pgaml_record_start(queryDesc, start);
	else
	{
		if (unlikely(pgaml_hot.planned > 0))
			pgaml_record_passed_by(queryDesc);
		pgaml_watch_thinned(start->rhythm == NULL);
	}
}

static pg_attribute_hot void
capture_executor_start(QueryDesc *queryDesc, int eflags)
{
	PgamlSpan	span;
	PgamlStart	start;
	bool		watched;

	pgaml_span_begin(&span);
	watched = queryDesc->plannedstmt->queryId != 0 &&
		(eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && pgaml_watch_on();
	if (watched)
	{
		start.weight = pgaml_sampling_weight(queryDesc->plannedstmt, &start.rhythm);
		if (unlikely(start.weight > 0.0f))
			pgaml_record_decide(queryDesc, &start);
	}
	pgaml_span_pause(&span);
	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
	pgaml_span_resume(&span);

	if (watched)
		started(queryDesc, &start);
	pgaml_span_end(&span);
}

/* An execution ends in an error: undo the depth, and note it. */
static pg_noinline void
executor_failed(QueryDesc *queryDesc)
{
	pgaml_watch_leave();
	if (queryDesc->plannedstmt->queryId != 0)
	{
		pgaml_repeats_failed(queryDesc);
		pgaml_record_failed(queryDesc);
	}
}

static pg_attribute_hot void
capture_executor_run(PGAML_RUN_PARAMS)
{
	PgamlSpan	span;

	pgaml_span_begin(&span);
	pgaml_watch_enter();
	PG_TRY();
	{
		pgaml_span_pause(&span);
		if (prev_executor_run)
			prev_executor_run(PGAML_RUN_ARGS);
		else
			standard_ExecutorRun(PGAML_RUN_ARGS);
	}
	PG_CATCH();
	{
		executor_failed(queryDesc);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pgaml_span_resume(&span);
	pgaml_watch_leave();
	pgaml_repeats_ran(queryDesc);
	if (unlikely(pgaml_hot.followed != NULL))
		pgaml_record_ran(queryDesc, direction, count);
	pgaml_span_end(&span);
}

static void
call_executor_finish(QueryDesc *queryDesc)
{
	if (prev_executor_finish)
		prev_executor_finish(queryDesc);
	else
		standard_ExecutorFinish(queryDesc);
}

static void
call_executor_finish_nested(QueryDesc *queryDesc, PgamlSpan *span)
{
	pgaml_watch_enter();
	PG_TRY();
	{
		pgaml_span_pause(span);
		call_executor_finish(queryDesc);
	}
	PG_CATCH();
	{
		executor_failed(queryDesc);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pgaml_span_resume(span);
	pgaml_watch_leave();
}

/* Triggers are fired here; a plain SELECT has none, so nothing runs inside. */
static pg_attribute_hot void
capture_executor_finish(QueryDesc *queryDesc)
{
	PgamlSpan	span;

	pgaml_span_begin(&span);
	if (queryDesc->operation == CMD_SELECT && !queryDesc->plannedstmt->hasModifyingCTE)
	{
		pgaml_span_pause(&span);
		call_executor_finish(queryDesc);
		pgaml_span_resume(&span);
	}
	else
		call_executor_finish_nested(queryDesc, &span);
	if (unlikely(pgaml_hot.followed != NULL))
		pgaml_record_finished(queryDesc);
	pgaml_span_end(&span);
}

static pg_attribute_hot void
capture_executor_end(QueryDesc *queryDesc)
{
	PgamlSpan	span;

	pgaml_span_begin(&span);
	if (queryDesc->plannedstmt->queryId != 0)
		pgaml_repeats_end(queryDesc);
	if (queryDesc->plannedstmt->queryId != 0 && pgaml_watch_on())
	{
		pgaml_hot.session.previous_queryid = (int64) queryDesc->plannedstmt->queryId;
		pgaml_hot.session.previous_rows = (int64) PGAML_ROWS_PROCESSED(queryDesc->estate);
		if (unlikely(pgaml_hot.followed != NULL))
			pgaml_record_end(queryDesc);
	}
	pgaml_span_pause(&span);
	if (prev_executor_end)
		prev_executor_end(queryDesc);
	else
		standard_ExecutorEnd(queryDesc);
	pgaml_span_resume(&span);
	pgaml_span_end(&span);
}

static void
call_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					 ProcessUtilityContext context, ParamListInfo params,
					 QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, query_string, read_only_tree, context, params,
							 environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params,
								environment, dest, qc);
}

static void
call_process_utility_nested(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	pgaml_watch_enter();
	PG_TRY();
	{
		call_process_utility(pstmt, query_string, read_only_tree, context, params,
							 environment, dest, qc);
	}
	PG_FINALLY();
	{
		pgaml_watch_leave();
	}
	PG_END_TRY();
}

/*
 * CAUTION: *pstmt may be gone after the call, after a ROLLBACK for example.
 */
static void
capture_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
						ProcessUtilityContext context, ParamListInfo params,
						QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	PgamlSpan	span;

	pgaml_span_begin(&span);
	pgaml_span_pause(&span);
	if (pgaml_watch_utility_nests(pstmt->utilityStmt))
		call_process_utility_nested(pstmt, query_string, read_only_tree, context, params,
									environment, dest, qc);
	else
		call_process_utility(pstmt, query_string, read_only_tree, context, params,
							 environment, dest, qc);

	pgaml_span_resume(&span);

	/* What EXPLAIN planned is not what runs next. */
	pgaml_record_forget_planned();
	pgaml_span_end(&span);
}

void
pgaml_capture_install(void)
{
	prev_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = capture_post_parse_analyze;
	prev_planner = planner_hook;
	planner_hook = capture_planner;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = capture_executor_start;
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = capture_executor_run;
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = capture_executor_finish;
	prev_executor_end = ExecutorEnd_hook;
	ExecutorEnd_hook = capture_executor_end;
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = capture_process_utility;
}
