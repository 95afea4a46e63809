/*-------------------------------------------------------------------------
 * plan.h
 *		From the server's plans and queries to plain structs.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PLAN_H
#define PGAML_PLAN_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

#include "base/sample.h"

/*
 * Walk a finished plan.  Fills every field of out, plan_id included; takes no
 * lock, reads no catalog, allocates nothing; unknown nodes are counted as
 * nodes and walked through their children.
 */
extern void pgaml_plan_facts(const PlannedStmt *plan, PgamlPlanFacts *out);

/*
 * Statement, user, costs, rows, size and first relation of a plan in one
 * number, never 0: plans that differ here are different, what else they
 * differ in mostly moves their costs.  salt: what else tells them apart.
 */
extern uint64 pgaml_plan_fingerprint(const PlannedStmt *plan, uint64 salt);

/* Names of the plan facts in the order of PgamlPlanFact, snake case, with unit and meaning. */
typedef struct PgamlPlanFactName
{
	const char *name;
	const char *unit;
	const char *meaning;
} PgamlPlanFactName;

extern const PgamlPlanFactName pgaml_plan_fact_names[PGAML_PF_COUNT];

#endif							/* PGAML_PLAN_H */
