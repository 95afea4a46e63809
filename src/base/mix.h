/*-------------------------------------------------------------------------
 * mix.h
 *		A cheap 64-bit hash of a sequence of words.
 *
 * The finalizer of splitmix64 (Steele, Lea, Flood 2014, Fast splittable
 * pseudorandom number generators).
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_MIX_H
#define PGAML_MIX_H

/* Fold one more word into a hash. */
static inline uint64
pgaml_mix(uint64 hash, uint64 word)
{
	uint64		x = (hash ^ word) + UINT64CONST(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

#endif							/* PGAML_MIX_H */
