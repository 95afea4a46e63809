/*-------------------------------------------------------------------------
 * matrix.c
 *		Gram matrices by blocks, and the Cholesky solution.
 *-------------------------------------------------------------------------
 */
#include "matrix_internal.h"

#include <math.h>

#define TILE_I 4
#define TILE_J 2
#define PAIRS (ML_GRAM_ROWS / 2)

/* A pivot below this share of its diagonal element means a dependent column. */
#define DEPENDENT_SHARE 1e-11

/*
 * One tile of TILE_I x TILE_J products, each a sum over the block in two
 * lanes.
 */
static void
tile(const MlPair *const *left, const MlPair *const *right, MlPair sums[TILE_I][TILE_J])
{
	MlPair		s00 = {0, 0}, s01 = {0, 0}, s10 = {0, 0}, s11 = {0, 0};
	MlPair		s20 = {0, 0}, s21 = {0, 0}, s30 = {0, 0}, s31 = {0, 0};

	for (int32_t k = 0; k < PAIRS; k++)
	{
		MlPair		r0 = right[0][k];
		MlPair		r1 = right[1][k];

		s00 += left[0][k] * r0;
		s01 += left[0][k] * r1;
		s10 += left[1][k] * r0;
		s11 += left[1][k] * r1;
		s20 += left[2][k] * r0;
		s21 += left[2][k] * r1;
		s30 += left[3][k] * r0;
		s31 += left[3][k] * r1;
	}
	sums[0][0] = s00;
	sums[0][1] = s01;
	sums[1][0] = s10;
	sums[1][1] = s11;
	sums[2][0] = s20;
	sums[2][1] = s21;
	sums[3][0] = s30;
	sums[3][1] = s31;
}

/*
 * Tiles at the border repeat the last column and drop what they get for it.
 */
void
pgaml_ml_gram_add(const double *block, int32_t n, double *gram)
{
	for (int32_t i = 0; i < n; i += TILE_I)
	{
		const MlPair *left[TILE_I];

		for (int32_t di = 0; di < TILE_I; di++)
			left[di] = (const MlPair *) (block + (size_t) (i + di < n ? i + di : n - 1) * ML_GRAM_ROWS);

		for (int32_t j = 0; j < i + TILE_I && j < n; j += TILE_J)
		{
			const MlPair *right[TILE_J];
			MlPair		sums[TILE_I][TILE_J];

			for (int32_t dj = 0; dj < TILE_J; dj++)
				right[dj] = (const MlPair *) (block + (size_t) (j + dj < n ? j + dj : n - 1) * ML_GRAM_ROWS);
			tile(left, right, sums);
			for (int32_t di = 0; di < TILE_I && i + di < n; di++)
			{
				for (int32_t dj = 0; dj < TILE_J && j + dj <= i + di; dj++)
					gram[(size_t) (i + di) * n + j + dj] += sums[di][dj][0] + sums[di][dj][1];
			}
		}
	}
}

static inline double
at(const double *a, int32_t stride, int32_t i, int32_t j)
{
	return a[(size_t) i * (size_t) stride + (size_t) j];
}

bool
pgaml_ml_cholesky_factor(double *a, int32_t n, int32_t stride, MlTicker *ticker)
{
	for (int32_t j = 0; j < n; j++)
	{
		double	   *row_j = a + (size_t) j * (size_t) stride;
		double		diagonal = row_j[j];
		double		pivot = diagonal;

		for (int32_t k = 0; k < j; k++)
			pivot -= row_j[k] * row_j[k];

		/* a dependent column is taken out of the system */
		pivot = pivot > DEPENDENT_SHARE * diagonal ? sqrt(pivot) : 0.0;
		row_j[j] = pivot;
		for (int32_t i = j + 1; i < n; i++)
		{
			double	   *row_i = a + (size_t) i * (size_t) stride;
			double		sum = row_i[j];

			for (int32_t k = 0; k < j; k++)
				sum -= row_i[k] * row_j[k];
			row_i[j] = pivot > 0.0 ? sum / pivot : 0.0;
		}
		if (pgaml_ml_tick(ticker, (int64_t) (n - j) * (j + 1)))
			return true;
	}
	return false;
}

void
pgaml_ml_cholesky_solve(const double *factor, int32_t n, int32_t stride, double *b)
{
	for (int32_t i = 0; i < n; i++)
	{
		double		sum = b[i];

		for (int32_t k = 0; k < i; k++)
			sum -= at(factor, stride, i, k) * b[k];
		b[i] = at(factor, stride, i, i) > 0.0 ? sum / at(factor, stride, i, i) : 0.0;
	}
	for (int32_t i = n - 1; i >= 0; i--)
	{
		double		sum = b[i];

		for (int32_t k = i + 1; k < n; k++)
			sum -= at(factor, stride, k, i) * b[k];
		b[i] = at(factor, stride, i, i) > 0.0 ? sum / at(factor, stride, i, i) : 0.0;
	}
}
