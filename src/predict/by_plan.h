/*-------------------------------------------------------------------------
 * by_plan.h
 *		How long the execution of a finished plan will take.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_BY_PLAN_H
#define PGAML_PREDICT_BY_PLAN_H

#include "base/sample.h"
#include "predict/predict.h"

/*
 * Predict the execution of a plan, as the current user.  queryid, unless 0,
 * names the statement: what the caller may know of its past is used, and the
 * plan is its own (MlStageQuery.own_plan).  coverage is that of the interval.
 * Never raises for a reason that lies in data or models.
 */
extern void pgaml_predict_plan(const PgamlPlanFacts *facts, int64 queryid, double coverage,
							   bool want_reason, PgamlPrediction *out);

/*
 * The same where nobody may be kept waiting (EXPLAIN, guard): false, and *out
 * untouched, when a lock is not free at once, in parallel mode, in a failed
 * or aborted transaction, or when anything at all goes wrong.  What was read
 * is kept in the session, one statement at a time.
 */
extern bool pgaml_predict_plan_try(const PgamlPlanFacts *facts, int64 queryid, double coverage,
								   bool want_reason, PgamlPrediction *out);

#endif							/* PGAML_PREDICT_BY_PLAN_H */
