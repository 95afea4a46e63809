/*-------------------------------------------------------------------------
 * histogram.c
 *		Sums of gradient and hessian per bin.
 *
 * The inner loops of training, once for packed integers and once for pairs of
 * doubles.  An update is one load, one add, one store; a feature starts a
 * fixed distance after the one before, so that the address of a bin is the bin
 * and a constant.  Rows are fetched ahead of their turn.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#define AHEAD 64				/* rows between the fetch of a row and its turn */

#define ADD(k) hist[(k) * ML_HIST_STRIDE + row[k]] += g

/*
 * All features of one row.
 */
#define ADD_ROW \
	do \
	{ \
		for (int32_t f = nfeatures / 8; f > 0; f--, row += 8, hist += 8 * ML_HIST_STRIDE) \
		{ \
			ADD(0); ADD(1); ADD(2); ADD(3); ADD(4); ADD(5); ADD(6); ADD(7); \
		} \
		if (nfeatures & 4) \
		{ \
			ADD(0); ADD(1); ADD(2); ADD(3); \
			row += 4; \
			hist += 4 * ML_HIST_STRIDE; \
		} \
		if (nfeatures & 2) \
		{ \
			ADD(0); ADD(1); \
			row += 2; \
			hist += 2 * ML_HIST_STRIDE; \
		} \
		if (nfeatures & 1) \
			ADD(0); \
	} while (0)

#define DEFINE_ADD_ALL(name, Entry) \
static void \
name(const MlBins *bins, const int32_t *rows, int32_t count, const Entry *grad, Entry *hists) \
{ \
	int32_t		nfeatures = bins->nfeatures; \
	size_t		stride = (size_t) nfeatures; \
	for (int32_t i = 0; i < count; i++) \
	{ \
		const uint8_t *ahead = bins->by_row + (size_t) rows[i + AHEAD < count ? i + AHEAD : i] * stride; \
		const uint8_t *row = bins->by_row + (size_t) rows[i] * stride; \
		Entry		g = grad[rows[i]]; \
		Entry	   *hist = hists; \
		__builtin_prefetch(&grad[rows[i + AHEAD < count ? i + AHEAD : i]]); \
		__builtin_prefetch(ahead); \
		__builtin_prefetch(ahead + stride - 1); \
		ADD_ROW; \
	} \
}

/*
 * Some features, column by column: two at a time, so that rows which share a
 * bin wait less for each other.
 */
#define DEFINE_ADD_SOME(name, Entry) \
static void \
name(const MlBins *bins, const int32_t *features, int32_t nfeatures, const int32_t *rows, \
	 int32_t count, const Entry *grad, Entry *hists) \
{ \
	size_t		nrows = (size_t) bins->nrows; \
	for (int32_t k = 0; k < nfeatures; k += 2) \
	{ \
		int32_t		fa = features[k]; \
		int32_t		fb = features[k + 1 < nfeatures ? k + 1 : k]; \
		const uint8_t *a = bins->by_column + (size_t) fa * nrows; \
		const uint8_t *b = bins->by_column + (size_t) fb * nrows; \
		Entry	   *hist_a = hists + (size_t) fa * ML_HIST_STRIDE; \
		Entry	   *hist_b = hists + (size_t) fb * ML_HIST_STRIDE; \
		for (int32_t i = 0; i < count && fa != fb; i++) \
		{ \
			Entry		g = grad[rows[i]]; \
			hist_a[a[rows[i]]] += g; \
			hist_b[b[rows[i]]] += g; \
		} \
		for (int32_t i = 0; i < count && fa == fb; i++) \
			hist_a[a[rows[i]]] += grad[rows[i]]; \
	} \
}

DEFINE_ADD_ALL(add_all_packed, int64_t)
DEFINE_ADD_ALL(add_all_pairs, MlPair)
DEFINE_ADD_SOME(add_some_packed, int64_t)
DEFINE_ADD_SOME(add_some_pairs, MlPair)

void
pgaml_ml_histogram_add_packed(const MlBins *bins, const int32_t *features, int32_t nfeatures,
							  const int32_t *rows, int32_t count, const int64_t *packed,
							  int64_t *hist)
{
	if (features == NULL)
		add_all_packed(bins, rows, count, packed, hist);
	else
		add_some_packed(bins, features, nfeatures, rows, count, packed, hist);
}

void
pgaml_ml_histogram_add(const MlBins *bins, const int32_t *features, int32_t nfeatures,
					   const int32_t *rows, int32_t count, const MlPair *grad, MlPair *hist)
{
	if (features == NULL)
		add_all_pairs(bins, rows, count, grad, hist);
	else
		add_some_pairs(bins, features, nfeatures, rows, count, grad, hist);
}

void
pgaml_ml_histogram_subtract_packed(const MlBins *bins, const int32_t *features, int32_t nfeatures,
								   int64_t *parent, const int64_t *child)
{
	for (int32_t k = 0; k < nfeatures; k++)
	{
		int32_t		f = features[k];

		for (int32_t b = f * ML_HIST_STRIDE; b <= f * ML_HIST_STRIDE + bins->nbins[f]; b++)
			parent[b] -= child[b];
	}
}

void
pgaml_ml_histogram_subtract(const MlBins *bins, const int32_t *features, int32_t nfeatures,
							MlPair *parent, const MlPair *child)
{
	for (int32_t k = 0; k < nfeatures; k++)
	{
		int32_t		f = features[k];

		for (int32_t b = f * ML_HIST_STRIDE; b <= f * ML_HIST_STRIDE + bins->nbins[f]; b++)
			parent[b] -= child[b];
	}
}
