/*-------------------------------------------------------------------------
 * slowdown.h
 *		What was captured of a statement around a moment, ready to be split.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_OBSERVE_SLOWDOWN_H
#define PGAML_OBSERVE_SLOWDOWN_H

#include "utils/timestamp.h"

#include "base/sample.h"
#include "observe/slowdown_core.h"

/* One of the plans told apart. */
typedef struct PgamlSlowPlanSeen
{
	int64		plan_id;		/* 0: several rare ones */
	double		weight[2];		/* executions before and after, weighted */
	double		sum[PGAML_PF_COUNT];	/* of its facts, weighted; NaN when unknown in one of them */
	double		predicted_ms;	/* what the model (or the cost) says of such a plan; NaN */
} PgamlSlowPlanSeen;

/* What history has of a window: buckets that lie in it as a whole. */
typedef struct PgamlSlowTotals
{
	double		calls;			/* 0: nothing */
	double		mean_ms;		/* NaN without calls */
	double		hours;			/* covered by buckets */
	double		coverage;		/* 0..1; NaN without calls */
} PgamlSlowTotals;

typedef struct PgamlSlowEvidence
{
	bool		visible;		/* the statement is known, and the caller may see it */
	TimestampTz from;			/* of the window before */
	TimestampTz since;
	TimestampTz until;
	PgamlSlowRun *runs;
	int64		n;
	int64		captured[2];	/* executions found, of which runs are at most PGAML_SLOW_MOST */
	PgamlSlowPlanSeen plans[PGAML_SLOW_PLANS];
	int			nplans;
	Oid			relations[PGAML_MAX_RELATIONS]; /* of its last plan */
	int			nrelations;
	PgamlSlowTotals totals[2];	/* before, after */
} PgamlSlowEvidence;

/* Read it, as the current user; memory is of the current context.  Raises errors. */
extern void pgaml_slow_read(int64 queryid, TimestampTz since, PgamlSlowEvidence *out);

/* What the model expects of these plans; false: no model, their costs had to do. */
extern bool pgaml_slow_expect(PgamlSlowEvidence *evidence, PgamlSlowPlan *expected);

#endif							/* PGAML_OBSERVE_SLOWDOWN_H */
