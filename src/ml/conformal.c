/*-------------------------------------------------------------------------
 * conformal.c
 *		The half-width that covers a share p of what comes next.
 *-------------------------------------------------------------------------
 */
#include "core_internal.h"

#include <math.h>

/*
 * Split-conformal quantile (Lei et al. 2018, section 2.2): the k-th smallest
 * score with k = ceil((n + 1) p).  k > n, the same as n < p / (1 - p), means
 * that no finite width keeps the promise.
 */
bool
pgaml_ml_conformal_quantile(const double *sorted_scores, int64_t n, double p, double *out)
{
	double		k;

	if (n < 1 || !(p > 0.0 && p < 1.0))
		return false;

	/* 10 * 0.9 must be 9, whatever the last bit of 0.9 */
	k = ceil(((double) n + 1.0) * p - 1e-9);
	if (k > (double) n)
		return false;
	*out = sorted_scores[(int64_t) k - 1];
	return true;
}
