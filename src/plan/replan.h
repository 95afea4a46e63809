/*-------------------------------------------------------------------------
 * replan.h
 *		From a text to a plan that is never run, with settings or hypothetical
 *		indexes.
 *
 * A text of the caller is planned as the caller, a stored statement as the
 * role that ran it (base/as_role.h).  Rights on its tables are checked as
 * execution would, before it is planned.  Everything happens in a read-only
 * subtransaction that is rolled back; nothing survives but the result.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REPLAN_H
#define PGAML_REPLAN_H

#include "nodes/plannodes.h"

#include "base/as_role.h"
#include "base/sample.h"

struct PgamlWhatIf;				/* hypothetical indexes, see what_if.h */

typedef struct PgamlPlanRequest
{
	const char *query;			/* one statement; $n allowed */
	const Oid  *param_types;	/* of $1.., InvalidOid where not known; NULL: none is known */
	int			nparams;
	const PgamlPlanSetting *settings;
	int			nsettings;
	const struct PgamlWhatIf *what_if;	/* NULL: only what is really there; a plan must then not be run */
} PgamlPlanRequest;

typedef struct PgamlReplanned
{
	PlannedStmt *stmt;			/* in the context that was current */
	int64		queryid;		/* as pg_stat_statements counts it; 0: not known */
	int			nparams;		/* highest $n; 0: the plan is that of the very values */
	PgamlPlanFacts facts;
} PgamlReplanned;

/*
 * Plan a text as the current user.  Raises what EXPLAIN of it would raise,
 * and for what has no plan (utility statements, several statements, none).
 */
extern void pgaml_replan_text(const PgamlPlanRequest *request, PgamlReplanned *out);

/*
 * Plan a stored statement as the role that ran it; see stored.c for when it is
 * not.  named: the session user itself named this queryid.  False, and why in
 * *problem (in the current context), when it is not planned.
 */
extern bool pgaml_replan_stored(int64 queryid, bool named, const PgamlPlanRequest *how,
								PgamlReplanned *out, const char **problem);

#endif							/* PGAML_REPLAN_H */
