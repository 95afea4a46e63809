/*-------------------------------------------------------------------------
 * replan_internal.h
 *		What the files that plan a text again share.
 *
 * replan.c plans one text in the role bracket; replan_stored.c finds text,
 * role and types of a stored statement, and repairs what does not parse.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REPLAN_INTERNAL_H
#define PGAML_REPLAN_INTERNAL_H

#include "plan/replan.h"

typedef struct PgamlPlanning PgamlPlanning;

struct PgamlPlanning
{
	const PgamlPlanRequest *request;	/* its query is not looked at */
	const char *text;
	const Oid  *param_types;
	int			nparams;
	PgamlReplanned *out;
	MemoryContext context;		/* for the result; set by pgaml_replan_run */

	/* called in the bracket; NULL: not */
	void		(*analyzed) (Query *query); /* before it is rewritten */
	void		(*planned) (PlannedStmt *stmt, PgamlPlanning *planning);	/* while its locks are held */
};

/* Plan in the bracket of this role.  Errors are raised when everything is undone. */
extern void pgaml_replan_run(PgamlPlanning *planning, const PgamlRole *role);

#endif							/* PGAML_REPLAN_INTERNAL_H */
