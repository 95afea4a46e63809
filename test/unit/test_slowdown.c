/*-------------------------------------------------------------------------
 * test_slowdown.c
 *		What made a statement slower: seeded simulations with known causes.
 *		The planted cause gets the largest share, nothing planted is no
 *		change, the parts add up, and no order of anything matters.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"
#include "observe/slowdown_core.h"

#define SEEDS	20
#define MOST	4000

/* What is done to the window after. */
typedef struct World
{
	double		plan;			/* factor of the other plan, which all executions have; 1: none */
	bool		plan_known;		/* the model has an idea of it */
	double		rows;			/* factor on the rows */
	double		reads;			/* blocks read, of 1000 touched; before it is 5 */
	bool		timed;			/* io_ms is measured */
	double		temp;			/* temporary blocks */
	double		active;			/* statements running, on average; before it is 1.5 */
	double		other;			/* factor that nothing tells of */
	int			n[2];
	double		noise;			/* log */
} World;

static const World quiet = {
	.plan = 1, .rows = 1, .reads = 5, .active = 1.5, .other = 1, .n = {200, 200}, .noise = 0.25
};

static PgamlSlowRun runs[MOST];
static PgamlSlowPlan plans[2];

static int
simulate(const World *world, uint64_t seed)
{
	MlRng		rng;
	int			n = 0;

	pgaml_ml_rng_seed(&rng, seed);
	plans[0] = (PgamlSlowPlan) {world->plan_known ? log(8.0) : NAN, 0.7};
	plans[1] = (PgamlSlowPlan) {world->plan_known ? log(8.0) + 0.7 * log(world->plan) : NAN, 0.7};
	for (int w = 0; w < 2; w++)
	{
		for (int i = 0; i < world->n[w]; i++)
		{
			PgamlSlowRun *run = &runs[n++];
			double		rows = 100.0 * exp(0.4 * pgaml_ml_rng_normal(&rng)) * (w ? world->rows : 1.0);
			double		compute;

			memset(run, 0, sizeof(*run));
			run->after = w == 1;
			run->weight = pgaml_ml_rng_uniform(&rng) < 0.5 ? 1.0 : 4.0;
			run->plan = w == 1 && world->plan != 1.0;
			run->rows = floor(rows);
			run->blocks = 1000.0 * (rows / 100.0) * (run->plan ? 5.0 : 1.0);
			run->work = 100.0;
			run->reads = floor(run->blocks / 1000.0 * (w ? world->reads : 5.0) * (0.5 + pgaml_ml_rng_uniform(&rng)));
			run->temp = w ? floor(world->temp * (0.8 + 0.4 * pgaml_ml_rng_uniform(&rng))) : 0.0;
			run->active = 1.0 + floor(2.0 * ((w ? world->active : 1.5) - 0.5) * pgaml_ml_rng_uniform(&rng));
			compute = 8.0 * pow(rows / 100.0, 0.9) * pow(run->active, 0.7) * (run->plan ? world->plan : 1.0) *
				(w ? world->other : 1.0) * exp(world->noise * pgaml_ml_rng_normal(&rng));
			run->io_ms = world->timed ? run->reads * 0.02 : NAN;
			run->ms = compute + run->reads * 0.02 + run->temp * 0.015;
		}
	}
	return n;
}

static PgamlSlowdown
split(int n)
{
	PgamlSlowdown out;
	MlError		error;

	assert_int_equal(pgaml_slowdown(runs, n, plans, 2, &plain_heap, &out, &error), ML_OK);
	return out;
}

static PgamlCause
largest(const PgamlSlowdown *out)
{
	PgamlCause	best = 0;

	for (int c = 1; c < PGAML_CAUSE_COUNT; c++)
		if (fabs(out->part[c].change_ms) > fabs(out->part[best].change_ms))
			best = c;
	return best;
}

static void
assert_adds_up(const PgamlSlowdown *out)
{
	double		sum = 0.0;

	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
	{
		assert_true(isfinite(out->part[c].change_ms));
		assert_true(out->part[c].lower_ms <= out->part[c].change_ms && out->part[c].change_ms <= out->part[c].upper_ms);
		sum += out->part[c].change_ms;
	}
	assert_true(fabs(sum - out->total.change_ms) <= 1e-9 * (fabs(sum) + out->window[0].ms));
	assert_true(fabs(out->window[1].ms - out->window[0].ms - out->total.change_ms) <= 1e-9 * out->window[1].ms);
}

/* The cause gets most of the change in every one of the seeds, and at least this share of it. */
static void
assert_named(const World *world, PgamlCause cause, double least)
{
	double		share = 0.0;

	for (int seed = 1; seed <= SEEDS; seed++)
	{
		PgamlSlowdown out = split(simulate(world, seed));

		assert_adds_up(&out);
		assert_true(out.changed);
		assert_int_equal(largest(&out), cause);
		share += out.part[cause].change_ms / out.total.change_ms / SEEDS;
	}
	assert_true(share > least);
}

static void
test_each_cause(void **state)
{
	World		world;

	(void) state;
	world = quiet, world.plan = 6.0;
	assert_named(&world, PGAML_CAUSE_PLAN, 0.8);
	world.plan_known = true;
	assert_named(&world, PGAML_CAUSE_PLAN, 0.8);
	world = quiet, world.rows = 4.0;
	assert_named(&world, PGAML_CAUSE_ROWS, 0.8);
	world = quiet, world.reads = 900.0;
	assert_named(&world, PGAML_CAUSE_CACHE, 0.8);
	world.timed = true;
	assert_named(&world, PGAML_CAUSE_CACHE, 0.9);
	world = quiet, world.temp = 1500.0;
	assert_named(&world, PGAML_CAUSE_SPILL, 0.8);
	world = quiet, world.active = 8.0;
	assert_named(&world, PGAML_CAUSE_CONCURRENCY, 0.8);
	world = quiet, world.other = 2.0;
	assert_named(&world, PGAML_CAUSE_UNEXPLAINED, 0.8);
	world.plan_known = true;
	assert_named(&world, PGAML_CAUSE_UNEXPLAINED, 0.8);
}

/* What was slower before is an improvement: the same cause with the other sign. */
static void
test_improvement(void **state)
{
	World		world = quiet;

	(void) state;
	world.plan = 0.1;
	assert_named(&world, PGAML_CAUSE_PLAN, 0.8);
	world = quiet;
	world.rows = 0.2;
	assert_named(&world, PGAML_CAUSE_ROWS, 0.8);
	world = quiet;
	world.other = 0.4;
	assert_named(&world, PGAML_CAUSE_UNEXPLAINED, 0.8);
}

static void
test_nothing(void **state)
{
	int			changed = 0;

	(void) state;
	for (int seed = 1; seed <= 5 * SEEDS; seed++)
	{
		PgamlSlowdown out = split(simulate(&quiet, seed));

		assert_adds_up(&out);
		changed += out.changed;
	}
	/* 5 % of the intervals miss zero; few of these differences are a tenth of the time */
	assert_true(changed <= 3);
}

/* A tenth slower, surely, is told; less than that is not called a change however sure it is. */
static void
test_small(void **state)
{
	World		world = quiet;
	PgamlSlowdown out;

	(void) state;
	world.noise = 0.02;
	world.n[0] = world.n[1] = 2000;
	world.other = 1.05;
	out = split(simulate(&world, 1));
	assert_false(out.changed);
	world.other = 1.3;
	out = split(simulate(&world, 1));
	assert_true(out.changed);
}

/* Two causes at once: both are seen, the larger one first. */
static void
test_two_causes(void **state)
{
	World		world = quiet;

	(void) state;
	world.plan = 6.0;
	world.rows = 2.0;
	for (int seed = 1; seed <= SEEDS; seed++)
	{
		PgamlSlowdown out = split(simulate(&world, seed));

		assert_adds_up(&out);
		assert_int_equal(largest(&out), PGAML_CAUSE_PLAN);
		assert_true(out.part[PGAML_CAUSE_ROWS].lower_ms > 0.0);
		assert_true(fabs(out.part[PGAML_CAUSE_UNEXPLAINED].change_ms) < 0.2 * out.total.change_ms);
	}
	world = quiet;
	world.reads = 900.0;
	world.temp = 600.0;
	world.timed = true;
	for (int seed = 1; seed <= SEEDS; seed++)
	{
		PgamlSlowdown out = split(simulate(&world, seed));

		assert_int_equal(largest(&out), PGAML_CAUSE_CACHE);
		assert_true(out.part[PGAML_CAUSE_SPILL].change_ms > 0.2 * out.total.change_ms);
	}
}

/* A statement that runs for microseconds, and one that runs for minutes. */
static void
test_scales(void **state)
{
	(void) state;
	for (double scale = 1e-4; scale < 1e6; scale *= 10.0)
	{
		World		world = quiet;
		int			n;
		PgamlSlowdown out;

		world.plan = 6.0;
		n = simulate(&world, 3);
		for (int i = 0; i < n; i++)
		{
			runs[i].ms *= scale;
			runs[i].reads = 0.0;
		}
		out = split(n);
		assert_adds_up(&out);
		assert_true(out.changed);
		assert_int_equal(largest(&out), PGAML_CAUSE_PLAN);
	}
}

static void
assert_same_split(const PgamlSlowdown *a, const PgamlSlowdown *b)
{
	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
		assert_true(fabs(a->part[c].change_ms - b->part[c].change_ms) < 1e-4 * fabs(a->total.change_ms));
}

/* Neither the order of executions and plans nor the scale of the weights matters. */
static void
test_orders(void **state)
{
	World		world = quiet;
	PgamlSlowdown out;
	PgamlSlowdown again;
	PgamlSlowPlan plan;
	int			n;

	(void) state;
	world.plan = 3.0;
	world.rows = 2.0;
	world.reads = 500.0;
	world.active = 4.0;
	n = simulate(&world, 7);
	out = split(n);

	for (int i = 0; i < n / 2; i++)
	{
		PgamlSlowRun run = runs[i];

		runs[i] = runs[n - 1 - i];
		runs[n - 1 - i] = run;
	}
	again = split(n);
	assert_same_split(&out, &again);

	for (int i = 0; i < n; i++)
	{
		runs[i].plan = 1 - runs[i].plan;
		runs[i].weight *= 17.0;
	}
	plan = plans[0];
	plans[0] = plans[1];
	plans[1] = plan;
	again = split(n);
	assert_same_split(&out, &again);

	/* seen from the other side, every effect has the other sign */
	for (int i = 0; i < n; i++)
		runs[i].after = !runs[i].after;
	again = split(n);
	assert_int_equal(largest(&again), largest(&out));
	assert_true(again.part[PGAML_CAUSE_PLAN].change_ms * out.part[PGAML_CAUSE_PLAN].change_ms < 0.0);
}

/* The same answer every time; nothing that is not known makes it fail. */
static void
test_unknown(void **state)
{
	int			n = simulate(&quiet, 2);
	PgamlSlowdown out;
	PgamlSlowdown again;

	(void) state;
	out = split(n);
	again = split(n);
	assert_memory_equal(&out, &again, sizeof(out.part));
	for (int i = 0; i < n; i++)
		runs[i].blocks = runs[i].work = runs[i].reads = runs[i].io_ms = runs[i].temp = runs[i].active = NAN;
	out = split(n);
	assert_adds_up(&out);
	for (int i = 0; i < n; i++)
		runs[i].ms = runs[i].after ? 1e9 : 1e-6;
	out = split(n);
	assert_adds_up(&out);
	assert_true(out.changed);
	assert_int_equal(largest(&out), PGAML_CAUSE_UNEXPLAINED);
}

static void
test_refused(void **state)
{
	World		world = quiet;
	PgamlSlowdown out;
	MlError		error;
	int			n;

	(void) state;
	world.n[0] = PGAML_SLOW_LEAST - 1;
	n = simulate(&world, 1);
	assert_int_equal(pgaml_slowdown(runs, n, plans, 2, &plain_heap, &out, &error), ML_E_DATA);
	assert_string_equal(error.message, "too few executions");
	world.n[0] = world.n[1] = PGAML_SLOW_LEAST;
	n = simulate(&world, 1);
	(void) split(n);
	runs[3].ms = 0.0;
	assert_int_equal(pgaml_slowdown(runs, n, plans, 2, &plain_heap, &out, &error), ML_E_DATA);
	runs[3].ms = INFINITY;
	assert_int_equal(pgaml_slowdown(runs, n, plans, 2, &plain_heap, &out, &error), ML_E_DATA);
	runs[3].ms = 1.0;
	runs[3].plan = 2;
	assert_int_equal(pgaml_slowdown(runs, n, plans, 2, &plain_heap, &out, &error), ML_E_DATA);
	runs[3].plan = -1;
	assert_int_equal(pgaml_slowdown(runs, n, plans, 2, &plain_heap, &out, NULL), ML_E_DATA);
	runs[3].plan = 0;
	runs[3].weight = NAN;
	assert_int_equal(pgaml_slowdown(runs, n, plans, 2, &plain_heap, &out, &error), ML_E_DATA);
	assert_int_equal(pgaml_slowdown(runs, n, plans, PGAML_SLOW_PLANS + 1, &plain_heap, &out, &error), ML_E_ARG);
}

static void
test_no_memory(void **state)
{
	int			n = simulate(&quiet, 1);

	(void) state;
	for (int64_t fail_at = 1;; fail_at++)
	{
		Counter		counter = {.fail_at = fail_at};
		MlAllocator allocator = counting(&counter);
		PgamlSlowdown out;
		MlError		error;
		MlStatus	status = pgaml_slowdown(runs, n, plans, 2, &allocator, &out, &error);

		assert_int_equal(counter.held, 0);
		if (status == ML_OK)
		{
			assert_int_equal(fail_at, 3);
			break;
		}
		assert_int_equal(status, ML_E_NOMEM);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_cause),
		cmocka_unit_test(test_improvement),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_two_causes),
		cmocka_unit_test(test_scales),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
