/*-------------------------------------------------------------------------
 * daily_core.c
 *		A window of each day in local time: as text, and when it is open.
 *
 * Local time here is a number too: a moment plus the zone's offset.  It is
 * what a clock on the wall shows, so it jumps when the zone's offset changes.
 *-------------------------------------------------------------------------
 */
#include "base/daily_core.h"

#include <string.h>

#define US_PER_S		INT64_C(1000000)
#define US_PER_MINUTE	(60 * US_PER_S)
#define US_PER_DAY		(1440 * US_PER_MINUTE)
#define MINUTES_PER_DAY 1440

/* No two changes of a zone come closer, and no offset is larger than half of it. */
#define PROBE			(40 * 60 * US_PER_MINUTE)

static int64_t
offset_us(const PgamlZone *zone, int64_t at)
{
	return zone->offset(zone->state, at) * US_PER_S;
}

/* Two digits as a number, -1 when they are not two digits. */
static int
two_digits(const char *text)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return -1;
	return (text[0] - '0') * 10 + text[1] - '0';
}

/* "HH:MM" as minutes of the day, 24:00 included; -1 when it is not, -2 when out of range. */
static int
parse_clock(const char *text)
{
	int			hour = two_digits(text);
	int			minute;

	if (hour < 0 || text[2] != ':')
		return -1;
	minute = two_digits(text + 3);
	if (minute < 0)
		return -1;
	if (minute > 59 || hour > 24 || (hour == 24 && minute > 0))
		return -2;
	return hour * 60 + minute;
}

static const char *
parse_zone(const char *text, PgamlDaily *daily)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/,.:<>";
	size_t		length = strlen(text);

	if (length == 0 || strspn(text, allowed) != length)
		return "After the two times stands one blank and the name of a time zone, or nothing.";
	if (length >= PGAML_DAILY_ZONE_LEN)
		return "The name of the time zone is too long.";
	memcpy(daily->zone, text, length + 1);
	return NULL;
}

const char *
pgaml_daily_parse(const char *text, PgamlDaily *daily)
{
	static const char shape[] = "The window is two times of day with a minus between them.";
	int			from;
	int			to;

	memset(daily, 0, sizeof(*daily));
	daily->always = text[0] == '\0';
	if (daily->always)
		return NULL;
	if (strlen(text) < 11 || text[5] != '-' || (text[11] != '\0' && text[11] != ' '))
		return shape;
	from = parse_clock(text);
	to = parse_clock(text + 6);
	if (from == -1 || to == -1)
		return shape;
	if (from < 0 || to < 0 || from == MINUTES_PER_DAY)
		return "A time of day is from 00:00 to 23:59; the end may be 24:00.";
	if (from == to)
		return "The window must not be empty.";
	daily->from = from;
	daily->to = to > from ? to : to + MINUTES_PER_DAY;
	daily->always = daily->to - daily->from == MINUTES_PER_DAY;
	return text[11] == ' ' ? parse_zone(text + 12, daily) : NULL;
}

/* The offset changes once in (low, high]; the first moment of the new one. */
static int64_t
change_between(const PgamlZone *zone, int64_t low, int64_t high)
{
	int64_t		before = offset_us(zone, low);

	while (high - low > 1)
	{
		int64_t		middle = low + (high - low) / 2;

		if (offset_us(zone, middle) == before)
			low = middle;
		else
			high = middle;
	}
	return high;
}

/* The first moment at which the clock shows this local time or a later one. */
static int64_t
first_moment(const PgamlZone *zone, int64_t local)
{
	int64_t		before = offset_us(zone, local - PROBE);
	int64_t		after = offset_us(zone, local + PROBE);

	/* Under the earlier offset it comes first, if it comes under that at all. */
	if (offset_us(zone, local - before) == before)
		return local - before;
	if (offset_us(zone, local - after) == after)
		return local - after;
	/* The clock skips it: local - after lies before the change, local - before behind it. */
	return change_between(zone, local - after, local - before);
}

/* Start and end of the window that begins on a local day. */
static void
window_of(const PgamlDaily *daily, const PgamlZone *zone, int64_t day, int64_t *start, int64_t *end)
{
	*start = first_moment(zone, day * US_PER_DAY + daily->from * US_PER_MINUTE);
	*end = first_moment(zone, day * US_PER_DAY + daily->to * US_PER_MINUTE);
	if (*end <= *start)
		*end = *start + (daily->to - daily->from) * US_PER_MINUTE;
}

static int64_t
day_of(int64_t local)
{
	return local / US_PER_DAY - (local % US_PER_DAY < 0);
}

int64_t
pgaml_daily_next(const PgamlDaily *daily, const PgamlZone *zone, int64_t at)
{
	int64_t		day;
	int64_t		start;
	int64_t		end;

	if (daily->always)
		return at;

	/* From two days ago: a window reaches into the next day, and a zone may skip one. */
	day = day_of(at + offset_us(zone, at)) - 2;
	do
		window_of(daily, zone, day++, &start, &end);
	while (end <= at);
	return start > at ? start : at;
}
