/*-------------------------------------------------------------------------
 * helper_zone.h
 *		Time zones for tests: offsets that change at given moments.
 *-------------------------------------------------------------------------
 */
#ifndef HELPER_ZONE_H
#define HELPER_ZONE_H

#include "base/daily_core.h"

#define SECOND	INT64_C(1000000)
#define MINUTE	(60 * SECOND)
#define HOUR	(60 * MINUTE)
#define DAY		(24 * HOUR)

/* A change of offset, oldest first; the list ends with offset 0 at moment 0. */
typedef struct ZoneChange
{
	int64_t		at;				/* us UTC */
	int32_t		offset;			/* s east of UTC from then on */
} ZoneChange;

typedef struct ZoneRules
{
	const char *name;
	int32_t		offset;			/* before the first change */
	ZoneChange	changes[5];
} ZoneRules;

/* As of 2026: CET and CEST; half an hour of summer time; changes at midnight; a zone that skipped 2011-12-30. */
extern const ZoneRules utc;
extern const ZoneRules berlin;
extern const ZoneRules lord_howe;
extern const ZoneRules havana;
extern const ZoneRules apia;

extern PgamlZone zone_of(const ZoneRules *rules);

/* Moment of a day and time, taken as UTC. */
extern int64_t utc_at(int year, int month, int day, int hour, int minute);

/* What a clock in the zone shows, as if it were UTC. */
extern int64_t local_at(const ZoneRules *rules, int64_t at);

#endif							/* HELPER_ZONE_H */
