/*-------------------------------------------------------------------------
 * core_internal.h
 *		What every file of the learning room needs: errors, checked
 *		allocation, the question "shall I stop?", limits.
 *
 * Included only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_CORE_INTERNAL_H
#define PGAML_ML_CORE_INTERNAL_H

#include "ml.h"

#define ML_MAX_FEATURES		4096	/* columns of a dataset or model */
#define ML_MAX_TREES		10000
#define ML_MAX_LEAVES		65536	/* of one tree */
#define ML_MAX_DEPTH		64
#define ML_MAX_BINS			255		/* real bins of one feature; NaN has one more */
#define ML_MAX_ROWS			INT32_MAX
#define ML_LOSS_COUNT		3	/* MlLossKind */
#define ML_MAX_TARGET		1e300	/* |target|, |leaf|: sums over all trees stay finite */

/* Elementary steps (a few ns each) between two calls of the stop callback. */
#define ML_STOP_EVERY		500000

/*
 * A pair of doubles that the compiler adds in one instruction.  CAUTION: a
 * server's allocator aligns to 8 bytes only, so the type must not ask for 16.
 */
typedef double MlPair __attribute__((vector_size(16), aligned(8)));

/* Counts work and asks the caller's MlStop now and then. */
typedef struct MlTicker
{
	const MlStop *stop;			/* may be NULL */
	int64_t		work;			/* steps since the last question */
	double		progress;		/* 0..1, what the callback is told */
} MlTicker;

extern MlStatus pgaml_ml_fail(MlError *error, MlStatus code, const char *where,
							  const char *format, ...) __attribute__((format(printf, 4, 5)));
extern MlStatus pgaml_ml_nomem(MlError *error, const char *where);

/* count * size bytes, or NULL when that overflows or there is no memory; count 0 gives one byte. */
extern void *pgaml_ml_alloc(const MlAllocator *allocator, size_t count, size_t size);
extern void *pgaml_ml_alloc_zero(const MlAllocator *allocator, size_t count, size_t size);
extern void pgaml_ml_release(const MlAllocator *allocator, void *ptr);

/* True when the work is to end with ML_E_STOPPED. */
extern bool pgaml_ml_tick(MlTicker *ticker, int64_t work);
extern MlStatus pgaml_ml_stopped(MlError *error, const char *where);

/* Saturating size arithmetic: SIZE_MAX when it overflows. */
extern size_t pgaml_ml_size_add(size_t a, size_t b);
extern size_t pgaml_ml_size_mul(size_t a, size_t b);

/* The power of two p with 0.5 <= max / p < 1, so that dividing by it is exact; 1 for max = 0. */
extern double pgaml_ml_power_of_two(double max);

/* Ascending stable sort of (value, weight) pairs; scratch has room for n. */
extern void pgaml_ml_sort_pairs(MlPair *pairs, MlPair *scratch, int64_t n);

/* Smallest value at which q of the total weight is reached; pairs ascending, weights > 0, n >= 1. */
extern double pgaml_ml_sorted_quantile(const MlPair *pairs, int64_t n, double q);

/* The same of pairs in any order, which it changes, in linear time on average; true when stopped. */
extern bool pgaml_ml_select_quantile(MlPair *pairs, int64_t n, double q, MlTicker *ticker, double *out);

/* pgaml_ml_robust_line that can be stopped (ML_E_STOPPED). */
extern MlStatus pgaml_ml_fit_line(const float *x, const double *y, const float *weight, int64_t n,
								  const MlAllocator *allocator, MlTicker *ticker, MlLine *out, MlError *error);

#endif							/* PGAML_ML_CORE_INTERNAL_H */
