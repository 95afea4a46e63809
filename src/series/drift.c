/*-------------------------------------------------------------------------
 * drift.c
 *		Measures of how far two samples or two stretches of time differ.
 *
 * No memory is allocated.
 *-------------------------------------------------------------------------
 */
#include "series/drift.h"

#include <math.h>
#include <stdlib.h>

#define HALF_ROW	0.5			/* added to every bin, so that an empty one is rare and not impossible */
#define KS_TERMS	100

static int
compare_float(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

/*
 * A border lies half way to the next larger value: where few distinct values
 * repeat, one that moves a little stays in its bin.
 */
void
pgaml_series_bins(float *values, int64_t n, PgamlBins *out)
{
	out->n = 1;
	if (n > 1)
		qsort(values, (size_t) n, sizeof(float), compare_float);
	for (int k = 1; k < PGAML_BINS && n > 0; k++)
	{
		int64_t		at = k * n / PGAML_BINS;
		int64_t		next;
		float		border;

		at = at > 0 ? at - 1 : 0;
		for (next = at + 1; next < n && values[next] == values[at]; next++)
			;
		if (next >= n)
			break;
		border = values[at] + (values[next] - values[at]) / 2.0f;
		if (out->n == 1 || border > out->border[out->n - 2])
			out->border[out->n++ - 1] = border;
	}
}

int
pgaml_series_bin(const PgamlBins *bins, float value)
{
	int			bin = 0;

	if (isnan(value))
		return bins->n;
	while (bin < bins->n - 1 && value > bins->border[bin])
		bin++;
	return bin;
}

double
pgaml_series_psi(const double *before, const double *now, int nbins)
{
	double		nbefore = 0.0;
	double		nnow = 0.0;
	double		psi = 0.0;

	for (int i = 0; i < nbins; i++)
	{
		nbefore += before[i];
		nnow += now[i];
	}
	if (!(nbefore > 0.0) || !(nnow > 0.0))
		return 0.0;
	for (int i = 0; i < nbins; i++)
	{
		double		p = (before[i] + HALF_ROW) / (nbefore + HALF_ROW * nbins);
		double		q = (now[i] + HALF_ROW) / (nnow + HALF_ROW * nbins);

		psi += (q - p) * log(q / p);
	}
	return psi;
}

double
pgaml_series_ks(const float *a, int64_t na, const float *b, int64_t nb)
{
	int64_t		i = 0;
	int64_t		j = 0;
	double		d = 0.0;

	while (i < na && j < nb)
	{
		float		x = a[i] < b[j] ? a[i] : b[j];

		while (i < na && a[i] <= x)
			i++;
		while (j < nb && b[j] <= x)
			j++;
		d = fmax(d, fabs((double) i / (double) na - (double) j / (double) nb));
	}
	return d;
}

double
pgaml_series_ks_p(double d, double na, double nb)
{
	double		root = sqrt(na * nb / (na + nb));
	double		x = (root + 0.12 + 0.11 / root) * d;
	double		p = 0.0;
	double		sign = 2.0;

	if (!(x > 0.2))				/* 1 to the last digit; the series does not come to an end there */
		return 1.0;
	for (int k = 1; k <= KS_TERMS; k++)
	{
		p += sign * exp(-2.0 * x * x * k * k);
		sign = -sign;
	}
	return fmin(fmax(p, 0.0), 1.0);
}

static double
mean_of(const double *x, int n)
{
	double		sum = 0.0;

	for (int i = 0; i < n; i++)
		sum += x[i];
	return sum / n;
}

double
pgaml_series_long_run_variance(const double *x, int n)
{
	double		mean;
	double		variance = 0.0;
	int			lags;

	if (n < 2)
		return NAN;
	mean = mean_of(x, n);
	lags = (int) floor(4.0 * pow(n / 100.0, 2.0 / 9.0));
	for (int lag = 0; lag <= lags && lag < n; lag++)
	{
		double		sum = 0.0;

		for (int i = lag; i < n; i++)
			sum += (x[i] - mean) * (x[i - lag] - mean);
		variance += (lag == 0 ? 1.0 : 2.0 * (1.0 - lag / (lags + 1.0))) * sum / n;
	}
	return variance;
}

double
pgaml_series_level_z(const double *before, int nbefore, const double *now, int nnow)
{
	double		variance = pgaml_series_long_run_variance(before, nbefore);

	if (!(variance > 0.0) || nnow < 1)
		return NAN;
	return (mean_of(now, nnow) - mean_of(before, nbefore)) / sqrt(variance * (1.0 / nbefore + 1.0 / nnow));
}

double
pgaml_series_cluster_error(const double *hits, const double *rows, int nclusters)
{
	double		all = 0.0;
	double		hit = 0.0;
	double		squares = 0.0;

	if (nclusters < 2)
		return NAN;
	for (int i = 0; i < nclusters; i++)
	{
		all += rows[i];
		hit += hits[i];
	}
	for (int i = 0; i < nclusters; i++)
	{
		double		residual = hits[i] - rows[i] * hit / all;

		squares += residual * residual;
	}
	return sqrt(squares * nclusters / (nclusters - 1.0)) / all;
}
