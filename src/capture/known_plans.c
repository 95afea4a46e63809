/*-------------------------------------------------------------------------
 * known_plans.c
 *		Remembers plans, so that each is walked once and not per execution.
 *
 * A small direct-mapped memory in each backend, by a fingerprint that costs
 * a few loads: statement, user, search_path, core's plan id, costs, rows,
 * width.  A new plan is walked, and its facts are offered to the worker; again
 * when the statement comes back to it from another plan, and after
 * PGAML_FACTS_REFRESH ticks.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/plannodes.h"

#include "base/shmem.h"
#include "capture/capture_internal.h"
#include "plan/plan.h"

#define KNOWN_PLANS		256		/* a power of two */

typedef struct KnownPlan
{
	uint64		fingerprint;	/* 0: free */
	int64		plan_id;
	uint64		offered;		/* tick of the last successful offer of its facts; 0 */
	float		values[PGAML_PF_COUNT];
} KnownPlan;

static KnownPlan known_plans[KNOWN_PLANS];

/* Facts of this user, statement and plan to the worker. */
static void
offer(const PlannedStmt *plan, const PgamlPlanFacts *facts, KnownPlan *known,
	  PgamlRhythm *rhythm, uint64 tick)
{
	PgamlStatementFacts statement;

	pgaml_statement_begin(&statement, (int64) plan->queryId);
	statement.nparams = -1;
	statement.plan = *facts;
	if (!pgaml_mailbox_put_facts(&statement))
		return;
	known->offered = tick;
	rhythm->last_plan_id = known->plan_id;
}

void
pgaml_known_plan(const PlannedStmt *plan, PgamlRhythm *rhythm, PgamlSample *sample)
{
	uint64		fingerprint = pgaml_plan_fingerprint(plan, (uint64) pgaml_search_path_hash());
	KnownPlan  *known = &known_plans[fingerprint & (KNOWN_PLANS - 1)];
	uint64		tick = pg_atomic_read_u64(&pgaml_shared->tick);

	if (known->fingerprint != fingerprint || known->offered == 0 ||
		tick - known->offered >= PGAML_FACTS_REFRESH || rhythm->last_plan_id != known->plan_id)
	{
		PgamlPlanFacts facts;

		pgaml_plan_facts(plan, &facts);
		known->fingerprint = fingerprint;
		known->plan_id = facts.plan_id;
		known->offered = 0;
		memcpy(known->values, facts.values, sizeof(known->values));
		offer(plan, &facts, known, rhythm, tick);
	}
	sample->plan_id = known->plan_id;
	memcpy(sample->plan_values, known->values, sizeof(known->values));
}
