/*-------------------------------------------------------------------------
 * helper_repeats.h
 *		A session of statements with an injected clock, and the runs that came
 *		out of it.
 *-------------------------------------------------------------------------
 */
#ifndef HELPER_REPEATS_H
#define HELPER_REPEATS_H

#include "capture/repeats_core.h"

#define MS			INT64_C(1000)
#define USER		10
#define ADDRESSES	64

typedef struct Session
{
	PgamlRuns	runs;
	int64_t		now;			/* us */
	bool		in_transaction;
	int			ndelivered;
	int64_t		executed;
	PgamlRun   *delivered;
} Session;

/* Queries that are open at the same time have different addresses. */
extern char addresses[ADDRESSES];

extern Session *session_new(void);
extern void session_free(Session *s);
extern void begin(Session *s);
extern void commit(Session *s);

/* An execution whose query is at the address of that number. */
extern void start(Session *s, int64_t queryid, bool toplevel, int depth);
extern void finish(Session *s, int depth, int64_t rows, double ms);

/* A statement of the client, in a transaction of its own unless there is one; 1 ms, and 1 ms until the next. */
extern void run(Session *s, int64_t queryid, int64_t rows);

#endif							/* HELPER_REPEATS_H */
