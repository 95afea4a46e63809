/*-------------------------------------------------------------------------
 * test_series_paired.c
 *		Paired differences: exact where they can be, and honest where rows
 *		depend on each other, have heavy tails, or are looked at every hour.
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

#include "helper_ml.h"
#include "series/series.h"

#define HOUR	3600.0

static SeriesPaired
paired(const double *a, const double *b, const int64_t *cluster, int64_t n)
{
	SeriesPaired out;
	MlError		error;

	assert_int_equal(pgaml_series_paired(a, b, cluster, n, 0.95, &plain_heap, &out, &error), ML_OK);
	return out;
}

/* Quantiles of Student's t from tables, of far tails from a computer algebra system. */
static void
test_t_quantile(void **state)
{
	static const double known[][3] = {
		{0.025, 1, 12.7062047}, {0.025, 5, 2.5705818}, {0.025, 19, 2.0930241}, {0.05, 30, 1.6972609},
		{0.005, 10, 3.1692727}, {0.25, 2, 0.8164966}, {0.025, 1e6, 1.9599660}
	};

	(void) state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(fabs(pgaml_series_t_quantile(known[i][0], known[i][1]) - known[i][2]) < 1e-6);
	/* one degree of freedom is Cauchy: the quantile is a cotangent, however far out */
	assert_true(fabs(pgaml_series_t_quantile(1e-9, 1.0) * tan(M_PI * 1e-9) - 1.0) < 1e-9);
	assert_true(isinf(pgaml_series_t_quantile(0.0, 10.0)));
	assert_true(isinf(pgaml_series_t_quantile(0.025, 0.2)));
	assert_true(pgaml_series_t_quantile(0.5, 3.0) == 0.0);
	for (double df = 0.5; df < 1000.0; df *= 1.7)
		assert_true(pgaml_series_t_quantile(1e-4, df) > pgaml_series_t_quantile(1e-4, df * 1.7));
}

/* Three clusters by hand: sums of d - mean are -1.5, 0.5, 1 of clusters of 2, 2, 1. */
static void
test_by_hand(void **state)
{
	const double a[] = {1.0, 2.0, 3.0, 2.5, 4.0, NAN, 1.0};
	const double b[] = {0.5, 1.0, 1.0, 2.0, 2.0, 1.0, INFINITY};
	const int64_t cluster[] = {7, 7, -2, -2, 9, 9, 9};
	SeriesPaired out = paired(a, b, cluster, 7);
	double		mean = (0.5 + 1.0 + 2.0 + 0.5 + 2.0) / 5.0;
	double		moved[] = {(1.5 - 2 * mean) / 3.0, (2.5 - 2 * mean) / 3.0, (2.0 - mean) / 4.0};
	double		error = sqrt(2.0 / 3.0 * (moved[0] * moved[0] + moved[1] * moved[1] + moved[2] * moved[2]));
	double		reach = pgaml_series_t_quantile(0.025, 25.0 / 9.0 - 1.0) * error;

	(void) state;
	assert_int_equal(out.n, 5);
	assert_int_equal(out.clusters, 3);
	assert_true(fabs(out.difference - mean) < 1e-12);
	assert_true(fabs(out.mean_a - out.mean_b - out.difference) < 1e-12);
	assert_true(fabs(out.effective - 25.0 / 9.0) < 1e-12);
	assert_true(fabs(out.error - error) < 1e-12);
	assert_true(fabs(out.lower - (mean - reach)) < 1e-9 && fabs(out.upper - (mean + reach)) < 1e-9);
}

/* Too little is told as an infinite interval, never as a narrow one. */
static void
test_too_little(void **state)
{
	const double a[] = {1.0, 2.0, 3.0, 4.0};
	const double b[] = {0.0, 0.5, 0.0, 0.5};
	const int64_t one[] = {1, 1, 1, 1};
	const int64_t lopsided[] = {1, 1, 1, 2};
	SeriesPaired out = paired(a, b, one, 0);

	(void) state;
	assert_true(out.n == 0 && isnan(out.difference) && isinf(out.lower) && isinf(out.upper));
	out = paired(a, b, one, 4);
	assert_true(out.clusters == 1 && out.difference == 2.25 && isinf(out.lower) && isinf(out.upper));
	out = paired(a, a, one, 4);
	assert_true(out.difference == 0.0 && isinf(out.lower));
	out = paired(a, b, lopsided, 4);
	assert_true(out.clusters == 2 && out.effective < 2.0 && out.upper - out.lower > 20.0);
	/* every pair the same: known without doubt, once there is more than one cluster */
	out = paired(a, a, (const int64_t[]) {1, 2, 3, 4}, 4);
	assert_true(out.difference == 0.0 && out.lower == 0.0 && out.upper == 0.0);
	assert_int_equal(pgaml_series_paired(a, b, one, 4, 1.0, &plain_heap, &out, NULL), ML_E_ARG);
}

static void
test_order_and_sides(void **state)
{
	enum
	{
		N = 500
	};
	double		a[N],
				b[N],
				ra[N],
				rb[N];
	int64_t		cluster[N],
				rc[N];
	SeriesPaired there;
	SeriesPaired back;
	SeriesPaired shuffled;
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 5);
	for (int i = 0; i < N; i++)
	{
		a[i] = rb[N - 1 - i] = pgaml_ml_rng_normal(&rng);
		b[i] = ra[N - 1 - i] = pgaml_ml_rng_normal(&rng);
		cluster[i] = rc[N - 1 - i] = (int64_t) pgaml_ml_rng_below(&rng, 17);
	}
	there = paired(a, b, cluster, N);
	back = paired(b, a, cluster, N);
	shuffled = paired(rb, ra, rc, N);
	assert_true(fabs(there.lower + back.upper) < 1e-12 && fabs(there.upper + back.lower) < 1e-12);
	assert_memory_equal(&there, &shuffled, sizeof(there));	/* to the bit, whatever the order */
}

static void
test_blocks(void **state)
{
	const double at[] = {0.0, HOUR, 20 * HOUR, 5 * HOUR, NAN, 19.5 * HOUR};
	int64_t		cluster[6];

	(void) state;
	pgaml_series_blocks(at, 6, 0.0, cluster);
	assert_true(cluster[0] == 0 && cluster[1] == 1 && cluster[2] == 19 && cluster[3] == 5 && cluster[4] == 0 && cluster[5] == 19);
	pgaml_series_blocks(at, 6, 6 * HOUR, cluster);	/* three of them */
	assert_true(cluster[0] == 0 && cluster[1] == 0 && cluster[2] == 2 && cluster[3] == 0 && cluster[5] == 2);
	pgaml_series_blocks(at, 6, 100 * HOUR, cluster);
	assert_true(cluster[0] == 0 && cluster[2] == 0);
	pgaml_series_blocks(at, 1, 0.0, cluster);
	assert_true(cluster[0] == 0);
}

static void
test_no_memory(void **state)
{
	const double a[] = {1.0, 2.0, 3.0};
	const int64_t cluster[] = {1, 2, 3};
	Counter		counter = {.fail_at = 1};
	MlAllocator allocator = counting(&counter);
	SeriesPaired out;
	MlError		error;

	(void) state;
	assert_int_equal(pgaml_series_paired(a, a, cluster, 3, 0.95, &allocator, &out, &error), ML_E_NOMEM);
	assert_int_equal(error.code, ML_E_NOMEM);
	counter.fail_at = 0;
	assert_int_equal(pgaml_series_paired(a, a, cluster, 3, 0.95, &allocator, &out, &error), ML_OK);
	assert_int_equal(counter.held, 0);
}

/*
 * Hours of a workload: what a and b differ by has a load that all statements
 * share and that lasts for hours, and the tails of Student's t with three
 * degrees of freedom.
 */
typedef struct World
{
	int			n;
	int			hours;
	double		load;
	MlRng		rng;
	double		at[2000];
	double		a[2000];
	double		b[2000];
	int64_t		cluster[2000];
} World;

#define ROWS_AN_HOUR	6
#define PERSISTENCE		0.7		/* of the load from one hour to the next */

static void
start(World *world, uint64_t seed)
{
	world->n = world->hours = 0;
	pgaml_ml_rng_seed(&world->rng, seed);
	world->load = pgaml_ml_rng_normal(&world->rng);
}

static void
one_hour(World *world, double effect)
{
	world->load = PERSISTENCE * world->load + sqrt(1.0 - PERSISTENCE * PERSISTENCE) * pgaml_ml_rng_normal(&world->rng);
	for (int i = 0; i < ROWS_AN_HOUR; i++)
	{
		double		chi = 0.0;
		double		d;

		for (int k = 0; k < 3; k++)
			chi += pow(pgaml_ml_rng_normal(&world->rng), 2.0);
		d = effect + 0.4 * world->load + pgaml_ml_rng_normal(&world->rng) / sqrt(chi);
		world->at[world->n] = HOUR * (world->hours + pgaml_ml_rng_uniform(&world->rng));
		world->a[world->n] = 1.0 + d / 2.0;
		world->b[world->n] = 1.0 - d / 2.0;
		world->n++;
	}
	world->hours++;
}

static SeriesPaired
look(World *world, double least)
{
	pgaml_series_blocks(world->at, world->n, least, world->cluster);
	return paired(world->a, world->b, world->cluster, world->n);
}

/* One look after four days: 95 % intervals hold the truth as often as they say, or nearly. */
static void
test_coverage(void **state)
{
	static World world;
	int			covered = 0;
	int			naive = 0;

	(void) state;
	for (int seed = 0; seed < 400; seed++)
	{
		SeriesPaired out;

		start(&world, seed);
		for (int h = 0; h < 96; h++)
			one_hour(&world, 0.3);
		out = look(&world, 0.0);
		covered += out.lower <= 0.3 && 0.3 <= out.upper;
		for (int i = 0; i < world.n; i++)
			world.cluster[i] = i;
		out = paired(world.a, world.b, world.cluster, world.n);
		naive += out.lower <= 0.3 && 0.3 <= out.upper;
	}
	assert_in_range(covered, 400 * 0.90, 400 * 0.985);
	/* as if every row told something of its own: what the clusters are for */
	assert_true(naive < 400 * 0.80);
}

/* A look every hour for a week, as champion.c does: an A/A test errs seldom, a real difference is found. */
static int
verdict_within_a_week(World *world, uint64_t seed, double effect)
{
	start(world, seed);
	for (int h = 0; h < 168; h++)
	{
		SeriesPaired out;
		double		lower;
		double		upper;

		one_hour(world, effect);
		if (h < 36)
			continue;
		out = look(world, 6.0 * HOUR);
		pgaml_series_bounds(&out, pgaml_series_looks_tail(out.n / 100.0, 0.005), &lower, &upper);
		if (out.effective >= 6.0 && (lower > 0.0 || upper < 0.0))
			return lower > 0.0 ? 1 : -1;
	}
	return 0;
}

static void
test_looks(void **state)
{
	static World world;
	int			false_alarms = 0;
	int			found = 0;
	int			wrong = 0;

	(void) state;
	for (int seed = 0; seed < 500; seed++)
	{
		int			verdict = verdict_within_a_week(&world, 1000 + seed, 0.0);

		false_alarms += verdict != 0;
	}
	assert_true(false_alarms <= 500 * 0.02);
	for (int seed = 0; seed < 40; seed++)
	{
		int			verdict = verdict_within_a_week(&world, 2000 + seed, 0.5);

		found += verdict > 0;
		wrong += verdict < 0;
	}
	assert_true(found >= 36 && wrong == 0);
}

static void
test_looks_tail(void **state)
{
	(void) state;
	/* always stricter than a single look, strictest when little is known */
	for (double information = 0.1; information < 1e5; information *= 2.0)
		assert_true(pgaml_series_looks_tail(information, 0.05) < 0.025);
	assert_true(pgaml_series_looks_tail(0.1, 0.05) < pgaml_series_looks_tail(10.0, 0.05));
	assert_true(pgaml_series_looks_tail(10.0, 0.01) < pgaml_series_looks_tail(10.0, 0.05));
	assert_true(pgaml_series_looks_tail(0.0, 0.05) == 0.0);
	assert_true(pgaml_series_looks_tail(10.0, 0.0) == 0.0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_t_quantile),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_too_little),
		cmocka_unit_test(test_order_and_sides),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_coverage),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_looks_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
