/*-------------------------------------------------------------------------
 * daily_core.h
 *		A window of each day in local time: as text, and when it is open.
 *
 * Moments are microseconds since a midnight UTC; no server header.  What a
 * clock on the wall shows comes from a callback, so the rules hold for any
 * zone:
 *	- the window of a day is open from the first moment at which the clock
 *	  shows its start or later, until the first at which it shows its end or
 *	  later: an hour that the clock skips in spring opens and closes the window
 *	  when it ends, an hour that comes twice in autumn opens it the first time;
 *	- a window that lies within a skipped hour is open for its length after it;
 *	- an end that is not after the start belongs to the next day.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_DAILY_CORE_H
#define PGAML_DAILY_CORE_H

#include <stdbool.h>
#include <stdint.h>

#define PGAML_DAILY_ZONE_LEN 64	/* bytes of a zone's name, with the terminating zero */

typedef struct PgamlDaily
{
	bool		always;			/* no window, or the whole day: open all the time */
	int			from;			/* min of the local day, 0..1439 */
	int			to;				/* min of the local day of from, above from */
	char		zone[PGAML_DAILY_ZONE_LEN]; /* as written; empty: the server's */
} PgamlDaily;

/* Seconds that local time is ahead of UTC at a moment. */
typedef struct PgamlZone
{
	int32_t		(*offset) (void *state, int64_t at);
	void	   *state;
} PgamlZone;

/*
 * Read "HH:MM-HH:MM", "HH:MM-HH:MM Zone/Name", or nothing.  Returns NULL, or
 * what is wrong as a sentence; whether there is such a zone is not checked.
 */
extern const char *pgaml_daily_parse(const char *text, PgamlDaily *daily);

/* The first moment at or after this one at which the window is open. */
extern int64_t pgaml_daily_next(const PgamlDaily *daily, const PgamlZone *zone, int64_t at);

#endif							/* PGAML_DAILY_CORE_H */
