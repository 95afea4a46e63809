/*-------------------------------------------------------------------------
 * sampling.c
 *		Which executions are captured.
 *
 * The one place that decides.  The k-th execution of a statement in a tick
 * is captured with probability capture_rate * min(1, n / k), n being
 * FULL_PER_PERCENT for every percent of overhead_budget; its weight is the inverse,
 * so that weights add up to executions.  Rare statements are seen in full, a
 * hot one gives n (1 + ln(executions / n)) samples a tick and backend.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "nodes/plannodes.h"

#include "base/guc.h"
#include "base/mix.h"
#include "base/shmem.h"
#include "capture/capture_internal.h"

#define FULL_PER_PERCENT	8.0
#define RHYTHMS				512 /* a power of two */

static PgamlRhythm rhythms[RHYTHMS];

/* The entry of a statement and coarse plan shape; another one's is taken over. */
static PgamlRhythm *
find_rhythm(const PlannedStmt *plan)
{
	uint64		shape = ((uint64) nodeTag(plan->planTree) << 32) |
		((uint64) (uint16) list_length(plan->subplans) << 16) |
		(uint16) list_length(plan->rtable);
	uint64		key = pgaml_mix((uint64) plan->queryId, shape);
	PgamlRhythm *rhythm = &rhythms[key & (RHYTHMS - 1)];

	if (rhythm->key != key)
	{
		memset(rhythm, 0, sizeof(PgamlRhythm));
		rhythm->key = key;
	}
	return rhythm;
}

float
pgaml_sampling_weight(const PlannedStmt *plan, PgamlRhythm **rhythm_out)
{
	PgamlRhythm *rhythm = find_rhythm(plan);
	uint64		tick = pg_atomic_read_u64(&pgaml_shared->tick);
	double		probability = pgaml_capture_rate;

	if (rhythm->tick != tick)
	{
		rhythm->tick = tick;
		rhythm->executions = 0;
	}
	if (likely(rhythm->executions < PG_UINT32_MAX))
		rhythm->executions++;
	*rhythm_out = rhythm;

	if (pgaml_overhead_budget < 1.0)
	{
		double		full = FULL_PER_PERCENT * 100.0 * pgaml_overhead_budget;

		if (full < rhythm->executions)
			probability *= full / rhythm->executions;
	}
	if (probability < 1.0 && pg_prng_double(&pg_global_prng_state) >= probability)
		return 0.0f;
	return (float) (1.0 / probability);
}

bool
pgaml_sampling_nodes(void)
{
	return pgaml_capture_node_rate > 0.0 &&
		(pgaml_capture_node_rate >= 1.0 ||
		 pg_prng_double(&pg_global_prng_state) < pgaml_capture_node_rate);
}
