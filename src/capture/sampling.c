/*-------------------------------------------------------------------------
 * sampling.c
 *		Which executions are captured.
 *
 * The one place that decides.  x = FULL_PER_PERCENT for every percent of
 * overhead_budget, times the level that the measured cost leaves (budget.c).
 * The k-th execution of a statement in a tick and backend is captured with
 * probability capture_rate * min(1, x / k): rare statements are seen in full,
 * a hot one gives x (1 + ln(executions / x)) samples.  When even looking
 * costs too much, x goes below 1: then every statement is still seen at its
 * first look, but only a share x of executions is looked at.  The weight is
 * the inverse of the probability, so that weights add up to executions.
 *
 * Nothing is drawn per execution, but how many pass by until the next one:
 * the gap between successes is geometric.  While k grows by a quarter the
 * probability stays, then the rest of the gap is forgotten and drawn anew.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "nodes/plannodes.h"

#include "capture/capture_internal.h"

#define FULL_PER_PERCENT	8.0
#define LEAST_GATE			(1.0 / 32)	/* less saves nothing more: hooks are called anyway */
#define LONGEST_GAP			1e9
#define PASS_BY				64	/* executions, when nothing is to be captured */
#define RHYTHMS				512 /* a power of two */

/* What the settings and the level allow, for which they were computed. */
typedef struct Allowance
{
	uint32		level;			/* as in shared memory */
	uint32		settings;		/* pgaml_sampling_settings */
	float		gate;			/* share of executions that is looked at, 0..1 */
	double		full;			/* executions of a statement that are captured for sure */
} Allowance;

static Allowance allowance = {.level = PG_UINT32_MAX};
static PgamlRhythm rhythms[RHYTHMS];

static pg_noinline void
compute_allowance(uint32 level)
{
	double		x = FULL_PER_PERCENT * 100.0 * pgaml_overhead_budget * level / PGAML_LEVEL_ONE;

	allowance.level = level;
	allowance.settings = pgaml_sampling_settings;
	allowance.full = pgaml_overhead_budget < 1.0 ? Max(x, 1.0) : INFINITY;
	allowance.gate = 1.0f;
	if (pgaml_overhead_budget < 1.0 && x < 1.0)
		allowance.gate = pgaml_overhead_budget > 0.0 ? (float) Max(x, LEAST_GATE) : 0.0f;
}

/* Executions from one success to the next, the latter included. */
static pg_noinline double
draw_gap(double probability)
{
	double		u = pg_prng_double(&pg_global_prng_state);
	double		gap = 1.0 + floor(log(1.0 - u) / log1p(-probability));

	return Min(gap, LONGEST_GAP);
}

static inline bool
allowance_changed(void)
{
	return pg_atomic_read_u32(&pgaml_shared->capture_level) != allowance.level ||
		pgaml_sampling_settings != allowance.settings;
}

/* How many executions pass by until the next look. */
static pg_noinline void
draw_skip(void)
{
	if (allowance_changed())
		compute_allowance(pg_atomic_read_u32(&pgaml_shared->capture_level));
	pgaml_hot.gate = allowance.gate;
	if (likely(allowance.gate >= 1.0f))
		return;
	pgaml_hot.skip = allowance.gate > 0.0f ? (int) draw_gap(allowance.gate) - 1 : PASS_BY;
}

/* Plan when something happens next to a statement that was executed so often. */
static pg_noinline void
draw_next(PgamlRhythm *rhythm)
{
	double		k = rhythm->executions + 1.0;
	double		probability = pgaml_capture_rate * Min(1.0, allowance.full / k);
	double		gap;

	rhythm->weight = 0.0f;
	rhythm->next = PG_UINT32_MAX;
	if (probability <= 0.0)
		return;
	rhythm->weight = (float) (1.0 / probability);
	rhythm->next = rhythm->executions + 1;
	if (probability >= 1.0)
		return;
	gap = draw_gap(probability);
	if (gap > 1.0 + floor(k / 4))
	{
		gap = 1.0 + floor(k / 4);
		rhythm->weight = 0.0f;
	}
	rhythm->next = rhythm->executions + (uint32) gap;
}

static pg_noinline void
take_over(PgamlRhythm *rhythm, uint64 key)
{
	memset(rhythm, 0, sizeof(PgamlRhythm));
	rhythm->key = key;
}

/*
 * The entry of a statement and coarse plan shape; another one's is taken over.
 * A queryid is a hash itself: it needs no mixing.
 */
static inline PgamlRhythm *
find_rhythm(const PlannedStmt *plan)
{
	uint64		shape = ((uint64) nodeTag(plan->planTree) << 32) |
		((uint64) (uint16) list_length(plan->subplans) << 16) |
		(uint16) list_length(plan->rtable);
	uint64		key = (uint64) plan->queryId ^ shape * UINT64CONST(0x9e3779b97f4a7c15);
	PgamlRhythm *rhythm = &rhythms[key & (RHYTHMS - 1)];

	if (unlikely(rhythm->key != key))
		take_over(rhythm, key);
	return rhythm;
}

/* A statement whose turn has come, or the first of a tick. */
static pg_noinline float
weight_now(PgamlRhythm *rhythm, uint64 epoch, float gate)
{
	float		weight;

	if (rhythm->epoch != epoch)
	{
		rhythm->epoch = epoch;
		rhythm->executions = 0;
		draw_next(rhythm);
	}
	if (++rhythm->executions < rhythm->next)
		return 0.0f;
	weight = rhythm->weight / gate;
	draw_next(rhythm);
	return weight;
}

pg_attribute_hot float
pgaml_sampling_weight(const PlannedStmt *plan, PgamlRhythm **rhythm_out)
{
	PgamlRhythm *rhythm;
	float		gate = pgaml_hot.gate;
	uint64		epoch;

	*rhythm_out = NULL;
	if (pgaml_hot.skip > 0)
	{
		pgaml_hot.skip--;
		return 0.0f;
	}
	if (unlikely(pgaml_hot.gate < 1.0f || allowance_changed()))
		draw_skip();
	if (unlikely(gate <= 0.0f))
		return 0.0f;
	*rhythm_out = rhythm = find_rhythm(plan);
	epoch = pg_atomic_read_u64(&pgaml_shared->tick) + ((uint64) pgaml_sampling_settings << 40);
	if (likely(rhythm->epoch == epoch && rhythm->executions + 1 < rhythm->next))
	{
		rhythm->executions++;
		return 0.0f;
	}
	return weight_now(rhythm, epoch, gate);
}

bool
pgaml_sampling_nodes(void)
{
	return pgaml_capture_node_rate > 0.0 &&
		(pgaml_capture_node_rate >= 1.0 ||
		 pg_prng_double(&pg_global_prng_state) < pgaml_capture_node_rate);
}
