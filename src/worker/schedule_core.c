/*-------------------------------------------------------------------------
 * schedule_core.c
 *		When is something due, and how long to wait?  Pure arithmetic.
 *
 * Owns the rules of backoff and of clock jumps; who is due for what is the
 * launcher's business.
 *-------------------------------------------------------------------------
 */
#include "worker/schedule_core.h"

#define US_PER_MS	1000

int64_t
pgaml_schedule_backoff(int failures, double jitter)
{
	int64_t		delay = PGAML_BACKOFF_FIRST_US;

	if (failures <= 0)
		return 0;
	for (int i = 1; i < failures && delay < PGAML_BACKOFF_CAP_US; i++)
		delay *= 2;
	if (delay > PGAML_BACKOFF_CAP_US)
		delay = PGAML_BACKOFF_CAP_US;

	/* Not a number, or out of range: no jitter. */
	if (!(jitter >= 0.0 && jitter <= 1.0))
		jitter = 0.5;
	return (int64_t) ((double) delay * (1.0 + PGAML_BACKOFF_SPREAD * (2.0 * jitter - 1.0)));
}

bool
pgaml_schedule_reached(int64_t when, int64_t now, int64_t longest)
{
	if (when <= now)
		return true;

	/* when > now: the difference may overflow only for a far future. */
	return (uint64_t) when - (uint64_t) now > (uint64_t) longest;
}

long
pgaml_schedule_wait_ms(int64_t when, int64_t now, long cap)
{
	uint64_t	ahead;

	if (when <= now)
		return 0;
	ahead = (uint64_t) when - (uint64_t) now;
	if (ahead >= (uint64_t) cap * US_PER_MS)
		return cap;
	return (long) ((ahead + US_PER_MS - 1) / US_PER_MS);
}
