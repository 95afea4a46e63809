/*-------------------------------------------------------------------------
 * decimal.c
 *		Decimal text to float and back, exactly, whatever the locale.
 *
 * strtod and printf follow LC_NUMERIC, which a library does not own.  Reading
 * first works in doubles, whose error is known; only where that error could
 * decide between two floats does it compare whole numbers of any size
 * (Clinger 1990, How to read floating point numbers accurately).  Printing
 * tries 1, 2, ... digits until the text reads back as the same float; nine
 * always do.
 *-------------------------------------------------------------------------
 */
#include "json_internal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The middle of two floats has at most 113 digits, so more digits can only make a value larger. */
#define MAX_DIGITS		120
#define MAX_WORDS		32		/* 121 digits * 10^41 * 2^150 and 2^153 * 10^171 are below 2^1024 */
#define FAST_DIGITS		19		/* fit into 64 bits */
#define FAST_ERROR		1e-14	/* relative, of the value computed in doubles; above 10 roundings */
#define FLOAT_END		0x1.ffffffp127	/* from here on the nearest float is infinite */
#define MAX_EXPONENT	INT64_C(10000000000)

/* 0.d1d2d3... * 10^point */
typedef struct Decimal
{
	uint8_t		digits[MAX_DIGITS + 1];
	int			n;				/* digits; the first is not 0; none: the value is 0 */
	int64_t		point;
	bool		negative;
} Decimal;

typedef struct Big
{
	uint32_t	words[MAX_WORDS];	/* the lowest first */
	int			n;
} Big;

static void
big_multiply_add(Big *big, uint32_t factor, uint32_t addend)
{
	uint64_t	carry = addend;

	for (int i = 0; i < big->n; i++)
	{
		carry += (uint64_t) big->words[i] * factor;
		big->words[i] = (uint32_t) carry;
		carry >>= 32;
	}
	if (carry != 0)
		big->words[big->n++] = (uint32_t) carry;
}

static void
big_multiply_power(Big *big, uint32_t base, int64_t exponent)
{
	for (; exponent > 0; exponent--)
		big_multiply_add(big, base, 0);
}

static int
big_compare(const Big *a, const Big *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (int i = a->n - 1; i >= 0; i--)
		if (a->words[i] != b->words[i])
			return a->words[i] < b->words[i] ? -1 : 1;
	return 0;
}

/* Sign of decimal - middle, for a positive middle with few bits. */
static int
compare_exactly(const Decimal *decimal, double middle)
{
	int			exponent;
	uint64_t	mantissa = (uint64_t) ldexp(frexp(middle, &exponent), 32);
	int64_t		scale = decimal->point - decimal->n;
	Big			left = {.n = 0};
	Big			right = {.n = 0};

	exponent -= 32;
	for (int i = 0; i < decimal->n; i++)
		big_multiply_add(&left, 10, decimal->digits[i]);
	big_multiply_add(&right, 1, (uint32_t) mantissa);
	big_multiply_power(scale > 0 ? &left : &right, 10, scale > 0 ? scale : -scale);
	big_multiply_power(exponent < 0 ? &left : &right, 2, exponent < 0 ? -exponent : exponent);
	return big_compare(&left, &right);
}

static float
narrow(double value)
{
	return value >= FLOAT_END ? INFINITY : (float) value;
}

/* value * 10^exponent, each step rounded once; |exponent| stays below 70. */
static double
scale_by_ten(double value, int64_t exponent)
{
	static const double powers[] = {
		1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
	};

	for (; exponent > 22; exponent -= 22)
		value *= powers[22];
	for (; exponent < -22; exponent += 22)
		value /= powers[22];
	return exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
}

/* The float nearest to a positive decimal. */
static float
nearest(const Decimal *decimal)
{
	int			taken = decimal->n < FAST_DIGITS ? decimal->n : FAST_DIGITS;
	uint64_t	digits = 0;
	double		value;
	float		low;
	float		high;
	uint32_t	bits;
	int			side;

	if (decimal->n == 0 || decimal->point < -50)
		return 0.0f;
	if (decimal->point > 40)
		return INFINITY;
	for (int i = 0; i < taken; i++)
		digits = digits * 10 + decimal->digits[i];
	value = scale_by_ten((double) digits, decimal->point - taken);
	low = narrow(value * (1.0 - FAST_ERROR));
	high = narrow(value * (1.0 + FAST_ERROR));
	if (low == high)
		return low;
	side = compare_exactly(decimal, isinf(high) ? FLOAT_END : ((double) low + (double) high) / 2.0);
	memcpy(&bits, &low, sizeof(bits));
	return side < 0 || (side == 0 && (bits & 1) == 0) ? low : high;
}

/* Digits from text[at]; true when there was one.  Fraction digits move the point the other way. */
static bool
take_digits(const char *text, size_t length, size_t *at, bool fraction, Decimal *decimal, bool *dropped)
{
	size_t		from = *at;

	for (; *at < length && text[*at] >= '0' && text[*at] <= '9'; (*at)++)
	{
		uint8_t		digit = (uint8_t) (text[*at] - '0');

		if (decimal->n == 0 && digit == 0)
		{
			decimal->point -= fraction;
			continue;
		}
		decimal->point += !fraction;
		if (decimal->n < MAX_DIGITS)
			decimal->digits[decimal->n++] = digit;
		else
			*dropped |= digit != 0;
	}
	return *at > from;
}

static bool
take_exponent(const char *text, size_t length, size_t *at, Decimal *decimal)
{
	int64_t		exponent = 0;
	bool		negative = false;
	size_t		from;

	(*at)++;
	if (*at < length && (text[*at] == '+' || text[*at] == '-'))
		negative = text[(*at)++] == '-';
	from = *at;
	for (; *at < length && text[*at] >= '0' && text[*at] <= '9'; (*at)++)
		exponent = exponent < MAX_EXPONENT ? exponent * 10 + (text[*at] - '0') : exponent;
	decimal->point += negative ? -exponent : exponent;
	return *at > from;
}

static bool
is_word(const char *text, size_t length, const char *word)
{
	return length == strlen(word) && memcmp(text, word, length) == 0;
}

bool
pgaml_ml_float_parse(const char *text, size_t length, float *out)
{
	Decimal		decimal = {.n = 0};
	bool		dropped = false;
	size_t		at = 0;

	if (is_word(text, length, "NaN"))
	{
		*out = NAN;
		return true;
	}
	if (length > 0 && text[0] == '-')
	{
		decimal.negative = true;
		at = 1;
	}
	if (is_word(text + at, length - at, "Infinity"))
		*out = INFINITY;
	else
	{
		/* no number starts with more than one zero */
		if (at + 1 < length && text[at] == '0' && text[at + 1] >= '0' && text[at + 1] <= '9')
			return false;
		if (!take_digits(text, length, &at, false, &decimal, &dropped))
			return false;
		if (at < length && text[at] == '.')
		{
			at++;
			if (!take_digits(text, length, &at, true, &decimal, &dropped))
				return false;
		}
		if (at < length && (text[at] == 'e' || text[at] == 'E') && !take_exponent(text, length, &at, &decimal))
			return false;
		if (at != length)
			return false;
		if (dropped)
			decimal.digits[decimal.n++] = 1;
		*out = nearest(&decimal);
	}
	if (decimal.negative)
		*out = -*out;
	return true;
}

bool
pgaml_ml_int_parse(const char *text, size_t length, int64_t *out)
{
	bool		negative = length > 0 && text[0] == '-';
	size_t		at = negative ? 1 : 0;
	int64_t		value = 0;

	if (at == length || length - at > 18 || (text[at] == '0' && length - at > 1))
		return false;
	for (; at < length; at++)
	{
		if (text[at] < '0' || text[at] > '9')
			return false;
		value = value * 10 + (text[at] - '0');
	}
	*out = negative ? -value : value;
	return true;
}

/* digits (n of them, the first not 0) and exponent as "d.dddE-d", without zeros at the end. */
static size_t
put(char *out, bool negative, int64_t digits, int exponent)
{
	char		text[16];
	int			n;

	while (digits != 0 && digits % 10 == 0)
		digits /= 10;
	n = snprintf(text, sizeof(text), "%lld", (long long) digits);
	return (size_t) snprintf(out, ML_FLOAT_TEXT, "%s%c%s%.*sE%d", negative ? "-" : "", text[0],
							 n > 1 ? "." : "", n - 1, text + 1, exponent);
}

size_t
pgaml_ml_float_print(float value, char out[ML_FLOAT_TEXT])
{
	double		size = fabs((double) value);
	size_t		length = 0;
	int			exponent;
	int64_t		end = 1;

	if (isnan(value))
		return (size_t) snprintf(out, ML_FLOAT_TEXT, "NaN");
	if (isinf(value))
		return (size_t) snprintf(out, ML_FLOAT_TEXT, "%s1E40", value < 0 ? "-" : "");
	if (value == 0.0f)
		return put(out, signbit(value), 0, 0);
	exponent = (int) floor(log10(size));
	/* log10 may be off by a hair at powers of ten */
	if (scale_by_ten(size, -exponent) < 1.0)
		exponent--;
	else if (scale_by_ten(size, -exponent) >= 10.0)
		exponent++;
	for (int n = 1; n <= 9; n++)
	{
		int64_t		digits = llrint(scale_by_ten(size, n - 1 - exponent));
		float		back;

		end *= 10;				/* digits may have been rounded up to it */
		length = put(out, value < 0, digits, exponent + (digits >= end));
		if (pgaml_ml_float_parse(out, length, &back) && back == value)
			break;
	}
	return length;
}
