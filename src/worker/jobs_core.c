/*-------------------------------------------------------------------------
 * jobs_core.c
 *		What becomes of a training job, and whose turn is it?  Pure arithmetic.
 *-------------------------------------------------------------------------
 */
#include "worker/jobs_core.h"

#include <stddef.h>
#include <string.h>

#define US_PER_S		INT64_C(1000000)
#define HARD_SHARE		1.5		/* of the soft limit */
#define HARD_MORE_S		30		/* and so much more, to read and to store */

int64_t
pgaml_jobs_retry_delay(int attempts, double jitter)
{
	int64_t		delay = PGAML_JOB_RETRY_US;

	if (attempts <= 0)
		return 0;
	for (int i = 1; i < attempts && delay < PGAML_JOB_RETRY_CAP_US; i++)
		delay *= 2;
	if (delay > PGAML_JOB_RETRY_CAP_US)
		delay = PGAML_JOB_RETRY_CAP_US;

	/* Not a number, or out of range: no jitter. */
	if (!(jitter >= 0.0 && jitter <= 1.0))
		jitter = 0.5;
	return (int64_t) ((double) delay * (1.0 + PGAML_JOB_RETRY_SPREAD * (2.0 * jitter - 1.0)));
}

bool
pgaml_jobs_error_stays(const char *sqlstate)
{
	static const char *const states[] = {
		"0A",					/* not supported: a kind of job that this library does not know */
		"22",					/* data, arguments */
		"42501",				/* the owner of the extension may not read what it must */
		"42704",				/* what the job is about is gone: an experiment, a split */
		"53400",				/* a limit of the configuration: training_memory */
		"54",					/* a limit of the program */
		"55000",				/* something is missing: too few samples */
		"57014",				/* stopped: training_time_limit */
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strncmp(sqlstate, states[i], strlen(states[i])) == 0)
			return true;
	return false;
}

int64_t
pgaml_jobs_hard_limit(int64_t soft_s)
{
	if (soft_s < 0)
		soft_s = 0;
	return (int64_t) ((double) soft_s * HARD_SHARE * US_PER_S) + HARD_MORE_S * US_PER_S;
}

/* Does a come before b? */
static bool
comes_before(const PgamlJobsTurn *a, const PgamlJobsTurn *b)
{
	if (a->workers != b->workers)
		return a->workers < b->workers;
	if (a->served != b->served)
		return a->served < b->served;
	if (a->due != b->due)
		return a->due < b->due;
	return a->dbid < b->dbid;
}

int
pgaml_jobs_next_turn(const PgamlJobsTurn *turns, int n)
{
	int			best = -1;

	for (int i = 0; i < n; i++)
	{
		if (!turns[i].looking && (best < 0 || comes_before(&turns[i], &turns[best])))
			best = i;
	}
	return best;
}
