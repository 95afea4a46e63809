/*-------------------------------------------------------------------------
 * split_packed.c
 *		The best split of one feature, read from a packed histogram.
 *
 * The same search as split.c's, with its ties, in the units of the packing:
 * sums are whole numbers and exact, counts say what is empty, and one
 * comparison of products stands for the division of each score.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#include <math.h>

/* What a scan needs of its node and rules, in the units of the packing. */
typedef struct Scale
{
	double		total_g;
	double		total_h;		/* both penalties included */
	double		l2;
	double		least;			/* hessian of a child, penalty included */
	double		gain;			/* from a score to that of split.c */
	int			bits;
	int64_t		mask;
} Scale;

static inline __attribute__((always_inline)) void
try_cut(const Scale *scale, const MlPacking *packing, int64_t left, int32_t bin, int missing_left,
		double parent, double *threshold, MlSplit *best)
{
	double		lg = (double) (left >> scale->bits);
	double		lh = (double) (left & scale->mask) + scale->l2;
	double		rg = scale->total_g - lg;
	double		rh = scale->total_h - lh;
	double		upper = lg * lg * rh + rg * rg * lh;
	double		lower = lh * rh;
	double		score;

	if (!((lh >= scale->least) & (rh >= scale->least) & (upper > *threshold * lower)))
		return;
	score = upper / lower;
	*threshold = score * (1.0 + ML_TIE_SHARE);
	best->threshold = *threshold * scale->gain;
	best->gain = (score - parent) * scale->gain;
	best->bin = (uint8_t) bin;
	best->left = (MlPair) {lg / packing->scale, (lh - scale->l2) * packing->unit};
	best->missing_left = missing_left >= 0 ? missing_left : lh >= rh;
}

void
pgaml_ml_split_scan_packed(const int64_t *hist, int32_t nbins, const MlPacking *packing,
						   int64_t total, const MlSplitRules *rules, int32_t feature, MlSplit *best)
{
	int64_t		missing = hist[nbins];
	int64_t		sum = 0;
	double		l2 = rules->l2 / packing->unit;
	double		least = ceil(rules->min_hessian / packing->unit);
	Scale		scale = {
		.total_g = (double) (total >> packing->count_bits),
		.l2 = l2,
		.least = (least > 1.0 ? least : 1.0) + l2,
		.gain = 1.0 / (packing->scale * packing->scale * packing->unit),
		.bits = packing->count_bits,
		.mask = (INT64_C(1) << packing->count_bits) - 1
	};
	double		count = (double) (total & scale.mask);
	double		parent = scale.total_g * scale.total_g / (count + l2);
	double		threshold = parent + rules->min_gain / scale.gain + ML_NOISE_SHARE * parent;
	double		before;

	scale.total_h = count + 2.0 * l2;
	if (best->feature >= 0 && best->threshold / scale.gain > threshold)
		threshold = best->threshold / scale.gain;
	before = threshold;

	if (missing == 0)
	{
		for (int32_t bin = 0; bin < nbins - 1; bin++)
		{
			sum += hist[bin];
			try_cut(&scale, packing, sum, bin, -1, parent, &threshold, best);
		}
	}
	else
	{
		for (int32_t bin = 0; bin < nbins; bin++)
		{
			sum += hist[bin];
			try_cut(&scale, packing, sum, bin, 0, parent, &threshold, best);
			try_cut(&scale, packing, sum + missing, bin, 1, parent, &threshold, best);
		}
	}
	if (!(threshold > before))
		return;
	best->feature = feature;

	/* against missing values alone every value goes left, also those that are not in this node */
	if (missing != 0 && !best->missing_left && best->left[1] / packing->unit > (double) (sum & scale.mask) - 0.5)
		best->bin = (uint8_t) (nbins - 1);
}
