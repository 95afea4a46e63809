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

#endif							/* PGAML_SCHEDULE_CORE_H */
