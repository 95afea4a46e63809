/*-------------------------------------------------------------------------
 * test_jobs.c
 *		What becomes of a training job, and whose turn it is.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/jobs_core.h"

#define SECOND	INT64_C(1000000)

static void
retries_come_ever_later(void **state)
{
	(void) state;
	assert_int_equal(pgaml_jobs_retry_delay(0, 0.5), 0);
	assert_int_equal(pgaml_jobs_retry_delay(-1, 0.5), 0);
	assert_int_equal(pgaml_jobs_retry_delay(1, 0.5), 30 * SECOND);
	assert_int_equal(pgaml_jobs_retry_delay(2, 0.5), 60 * SECOND);
	assert_int_equal(pgaml_jobs_retry_delay(3, 0.5), 120 * SECOND);
	assert_int_equal(pgaml_jobs_retry_delay(INT_MAX, 0.5), PGAML_JOB_RETRY_CAP_US);
}

static void
retries_are_spread(void **state)
{
	(void) state;
	assert_int_equal(pgaml_jobs_retry_delay(1, 0.0), 30 * SECOND * 3 / 4);
	assert_int_equal(pgaml_jobs_retry_delay(1, 1.0), 30 * SECOND * 5 / 4);
	assert_int_equal(pgaml_jobs_retry_delay(INT_MAX, 1.0), PGAML_JOB_RETRY_MAX_US);
	assert_int_equal(pgaml_jobs_retry_delay(1, NAN), 30 * SECOND);
	assert_int_equal(pgaml_jobs_retry_delay(1, 7.0), 30 * SECOND);
	for (int n = 1; n < 40; n++)
		for (int i = 1; i <= 20; i++)
			assert_true(pgaml_jobs_retry_delay(n, i / 20.0) > pgaml_jobs_retry_delay(n, (i - 1) / 20.0));
}

static void
errors_that_stay_are_told_from_those_that_pass(void **state)
{
	/* too few samples; arguments; memory; time; limits; not supported; gone */
	static const char *const stays[] = {"55000", "22023", "22004", "53400", "57014", "54000", "0A000", "42704", "42501"};

	/* lock; deadlock; serialization; out of memory; disk full; internal; shutdown; cursor state, whose digits begin alike; extension held */
	static const char *const passes[] = {"55P03", "40P01", "40001", "53200", "53100", "XX000", "57P01", "24000", "55006"};

	(void) state;
	for (size_t i = 0; i < sizeof(stays) / sizeof(stays[0]); i++)
		assert_true(pgaml_jobs_error_stays(stays[i]));
	for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++)
		assert_false(pgaml_jobs_error_stays(passes[i]));
}

static void
the_hard_limit_lies_beyond_the_soft_one(void **state)
{
	(void) state;
	assert_int_equal(pgaml_jobs_hard_limit(600), 930 * SECOND);
	assert_int_equal(pgaml_jobs_hard_limit(1), 31500 * (SECOND / 1000));
	assert_int_equal(pgaml_jobs_hard_limit(0), 30 * SECOND);
	assert_int_equal(pgaml_jobs_hard_limit(-5), 30 * SECOND);
	for (int64_t s = 0; s <= 86400; s += 60)
		assert_true(pgaml_jobs_hard_limit(s) > s * SECOND);
}

static void
nobody_waits_nobody_is_next(void **state)
{
	PgamlJobsTurn looking = {.looking = true, .dbid = 1};

	(void) state;
	assert_int_equal(pgaml_jobs_next_turn(NULL, 0), -1);
	assert_int_equal(pgaml_jobs_next_turn(&looking, 1), -1);
}

static void
the_one_served_longest_ago_is_next(void **state)
{
	PgamlJobsTurn turns[] = {
		{.workers = 0, .served = 30, .due = 1, .dbid = 1},
		{.workers = 1, .served = 0, .due = 1, .dbid = 2},
		{.workers = 0, .served = 20, .due = 9, .dbid = 3},
		{.workers = 0, .served = 20, .due = 8, .dbid = 5},
		{.workers = 0, .served = 20, .due = 8, .dbid = 4},
	};

	(void) state;
	assert_int_equal(pgaml_jobs_next_turn(turns, 5), 4);
	turns[4].looking = true;
	assert_int_equal(pgaml_jobs_next_turn(turns, 5), 3);
	turns[3].looking = true;
	assert_int_equal(pgaml_jobs_next_turn(turns, 5), 2);
	turns[2].looking = true;
	assert_int_equal(pgaml_jobs_next_turn(turns, 5), 0);
	turns[0].looking = true;
	assert_int_equal(pgaml_jobs_next_turn(turns, 5), 1);
}

/* Whatever waits, databases are served in turn: none twice before another once. */
static void
everybody_is_served_in_turn(void **state)
{
	enum {DATABASES = 7, ROUNDS = 50};
	PgamlJobsTurn turns[DATABASES] = {{0}};
	int			served[DATABASES] = {0};

	(void) state;
	for (int i = 0; i < DATABASES; i++)
		turns[i] = (PgamlJobsTurn) {.dbid = 100 - i, .due = i % 3};
	for (int round = 1; round <= ROUNDS * DATABASES; round++)
	{
		int			next = pgaml_jobs_next_turn(turns, DATABASES);
		int			least = INT_MAX;
		int			most = 0;

		served[next]++;
		turns[next].served = round;
		for (int i = 0; i < DATABASES; i++)
		{
			least = served[i] < least ? served[i] : least;
			most = served[i] > most ? served[i] : most;
		}
		assert_true(most - least <= 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retries_come_ever_later),
		cmocka_unit_test(retries_are_spread),
		cmocka_unit_test(errors_that_stay_are_told_from_those_that_pass),
		cmocka_unit_test(the_hard_limit_lies_beyond_the_soft_one),
		cmocka_unit_test(nobody_waits_nobody_is_next),
		cmocka_unit_test(the_one_served_longest_ago_is_next),
		cmocka_unit_test(everybody_is_served_in_turn),
	};

	return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
