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
#define EARLY_SHARE	8			/* with a window a run may come this part of the interval early ... */
#define EARLY_MOST	INT64_C(7200000000) /* ... but no more than this */
#define FOR_EVER	INT64_C(3155760000000000)	/* 100 years: farther ahead nothing is planned */

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

int64_t
pgaml_schedule_last_run(int64_t last_run, int64_t now)
{
	return last_run < now ? last_run : now;
}

/* How long training must rest for its cost to be within the budget. */
static int64_t
rest_for(const PgamlRetrain *retrain)
{
	double		rest = (double) retrain->cost / retrain->budget;

	return rest < (double) FOR_EVER ? (int64_t) rest : FOR_EVER;
}

PgamlRetrainWait
pgaml_schedule_retrain(const PgamlRetrain *retrain, int64_t *next_run)
{
	PgamlRetrainWait waits_for = PGAML_RETRAIN_INTERVAL;
	int64_t		due = retrain->now;

	if (retrain->interval <= 0)
		return PGAML_RETRAIN_OFF;
	if (retrain->has_run)
	{
		int64_t		last = pgaml_schedule_last_run(retrain->last_run, retrain->now);
		int64_t		early = retrain->interval / EARLY_SHARE;

		due = last + retrain->interval;
		if (!retrain->window.always)
			due -= early < EARLY_MOST ? early : EARLY_MOST;
		if (retrain->cost > 0 && retrain->budget < 1.0)
		{
			if (!(retrain->budget > 0.0))
				return PGAML_RETRAIN_NO_BUDGET;
			if (last + rest_for(retrain) > due)
			{
				if (due <= retrain->now)
					waits_for = PGAML_RETRAIN_OVERHEAD;
				due = last + rest_for(retrain);
			}
		}
	}

	*next_run = pgaml_daily_next(&retrain->window, &retrain->zone, due > retrain->now ? due : retrain->now);
	if (*next_run <= retrain->now)
		return PGAML_RETRAIN_NOW;
	return due > retrain->now ? waits_for : PGAML_RETRAIN_WINDOW;
}
