/*-------------------------------------------------------------------------
 * test_budget.c
 *		The throttle of capture, against servers made of three numbers: what an
 *		execution costs anyway, what all captured ones cost, and their noise.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/budget_core.h"

#define WINDOW	PGAML_BUDGET_WINDOW_NS
#define BUDGET	0.01

/* A server: shares of CPU time at level 1, and how the captured part depends on the level. */
typedef struct Server
{
	double		fixed;			/* paid by every execution */
	double		full;			/* paid for captured ones at level 1 */
	double		power;			/* captured part goes with level ^ power, 0..1 */
	double		noise;			/* relative, of one window */
	uint64_t	seed;
} Server;

static double
uniform(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (double) (*seed >> 11) / 9007199254740992.0;
}

static PgamlSpending
window_of(Server *server, double level)
{
	double		noise = 1.0 + server->noise * (2.0 * uniform(&server->seed) - 1.0);
	PgamlSpending window = {
		.executions = 10000, .samples = 100 * level, .cpu_ns = WINDOW,
		.hook_ns = server->fixed * WINDOW,
		.work_ns = server->full * pow(level, server->power) * noise * WINDOW
	};

	return window;
}

/* Run so many windows; returns the share of the last one without noise. */
static double
run(PgamlBudget *budget, Server server, int windows)
{
	for (int i = 0; i < windows; i++)
	{
		PgamlSpending window = window_of(&server, budget->level);

		pgaml_budget_update(budget, &window, BUDGET);
		assert_true(budget->level >= PGAML_BUDGET_FLOOR && budget->level <= 1.0);
	}
	return server.fixed + server.full * pow(budget->level, server.power);
}

static void
what_fits_is_captured_in_full(void **state)
{
	PgamlBudget budget;

	(void) state;
	pgaml_budget_init(&budget);
	run(&budget, (Server) {0.002, 0.006, 1, 0, 1}, 50);
	assert_true(budget.level == 1.0);
	assert_true(fabs(pgaml_budget_share(&budget.recent) - 0.008) < 1e-9);
}

static void
comes_to_the_budget(void **state)
{
	const double powers[] = {1.0, 0.5, 0.25};

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		PgamlBudget budget;

		pgaml_budget_init(&budget);
		assert_true(fabs(run(&budget, (Server) {0.003, 0.02, powers[i], 0, 1}, 60) - BUDGET) < 0.02 * BUDGET);
	}
}

/* The share is off by the same sign all the way, and by ever less. */
static void
does_not_oscillate(void **state)
{
	Server		server = {0.001, 0.08, 1.0, 0, 1};
	PgamlBudget budget;
	double		before = 1.0;

	(void) state;
	pgaml_budget_init(&budget);
	for (int i = 0; i < 40; i++)
	{
		double		over = log(run(&budget, server, 1) / BUDGET);

		assert_true(over > -1e-6);
		assert_true(over <= before + 1e-9 || i == 0);
		before = over;
	}
	assert_true(before < 0.01);
}

static void
noise_moves_it_little(void **state)
{
	Server		server = {0.002, 0.05, 1.0, 0.8, 7};
	PgamlBudget budget;
	double		sum = 0;

	(void) state;
	pgaml_budget_init(&budget);
	run(&budget, server, 30);
	for (int i = 0; i < 400; i++)
	{
		PgamlSpending window = window_of(&server, budget.level);

		sum += pgaml_budget_share(&window);
		pgaml_budget_update(&budget, &window, BUDGET);
	}
	assert_true(fabs(sum / 400 - BUDGET) < 0.15 * BUDGET);
}

static void
recovers_after_a_burst(void **state)
{
	Server		calm = {0.001, 0.005, 1.0, 0, 1};
	PgamlBudget budget;

	(void) state;
	pgaml_budget_init(&budget);
	run(&budget, calm, 5);
	assert_true(budget.level == 1.0);
	run(&budget, (Server) {0.001, 3.0, 1.0, 0, 1}, 3);
	assert_true(budget.level < 0.02);
	run(&budget, calm, 12);
	assert_true(budget.level == 1.0);
}

static void
stops_at_the_floor(void **state)
{
	PgamlBudget budget;

	(void) state;
	pgaml_budget_init(&budget);
	run(&budget, (Server) {0.05, 0.5, 1.0, 0, 1}, 100);
	assert_true(budget.level == PGAML_BUDGET_FLOOR);
	run(&budget, (Server) {0.0, 0.001, 1.0, 0, 1}, 8);
	assert_true(budget.level == 1.0);
}

static void
without_a_throttle_it_only_measures(void **state)
{
	Server		server = {0.05, 0.5, 1.0, 0, 1};
	PgamlBudget budget;
	PgamlSpending window = window_of(&server, 1.0);

	(void) state;
	pgaml_budget_init(&budget);
	for (int i = 0; i < 20; i++)
		pgaml_budget_update(&budget, &window, 1.0);
	assert_true(budget.level == 1.0);
	assert_true(fabs(pgaml_budget_share(&budget.recent) - 0.55) < 1e-9);
	pgaml_budget_update(&budget, &window, NAN);
	assert_true(budget.level == 1.0);
	pgaml_budget_update(&budget, &window, 0.0);
	assert_true(budget.level >= PGAML_BUDGET_FLOOR && budget.level < 0.2);
}

static void
odd_windows_are_ignored(void **state)
{
	const PgamlSpending good = {100, 10, 1e6, 1e6, WINDOW};
	const double odd[] = {NAN, INFINITY, -INFINITY, -1.0};
	PgamlBudget budget;
	PgamlBudget before;

	(void) state;
	pgaml_budget_init(&budget);
	assert_true(pgaml_budget_share(&budget.recent) == 0.0);
	pgaml_budget_update(&budget, &good, BUDGET);
	before = budget;
	for (int i = 0; i < 4; i++)
	{
		for (int field = 0; field < 5; field++)
		{
			PgamlSpending window = good;

			((double *) &window)[field] = odd[i];
			pgaml_budget_update(&budget, &window, BUDGET);
			assert_memory_equal(&budget, &before, sizeof(budget));
		}
	}
	{
		PgamlSpending nothing = {0};

		pgaml_budget_update(&budget, &nothing, BUDGET);
		assert_memory_equal(&budget, &before, sizeof(budget));
	}
}

/* CPU time but nothing captured: that is room. */
static void
nothing_spent_is_room(void **state)
{
	const PgamlSpending idle = {0, 0, 0, 0, WINDOW};
	PgamlBudget budget;

	(void) state;
	pgaml_budget_init(&budget);
	budget.level = PGAML_BUDGET_FLOOR;
	for (int i = 0; i < 8; i++)
		pgaml_budget_update(&budget, &idle, BUDGET);
	assert_true(budget.level == 1.0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_is_captured_in_full),
		cmocka_unit_test(comes_to_the_budget),
		cmocka_unit_test(does_not_oscillate),
		cmocka_unit_test(noise_moves_it_little),
		cmocka_unit_test(recovers_after_a_burst),
		cmocka_unit_test(stops_at_the_floor),
		cmocka_unit_test(without_a_throttle_it_only_measures),
		cmocka_unit_test(odd_windows_are_ignored),
		cmocka_unit_test(nothing_spent_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
