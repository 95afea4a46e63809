/*-------------------------------------------------------------------------
 * test_history.c
 *		Growth of counters, judgement of resets, buckets, coverage.
 *
 * Hunts: growth that is more than what ran, the same call counted twice, a
 * loss without an event, a bucket that is more covered than it is.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history/history_core.h"

#define SECOND	INT64_C(1000000)
#define HOUR	(3600 * SECOND)
#define DAY		(24 * HOUR)

static HistoryCounters
counters(int64_t calls, double mean, double stddev)
{
	HistoryCounters c = {0};

	c.count[HISTORY_CALLS] = calls;
	c.count[HISTORY_ROWS] = calls * 3;
	c.time[HISTORY_TOTAL_MS] = (double) calls * mean;
	c.time[HISTORY_SUM_SQUARES] = pgaml_history_core_sum_squares(calls, mean, stddev);
	return c;
}

static void
sum_of_squares_comes_back(void **state)
{
	(void) state;
	/* 1, 2, 3, 4: mean 2.5, population variance 1.25, squares 30 */
	assert_float_equal(pgaml_history_core_sum_squares(4, 2.5, sqrt(1.25)), 30.0, 1e-12);
	assert_float_equal(pgaml_history_core_sum_squares(0, 0, 0), 0.0, 0);
}

static void
growth_is_the_difference(void **state)
{
	HistoryCounters was = counters(10, 2, 1);
	HistoryCounters is = counters(14, 2.5, 1.5);
	HistoryCounters growth;

	(void) state;
	assert_int_equal(pgaml_history_core_growth(&was, &is, false, &growth), HISTORY_GREW);
	assert_int_equal(growth.count[HISTORY_CALLS], 4);
	assert_int_equal(growth.count[HISTORY_ROWS], 12);
	assert_float_equal(growth.time[HISTORY_TOTAL_MS], 15, 1e-12);
	assert_float_equal(growth.time[HISTORY_SUM_SQUARES], 119 - 50, 1e-9);
}

static void
a_new_entry_grew_by_all_it_has(void **state)
{
	HistoryCounters is = counters(7, 2, 0);
	HistoryCounters growth;

	(void) state;
	assert_int_equal(pgaml_history_core_growth(NULL, &is, false, &growth), HISTORY_GREW);
	assert_int_equal(growth.count[HISTORY_CALLS], 7);
	is.count[HISTORY_CALLS] = 0;
	assert_int_equal(pgaml_history_core_growth(NULL, &is, false, &growth), HISTORY_SAME);
}

static void
nothing_grew(void **state)
{
	HistoryCounters was = counters(10, 2, 1);
	HistoryCounters growth;

	(void) state;
	assert_int_equal(pgaml_history_core_growth(&was, &was, false, &growth), HISTORY_SAME);
	assert_int_equal(growth.count[HISTORY_CALLS], 0);
}

/* Every single counter that falls gives the entry away. */
static void
a_falling_counter_means_a_new_entry(void **state)
{
	(void) state;
	for (int i = 0; i < HISTORY_COUNTS + HISTORY_TIMES; i++)
	{
		HistoryCounters was;
		HistoryCounters is;
		HistoryCounters growth;

		if (i == HISTORY_COUNTS + HISTORY_SUM_SQUARES)
			continue;
		for (int k = 0; k < HISTORY_COUNTS; k++)
		{
			was.count[k] = 100;
			is.count[k] = 110;
		}
		for (int k = 0; k < HISTORY_TIMES; k++)
		{
			was.time[k] = 100;
			is.time[k] = 110;
		}
		if (i < HISTORY_COUNTS)
			is.count[i] = 99;
		else
			is.time[i - HISTORY_COUNTS] = 99;
		assert_int_equal(pgaml_history_core_growth(&was, &is, false, &growth), HISTORY_RESTARTED);
		assert_int_equal(growth.count[HISTORY_CALLS], is.count[HISTORY_CALLS]);
	}
}

static void
time_without_calls_means_a_new_entry(void **state)
{
	HistoryCounters was = counters(5, 2, 0);
	HistoryCounters is = counters(5, 3, 0);
	HistoryCounters growth;

	(void) state;
	assert_int_equal(pgaml_history_core_growth(&was, &is, false, &growth), HISTORY_RESTARTED);
	assert_int_equal(growth.count[HISTORY_CALLS], 5);
	is = counters(50, 3, 0);
	assert_int_equal(pgaml_history_core_growth(&was, &is, true, &growth), HISTORY_RESTARTED);
	assert_int_equal(growth.count[HISTORY_CALLS], 50);
}

static void
squares_stay_possible(void **state)
{
	HistoryCounters was = counters(1000000000, 1000, 5000);
	HistoryCounters is = was;
	HistoryCounters growth;

	(void) state;
	/* One call of 1 ms drowns in the rounding of the sum. */
	is.count[HISTORY_CALLS] += 1;
	is.time[HISTORY_TOTAL_MS] += 1;
	is.time[HISTORY_SUM_SQUARES] -= 12345;
	assert_int_equal(pgaml_history_core_growth(&was, &is, false, &growth), HISTORY_GREW);
	assert_float_equal(growth.time[HISTORY_SUM_SQUARES],
					   growth.time[HISTORY_TOTAL_MS] * growth.time[HISTORY_TOTAL_MS], 1e-9);
	is.time[HISTORY_SUM_SQUARES] = NAN;
	pgaml_history_core_growth(&was, &is, false, &growth);
	assert_false(isnan(growth.time[HISTORY_SUM_SQUARES]));
	is.time[HISTORY_SUM_SQUARES] = was.time[HISTORY_SUM_SQUARES] * 2;
	pgaml_history_core_growth(&was, &is, false, &growth);
	assert_true(growth.time[HISTORY_SUM_SQUARES] <= 1.0001);
}

/*
 * Property: whatever calls, resets and ticks follow each other, the sum of
 * growth never exceeds the calls, and equals them when nothing was reset
 * between a call and its tick.
 */
static void
history_never_exceeds_what_ran(void **state)
{
	(void) state;
	srand(20261121);
	for (int run = 0; run < 500; run++)
	{
		HistoryCounters entry = {0};
		HistoryCounters was = {0};
		bool		counted = false;
		bool		exists = false;
		bool		lost = false;
		int64_t		ran = 0;
		int64_t		pending = 0;
		int64_t		kept = 0;

		for (int step = 0; step < 100; step++)
		{
			int			what = rand() % 10;

			if (what < 6)
			{
				double		ms = 1 + rand() % 1000 / 7.0;

				entry.count[HISTORY_CALLS]++;
				entry.time[HISTORY_TOTAL_MS] += ms;
				entry.time[HISTORY_SUM_SQUARES] += ms * ms;
				exists = true;
				ran++;
				pending++;
			}
			else if (what == 6 && run % 2 == 0)
			{
				lost = lost || pending > 0 || exists;
				memset(&entry, 0, sizeof(entry));
				exists = false;
				pending = 0;
			}
			else if (exists)
			{
				HistoryCounters growth;

				pgaml_history_core_growth(counted ? &was : NULL, &entry, false, &growth);
				kept += growth.count[HISTORY_CALLS];
				was = entry;
				counted = true;
				pending = 0;
			}
			else
				counted = false;
			assert_true(kept <= ran);
			if (!lost)
				assert_int_equal(kept + pending, ran);
		}
	}
}

/*
 * JUDGEMENT
 */

static const HistoryPast past = {
	.any = true,.database = 5,.tick_at = 100 * SECOND,.boot_at = 10 * SECOND,.stats_reset = 1,.dealloc = 3
};

static HistoryPresent
present_at(int64_t now)
{
	return (HistoryPresent)
	{
		.database = 5,.now = now,.boot_at = 10 * SECOND,.stats_reset = 1,.dealloc = 3,
			.saved = true,.max_entries = 5000,.interval = 120 * SECOND
	};
}

static void
a_quiet_tick_has_no_event(void **state)
{
	HistoryPresent present = present_at(160 * SECOND);
	HistoryJudgement j;

	(void) state;
	pgaml_history_core_judge(&past, &present, &j);
	assert_false(j.baseline);
	assert_false(j.from_zero);
	assert_int_equal(j.nevents, 0);
	assert_int_equal(j.grown_from, 100 * SECOND);
	/* A clean restart in between keeps everything. */
	present.boot_at = 150 * SECOND;
	pgaml_history_core_judge(&past, &present, &j);
	assert_int_equal(j.nevents, 0);
}

static void
the_first_tick_is_a_baseline(void **state)
{
	HistoryPast none = {0};
	HistoryPresent present = present_at(160 * SECOND);
	HistoryJudgement j;

	(void) state;
	pgaml_history_core_judge(&none, &present, &j);
	assert_true(j.baseline);
	assert_int_equal(j.nevents, 0);
}

static void
judge_reset(int64_t reset, int64_t boot, bool saved, HistoryReason reason)
{
	HistoryPresent present = present_at(160 * SECOND);
	HistoryJudgement j;

	present.stats_reset = reset;
	present.boot_at = boot;
	present.saved = saved;
	present.dealloc = 0;
	pgaml_history_core_judge(&past, &present, &j);
	assert_false(j.baseline);
	assert_true(j.from_zero);
	assert_int_equal(j.nevents, 1);
	assert_int_equal(j.events[0].reason, reason);
	assert_int_equal(j.events[0].from, 100 * SECOND);
	assert_int_equal(j.events[0].to, reset);
	assert_int_equal(j.grown_from, reset);
}

static void
a_reset_has_its_reason(void **state)
{
	(void) state;
	judge_reset(140 * SECOND, 10 * SECOND, true, HISTORY_RESET);
	judge_reset(140 * SECOND, 140 * SECOND, true, HISTORY_CRASH);
	judge_reset(140 * SECOND, 140 * SECOND, false, HISTORY_RESTART);
	/* By hand, some time after a restart. */
	judge_reset(155 * SECOND, 130 * SECOND, true, HISTORY_RESET);
}

static void
counters_of_another_server_are_a_baseline(void **state)
{
	HistoryPresent present = present_at(160 * SECOND);
	HistoryJudgement j;

	(void) state;
	present.stats_reset = 50 * SECOND;	/* before our last tick, yet unknown then */
	present.boot_at = 49 * SECOND;
	pgaml_history_core_judge(&past, &present, &j);
	assert_true(j.baseline);
	assert_int_equal(j.nevents, 1);
	assert_int_equal(j.events[0].reason, HISTORY_RESTART);
	present = present_at(160 * SECOND);
	present.database = 6;
	pgaml_history_core_judge(&past, &present, &j);
	assert_true(j.baseline);
	assert_int_equal(j.events[0].reason, HISTORY_GAP);
}

static void
evictions_and_gaps_are_told(void **state)
{
	HistoryPresent present = present_at(160 * SECOND);
	HistoryJudgement j;

	(void) state;
	present.dealloc = 5;
	pgaml_history_core_judge(&past, &present, &j);
	assert_int_equal(j.nevents, 1);
	assert_int_equal(j.events[0].reason, HISTORY_EVICTION);
	assert_float_equal(j.events[0].share, 500.0 / 5500.0, 1e-12);

	present = present_at(221 * SECOND);
	pgaml_history_core_judge(&past, &present, &j);
	assert_int_equal(j.nevents, 1);
	assert_int_equal(j.events[0].reason, HISTORY_GAP);
	present.boot_at = 200 * SECOND;
	pgaml_history_core_judge(&past, &present, &j);
	assert_int_equal(j.events[0].reason, HISTORY_RESTART);

	/* All at once: the order of the array is its capacity's proof. */
	present.stats_reset = 101 * SECOND;
	present.dealloc = 1;
	present.now = 1000 * SECOND;
	pgaml_history_core_judge(&past, &present, &j);
	assert_int_equal(j.nevents, HISTORY_MAX_EVENTS);
}

static void
a_clock_that_went_back_gives_no_time(void **state)
{
	HistoryPresent present = present_at(90 * SECOND);
	HistoryJudgement j;

	(void) state;
	pgaml_history_core_judge(&past, &present, &j);
	assert_int_equal(j.nevents, 0);
	assert_int_equal(j.grown_from, 90 * SECOND);
}

static void
evicted_share_grows_to_one(void **state)
{
	(void) state;
	assert_float_equal(pgaml_history_core_evicted_share(0, 5000), 0, 0);
	assert_float_equal(pgaml_history_core_evicted_share(1, 100), 10.0 / 110.0, 1e-12);
	assert_true(pgaml_history_core_evicted_share(INT64_MAX, 5000) <= 1.0);
	assert_true(pgaml_history_core_evicted_share(100000, 5000) > 0.99);
}

/*
 * BUCKETS
 */

static void
buckets_meet_at_midnight(void **state)
{
	(void) state;
	assert_int_equal(pgaml_history_core_bucket(HOUR + 1, 3600), HOUR);
	assert_int_equal(pgaml_history_core_bucket(-1, 3600), -HOUR);
	assert_int_equal(pgaml_history_core_common_border(DAY - 1, 3600, 900), 23 * HOUR);
	assert_int_equal(pgaml_history_core_common_border(DAY - 1, 7200, 10800), 18 * HOUR);
	assert_int_equal(pgaml_history_core_common_border(DAY, 86400, 1), DAY);
	assert_int_equal(pgaml_history_core_next_due(HOUR - 30 * SECOND, 60, 3600), HOUR);
	assert_int_equal(pgaml_history_core_next_due(HOUR, 60, 3600), HOUR + 60 * SECOND);
	assert_int_equal(pgaml_history_core_next_due(HOUR, 86400, 3600), 2 * HOUR);
}

static void
slices_cover_an_event_exactly(void **state)
{
	HistorySlice slices[10];
	HistoryEvent event = {HISTORY_GAP, HOUR / 2, 3 * HOUR, 0.5};
	int64_t		time = 0;
	int			n = pgaml_history_core_slice(&event, 3600, slices, 10);

	(void) state;
	assert_int_equal(n, 3);
	assert_int_equal(pgaml_history_core_slices(&event, 3600, 10), 3);
	for (int i = 0; i < n; i++)
		time += slices[i].to - slices[i].from;
	assert_int_equal(time, event.to - event.from);
	assert_int_equal(slices[0].bucket, 0);
	assert_float_equal(slices[0].loss, 0.25, 1e-12);
	assert_float_equal(slices[2].loss, 0.5, 1e-12);
}

static void
a_long_event_keeps_its_newest_slices(void **state)
{
	HistorySlice slices[4];
	HistoryEvent event = {HISTORY_GAP, 5 * HOUR, 400 * DAY + 1, 1};

	(void) state;
	assert_int_equal(pgaml_history_core_slice(&event, 3600, slices, 4), 4);
	assert_int_equal(slices[3].bucket, 400 * DAY);
	assert_int_equal(slices[0].bucket, 400 * DAY - 3 * HOUR);
	assert_float_equal(slices[0].loss, 1, 0);
}

static void
a_moment_has_one_slice(void **state)
{
	HistorySlice slices[4];
	HistoryEvent event = {HISTORY_RESET, 2 * HOUR, 2 * HOUR, 1};

	(void) state;
	assert_int_equal(pgaml_history_core_slice(&event, 3600, slices, 4), 1);
	assert_int_equal(slices[0].bucket, 2 * HOUR);
	assert_float_equal(slices[0].loss, 0, 0);
}

/* Looks every minute, from start for so many minutes; the moments must all settle to what they are. */
static void
assert_settled(HistoryClock *clock, int64_t start, int minutes)
{
	for (int i = 0; i < minutes; i++)
		assert_int_equal(pgaml_history_core_settle(clock, start + i * 60 * SECOND), start + i * 60 * SECOND);
}

static void
ages_are_counted_from_now(void **state)
{
	HistoryClock clock = {0};

	(void) state;
	assert_settled(&clock, 500 * DAY, 3 * 1440);
	/* an outage of a day, and steps back */
	assert_settled(&clock, 503 * DAY + DAY - 60 * SECOND, 10);
	assert_settled(&clock, 503 * DAY, 10);
	assert_settled(&clock, 100 * DAY, 10);
}

static void
a_clock_that_jumped_ahead_ages_nothing(void **state)
{
	HistoryClock clock = {0};
	int64_t		before = 500 * DAY;

	(void) state;
	assert_settled(&clock, before - 60 * SECOND, 2);
	for (int minute = 0; minute < 1440; minute++)
		assert_int_equal(pgaml_history_core_settle(&clock, before + 400 * DAY + minute * 60 * SECOND), before);
	/* it has stayed there for a day */
	assert_settled(&clock, before + 401 * DAY, 10);
}

static void
a_clock_set_right_again_ages_nothing(void **state)
{
	HistoryClock clock = {0};
	int64_t		before = 500 * DAY;

	(void) state;
	assert_settled(&clock, before, 1);
	assert_int_equal(pgaml_history_core_settle(&clock, before + 4000 * DAY), before);
	/* a second back is no correction */
	assert_int_equal(pgaml_history_core_settle(&clock, before + 4000 * DAY - SECOND), before);
	/* half of the way back: the wait begins anew */
	assert_int_equal(pgaml_history_core_settle(&clock, before + 2000 * DAY), before);
	assert_int_equal(pgaml_history_core_settle(&clock, before + 2000 * DAY + DAY - 1), before);
	/* the whole of it, some minutes later: all is as ever */
	assert_settled(&clock, before + 300 * SECOND, 10);
	assert_int_equal(pgaml_history_core_settle(&clock, before + 100 * DAY), before + 300 * SECOND + 9 * 60 * SECOND);
}

/* One jump makes no other one believable. */
static void
a_clock_that_jumped_twice_ages_nothing(void **state)
{
	static const int64_t jumps[][2] = {{25 * HOUR, 500 * DAY}, {400 * DAY, 2 * DAY}, {400 * DAY, 400 * DAY}};

	(void) state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++)
	{
		HistoryClock clock = {0};
		int64_t		before = 500 * DAY;
		int64_t		now = before + jumps[i][0];

		assert_settled(&clock, before, 1);
		assert_int_equal(pgaml_history_core_settle(&clock, now), before);
		now += jumps[i][1];
		for (int hour = 0; hour < 24; hour++)
			assert_int_equal(pgaml_history_core_settle(&clock, now + hour * HOUR), before);
		assert_settled(&clock, now + DAY, 10);
	}
}

/* Who looks once a week deletes every other week. */
static void
rare_looks_settle(void **state)
{
	HistoryClock clock = {0};
	int			settled = 0;

	(void) state;
	for (int week = 0; week < 20; week++)
	{
		int64_t		answer = pgaml_history_core_settle(&clock, week * 7 * DAY);

		assert_true(answer <= week * 7 * DAY && answer >= (week - 1) * 7 * DAY);
		settled += answer == week * 7 * DAY;
	}
	assert_int_equal(settled, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_of_squares_comes_back),
		cmocka_unit_test(growth_is_the_difference),
		cmocka_unit_test(a_new_entry_grew_by_all_it_has),
		cmocka_unit_test(nothing_grew),
		cmocka_unit_test(a_falling_counter_means_a_new_entry),
		cmocka_unit_test(time_without_calls_means_a_new_entry),
		cmocka_unit_test(squares_stay_possible),
		cmocka_unit_test(history_never_exceeds_what_ran),
		cmocka_unit_test(a_quiet_tick_has_no_event),
		cmocka_unit_test(the_first_tick_is_a_baseline),
		cmocka_unit_test(a_reset_has_its_reason),
		cmocka_unit_test(counters_of_another_server_are_a_baseline),
		cmocka_unit_test(evictions_and_gaps_are_told),
		cmocka_unit_test(a_clock_that_went_back_gives_no_time),
		cmocka_unit_test(evicted_share_grows_to_one),
		cmocka_unit_test(buckets_meet_at_midnight),
		cmocka_unit_test(slices_cover_an_event_exactly),
		cmocka_unit_test(a_long_event_keeps_its_newest_slices),
		cmocka_unit_test(a_moment_has_one_slice),
		cmocka_unit_test(ages_are_counted_from_now),
		cmocka_unit_test(a_clock_that_jumped_ahead_ages_nothing),
		cmocka_unit_test(a_clock_set_right_again_ages_nothing),
		cmocka_unit_test(a_clock_that_jumped_twice_ages_nothing),
		cmocka_unit_test(rare_looks_settle),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
