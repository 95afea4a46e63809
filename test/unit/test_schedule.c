/*-------------------------------------------------------------------------
 * test_schedule.c
 *		Backoff, due times and waits of the launcher.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/schedule_core.h"

#define SECOND	INT64_C(1000000)

/* Without jitter (0.5): 1, 2, 4 ... 256, then the cap. */
static void
backoff_doubles_up_to_the_cap(void **state)
{
	(void) state;
	assert_int_equal(pgaml_schedule_backoff(0, 0.5), 0);
	assert_int_equal(pgaml_schedule_backoff(-3, 0.5), 0);
	for (int n = 1; n <= 9; n++)
		assert_int_equal(pgaml_schedule_backoff(n, 0.5), SECOND << (n - 1));
	assert_int_equal(pgaml_schedule_backoff(10, 0.5), PGAML_BACKOFF_CAP_US);
	assert_int_equal(pgaml_schedule_backoff(1000, 0.5), PGAML_BACKOFF_CAP_US);
	assert_int_equal(pgaml_schedule_backoff(INT_MAX, 0.5), PGAML_BACKOFF_CAP_US);
}

static void
backoff_is_spread_by_a_quarter(void **state)
{
	(void) state;
	assert_int_equal(pgaml_schedule_backoff(1, 0.0), SECOND * 3 / 4);
	assert_int_equal(pgaml_schedule_backoff(1, 1.0), SECOND * 5 / 4);
	assert_int_equal(pgaml_schedule_backoff(INT_MAX, 1.0), PGAML_BACKOFF_MAX_US);
	for (int n = 1; n < 40; n++)
	{
		for (int i = 0; i <= 20; i++)
		{
			int64_t		delay = pgaml_schedule_backoff(n, i / 20.0);

			assert_true(delay >= SECOND * 3 / 4 && delay <= PGAML_BACKOFF_MAX_US);
			assert_true(i == 0 || delay > pgaml_schedule_backoff(n, (i - 1) / 20.0));
		}
	}
}

static void
backoff_survives_bad_jitter(void **state)
{
	(void) state;
	assert_int_equal(pgaml_schedule_backoff(1, NAN), SECOND);
	assert_int_equal(pgaml_schedule_backoff(1, -1.0), SECOND);
	assert_int_equal(pgaml_schedule_backoff(1, INFINITY), SECOND);
}

static void
a_moment_is_reached_when_it_has_come(void **state)
{
	(void) state;
	assert_true(pgaml_schedule_reached(0, 10 * SECOND, SECOND));
	assert_true(pgaml_schedule_reached(10 * SECOND, 10 * SECOND, SECOND));
	assert_false(pgaml_schedule_reached(10 * SECOND + 1, 10 * SECOND, SECOND));
	assert_false(pgaml_schedule_reached(11 * SECOND, 10 * SECOND, SECOND));
	assert_true(pgaml_schedule_reached(-5, -5, 0));
	assert_false(pgaml_schedule_reached(-5, -6, 1));
}

/* A clock that goes back never makes one wait longer than the longest delay. */
static void
a_clock_that_went_back_does_not_block(void **state)
{
	int64_t		due = 1000 * SECOND;
	int64_t		longest = 60 * SECOND;

	(void) state;
	for (int64_t back = 0; back <= 5000 * SECOND; back += SECOND)
	{
		int64_t		now = due - back;
		bool		reached = pgaml_schedule_reached(due, now, longest);

		assert_int_equal(reached, back == 0 || back > longest);
	}
	assert_true(pgaml_schedule_reached(INT64_MAX, INT64_MIN, longest));
	assert_true(pgaml_schedule_reached(INT64_MAX, 0, longest));
}

/* At most one visit per interval, however the clock jumps. */
static void
jumps_cause_one_visit(void **state)
{
	static const int64_t jumps[] = {0, 3600, -3600, 30, -30, 86400, -86400};
	int64_t		longest = 60 * SECOND;
	int64_t		now = 100000 * SECOND;
	int64_t		due = now + longest;

	(void) state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++)
	{
		int			visits = 0;

		now += jumps[i] * SECOND;
		for (int s = 0; s < 60; s++)
		{
			if (pgaml_schedule_reached(due, now, longest))
			{
				visits++;
				due = now + longest;
			}
			now += SECOND;
		}
		assert_true(visits <= 1);
		assert_true(due - now <= longest);
	}
}

static void
waits_are_rounded_up_and_capped(void **state)
{
	(void) state;
	assert_int_equal(pgaml_schedule_wait_ms(0, 5, 1000), 0);
	assert_int_equal(pgaml_schedule_wait_ms(5, 5, 1000), 0);
	assert_int_equal(pgaml_schedule_wait_ms(6, 5, 1000), 1);
	assert_int_equal(pgaml_schedule_wait_ms(1000, 0, 1000), 1);
	assert_int_equal(pgaml_schedule_wait_ms(1001, 0, 1000), 2);
	assert_int_equal(pgaml_schedule_wait_ms(999 * 1000 + 1, 0, 1000), 1000);
	assert_int_equal(pgaml_schedule_wait_ms(SECOND, 0, 1000), 1000);
	assert_int_equal(pgaml_schedule_wait_ms(3600 * SECOND, 0, 1000), 1000);
	assert_int_equal(pgaml_schedule_wait_ms(INT64_MAX, INT64_MIN, 60000), 60000);
	assert_int_equal(pgaml_schedule_wait_ms(5, 0, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backoff_doubles_up_to_the_cap),
		cmocka_unit_test(backoff_is_spread_by_a_quarter),
		cmocka_unit_test(backoff_survives_bad_jitter),
		cmocka_unit_test(a_moment_is_reached_when_it_has_come),
		cmocka_unit_test(a_clock_that_went_back_does_not_block),
		cmocka_unit_test(jumps_cause_one_visit),
		cmocka_unit_test(waits_are_rounded_up_and_capped),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
