/*-------------------------------------------------------------------------
 * clock.c
 *		The one source of time for schedules, buckets and retention.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"

TimestampTz
pgaml_clock_now(void)
{
	return GetCurrentTimestamp() + pgaml_fault_clock_us();
}

/* PostgreSQL's epoch is a midnight UTC, and every width divides a day. */
TimestampTz
pgaml_clock_bucket(TimestampTz t, int width_s)
{
	int64		width = (int64) width_s * USECS_PER_SEC;
	int64		rest = t % width;

	return t - (rest < 0 ? rest + width : rest);
}
