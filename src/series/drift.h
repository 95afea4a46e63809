/*-------------------------------------------------------------------------
 * drift.h
 *		Measures of how far two samples or two stretches of time differ.
 *
 * They measure; what is usual is for the caller to know: of a workload with
 * hours of the day, weekdays and growing tables, any two stretches differ.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SERIES_DRIFT_H
#define PGAML_SERIES_DRIFT_H

#include "series/series.h"

#define PGAML_BINS			10	/* at most; unknown values are one more */

/* Bins of about equal shares, with borders between values that were seen. */
typedef struct PgamlBins
{
	int			n;				/* 1..PGAML_BINS */
	float		border[PGAML_BINS - 1]; /* ascending; a value above border[i] is in bin i + 1 or later */
} PgamlBins;

/* Bins of values without the NaNs among them, which the call sorts. */
extern void pgaml_series_bins(float *values, int64_t n, PgamlBins *out);

/* The bin of a value, 0..n - 1; n for NaN. */
extern int	pgaml_series_bin(const PgamlBins *bins, float value);

/*
 * Population stability index of two counts over nbins bins: the sum of
 * (q - p) ln (q / p), with half a row added to each bin.  0 when one is empty.
 */
extern double pgaml_series_psi(const double *before, const double *now, int nbins);

/* The two-sample statistic of Kolmogorov and Smirnov over ascending values; 0 when one is empty. */
extern double pgaml_series_ks(const float *a, int64_t na, const float *b, int64_t nb);

/* How likely one as large is for independent values (Stephens 1970); autocorrelated ones come to it far more often. */
extern double pgaml_series_ks_p(double d, double na, double nb);

/*
 * Long-run variance of a series: of its mean, times n (Newey and West 1987,
 * Bartlett weights, floor(4 (n / 100)^(2/9)) lags).  NaN below two values.
 */
extern double pgaml_series_long_run_variance(const double *x, int n);

/*
 * By how many standard errors the mean of the second stretch is above that of
 * the first, whose long-run variance stands for both; NaN when it has none.
 */
extern double pgaml_series_level_z(const double *before, int nbefore, const double *now, int nnow);

/*
 * Standard error of a share when rows come in clusters whose rows go
 * together: hits and rows of each.  NaN below two clusters.
 */
extern double pgaml_series_cluster_error(const double *hits, const double *rows, int nclusters);

#endif							/* PGAML_SERIES_DRIFT_H */
