/*-------------------------------------------------------------------------
 * schedule_core.h
 *		When is something due, and how long to wait?  Pure arithmetic.
 *
 * Times are microseconds on one clock that may jump; no server header.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SCHEDULE_CORE_H
#define PGAML_SCHEDULE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/daily_core.h"

#define PGAML_BACKOFF_FIRST_US	INT64_C(1000000)	/* after the first failure */
#define PGAML_BACKOFF_CAP_US	INT64_C(300000000)	/* however many failures */
#define PGAML_BACKOFF_SPREAD	0.25	/* jitter: this share more or less */

/* The longest that pgaml_schedule_backoff() returns. */
#define PGAML_BACKOFF_MAX_US	(PGAML_BACKOFF_CAP_US + PGAML_BACKOFF_CAP_US / 4)

/*
 * Delay in microseconds after so many failures in a row: doubles from
 * PGAML_BACKOFF_FIRST_US to PGAML_BACKOFF_CAP_US, then spread by jitter (0..1,
 * drawn by the caller) so that what failed together does not return together.
 * 0 without a failure.
 */
extern int64_t pgaml_schedule_backoff(int failures, double jitter);

/*
 * Has the moment come?  Also true when it lies further ahead than it can have
 * been set (longest, microseconds): then the clock went back, and waiting for
 * it to catch up could take for ever.
 */
extern bool pgaml_schedule_reached(int64_t when, int64_t now, int64_t longest);

/*
 * Milliseconds to wait for a moment, rounded up so that one does not wake just
 * before it; 0..cap.
 */
extern long pgaml_schedule_wait_ms(int64_t when, int64_t now, long cap);

/* What decides when the next retraining may begin. */
typedef struct PgamlRetrain
{
	int64_t		now;
	bool		has_run;		/* there was a training, asked for or scheduled, completed or failed */
	int64_t		last_run;		/* start of the last one */
	int64_t		interval;		/* us from one to the next; 0: never */
	PgamlDaily	window;			/* in which it may begin */
	PgamlZone	zone;			/* of the window */
	int64_t		cost;			/* us of one core that the last one took; 0: not known */
	double		budget;			/* share of one core that training may take, 0..1 */
} PgamlRetrain;

/* What it waits for. */
typedef enum PgamlRetrainWait
{
	PGAML_RETRAIN_NOW,			/* nothing */
	PGAML_RETRAIN_OFF,			/* there is no interval */
	PGAML_RETRAIN_NO_BUDGET,	/* the budget allows none, ever */
	PGAML_RETRAIN_INTERVAL,
	PGAML_RETRAIN_OVERHEAD,		/* the interval is over, the budget says later */
	PGAML_RETRAIN_WINDOW		/* both are over, the window is closed */
} PgamlRetrainWait;

/*
 * When may the next retraining begin?  *next_run is not before now, and is
 * left alone when there is none.
 *	- An interval after the last one began; at once when there was none.  With a
 *	  window up to an eighth of the interval earlier, two hours at most: so runs
 *	  stay at the opening of the window, on days of 23 hours too.
 *	- Not before cost / budget has passed since then.
 *	- Only while the window is open (base/daily_core.h).
 * A last run ahead of now (the clock was set back) counts as one that began
 * now.  The caller must keep that answer, pgaml_schedule_last_run(): else the
 * next one moves along with the clock.  After a jump ahead one run is due, not
 * many.
 */
extern PgamlRetrainWait pgaml_schedule_retrain(const PgamlRetrain *retrain, int64_t *next_run);

/* The start of the last run, as far as this clock can have seen it. */
extern int64_t pgaml_schedule_last_run(int64_t last_run, int64_t now);

#endif							/* PGAML_SCHEDULE_CORE_H */
