/*-------------------------------------------------------------------------
 * test_daily.c
 *		The daily window: what is one, and when is it open in zones whose clocks jump?
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_zone.h"

static PgamlDaily
window(const char *text)
{
	PgamlDaily	daily;

	assert_null(pgaml_daily_parse(text, &daily));
	return daily;
}

static int64_t
next(const char *text, const ZoneRules *rules, int64_t at)
{
	PgamlDaily	daily = window(text);
	PgamlZone	zone = zone_of(rules);

	return pgaml_daily_next(&daily, &zone, at);
}

/* Does the window open at the first moment, from before it, and close at the second? */
static void
assert_open(const char *text, const ZoneRules *rules, int64_t from, int64_t to)
{
	assert_int_equal(next(text, rules, from - 1), from);
	assert_int_equal(next(text, rules, from - 10 * MINUTE), from);
	assert_int_equal(next(text, rules, from), from);
	assert_int_equal(next(text, rules, to - 1), to - 1);
	assert_true(next(text, rules, to) > to);
}

static void
windows_are_read(void **state)
{
	PgamlDaily	daily;

	(void) state;
	daily = window("");
	assert_true(daily.always);
	daily = window("01:00-05:30");
	assert_false(daily.always);
	assert_int_equal(daily.from, 60);
	assert_int_equal(daily.to, 330);
	assert_string_equal(daily.zone, "");
	daily = window("22:00-04:00 Europe/Berlin");
	assert_int_equal(daily.from, 1320);
	assert_int_equal(daily.to, 1440 + 240);
	assert_string_equal(daily.zone, "Europe/Berlin");
	daily = window("00:00-24:00");
	assert_int_equal(daily.from, 0);
	assert_int_equal(daily.to, 1440);
	daily = window("23:59-00:00 Etc/GMT+3");
	assert_int_equal(daily.to, 1440);
	daily = window("12:00-11:59 <+0330>-3:30");
	assert_int_equal(daily.to, 1440 + 719);
	assert_string_equal(daily.zone, "<+0330>-3:30");
}

static void
what_is_no_window_is_refused(void **state)
{
	static const char *const bad[] = {
		" ", "1:00-05:00", "01:00", "01:00-", "01:00-5:00", "01:00 - 05:00", "01.00-05.00", "01:00-05:00 ",
		" 01:00-05:00", "01:00-05:00  UTC", "01:00-05:00UTC", "01:00-05:00 Europe/Berlin ", "01:00-05:00 two words",
		"24:00-05:00", "25:00-05:00", "01:60-05:00", "01:00-24:01", "03:00-03:00", "-1:00-05:00", "01:00-05:0a",
		"aa:bb-cc:dd", "01:00+05:00", "01:00-05:00\tUTC", "01:00-05:00 \303\234",
		"01:00-05:00 a234567890123456789012345678901234567890123456789012345678901234"
	};
	PgamlDaily	daily;

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		const char *problem = pgaml_daily_parse(bad[i], &daily);

		if (problem == NULL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_true(problem[strlen(problem) - 1] == '.');
	}
}

static void
a_window_of_the_day(void **state)
{
	int64_t		day = utc_at(2026, 6, 10, 0, 0);

	(void) state;
	assert_open("01:00-05:00", &utc, day + 1 * HOUR, day + 5 * HOUR);
	assert_open("01:00-05:00", &berlin, day - 1 * HOUR, day + 3 * HOUR);
	assert_open("01:00-05:00", &havana, day + 5 * HOUR, day + 9 * HOUR);
	assert_int_equal(next("01:00-05:00", &utc, day + 5 * HOUR), day + DAY + HOUR);
	/* before the epoch, too */
	assert_open("01:00-05:00", &utc, utc_at(1969, 12, 31, 1, 0), utc_at(1969, 12, 31, 5, 0));
}

static void
a_window_over_midnight(void **state)
{
	int64_t		day = utc_at(2026, 6, 10, 0, 0);

	(void) state;
	assert_open("22:00-04:00", &utc, day + 22 * HOUR, day + 28 * HOUR);
	assert_int_equal(next("22:00-04:00", &utc, day), day);
	assert_int_equal(next("22:00-04:00", &utc, day + 4 * HOUR), day + 22 * HOUR);
	assert_open("22:00-04:00", &lord_howe, day + 22 * HOUR - 10 * HOUR - 30 * MINUTE,
				day + 28 * HOUR - 10 * HOUR - 30 * MINUTE);
	/* nearly the whole day, and the whole of it */
	assert_int_equal(next("12:00-11:59", &utc, day + 12 * HOUR - MINUTE), day + 12 * HOUR);
	assert_int_equal(next("12:00-11:59", &utc, day + 12 * HOUR - MINUTE - 1), day + 12 * HOUR - MINUTE - 1);
	for (int h = 0; h < 100; h++)
		assert_int_equal(next("00:00-24:00", &berlin, utc_at(2026, 10, 24, 0, 0) + h * HOUR),
						 utc_at(2026, 10, 24, 0, 0) + h * HOUR);
}

/* 2026-03-29, Berlin: 02:00 to 03:00 does not come.  1:00 UTC is 3:00 there. */
static void
a_skipped_hour(void **state)
{
	int64_t		change = utc_at(2026, 3, 29, 1, 0);

	(void) state;
	assert_open("02:30-05:00", &berlin, change, change + 2 * HOUR);
	assert_open("01:00-02:30", &berlin, change - HOUR, change);
	assert_open("01:30-03:30", &berlin, change - 30 * MINUTE, change + 30 * MINUTE);
	assert_open("02:00-03:00", &berlin, change, change + HOUR);
	/* within the hour: as long as it would have been, after it */
	assert_open("02:10-02:50", &berlin, change, change + 40 * MINUTE);
	/* the days before and after are ordinary */
	assert_open("02:10-02:50", &berlin, change - DAY + 10 * MINUTE, change - DAY + 50 * MINUTE);
	assert_open("02:10-02:50", &berlin, change + DAY - 50 * MINUTE, change + DAY - 10 * MINUTE);
	/* at midnight */
	assert_open("00:00-01:00", &havana, utc_at(2026, 3, 8, 5, 0), utc_at(2026, 3, 8, 6, 0));
	assert_open("23:00-00:30", &havana, utc_at(2026, 3, 8, 4, 0), utc_at(2026, 3, 8, 5, 0));
	/* half an hour */
	assert_open("02:15-04:00", &lord_howe, utc_at(2026, 10, 3, 15, 30), utc_at(2026, 10, 3, 17, 0));
}

/* 2026-10-25, Berlin: 02:00 to 03:00 comes twice, from 0:00 and from 1:00 UTC. */
static void
an_hour_that_comes_twice(void **state)
{
	int64_t		first = utc_at(2026, 10, 25, 0, 0);

	(void) state;
	assert_open("02:00-03:00", &berlin, first, first + 2 * HOUR);
	assert_open("02:15-02:45", &berlin, first + 15 * MINUTE, first + 45 * MINUTE);
	assert_int_equal(next("02:15-02:45", &berlin, first + 45 * MINUTE), first + 26 * HOUR - 45 * MINUTE);
	assert_open("01:00-02:30", &berlin, first - HOUR, first + 30 * MINUTE);
	assert_open("02:30-04:00", &berlin, first + 30 * MINUTE, first + 3 * HOUR);
	assert_open("00:00-00:30", &havana, utc_at(2026, 11, 1, 4, 0), utc_at(2026, 11, 1, 4, 30));
	assert_open("01:30-01:45", &lord_howe, utc_at(2026, 4, 4, 14, 30), utc_at(2026, 4, 4, 14, 45));
}

/* Apia went from the 29th to the 31st of December 2011. */
static void
a_skipped_day(void **state)
{
	int64_t		change = utc_at(2011, 12, 30, 10, 0);

	(void) state;
	/* the window of the 30th opens when the 31st begins, that of the 31st at 5:00 */
	assert_int_equal(next("05:00-06:00", &apia, change - MINUTE), change);
	assert_int_equal(next("05:00-06:00", &apia, change + HOUR), change + 5 * HOUR);
	assert_int_equal(next("05:00-06:00", &apia, change + 6 * HOUR), change + 29 * HOUR);
}

/*
 * Over a year, every 7 minutes: the answer is open, not in the past, within
 * two days, and the same for whoever asks before it.
 */
static void
answers_fit_together(void **state)
{
	static const ZoneRules *const zones[] = {&utc, &berlin, &lord_howe, &havana, &apia};
	static const char *const texts[] = {"02:30-03:30", "23:45-00:15", "00:00-24:00", "12:00-11:59", "02:10-02:20"};

	(void) state;
	for (size_t z = 0; z < sizeof(zones) / sizeof(zones[0]); z++)
	{
		for (size_t w = 0; w < sizeof(texts) / sizeof(texts[0]); w++)
		{
			int64_t		before = INT64_MIN;

			for (int64_t at = utc_at(2026, 1, 1, 0, 0); at < utc_at(2027, 1, 1, 0, 0); at += 7 * MINUTE)
			{
				int64_t		answer = next(texts[w], zones[z], at);

				assert_true(answer >= at && answer <= at + 2 * DAY);
				assert_int_equal(next(texts[w], zones[z], answer), answer);
				if (before >= at)
					assert_int_equal(answer, before);
				before = answer;
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_are_read),
		cmocka_unit_test(what_is_no_window_is_refused),
		cmocka_unit_test(a_window_of_the_day),
		cmocka_unit_test(a_window_over_midnight),
		cmocka_unit_test(a_skipped_hour),
		cmocka_unit_test(an_hour_that_comes_twice),
		cmocka_unit_test(a_skipped_day),
		cmocka_unit_test(answers_fit_together),
	};

	return cmocka_run_group_tests_name("daily", tests, NULL, NULL);
}
