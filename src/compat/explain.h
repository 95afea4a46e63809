/*-------------------------------------------------------------------------
 * explain.h
 *		Differences between server majors in EXPLAIN.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_COMPAT_EXPLAIN_H
#define PGAML_COMPAT_EXPLAIN_H

#include "commands/defrem.h"
#include "commands/explain.h"

#include "compat/compat.h"

/* 18: what EXPLAIN prints with has headers of its own. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* 18: options of extensions, and a hook inside of the output of each plan. */
#if PG_VERSION_NUM >= 180000
#define PGAML_EXPLAIN_HAS_PLAN_HOOK true
#else
#define PGAML_EXPLAIN_HAS_PLAN_HOOK false
#endif

/* Called for each plan when its output is nearly complete; never before 18. */
typedef void (*PgamlExplainPlan) (ExplainState *es, PlannedStmt *plan);

/*
 * Offer an option that takes a boolean, and be called for each plan.  Nothing
 * before 18.
 */
extern void pgaml_explain_register(const char *option, PgamlExplainPlan plan);

/* What this option was set to; otherwise where it was not given, or cannot be. */
extern bool pgaml_explain_option(ExplainState *es, bool otherwise);

/*
 * Plan and explain a query as the server does without hooks; planned(),
 * unless NULL, is called in between, where no time is measured, and not at all
 * with the option MEMORY of 17 and later.
 */
typedef void (*PgamlExplainPlanned) (const PlannedStmt *plan, void *state);
extern void pgaml_explain_standard(Query *query, int cursor_options, IntoClause *into, ExplainState *es,
								   const char *query_string, ParamListInfo params, QueryEnvironment *environment,
								   PgamlExplainPlanned planned, void *state);

/*
 * A finished plan as EXPLAIN prints it, in the current context.  Parameters
 * need no values, and no function is called: partitions that would be ruled
 * out when execution starts are shown.  Changes the plan.
 */
extern char *pgaml_explain_finished(PlannedStmt *plan, const char *query_string);

#endif							/* PGAML_COMPAT_EXPLAIN_H */
