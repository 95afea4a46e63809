/*-------------------------------------------------------------------------
 * replan_internal.h
 *		What the files that plan a text again share.
 *
 * replan.c plans one text in the role bracket; stored.c finds text, role and
 * types of a stored statement; repair.c makes a normalized text plannable.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REPLAN_INTERNAL_H
#define PGAML_REPLAN_INTERNAL_H

#include "plan/replan.h"

typedef struct PgamlPlanning PgamlPlanning;

struct PgamlPlanning
{
	const PgamlPlanRequest *request;	/* its query and parameters are not looked at */
	const char *text;
	const Oid  *param_types;
	int			nparams;
	PgamlReplanned *out;
	MemoryContext context;		/* for the result; set by pgaml_replan_run */
	bool		begun;			/* the bracket is open: errors are those of the statement */
	bool		understood;		/* parsed and analyzed */
	int64		stored_queryid; /* of a stored statement; 0: the text is the caller's */
	bool		shared_text;	/* of a stored statement that others run, too */

	/* called in the bracket; NULL: not */
	void		(*analyzed) (Query *query, PgamlPlanning *planning);	/* before it is rewritten */
	void		(*planned) (PlannedStmt *stmt, PgamlPlanning *planning);	/* while its locks are held */
	void	   *state;			/* of planned() */
};

/* Plan in the bracket of this role.  Errors are raised when everything is undone. */
extern void pgaml_replan_run(PgamlPlanning *planning, const PgamlRole *role);

/*
 * The same for a normalized text: what does not parse is repaired, types of
 * parameters are found by trial.  False, and why in *problem, when it cannot
 * be planned; raises only what lies in the settings, and cancels.
 */
extern bool pgaml_repair_and_plan(PgamlPlanning *planning, const PgamlRole *role, const char **problem);

/* What pgaml_replan_stored() does, with more to say. */
typedef struct PgamlStoredPlan
{
	PgamlReplanned replanned;
	Oid			userid;			/* planned as this role; InvalidOid: it did not come to that */
	char	   *plan;			/* as EXPLAIN prints it, if that was asked for */
	const char *problem;		/* NULL: planned */
} PgamlStoredPlan;

extern bool pgaml_stored_plan(int64 queryid, bool named, bool print, const PgamlPlanRequest *how,
							  PgamlStoredPlan *out);

#endif							/* PGAML_REPLAN_INTERNAL_H */
