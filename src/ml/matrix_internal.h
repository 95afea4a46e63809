/*-------------------------------------------------------------------------
 * matrix_internal.h
 *		Small dense symmetric systems.  Included only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_MATRIX_INTERNAL_H
#define PGAML_ML_MATRIX_INTERNAL_H

#include "core_internal.h"

#define ML_GRAM_ROWS 64			/* rows of a block */

/*
 * gram[i * n + j] += sum over rows of block[i][row] * block[j][row], for j <= i.
 * block is n columns of ML_GRAM_ROWS values.
 */
extern void pgaml_ml_gram_add(const double *block, int32_t n, double *gram);

/*
 * A = L L' for a symmetric positive semidefinite A (n x n, lower triangle with
 * row stride `stride`), in place.  A column that depends on earlier ones gets
 * the pivot 0.  True when stopped.
 */
extern bool pgaml_ml_cholesky_factor(double *a, int32_t n, int32_t stride, MlTicker *ticker);

/* Solve A x = b; b becomes x, 0 where a pivot is 0. */
extern void pgaml_ml_cholesky_solve(const double *factor, int32_t n, int32_t stride, double *b);

#endif							/* PGAML_ML_MATRIX_INTERNAL_H */
