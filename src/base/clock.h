/*-------------------------------------------------------------------------
 * clock.h
 *		The one source of time for schedules, buckets and retention.
 *
 * Statement timing uses the monotonic clock of the server's instrumentation
 * instead.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_CLOCK_H
#define PGAML_CLOCK_H

#include "utils/timestamp.h"

/* Now. */
extern TimestampTz pgaml_clock_now(void);

/* Start of the bucket of width_s seconds that holds t, aligned to UTC. */
extern TimestampTz pgaml_clock_bucket(TimestampTz t, int width_s);

#endif							/* PGAML_CLOCK_H */
