/*
 * What the recent past says of a statement: runs of the present plan, robust
 * centre and spread, calls per hour with empty buckets, bounded memory.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "features/state_core.h"

static void
push(PgamlRuns *runs, double log_ms, int64_t plan, double at)
{
	PgamlRun	run = {.at = at, .log_ms = (float) log_ms, .rows = 1, .hit_ratio = NAN, .active = 2, .plan = plan};

	pgaml_runs_push(runs, &run);
}

static void
empty_state_knows_nothing(void **state)
{
	PgamlRuns	runs = {0};
	PgamlCalls	calls = {0};
	PgamlRunsSummary summary;
	PgamlCallsSummary rate;

	(void) state;
	pgaml_runs_summary(&runs, 7, &summary);
	assert_int_equal(summary.runs, 0);
	assert_true(isnan(summary.center) && isnan(summary.spread) && isnan(summary.rows));
	pgaml_calls_summary(&calls, 100, 1.0, &rate);
	assert_int_equal(rate.buckets, 0);
	assert_true(isnan(rate.mean) && isnan(rate.std_dev) && isnan(rate.peak));
}

static void
centre_is_the_median_and_one_outlier_does_not_move_it(void **state)
{
	PgamlRuns	runs = {0};
	PgamlRunsSummary summary;

	(void) state;
	for (int i = 0; i < 9; i++)
		push(&runs, 1.0 + i * 0.01, 7, i);
	push(&runs, 12.0, 7, 10);
	pgaml_runs_summary(&runs, 7, &summary);
	assert_int_equal(summary.runs, 10);
	assert_float_equal(summary.center, 1.045, 1e-6);
	assert_true(summary.spread < 0.5);
	assert_float_equal(summary.active, 2, 1e-9);
	assert_true(isnan(summary.hit_ratio));
}

static void
spread_of_normal_errors_is_their_standard_deviation(void **state)
{
	/* quantiles of the standard normal distribution at (i + 1/2) / 32 */
	static const double q[16] = {
		2.1538747, 1.6759397, 1.4177971, 1.2298588, 1.0775156, 0.9467818, 0.8305109, 0.7245144,
		0.6260990, 0.5334097, 0.4450965, 0.3601299, 0.2776904, 0.1970991, 0.1177699, 0.0391761
	};
	PgamlRuns	runs = {0};
	PgamlRunsSummary summary;

	(void) state;
	for (int i = 0; i < 16; i++)
	{
		push(&runs, 2.0 + 0.3 * q[i], 1, i);
		push(&runs, 2.0 - 0.3 * q[i], 1, i);
	}
	pgaml_runs_summary(&runs, 1, &summary);
	assert_float_equal(summary.center, 2.0, 1e-5);
	assert_float_equal(summary.spread, 0.3, 0.02);
}

static void
present_plan_speaks_alone_when_seen_enough(void **state)
{
	PgamlRuns	runs = {0};
	PgamlRunsSummary summary;

	(void) state;
	for (int i = 0; i < 10; i++)
		push(&runs, 5.0, 1, i);
	for (int i = 0; i < PGAML_SAME_PLAN_RUNS - 1; i++)
		push(&runs, 1.0, 2, 10 + i);
	pgaml_runs_summary(&runs, 2, &summary);
	assert_float_equal(summary.center, 5.0, 1e-6);
	push(&runs, 1.0, 2, 20);
	pgaml_runs_summary(&runs, 2, &summary);
	assert_int_equal(summary.runs, PGAML_SAME_PLAN_RUNS);
	assert_float_equal(summary.center, 1.0, 1e-6);
	/* an unknown plan hears everybody */
	pgaml_runs_summary(&runs, 0, &summary);
	assert_int_equal(summary.runs, 15);
}

static void
alternating_plans_speak_together(void **state)
{
	PgamlRuns	runs = {0};
	PgamlRunsSummary summary;

	(void) state;
	for (int i = 0; i < 20; i++)
		push(&runs, i % 2 ? 5.0 : 1.0, 1 + i % 2, i);
	for (int i = 0; i < 2 * PGAML_SAME_PLAN_RUNS; i++)
		push(&runs, 5.0, 2, 20 + i);
	pgaml_runs_summary(&runs, 2, &summary);
	assert_int_equal(summary.runs, 30);
	assert_true(summary.spread > 1.0);
}

static void
only_the_newest_runs_are_kept(void **state)
{
	PgamlRuns	runs = {0};
	PgamlRunsSummary summary;

	(void) state;
	for (int i = 0; i < 1000; i++)
		push(&runs, i < 1000 - PGAML_RECENT_RUNS ? 9.0 : 1.0, 1, i);
	pgaml_runs_summary(&runs, 1, &summary);
	assert_int_equal(summary.runs, PGAML_RECENT_RUNS);
	assert_float_equal(summary.center, 1.0, 1e-6);
	assert_float_equal(summary.mean_ratio, 1.0, 1e-6);
	assert_float_equal(pgaml_runs_newest_at(&runs), 999, 1e-9);
	assert_int_equal(pgaml_runs_newest_plan(&runs), 1);
	pgaml_runs_forget(&runs, 990);
	pgaml_runs_summary(&runs, 1, &summary);
	assert_int_equal(summary.runs, 10);
	pgaml_runs_forget(&runs, 2000);
	assert_true(isnan(pgaml_runs_newest_at(&runs)));
	assert_int_equal(pgaml_runs_newest_plan(&runs), 0);
	push(&runs, 3.0, 1, 2001);
	pgaml_runs_summary(&runs, 1, &summary);
	assert_int_equal(summary.runs, 1);
	assert_float_equal(summary.center, 3.0, 1e-6);
}

static void
a_bucket_brings_its_own_spread_and_mean(void **state)
{
	PgamlRuns	runs = {0};
	PgamlRun	run = {.log_ms = 1.0f, .sigma = 0.5f, .rows = NAN, .hit_ratio = NAN, .active = NAN};
	PgamlRunsSummary summary;

	(void) state;
	pgaml_runs_push(&runs, &run);
	pgaml_runs_summary(&runs, 0, &summary);
	assert_float_equal(summary.spread, 0.5, 1e-6);
	assert_float_equal(summary.mean_ratio, exp(0.125), 1e-6);
	for (int i = 0; i < 9; i++)
	{
		run.log_ms = (float) (1.0 + 0.1 * i);
		pgaml_runs_push(&runs, &run);
	}
	pgaml_runs_summary(&runs, 0, &summary);
	assert_true(summary.spread > 0.5 && summary.spread < 0.7);
}

static void
empty_buckets_count_as_zero_calls(void **state)
{
	PgamlCalls	calls = {0};
	PgamlCallsSummary rate;

	(void) state;
	pgaml_calls_push(&calls, 100, 10);
	pgaml_calls_push(&calls, 102, 20);
	pgaml_calls_push(&calls, 102, 10);	/* the same bucket again adds up */
	pgaml_calls_push(&calls, 101, 99);	/* older than the newest: ignored */
	pgaml_calls_summary(&calls, 104, 2.0, &rate);
	assert_int_equal(rate.buckets, 4);	/* 100..103 */
	assert_float_equal(rate.mean, 2.0 * 40 / 4, 1e-9);
	assert_float_equal(rate.peak, 60, 1e-9);
	assert_float_equal(rate.std_dev, 2.0 * sqrt((100.0 + 900.0) / 4 - 100.0), 1e-9);
}

static void
only_complete_and_recent_buckets_count(void **state)
{
	PgamlCalls	calls = {0};
	PgamlCallsSummary rate;

	(void) state;
	for (int64_t b = 0; b < 200; b++)
		pgaml_calls_push(&calls, b, b < 176 ? 1000 : 5);
	pgaml_calls_summary(&calls, 199, 1.0, &rate);	/* bucket 199 still runs */
	assert_int_equal(rate.buckets, PGAML_RECENT_BUCKETS);
	assert_true(rate.mean < 100 && rate.peak <= 1000);
	pgaml_calls_summary(&calls, 200 + PGAML_RECENT_BUCKETS, 1.0, &rate);
	assert_float_equal(rate.mean, 0.0, 1e-9);
	pgaml_calls_summary(&calls, 0, 1.0, &rate);
	assert_int_equal(rate.buckets, 0);
}

/* Prediction sees the newest buckets only; the mean must not depend on that. */
static void
a_statement_counts_since_it_is_known(void **state)
{
	PgamlCalls	replayed = {0};
	PgamlCalls	loaded = {0};
	PgamlCallsSummary a;
	PgamlCallsSummary b;

	(void) state;
	for (int64_t day = 0; day < 30; day++)
		pgaml_calls_push(&replayed, day * 20, 48);
	pgaml_calls_since(&loaded, 0);
	pgaml_calls_push(&loaded, 580, 48);
	pgaml_calls_summary(&replayed, 582, 1.0, &a);
	pgaml_calls_summary(&loaded, 582, 1.0, &b);
	assert_int_equal(b.buckets, PGAML_RECENT_BUCKETS);
	assert_float_equal(a.mean, 96.0 / 24, 1e-9);	/* 560 and 580 */
	assert_float_equal(b.mean, 48.0 / 24, 1e-9);
	pgaml_calls_since(&loaded, 575);
	assert_int_equal(loaded.first, 0);
	memset(&loaded, 0, sizeof(loaded));
	pgaml_calls_since(&loaded, 10);
	pgaml_calls_summary(&loaded, 600, 1.0, &b); /* known, and did not run */
	assert_int_equal(b.buckets, PGAML_RECENT_BUCKETS);
	assert_float_equal(b.mean, 0.0, 1e-9);
}

static void
log_median_inverts_the_log_normal_mean(void **state)
{
	double		sigma = 0.7;
	double		mu = 2.5;
	double		mean = exp(mu + sigma * sigma / 2);
	double		cv = sqrt(exp(sigma * sigma) - 1);

	(void) state;
	assert_float_equal(pgaml_log_median(mean, cv), mu, 1e-12);
	assert_float_equal(pgaml_log_median(10.0, 0.0), log(10.0), 1e-12);
	assert_float_equal(pgaml_log_sigma(cv), sigma, 1e-12);
}

/* The plan of one execution against those of the recent runs: a statement whose time follows its cost. */
static void
departures_compare_an_own_plan_with_the_past(void **state)
{
	PgamlRuns	runs = {0};
	PgamlRunsSummary summary;
	PgamlDeparture departure;
	float		recent[PGAML_RECENT_RUNS];

	(void) state;
	for (int i = 0; i < 40; i++)
	{
		float		cost = (float) (i % 8);
		PgamlRun	run = {.at = i, .log_ms = 1.0f + 1.5f * cost, .plan = 7, .cost = cost, .plan_rows = 2.0f * cost,
		.rows = NAN, .hit_ratio = NAN, .active = NAN};

		if (i < 2)
		{
			pgaml_runs_summary(&runs, 7, &summary);
			pgaml_runs_departure(&runs, &summary, 3.0f, 6.0f, &departure);
			assert_true(isnan(departure.cost) && isnan(departure.near) && isnan(departure.line));
		}
		pgaml_runs_push(&runs, &run);
	}
	pgaml_runs_summary(&runs, 7, &summary);
	assert_int_equal(pgaml_runs_recent(&runs, &summary, recent), PGAML_RECENT_RUNS);
	assert_float_equal(recent[0], 1.0, 1e-6);	/* the eighth run, oldest first */
	assert_float_equal(recent[31], 1.0 + 1.5 * 7, 1e-6);
	pgaml_runs_departure(&runs, &summary, 6.0f, 12.0f, &departure);
	assert_float_equal(departure.cost, 6.0 - 3.5, 1e-5);
	assert_float_equal(departure.rows, 12.0 - 7.0, 1e-5);
	assert_float_equal(departure.near, 1.5 * 2.5, 0.76);	/* four such runs, and one neighbour */
	assert_float_equal(departure.line, 1.5 * 2.5, 0.1);
	pgaml_runs_departure(&runs, &summary, 100.0f, NAN, &departure);
	assert_true(isnan(departure.rows) && departure.line < 1.5 * (7.0 + 2.0 - 3.5) + 0.1);	/* not believed that far */
	pgaml_runs_departure(&runs, &summary, NAN, 12.0f, &departure);
	assert_true(isnan(departure.cost) && isnan(departure.line));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(departures_compare_an_own_plan_with_the_past),
		cmocka_unit_test(empty_state_knows_nothing),
		cmocka_unit_test(centre_is_the_median_and_one_outlier_does_not_move_it),
		cmocka_unit_test(spread_of_normal_errors_is_their_standard_deviation),
		cmocka_unit_test(present_plan_speaks_alone_when_seen_enough),
		cmocka_unit_test(alternating_plans_speak_together),
		cmocka_unit_test(only_the_newest_runs_are_kept),
		cmocka_unit_test(a_bucket_brings_its_own_spread_and_mean),
		cmocka_unit_test(empty_buckets_count_as_zero_calls),
		cmocka_unit_test(only_complete_and_recent_buckets_count),
		cmocka_unit_test(a_statement_counts_since_it_is_known),
		cmocka_unit_test(log_median_inverts_the_log_normal_mean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
