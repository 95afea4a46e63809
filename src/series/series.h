/*-------------------------------------------------------------------------
 * series.h
 *		Is a difference real, has something drifted?
 *
 * Pure C: no server header, no global state.  Memory comes from an
 * MlAllocator of the caller; statuses are those of ml/ml.h.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SERIES_H
#define PGAML_SERIES_H

#include "ml/ml.h"

#define SERIES_BLOCKS	20		/* spans of time that dependent rows are cut into */

/* Two forecasters on the same rows; see paired.c. */
typedef struct SeriesPaired
{
	int64_t		n;				/* rows that both have a value for */
	int32_t		clusters;		/* that they stand in */
	double		effective;		/* clusters of equal size that would tell as much */
	double		mean_a;			/* NaN without rows, as is mean_b */
	double		mean_b;
	double		difference;		/* mean of a - b */
	double		error;			/* its standard error; infinite with less than two clusters */
	double		lower;			/* interval of the difference; may be infinite */
	double		upper;
} SeriesPaired;

/*
 * Compare a and b over n rows; rows where either is not finite are left out,
 * rows of one cluster depend on each other.  coverage (0..1) is that of the
 * interval, for whoever looks once.
 */
extern MlStatus pgaml_series_paired(const double *a, const double *b, const int64_t *cluster, int64_t n,
									double coverage, const MlAllocator *allocator, SeriesPaired *out,
									MlError *error);

/* An interval of the same difference that leaves this probability on either side. */
extern void pgaml_series_bounds(const SeriesPaired *paired, double tail, double *lower, double *upper);

/*
 * Clusters: the time from the first to the last row in SERIES_BLOCKS equal
 * spans, or fewer where they would be shorter than least (s; 0: any length).
 * Rows whose time is not finite stand in the first one.
 */
extern void pgaml_series_blocks(const double *at, int64_t n, double least, int64_t *cluster);

/*
 * The tail (on either side) for whoever looks again and again while rows come
 * in: all looks together err with probability alpha.  information grows in
 * proportion to the rows; it is best near 5 to 20, and never forbidden.
 */
extern double pgaml_series_looks_tail(double information, double alpha);

/* Student's t: the value above which this probability lies; infinite under half a degree of freedom. */
extern double pgaml_series_t_quantile(double tail, double df);

#endif							/* PGAML_SERIES_H */
