/*-------------------------------------------------------------------------
 * paired.c
 *		Is one of two forecasters better on the same rows?
 *
 * The mean of the paired differences with an interval that holds when rows
 * depend on each other within clusters (here: spans of time, in which all
 * statements share one load):
 *
 * 1. Rows of a cluster count as one observation, and the variance of the mean
 *	  is the jackknife's over clusters left out (CV3 in MacKinnon, Nielsen and
 *	  Webb 2023, "Cluster-robust inference: a guide to empirical practice").
 *	  With clusters that are spans of time this is the method of batch means,
 *	  which 10 to 30 batches serve best (Schmeiser 1982).
 * 2. The quantile is Student's t with G* - 1 degrees of freedom, where
 *	  G* = (sum n)^2 / sum n^2 counts clusters of unequal size for what they
 *	  tell (Carter, Schnepel and Steigerwald 2017).  Few clusters make the
 *	  interval wide, one makes it infinite.
 * 3. Whoever looks again and again takes the tail that pgaml_series_looks_tail
 *	  leaves: the boundary of Robbins' normal mixture, which a mean without
 *	  difference crosses ever with probability alpha only, however often it
 *	  is looked at (Robbins 1970; Waudby-Smith et al. 2024).
 *-------------------------------------------------------------------------
 */
#include "series/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_DF		0.5		/* below, the interval is infinite */
#define BETA_STEPS		500		/* of a continued fraction that converges within about sqrt(df) */
#define BISECTIONS		200

typedef struct Pair
{
	int64_t		cluster;
	double		a;
	double		b;
} Pair;

static MlStatus
fail(MlError *error, MlStatus code, const char *message)
{
	if (error != NULL)
	{
		memset(error, 0, sizeof(*error));
		error->code = code;
		strncpy(error->where, "pgaml_series_paired", sizeof(error->where) - 1);
		strncpy(error->message, message, sizeof(error->message) - 1);
	}
	return code;
}

/* Continued fraction of the incomplete beta function (Lentz's method; DLMF 8.17.22). */
static double
beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double		c = 1.0;
	double		d = 1.0 - (a + b) * x / (a + 1.0);
	double		out;

	d = 1.0 / (fabs(d) < tiny ? tiny : d);
	out = d;
	for (int m = 1; m <= BETA_STEPS; m++)
	{
		double		even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m));
		double		odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0));
		double		step;

		d = 1.0 + even * d;
		c = 1.0 + even / c;
		d = 1.0 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		out *= d * c;
		d = 1.0 + odd * d;
		c = 1.0 + odd / c;
		d = 1.0 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		step = d * c;
		out *= step;
		if (fabs(step - 1.0) < 1e-14)
			break;
	}
	return out;
}

/* Regularized incomplete beta function. */
static double
beta_share(double a, double b, double x)
{
	double		front;

	if (x <= 0.0)
		return 0.0;
	if (x >= 1.0)
		return 1.0;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	return x < (a + 1.0) / (a + b + 2.0) ? front * beta_fraction(a, b, x) / a :
		1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

/* P(T > t) for t > 0. */
static double
t_tail(double t, double df)
{
	return 0.5 * beta_share(df / 2.0, 0.5, df / (df + t * t));
}

double
pgaml_series_t_quantile(double tail, double df)
{
	double		low = 0.0;
	double		high = 1.0;

	if (!(tail > 0.0) || !(df >= LEAST_DF))
		return INFINITY;
	if (tail >= 0.5)
		return 0.0;
	while (t_tail(high, df) > tail)
	{
		low = high;
		high *= 2.0;
		if (high > 1e100)
			return INFINITY;
	}
	for (int i = 0; i < BISECTIONS && high - low > 1e-12 * high; i++)
	{
		double		mid = low + (high - low) / 2.0;

		if (t_tail(mid, df) > tail)
			low = mid;
		else
			high = mid;
	}
	return high;
}

double
pgaml_series_looks_tail(double information, double alpha)
{
	double		z;

	if (!(information > 0.0) || !(alpha > 0.0 && alpha < 1.0))
		return 0.0;
	z = sqrt((information + 1.0) / information * (log1p(information) - 2.0 * log(alpha)));
	return 0.5 * erfc(z / sqrt(2.0));
}

void
pgaml_series_blocks(const double *at, int64_t n, double least, int64_t *cluster)
{
	double		low = INFINITY;
	double		high = -INFINITY;
	double		blocks = SERIES_BLOCKS;

	for (int64_t i = 0; i < n; i++)
	{
		if (!isfinite(at[i]))
			continue;
		low = fmin(low, at[i]);
		high = fmax(high, at[i]);
	}
	if (least > 0.0 && high - low < least * blocks)
		blocks = fmax(floor((high - low) / least), 1.0);
	for (int64_t i = 0; i < n; i++)
	{
		double		place = isfinite(at[i]) && high > low ? (at[i] - low) / (high - low) * blocks : 0.0;

		cluster[i] = (int64_t) fmin(place, blocks - 1.0);
	}
}

static int
by_cluster(const void *x, const void *y)
{
	const Pair *p = x;
	const Pair *q = y;

	if (p->cluster != q->cluster)
		return p->cluster < q->cluster ? -1 : 1;
	/* a total order: sums do not depend on how equal ones came to lie */
	if (p->a != q->a)
		return p->a < q->a ? -1 : 1;
	return (p->b > q->b) - (p->b < q->b);
}

/* Variance of the mean difference over clusters left out, and what the clusters count for. */
static void
jackknife(const Pair *pairs, SeriesPaired *out)
{
	double		squares = 0.0;
	double		sizes = 0.0;

	for (int64_t from = 0, to; from < out->n; from = to)
	{
		double		sum = 0.0;
		double		moved;

		for (to = from; to < out->n && pairs[to].cluster == pairs[from].cluster; to++)
			sum += pairs[to].a - pairs[to].b - out->difference;
		out->clusters++;
		sizes += (double) (to - from) * (to - from);
		moved = out->n > to - from ? sum / (out->n - (to - from)) : 0.0;
		squares += moved * moved;
	}
	out->effective = (double) out->n * out->n / sizes;
	out->error = out->clusters > 1 ? sqrt(squares * (out->clusters - 1.0) / out->clusters) : INFINITY;
}

void
pgaml_series_bounds(const SeriesPaired *paired, double tail, double *lower, double *upper)
{
	double		reach = pgaml_series_t_quantile(tail, paired->effective - 1.0);

	/* without any spread the difference is known, unless there is nothing to know it from */
	reach = paired->error == 0.0 && isfinite(reach) ? 0.0 : reach * paired->error;
	if (isnan(reach))
		reach = INFINITY;
	*lower = paired->difference - reach;
	*upper = paired->difference + reach;
}

MlStatus
pgaml_series_paired(const double *a, const double *b, const int64_t *cluster, int64_t n, double coverage,
					const MlAllocator *allocator, SeriesPaired *out, MlError *error)
{
	Pair	   *pairs;

	memset(out, 0, sizeof(*out));
	out->mean_a = out->mean_b = out->difference = NAN;
	out->error = INFINITY;
	out->lower = -INFINITY;
	out->upper = INFINITY;
	if (n < 0 || !(coverage > 0.0 && coverage < 1.0))
		return fail(error, ML_E_ARG, "coverage must be between 0 and 1, rows must not be negative");
	if ((uint64_t) n > SIZE_MAX / sizeof(Pair))
		return fail(error, ML_E_NOMEM, "out of memory");
	pairs = allocator->alloc(allocator->state, sizeof(Pair) * (n > 0 ? n : 1));
	if (pairs == NULL)
		return fail(error, ML_E_NOMEM, "out of memory");
	for (int64_t i = 0; i < n; i++)
		if (isfinite(a[i]) && isfinite(b[i]))
			pairs[out->n++] = (Pair) {cluster[i], a[i], b[i]};
	if (out->n > 0)
	{
		double		sum_a = 0.0;
		double		sum_b = 0.0;

		qsort(pairs, out->n, sizeof(Pair), by_cluster);
		for (int64_t i = 0; i < out->n; i++)
		{
			sum_a += pairs[i].a;
			sum_b += pairs[i].b;
		}
		out->mean_a = sum_a / out->n;
		out->mean_b = sum_b / out->n;
		out->difference = (sum_a - sum_b) / out->n;
		jackknife(pairs, out);
		pgaml_series_bounds(out, (1.0 - coverage) / 2.0, &out->lower, &out->upper);
	}
	allocator->free(allocator->state, pairs);
	return ML_OK;
}
