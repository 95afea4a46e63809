/*-------------------------------------------------------------------------
 * helper_zone.c
 *		Time zones for tests: offsets that change at given moments.
 *
 * The changes are those of the tz database (zdump -v), written by hand.
 *-------------------------------------------------------------------------
 */
#include "helper_zone.h"

/*
 * Moments in UTC as constants.  Days from 2000-01-01: 2011-12-30 is 4381,
 * 2026-03-08 9563, 2026-03-29 9584, 2026-04-04 9590, 2026-10-03 9772,
 * 2026-10-25 9794, 2026-11-01 9801.
 */
#define AT(days, hours)	((days) * DAY + (hours) * HOUR)

const ZoneRules utc = {"UTC", 0, {{0, 0}}};
const ZoneRules berlin = {"Europe/Berlin", 3600, {{AT(9584, 1), 7200}, {AT(9794, 1), 3600}}};
const ZoneRules lord_howe = {"Australia/Lord_Howe", 39600, {{AT(9590, 15), 37800}, {AT(9772, 15) + 30 * MINUTE, 39600}}};
const ZoneRules havana = {"America/Havana", -18000, {{AT(9563, 5), -14400}, {AT(9801, 5), -18000}}};
const ZoneRules apia = {"Pacific/Apia", -36000, {{AT(4381, 10), 50400}}};

static int32_t
offset(void *state, int64_t at)
{
	const ZoneRules *rules = state;
	int32_t		answer = rules->offset;

	for (const ZoneChange *change = rules->changes; change->at != 0; change++)
	{
		if (at >= change->at)
			answer = change->offset;
	}
	return answer;
}

PgamlZone
zone_of(const ZoneRules *rules)
{
	PgamlZone	zone = {offset, (void *) rules};

	return zone;
}

int64_t
utc_at(int year, int month, int day, int hour, int minute)
{
	/* Days from a civil date: Howard Hinnant, chrono-compatible low-level date algorithms. */
	int			y = month <= 2 ? year - 1 : year;
	int			era = y / 400;
	int			of_era = y - era * 400;
	int			of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t		days = era * INT64_C(146097) + of_era * 365 + of_era / 4 - of_era / 100 + of_year;

	/* 2000-01-01 is day 730425 of that count. */
	return (days - 730425) * DAY + hour * HOUR + minute * MINUTE;
}

int64_t
local_at(const ZoneRules *rules, int64_t at)
{
	return at + offset((void *) rules, at) * SECOND;
}
