/*-------------------------------------------------------------------------
 * split.c
 *		The best split of one feature, read from its histogram.
 *
 * Bins are scanned upwards once; at each the missing values are tried on
 * both sides.  A candidate replaces the best one only when it is clearly better,
 * so ties go to the lower feature, then the lower threshold, then missing values
 * to the right.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#include <math.h>

/*
 * A difference of histograms leaves rounding noise where there were no rows;
 * a share of the node's hessian below this counts as no rows.
 */
#define EMPTY_SHARE 1e-10

/* G^2/(H + l2) of both children, with one division. */
static inline double
score(MlPair left, MlPair right, double l2)
{
	left[1] += l2;
	right[1] += l2;
	return (left[0] * left[0] * right[1] + right[0] * right[0] * left[1]) / (left[1] * right[1]);
}

void
pgaml_ml_split_scan(const MlPair *hist, int32_t nbins, const uint64_t occupied[4],
					MlPair total, const MlSplitRules *rules, int32_t feature, MlSplit *best)
{
	MlPair		missing = hist[nbins];
	MlPair		sum = {0.0, 0.0};
	double		empty = EMPTY_SHARE * total[1];
	double		min_hessian = rules->min_hessian > empty ? rules->min_hessian : empty;
	double		parent = total[0] * total[0] / (total[1] + rules->l2);
	double		threshold = parent + rules->min_gain + ML_NOISE_SHARE * parent;
	bool		has_missing = missing[1] > empty;

	if (best->feature >= 0 && best->threshold > threshold)
		threshold = best->threshold;

	for (int word = 0; word < 4; word++)
	{
		for (uint64_t bits = occupied[word]; bits != 0; bits &= bits - 1)
		{
			int32_t		bin = word * 64 + __builtin_ctzll(bits);
			MlPair		right;

			sum += hist[bin];
			for (int side = 0; side <= (int) has_missing; side++)
			{
				MlPair		left = side == 0 ? sum : sum + missing;
				double		s;

				right = total - left;
				if (left[1] < min_hessian || right[1] < min_hessian)
					continue;
				s = score(left, right, rules->l2);
				if (!(s > threshold))
					continue;
				threshold = s * (1.0 + ML_TIE_SHARE);
				best->threshold = threshold;
				best->gain = s - parent;
				best->feature = feature;
				best->bin = (uint8_t) bin;
				best->left = left;

				/* without missing values here, they go with the majority */
				best->missing_left = has_missing ? side == 1 : left[1] >= right[1];
			}
		}
	}

	/* against missing values alone every value goes left, also those that are not in this node */
	if (has_missing && best->feature == feature && !best->missing_left &&
		total[1] - best->left[1] - missing[1] <= empty)
		best->bin = (uint8_t) (nbins - 1);
}

double
pgaml_ml_bounded_value(MlPair total, double l2, const MlBounds *bounds)
{
	double		value = total[0] / (total[1] + l2);

	return value < bounds->low ? bounds->low : value > bounds->high ? bounds->high : value;
}

/* What G^2/(H + l2) becomes when the value is not free. */
static inline double
score_of_value(MlPair total, double l2, double value)
{
	return (2.0 * total[0] - (total[1] + l2) * value) * value;
}

/*
 * Score of a split under bounds; -infinity when the children are in the wrong
 * order.
 */
static double
score_bounded(MlPair left, MlPair right, double l2, int sign, const MlBounds *bounds)
{
	double		left_value = pgaml_ml_bounded_value(left, l2, bounds);
	double		right_value = pgaml_ml_bounded_value(right, l2, bounds);

	if ((sign > 0 && left_value > right_value) || (sign < 0 && left_value < right_value))
		return -INFINITY;
	return score_of_value(left, l2, left_value) + score_of_value(right, l2, right_value);
}

void
pgaml_ml_split_scan_bounded(const MlPair *hist, int32_t nbins, const uint64_t occupied[4],
							MlPair total, const MlSplitRules *rules, int32_t feature,
							int sign, const MlBounds *bounds, MlSplit *best)
{
	MlPair		missing = hist[nbins];
	MlPair		sum = {0.0, 0.0};
	double		empty = EMPTY_SHARE * total[1];
	double		min_hessian = rules->min_hessian > empty ? rules->min_hessian : empty;
	double		parent = score_of_value(total, rules->l2, pgaml_ml_bounded_value(total, rules->l2, bounds));
	double		threshold = parent + rules->min_gain + ML_NOISE_SHARE * fabs(parent);
	bool		has_missing = missing[1] > empty;

	if (best->feature >= 0 && best->threshold > threshold)
		threshold = best->threshold;

	for (int32_t bin = 0; bin < nbins; bin++)
	{
		if ((occupied[bin / 64] >> (bin % 64) & 1) == 0)
			continue;
		sum += hist[bin];
		for (int side = 0; side <= (int) has_missing; side++)
		{
			MlPair		left = side == 0 ? sum : sum + missing;
			MlPair		right = total - left;
			bool		missing_alone = has_missing && side == 0 && right[1] - missing[1] <= empty;
			double		s;

			if (left[1] < min_hessian || right[1] < min_hessian)
				continue;
			s = score_bounded(left, right, rules->l2, missing_alone ? 0 : sign, bounds);
			if (!(s > threshold))
				continue;
			threshold = s + ML_TIE_SHARE * fabs(s);
			best->threshold = threshold;
			best->gain = s - parent;
			best->feature = feature;
			best->left = left;

			/* every value goes left, also those that training did not have here */
			best->bin = (uint8_t) (missing_alone ? nbins - 1 : bin);
			best->missing_left = has_missing ? side == 1 : left[1] >= right[1];
		}
	}
}
