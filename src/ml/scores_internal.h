/*-------------------------------------------------------------------------
 * scores_internal.h
 *		Calibration scores of the groups that intervals come from.
 *
 * A group is a statement, a size, all executions, or the statements left
 * out.  Included only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_SCORES_INTERNAL_H
#define PGAML_ML_SCORES_INTERNAL_H

#include "ml/core_internal.h"
#include "ml/stages.h"

#define ML_SCORES_MAX		4096	/* kept per group */
#define ML_SCORES_MIN		50		/* a statement or size with fewer does not speak for itself */
#define ML_SCORES_STATEMENT 256		/* the latest ones of a statement that are kept */
#define ML_SCORES_TOTAL		131072	/* of all statements together, per stage: 512 kB */

/* Ascending scores of one group; all zero: empty. */
typedef struct MlScores
{
	int32_t		n;
	int32_t		each;			/* scores that every independent statement gave; 1 when executions are what counts */
	float	   *values;
} MlScores;

/* Scores of the statements that have enough of them. */
typedef struct MlOwnScores
{
	int32_t		n;				/* statements */
	int32_t		total;			/* scores */
	int64_t    *key;			/* ascending */
	int32_t    *start;			/* [n + 1] where a statement's scores start in values */
	float	   *values;			/* ascending within a statement */
} MlOwnScores;

/*
 * The score of an error: never below error / unit, so that an interval made
 * of it reaches an error as large again.  Where times repeat to the digit,
 * most errors are equal, and the nearest float would leave half of them out.
 */
extern float pgaml_ml_score_of(double error, double unit);

/* The half-width that covers a share p of what comes next; false when no finite one keeps the promise. */
extern bool pgaml_ml_scores_quantile(const MlScores *scores, double p, double *out);

/* The largest score, 0 of none. */
extern double pgaml_ml_scores_largest(const MlScores *scores);

/* Scores of a statement; n = 0 when there are none. */
extern MlScores pgaml_ml_own_scores(const MlOwnScores *own, int64_t key);

extern void pgaml_ml_sort_floats(float *values, int64_t n);

/*
 * Keep values, which are sorted by the call, thinned to ML_SCORES_MAX order
 * statistics that never promise more than all of them would.
 */
extern MlStatus pgaml_ml_scores_keep(MlScores *out, float *values, int64_t n,
									 const MlAllocator *allocator, MlError *error);

/* Finite, not negative, ascending. */
extern bool pgaml_ml_scores_valid(const MlScores *scores);
extern bool pgaml_ml_own_scores_valid(const MlOwnScores *own);

extern void pgaml_ml_own_scores_free(MlOwnScores *own, const MlAllocator *allocator);

#endif							/* PGAML_ML_SCORES_INTERNAL_H */
