/*-------------------------------------------------------------------------
 * sort.c
 *		Sorting weighted values and reading quantiles from them.
 *
 * libc's qsort may allocate behind the allocator's back, so the room has its
 * own bottom-up merge sort.
 *-------------------------------------------------------------------------
 */
#include "core_internal.h"

#include <math.h>
#include <string.h>

#define RUN_LENGTH 16			/* runs sorted by insertion before merging */

static void
insertion_sort(MlPair *pairs, int64_t n)
{
	for (int64_t i = 1; i < n; i++)
	{
		MlPair		pair = pairs[i];
		int64_t		j = i;

		for (; j > 0 && pairs[j - 1][0] > pair[0]; j--)
			pairs[j] = pairs[j - 1];
		pairs[j] = pair;
	}
}

static void
merge(const MlPair *from, MlPair *to, int64_t begin, int64_t middle, int64_t end)
{
	int64_t		left = begin;
	int64_t		right = middle;

	for (int64_t i = begin; i < end; i++)
	{
		bool		take_left = left < middle &&
			(right >= end || from[left][0] <= from[right][0]);

		to[i] = take_left ? from[left++] : from[right++];
	}
}

/*
 * Ascending by value; equal values keep their order.  No value is NaN.
 */
void
pgaml_ml_sort_pairs(MlPair *pairs, MlPair *scratch, int64_t n)
{
	MlPair	   *from = pairs;
	MlPair	   *to = scratch;

	for (int64_t begin = 0; begin < n; begin += RUN_LENGTH)
		insertion_sort(pairs + begin, n - begin < RUN_LENGTH ? n - begin : RUN_LENGTH);

	for (int64_t width = RUN_LENGTH; width < n; width *= 2)
	{
		MlPair	   *swap = from;

		for (int64_t begin = 0; begin < n; begin += 2 * width)
			merge(from, to, begin,
				  begin + width < n ? begin + width : n,
				  begin + 2 * width < n ? begin + 2 * width : n);
		from = to;
		to = swap;
	}
	if (from != pairs)
		memcpy(pairs, from, (size_t) n * sizeof(MlPair));
}

double
pgaml_ml_sorted_quantile(const MlPair *pairs, int64_t n, double q)
{
	double		total = 0.0;
	double		sum = 0.0;

	for (int64_t i = 0; i < n; i++)
		total += pairs[i][1];
	for (int64_t i = 0; i < n; i++)
	{
		sum += pairs[i][1];
		if (sum >= q * total)
			return pairs[i][0];
	}
	return pairs[n - 1][0];
}

/* Pairs below, equal to and above a pivot, in this order. */
typedef struct Parts
{
	int64_t		below;			/* how many are below */
	int64_t		above;			/* where those above begin */
	double		weight_below;
	double		weight_equal;
} Parts;

static Parts
part(MlPair *pairs, int64_t n, double pivot)
{
	Parts		parts = {.above = n};
	int64_t		i = 0;

	while (i < parts.above)
	{
		MlPair		pair = pairs[i];
		double		value = pair[0];

		if (value < pivot)
		{
			parts.weight_below += pair[1];
			pairs[i++] = pairs[parts.below];
			pairs[parts.below++] = pair;
		}
		else if (value > pivot)
		{
			pairs[i] = pairs[--parts.above];
			pairs[parts.above] = pair;
		}
		else
		{
			parts.weight_equal += pair[1];
			i++;
		}
	}
	return parts;
}

static double
middle_of(double a, double b, double c)
{
	if (a > b)
	{
		double		swap = a;

		a = b;
		b = swap;
	}
	return c < a ? a : c > b ? b : c;
}

/*
 * Quickselect (Hoare 1961), parting in three; pivots are medians of three
 * pairs that a generator with a fixed seed picks, so no order of the data is
 * a bad one.
 */
bool
pgaml_ml_select_quantile(MlPair *pairs, int64_t n, double q, MlTicker *ticker, double *out)
{
	double		want = 0.0;
	MlRng		rng;

	for (int64_t i = 0; i < n; i++)
		want += pairs[i][1];
	want *= q;
	pgaml_ml_rng_seed(&rng, 0);
	for (;;)
	{
		double		picked[3];
		Parts		parts;

		if (n <= 2 * RUN_LENGTH)
		{
			insertion_sort(pairs, n);
			for (int64_t i = 0; i < n - 1; i++)
			{
				want -= pairs[i][1];
				if (want <= 0.0)
				{
					*out = pairs[i][0];
					return false;
				}
			}
			*out = pairs[n - 1][0];
			return false;
		}
		for (int k = 0; k < 3; k++)
			picked[k] = pairs[pgaml_ml_rng_below(&rng, (uint64_t) n)][0];
		*out = middle_of(picked[0], picked[1], picked[2]);
		parts = part(pairs, n, *out);
		if (pgaml_ml_tick(ticker, 2 * n))
			return true;
		if (parts.below > 0 && want <= parts.weight_below)
			n = parts.below;
		else if (want <= parts.weight_below + parts.weight_equal || parts.above == n)
			return false;
		else
		{
			want -= parts.weight_below + parts.weight_equal;
			pairs += parts.above;
			n -= parts.above;
		}
	}
}

/*
 * Lower weighted quantile of values: the smallest value v with
 * weight(values <= v) >= q * total weight; so q = 0.5 is the lower median.
 * NaN values and zero weights are left out; NaN when nothing is left.
 * ML_E_ARG: q outside 0..1.  ML_E_DATA: a weight is negative or not finite.
 */
MlStatus
pgaml_ml_weighted_quantile(const double *values, const float *weight, int64_t n, double q,
						   const MlAllocator *allocator, double *out, MlError *error)
{
	MlPair	   *pairs;
	int64_t		used = 0;

	if (!(q >= 0.0 && q <= 1.0))
		return pgaml_ml_fail(error, ML_E_ARG, "q", "quantile must be between 0 and 1");
	if (n < 0)
		return pgaml_ml_fail(error, ML_E_ARG, "n", "number of values must not be negative");
	pairs = pgaml_ml_alloc(allocator, pgaml_ml_size_mul((size_t) n, 2), sizeof(MlPair));
	if (pairs == NULL)
		return pgaml_ml_nomem(error, "weighted_quantile");

	for (int64_t i = 0; i < n; i++)
	{
		double		w = weight != NULL ? weight[i] : 1.0;

		if (!(w >= 0.0) || isinf(w))
		{
			pgaml_ml_release(allocator, pairs);
			return pgaml_ml_fail(error, ML_E_DATA, "weight",
								 "weight of row %lld is negative or not finite", (long long) i);
		}
		if (w > 0.0 && !isnan(values[i]))
			pairs[used++] = (MlPair) {values[i], w};
	}
	pgaml_ml_sort_pairs(pairs, pairs + n, used);
	*out = used > 0 ? pgaml_ml_sorted_quantile(pairs, used, q) : NAN;
	pgaml_ml_release(allocator, pairs);
	return ML_OK;
}
