/*-------------------------------------------------------------------------
 * test_schedule.c
 *		Backoff, due times and waits of the launcher; the next retraining.
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "helper_zone.h"
#include "worker/schedule_core.h"

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

/* Every day at any time, within one percent of a core, on a Wednesday noon; no training yet. */
static PgamlRetrain
daily_retraining(const ZoneRules *rules, const char *window)
{
	PgamlRetrain retrain = {
		.now = utc_at(2026, 6, 10, 12, 0), .interval = DAY, .zone = zone_of(rules), .budget = 0.01
	};

	assert_null(pgaml_daily_parse(window, &retrain.window));
	return retrain;
}

static void
assert_plan(const PgamlRetrain *retrain, PgamlRetrainWait waits_for, int64_t expected)
{
	int64_t		next_run = INT64_MIN;

	assert_int_equal(pgaml_schedule_retrain(retrain, &next_run), waits_for);
	assert_int_equal(next_run, expected);
}

static void
retraining_comes_after_the_interval(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "");

	(void) state;
	assert_plan(&retrain, PGAML_RETRAIN_NOW, retrain.now);
	retrain.has_run = true;
	retrain.last_run = retrain.now - 23 * HOUR;
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, retrain.now + HOUR);
	retrain.last_run = retrain.now - DAY + 1;
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, retrain.now + 1);
	retrain.last_run = retrain.now - DAY;
	assert_plan(&retrain, PGAML_RETRAIN_NOW, retrain.now);
	retrain.last_run = retrain.now - 1000 * DAY;
	assert_plan(&retrain, PGAML_RETRAIN_NOW, retrain.now);
}

static void
retraining_can_be_off(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "");

	(void) state;
	retrain.interval = 0;
	assert_plan(&retrain, PGAML_RETRAIN_OFF, INT64_MIN);
	retrain.has_run = true;
	assert_plan(&retrain, PGAML_RETRAIN_OFF, INT64_MIN);
}

static void
retraining_waits_for_the_window(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "02:00-04:00");

	(void) state;
	/* noon UTC is 14:00 in Berlin; 2:00 there is 0:00 UTC */
	assert_plan(&retrain, PGAML_RETRAIN_WINDOW, utc_at(2026, 6, 11, 0, 0));
	retrain.now = utc_at(2026, 6, 11, 1, 30);
	assert_plan(&retrain, PGAML_RETRAIN_NOW, retrain.now);
	retrain.has_run = true;
	retrain.last_run = utc_at(2026, 6, 11, 1, 30);
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, utc_at(2026, 6, 12, 0, 0));
	/* an interval that ends outside of the window */
	retrain.interval = 3 * HOUR;
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, utc_at(2026, 6, 12, 0, 0));
	retrain.now = utc_at(2026, 6, 11, 5, 0);
	assert_plan(&retrain, PGAML_RETRAIN_WINDOW, utc_at(2026, 6, 12, 0, 0));
}

/* Runs that began 40 s after the opening do not move through the window day by day. */
static void
runs_stay_at_the_opening(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "02:00-02:10");

	(void) state;
	retrain.has_run = true;
	retrain.now = retrain.last_run = utc_at(2026, 3, 20, 1, 0) + 40 * SECOND;
	for (int day = 21; day <= 28; day++)
	{
		assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, utc_at(2026, 3, day, 1, 0));
		retrain.now = retrain.last_run = utc_at(2026, 3, day, 1, 0) + 40 * SECOND;
	}
	/* the 29th has 23 hours, and its window opens when the hour that does not come is over */
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, utc_at(2026, 3, 29, 1, 0));
	retrain.now = retrain.last_run = utc_at(2026, 3, 29, 1, 0) + 40 * SECOND;
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, utc_at(2026, 3, 30, 0, 0));
	/* never more than two hours, or an eighth of the interval, early */
	retrain.interval = 7 * DAY;
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, utc_at(2026, 4, 5, 0, 0));
	retrain.interval = 8 * MINUTE;
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, retrain.now + 7 * MINUTE);
}

static void
a_doubled_hour_retrains_once(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "02:15-02:45");

	(void) state;
	retrain.has_run = true;
	retrain.interval = 30 * MINUTE;
	retrain.now = retrain.last_run = utc_at(2026, 10, 25, 0, 20);
	/* 2:15 comes again an hour later, but the window does not */
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, utc_at(2026, 10, 26, 1, 15));
}

static void
training_stays_within_the_budget(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "");

	(void) state;
	retrain.has_run = true;
	retrain.last_run = retrain.now - DAY;
	/* 14 minutes in a day are less than one percent of it, 15 are more */
	retrain.cost = 14 * MINUTE;
	assert_plan(&retrain, PGAML_RETRAIN_NOW, retrain.now);
	retrain.cost = 15 * MINUTE;
	assert_plan(&retrain, PGAML_RETRAIN_OVERHEAD, retrain.last_run + 25 * HOUR);
	/* before the interval is over, that is what it waits for */
	retrain.last_run = retrain.now - HOUR;
	assert_plan(&retrain, PGAML_RETRAIN_INTERVAL, retrain.last_run + 25 * HOUR);
	retrain.budget = 1.0;
	retrain.last_run = retrain.now - DAY;
	retrain.cost = 1000 * DAY;
	assert_plan(&retrain, PGAML_RETRAIN_NOW, retrain.now);
	retrain.budget = 0.0;
	assert_plan(&retrain, PGAML_RETRAIN_NO_BUDGET, INT64_MIN);
	retrain.cost = 0;
	assert_plan(&retrain, PGAML_RETRAIN_NOW, retrain.now);
	/* nothing overflows */
	retrain.cost = 1000 * DAY;
	retrain.budget = 1e-300;
	retrain.now = utc_at(2026, 6, 10, 12, 0);
	assert_plan(&retrain, PGAML_RETRAIN_OVERHEAD, retrain.last_run + INT64_C(3155760000000000));
	/* with a window, the first opening after that */
	retrain = daily_retraining(&berlin, "02:00-04:00");
	retrain.has_run = true;
	retrain.last_run = retrain.now - DAY;
	retrain.cost = 15 * MINUTE;
	assert_plan(&retrain, PGAML_RETRAIN_OVERHEAD, utc_at(2026, 6, 11, 0, 0));
}

/* What the worker does at a visit: plan, run when it may, keep what it saw. */
static bool
visit_retrains(PgamlRetrain *retrain, int64_t now)
{
	int64_t		next_run;

	retrain->now = now;
	if (retrain->has_run)
		retrain->last_run = pgaml_schedule_last_run(retrain->last_run, now);
	if (pgaml_schedule_retrain(retrain, &next_run) != PGAML_RETRAIN_NOW)
	{
		assert_true(next_run > now);
		return false;
	}
	assert_int_equal(next_run, now);
	retrain->has_run = true;
	retrain->last_run = now;
	return true;
}

static void
a_clock_set_back_neither_blocks_nor_repeats(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "");
	int64_t		now = retrain.now;

	(void) state;
	assert_true(visit_retrains(&retrain, now));
	now -= 400 * DAY;
	for (int minute = 0; minute < 24 * 60; minute++, now += MINUTE)
		assert_false(visit_retrains(&retrain, now));
	assert_true(visit_retrains(&retrain, now));
	assert_false(visit_retrains(&retrain, now + MINUTE));
}

static void
a_clock_set_ahead_retrains_once(void **state)
{
	PgamlRetrain retrain = daily_retraining(&berlin, "");
	int64_t		now = retrain.now;

	(void) state;
	assert_true(visit_retrains(&retrain, now));
	now += 400 * DAY;
	assert_true(visit_retrains(&retrain, now));
	for (int minute = 1; minute < 24 * 60; minute++)
		assert_false(visit_retrains(&retrain, now + minute * MINUTE));
	/* and set right again */
	now -= 400 * DAY - DAY;
	for (int minute = 0; minute < 24 * 60; minute++)
		assert_false(visit_retrains(&retrain, now + minute * MINUTE));
	assert_true(visit_retrains(&retrain, now + DAY));
}

/*
 * Is this moment in the window, by the clock on the wall?  Said apart from
 * the code: within three hours of a change the wall is no witness.
 */
static bool
wall_says_open(const ZoneRules *rules, const PgamlDaily *window, int64_t at)
{
	int64_t		minute = (local_at(rules, at) % DAY + DAY) % DAY / MINUTE;

	for (const ZoneChange *change = rules->changes; change->at != 0; change++)
	{
		if (at >= change->at - 3 * HOUR && at < change->at + 3 * HOUR)
			return true;
	}
	return window->always || (minute >= window->from && minute < window->to) || minute + 1440 < window->to;
}

/*
 * A year of visits at random moments, some far apart:
 * never outside of the window, never twice within an interval less what it
 * may come early, and no day left out where there are enough visits.
 */
static void
a_year_of_random_visits(void **state)
{
	static const ZoneRules *const zones[] = {&utc, &berlin, &lord_howe, &havana};
	static const char *const windows[] = {"", "02:10-02:50", "23:30-00:30", "20:00-04:00", "00:00-24:00"};
	static const int64_t intervals[] = {20 * MINUTE, 6 * HOUR, DAY, 3 * DAY};
	static const int most_minutes[] = {5, 15, 600};

	(void) state;
	srand(4);
	for (int i = 0; i < 4 * 5 * 4 * 3; i++)
	{
		const ZoneRules *rules = zones[i % 4];
		int64_t		interval = intervals[i / 20 % 4];
		int			most = most_minutes[i / 80];
		PgamlRetrain retrain = daily_retraining(rules, windows[i / 4 % 5]);
		int64_t		early = retrain.window.always ? 0 : interval / 8 < 2 * HOUR ? interval / 8 : 2 * HOUR;
		int64_t		before = INT64_MIN;
		int			runs = 0;

		retrain.interval = interval;
		for (int64_t now = utc_at(2026, 1, 1, 0, 0); now < utc_at(2027, 1, 1, 0, 0); now += rand() % (most * 60) * SECOND + 1)
		{
			if (!visit_retrains(&retrain, now))
				continue;
			assert_true(wall_says_open(rules, &retrain.window, now));
			assert_true(before == INT64_MIN || now - before >= interval - early);
			/* visited every few minutes, no day goes by */
			if (most == 5 && interval <= DAY && before != INT64_MIN)
				assert_true(now - before <= DAY + 70 * MINUTE);
			before = now;
			runs++;
		}
		assert_true(runs >= (most == 600 ? 1 : 90));
	}
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
		cmocka_unit_test(retraining_comes_after_the_interval),
		cmocka_unit_test(retraining_can_be_off),
		cmocka_unit_test(retraining_waits_for_the_window),
		cmocka_unit_test(runs_stay_at_the_opening),
		cmocka_unit_test(a_doubled_hour_retrains_once),
		cmocka_unit_test(training_stays_within_the_budget),
		cmocka_unit_test(a_clock_set_back_neither_blocks_nor_repeats),
		cmocka_unit_test(a_clock_set_ahead_retrains_once),
		cmocka_unit_test(a_year_of_random_visits),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
