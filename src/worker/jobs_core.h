/*-------------------------------------------------------------------------
 * jobs_core.h
 *		What becomes of a training job, and whose turn is it?  Pure arithmetic.
 *
 * Times are microseconds; no server header.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_JOBS_CORE_H
#define PGAML_JOBS_CORE_H

#include <stdbool.h>
#include <stdint.h>

#define PGAML_JOB_ATTEMPTS		3	/* of a job before it has failed */
#define PGAML_JOB_RETRY_US		INT64_C(30000000)	/* after the first attempt; doubles */
#define PGAML_JOB_RETRY_CAP_US	INT64_C(900000000)
#define PGAML_JOB_RETRY_SPREAD	0.25	/* jitter: this share more or less */

/* The longest that pgaml_jobs_retry_delay() returns. */
#define PGAML_JOB_RETRY_MAX_US	(PGAML_JOB_RETRY_CAP_US + PGAML_JOB_RETRY_CAP_US / 4)

/*
 * Delay before the next attempt, after so many: 0 when there were none,
 * otherwise doubling from PGAML_JOB_RETRY_US to PGAML_JOB_RETRY_CAP_US, spread
 * by jitter (0..1, drawn by the caller).
 */
extern int64_t pgaml_jobs_retry_delay(int attempts, double jitter);

/*
 * Would an error with this sqlstate (five characters) come again with the same
 * job?  Then there is no second attempt.
 */
extern bool pgaml_jobs_error_stays(const char *sqlstate);

/*
 * Time after which a job is ended by force when the limit that it is asked to
 * keep is soft_s seconds; microseconds.
 */
extern int64_t pgaml_jobs_hard_limit(int64_t soft_s);

/* A database with a job that may start. */
typedef struct PgamlJobsTurn
{
	int			workers;		/* training workers that sit there */
	bool		looking;		/* one of them has no job yet: it will take this one */
	int64_t		served;			/* when a worker took or left a job there last */
	int64_t		due;			/* since when it waits */
	uint32_t	dbid;
} PgamlJobsTurn;

/*
 * Which database gets the next free slot?  The one with the fewest workers;
 * among those the one served longest ago, then the one that waits longest.
 * Index, or -1 when nobody is to get it.
 */
extern int	pgaml_jobs_next_turn(const PgamlJobsTurn *turns, int n);

#endif							/* PGAML_JOBS_CORE_H */
