/*-------------------------------------------------------------------------
 * pack.c
 *		Gradients and hessians of a tree's rows as one integer each.
 *
 * Where every hessian is a whole multiple of the smallest one (1 without
 * weights, the number of draws in a bootstrap), a row's pair is packed into 64 bits:
 * the gradient in fixed point above, the multiple below.  A histogram is then
 * half as large, its sums are exact, a difference of histograms leaves no
 * noise, and the order of the additions does not matter.
 *
 * The gradient gets all bits that the largest possible count leaves over, so
 * no sum can overflow; with a million rows a mean gradient has about 22 bits.
 * Where that would be fewer than MEAN_BITS, or hessians are of all kinds,
 * histograms hold doubles.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#include <math.h>
#include <string.h>

#define MEAN_BITS 12			/* that a gradient of mean size must have */
#define MAX_SUM_BITS 50			/* of the sum of the gradients, so that doubles hold it */
#define MAX_EXPONENT 400		/* of that sum: squares of the scale stay finite */
#define MAX_MULTIPLE 1024.0		/* of the smallest hessian */
#define ROUNDER 0x1.8p52		/* added to a small double, it leaves the rounded value in the lowest bits */

/* What is to be known of the rows of a tree before they are packed. */
typedef struct Survey
{
	MlPair		total;
	double		abs_sum;		/* of the gradients */
	double		low;			/* smallest and largest hessian */
	double		high;
} Survey;

static inline int64_t
rounded(double x)
{
	double		origin = ROUNDER;
	double		moved = x + ROUNDER;
	int64_t		a;
	int64_t		b;

	memcpy(&a, &moved, sizeof(a));
	memcpy(&b, &origin, sizeof(b));
	return a - b;
}

/*
 * Sum of rows; two chains of additions, so that one does not wait for the other.
 */
MlPair
pgaml_ml_sum_rows(const MlPair *grad, const int32_t *rows, int32_t count)
{
	MlPair		even = {0.0, 0.0};
	MlPair		odd = {0.0, 0.0};
	int32_t		i = 0;

	for (; i + 2 <= count; i += 2)
	{
		even += grad[rows[i]];
		odd += grad[rows[i + 1]];
	}
	if (i < count)
		even += grad[rows[i]];
	return even + odd;
}

static inline __attribute__((always_inline)) void
look(Survey *s, MlPair g)
{
	s->total += g;
	s->abs_sum += fabs(g[0]);
	s->low = g[1] < s->low ? g[1] : s->low;
	s->high = g[1] > s->high ? g[1] : s->high;
}

static Survey
survey(const MlPair *grad, const int32_t *rows, int32_t count)
{
	double		h = grad[rows[0]][1];
	Survey		even = {.low = h, .high = h};
	Survey		odd = {.low = h, .high = h};
	int32_t		i = 0;

	for (; i + 2 <= count; i += 2)
	{
		look(&even, grad[rows[i]]);
		look(&odd, grad[rows[i + 1]]);
	}
	if (i < count)
		look(&even, grad[rows[i]]);
	even.total += odd.total;
	even.abs_sum += odd.abs_sum;
	even.low = odd.low < even.low ? odd.low : even.low;
	even.high = odd.high > even.high ? odd.high : even.high;
	return even;
}

/*
 * Sum of the multiples of the smallest hessian, or 0 when one is not whole.
 */
static double
count_multiples(const Survey *s, const MlPair *grad, const int32_t *rows, int32_t count)
{
	double		inverse = 1.0 / s->low;
	double		total = 0.0;
	bool		whole = true;

	if (s->low == s->high)
		return count;
	if (!(s->high <= MAX_MULTIPLE * s->low) || isinf(inverse))
		return 0.0;
	for (int32_t i = 0; i < count; i++)
	{
		double		h = grad[rows[i]][1];
		double		multiple = (double) rounded(h * inverse);

		whole &= multiple * s->low == h;
		total += multiple;
	}
	return whole ? total : 0.0;
}

/*
 * Pack the rows of a tree, when they can be; the total is exact either way.
 */
MlPair
pgaml_ml_pack(MlPacking *packing, int64_t *packed, const MlPair *grad, const int32_t *rows,
			  int32_t count)
{
	Survey		s = survey(grad, rows, count);
	double		multiples = count_multiples(&s, grad, rows, count);
	int			count_bits;
	int			row_bits;
	int			sum_bits;
	int			exponent;
	double		inverse = 1.0 / s.low;

	packing->usable = false;
	(void) frexp(multiples, &count_bits);
	(void) frexp((double) count, &row_bits);
	sum_bits = 62 - count_bits < MAX_SUM_BITS ? 62 - count_bits : MAX_SUM_BITS;
	if (multiples == 0.0 || sum_bits - row_bits < MEAN_BITS)
		return s.total;

	(void) frexp(s.abs_sum, &exponent);
	if (exponent < -MAX_EXPONENT || exponent > MAX_EXPONENT)
		return s.total;
	packing->usable = true;
	packing->count_bits = count_bits;
	packing->scale = ldexp(1.0, sum_bits - exponent);
	packing->unit = s.low;
	for (int32_t i = 0; i < count; i++)
	{
		MlPair		g = grad[rows[i]];
		int64_t		multiple = s.low == s.high ? 1 : rounded(g[1] * inverse);

		packed[rows[i]] = rounded(g[0] * packing->scale) * (INT64_C(1) << count_bits) + multiple;
	}
	return s.total;
}
