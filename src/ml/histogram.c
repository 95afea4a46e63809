/*-------------------------------------------------------------------------
 * histogram.c
 *		Sums of gradient and hessian per bin.
 *
 * The inner loops of training.  A bin's sums are one MlPair, so an update is
 * one load, one add, one store; features start at different offsets modulo
 * 4 kB because each takes only the bins it has.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

void
pgaml_ml_histogram_add(const MlBins *bins, const int32_t *features, int32_t nfeatures,
					   const int32_t *rows, int32_t count, const MlPair *grad, MlPair *hist)
{
	const int32_t *offset = bins->offset;

	for (int32_t i = 0; i < count; i++)
	{
		const uint8_t *row = bins->bins + (size_t) rows[i] * bins->nfeatures;
		MlPair		g = grad[rows[i]];

		if (features == NULL)
		{
			for (int32_t f = 0; f < bins->nfeatures; f++)
				hist[offset[f] + row[f]] += g;
		}
		else
		{
			for (int32_t k = 0; k < nfeatures; k++)
				hist[offset[features[k]] + row[features[k]]] += g;
		}
	}
}

void
pgaml_ml_histogram_subtract(MlPair *parent, const MlPair *child, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
		parent[i] -= child[i];
}
