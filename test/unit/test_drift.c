/*
 * Measures of drift: against scipy and numpy, on degenerate samples, and that
 * the level test keeps its promise on autocorrelated series.
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

#include "ml/ml.h"
#include "series/drift.h"

#define MOST 1000

#define assert_near(a, b, e) assert_true(fabs((a) - (b)) <= (e))

static FILE *goldens;

static void
read_floats(float *out, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(fscanf(goldens, "%f", &out[i]), 1);
}

static void
read_doubles(double *out, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(fscanf(goldens, "%lf", &out[i]), 1);
}

static int
compare(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

static void
check_ks(void)
{
	static float a[MOST];
	static float b[MOST];
	double		expected[3];
	int			na;
	int			nb;
	double		d;

	assert_int_equal(fscanf(goldens, "%d %d", &na, &nb), 2);
	read_floats(a, na);
	read_floats(b, nb);
	read_doubles(expected, 3);
	qsort(a, na, sizeof(float), compare);
	qsort(b, nb, sizeof(float), compare);
	d = pgaml_series_ks(a, na, b, nb);
	assert_near(d, expected[0], 1e-12);
	assert_near(pgaml_series_ks_p(d, na, nb), expected[1], 1e-10);
	assert_near(pgaml_series_ks_p(d, na, nb), expected[2], 0.03);
}

static void
check_psi(void)
{
	double		before[PGAML_BINS + 1];
	double		now[PGAML_BINS + 1];
	double		expected;
	int			n;

	assert_int_equal(fscanf(goldens, "%d", &n), 1);
	read_doubles(before, n);
	read_doubles(now, n);
	read_doubles(&expected, 1);
	assert_near(pgaml_series_psi(before, now, n), expected, 1e-12);
}

static void
check_long_run(void)
{
	double		x[MOST];
	double		now[12];
	double		expected[2];
	int			n;

	assert_int_equal(fscanf(goldens, "%d", &n), 1);
	read_doubles(x, n);
	read_doubles(now, 12);
	read_doubles(expected, 2);
	assert_near(pgaml_series_long_run_variance(x, n), expected[0], 1e-9 * expected[0]);
	assert_near(pgaml_series_level_z(x, n, now, 12), expected[1], 1e-9);
}

static void
as_scipy_and_numpy_say(void **state)
{
	char		name[16];
	int			cases = 0;

	(void) state;
	goldens = fopen("test/unit/goldens_drift.txt", "r");
	assert_non_null(goldens);
	while (fscanf(goldens, "%15s", name) == 1)
	{
		if (strcmp(name, "ks") == 0)
			check_ks();
		else if (strcmp(name, "psi") == 0)
			check_psi();
		else
			check_long_run();
		cases++;
	}
	fclose(goldens);
	assert_int_equal(cases, 10);
}

static void
bins(void **state)
{
	float		values[] = {3, 1, 2, 2, 2, 2, 2, 2, 2, 2};
	float		same[] = {5, 5, 5};
	float		many[100];
	PgamlBins	b;

	(void) state;
	pgaml_series_bins(values, 10, &b);
	assert_int_equal(b.n, 3);
	assert_int_equal(pgaml_series_bin(&b, 1.4f), 0);
	assert_int_equal(pgaml_series_bin(&b, 2.4f), 1);	/* a value that moves a little stays in its bin */
	assert_int_equal(pgaml_series_bin(&b, 1e9f), 2);
	assert_int_equal(pgaml_series_bin(&b, NAN), 3);
	pgaml_series_bins(same, 3, &b);
	assert_int_equal(b.n, 1);
	assert_int_equal(pgaml_series_bin(&b, -7.0f), 0);
	assert_int_equal(pgaml_series_bin(&b, NAN), 1);
	pgaml_series_bins(NULL, 0, &b);
	assert_int_equal(b.n, 1);
	for (int i = 0; i < 100; i++)
		many[i] = (float) (i * 7 % 100);
	pgaml_series_bins(many, 100, &b);
	assert_int_equal(b.n, PGAML_BINS);
	for (int i = 0; i < 100; i++)
		assert_int_equal(pgaml_series_bin(&b, (float) i), i / 10);
	for (int n = 1; n < 30; n++)	/* few values: never out of bounds, ascending */
	{
		pgaml_series_bins(many, n, &b);
		assert_in_range(b.n, 1, PGAML_BINS);
		for (int i = 1; i < b.n - 1; i++)
			assert_true(b.border[i] > b.border[i - 1]);
	}
}

static void
nothing_to_compare(void **state)
{
	double		none[3] = {0};
	double		some[3] = {1, 2, 3};
	double		flat[] = {2, 2, 2};
	float		x[] = {1, 2};

	(void) state;
	assert_true(pgaml_series_psi(none, some, 3) == 0.0 && pgaml_series_psi(some, none, 3) == 0.0);
	assert_true(pgaml_series_psi(some, some, 3) == 0.0);
	assert_true(pgaml_series_ks(x, 0, x, 2) == 0.0 && pgaml_series_ks(x, 2, x, 2) == 0.0);
	assert_true(pgaml_series_ks_p(0.0, 10, 10) == 1.0);
	assert_true(isnan(pgaml_series_long_run_variance(some, 1)));
	assert_true(isnan(pgaml_series_level_z(flat, 3, some, 3)));
	assert_true(isnan(pgaml_series_level_z(some, 3, some, 0)));
	assert_true(isnan(pgaml_series_cluster_error(some, some, 1)));
}

/* Rows that all go together count as one each. */
static void
clusters(void **state)
{
	double		hits[4] = {10, 0, 10, 0};
	double		rows[4] = {10, 10, 10, 10};
	double		single[4] = {1, 0, 1, 0};
	double		ones[4] = {1, 1, 1, 1};

	(void) state;
	assert_near(pgaml_series_cluster_error(hits, rows, 4), pgaml_series_cluster_error(single, ones, 4), 1e-12);
	assert_near(pgaml_series_cluster_error(single, ones, 4), sqrt(0.25 / 3.0), 1e-12);
}

/* On series without a change few are called one beyond 4 standard errors, where plain ones would call many. */
static void
autocorrelated_series(void **state)
{
	MlRng		rng;
	int			robust = 0;
	int			plain = 0;

	(void) state;
	pgaml_ml_rng_seed(&rng, 3);
	for (int seed = 0; seed < 1000; seed++)
	{
		double		x[72];
		double		mean = 0.0;
		double		variance = 0.0;
		double		level = 0.0;
		double		z;

		for (int i = 0; i < 72; i++)
		{
			level = 0.6 * level + pgaml_ml_rng_normal(&rng);
			x[i] = level;
			mean += x[i] / 72;
		}
		for (int i = 0; i < 72; i++)
			variance += (x[i] - mean) * (x[i] - mean) / 71;
		z = pgaml_series_level_z(x, 56, x + 56, 16);
		robust += fabs(z) > 4.0;
		plain += fabs(z) * sqrt(pgaml_series_long_run_variance(x, 56) / variance) > 4.0;
	}
	assert_true(robust <= 10);
	assert_true(plain >= 2 * robust);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_scipy_and_numpy_say), cmocka_unit_test(bins), cmocka_unit_test(nothing_to_compare),
		cmocka_unit_test(clusters), cmocka_unit_test(autocorrelated_series)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
