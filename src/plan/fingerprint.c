/*-------------------------------------------------------------------------
 * fingerprint.c
 *		Tells plans apart at the cost of a few loads.
 *
 * For memories of what is known of a plan: walking it (plan_facts.c) costs a
 * hundred times as much.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/plannodes.h"

#include "base/mix.h"
#include "compat/compat.h"
#include "plan/plan.h"

static uint64
bits_of(double value)
{
	uint64		bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

uint64
pgaml_plan_fingerprint(const PlannedStmt *plan, uint64 salt)
{
	const Plan *top = plan->planTree;
	uint64		hash = pgaml_mix((uint64) plan->queryId, GetUserId());

	hash = pgaml_mix(hash, salt);
	hash = pgaml_mix(hash, (uint64) PGAML_CORE_PLAN_ID(plan));
	hash = pgaml_mix(hash, bits_of(top->startup_cost));
	hash = pgaml_mix(hash, bits_of(top->total_cost));
	hash = pgaml_mix(hash, bits_of(top->plan_rows));
	hash = pgaml_mix(hash, ((uint64) nodeTag(top) << 32) | (uint32) top->plan_width);
	hash = pgaml_mix(hash, ((uint64) list_length(plan->rtable) << 32) | (uint32) list_length(plan->subplans));
	hash = pgaml_mix(hash, plan->relationOids != NIL ? linitial_oid(plan->relationOids) : InvalidOid);
	return hash != 0 ? hash : 1;
}
