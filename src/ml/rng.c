/*-------------------------------------------------------------------------
 * rng.c
 *		The seeded generator: xoshiro256** 1.0 (Blackman and Vigna 2018),
 *		seeded by splitmix64 (Steele et al. 2014).
 *
 * Same seed, same sequence, on every machine; no global state.
 *-------------------------------------------------------------------------
 */
#include "core_internal.h"

#include <math.h>

static inline uint64_t
rotate_left(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void
pgaml_ml_rng_seed(MlRng *rng, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
	{
		uint64_t	z = (seed += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		rng->s[i] = z ^ (z >> 31);
	}
}

uint64_t
pgaml_ml_rng_next(MlRng *rng)
{
	uint64_t   *s = rng->s;
	uint64_t	result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t	t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

double
pgaml_ml_rng_uniform(MlRng *rng)
{
	return (double) (pgaml_ml_rng_next(rng) >> 11) * 0x1.0p-53;
}

/*
 * Unbiased: draws that would make some values likelier are thrown away.
 */
uint64_t
pgaml_ml_rng_below(MlRng *rng, uint64_t n)
{
	uint64_t	limit = UINT64_MAX - UINT64_MAX % n;
	uint64_t	x;

	do
		x = pgaml_ml_rng_next(rng);
	while (x >= limit);
	return x % n;
}

/*
 * Standard normal by the polar method (Marsaglia and Bray 1964); the second
 * value of each pair is thrown away, so the generator has no hidden state.
 */
double
pgaml_ml_rng_normal(MlRng *rng)
{
	double		u;
	double		v;
	double		s;

	do
	{
		u = 2.0 * pgaml_ml_rng_uniform(rng) - 1.0;
		v = 2.0 * pgaml_ml_rng_uniform(rng) - 1.0;
		s = u * u + v * v;
	}
	while (s >= 1.0 || s == 0.0);
	return u * sqrt(-2.0 * log(s) / s);
}
