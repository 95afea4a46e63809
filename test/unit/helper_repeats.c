/*-------------------------------------------------------------------------
 * helper_repeats.c
 *		A session of statements with an injected clock, and the runs that came
 *		out of it.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "helper_repeats.h"

#define MOST_RUNS	200000

static void
keep(const PgamlRun *run, void *arg)
{
	Session    *s = arg;

	assert_true(s->ndelivered < MOST_RUNS);
	assert_true(run->length >= PGAML_RUN_MIN);
	assert_true(run->last_at >= run->first_at);
	s->delivered[s->ndelivered++] = *run;
}

Session *
session_new(void)
{
	Session    *s = calloc(1, sizeof(Session));

	s->delivered = calloc(MOST_RUNS, sizeof(PgamlRun));
	s->now = INT64_C(1000000000);
	pgaml_runs_init(&s->runs, keep, s);
	return s;
}

void
session_free(Session *s)
{
	free(s->delivered);
	free(s);
}

void
begin(Session *s)
{
	s->in_transaction = true;
	pgaml_runs_transaction(&s->runs, s->now);
}

void
commit(Session *s)
{
	s->in_transaction = false;
	pgaml_runs_transaction_end(&s->runs);
}

char		addresses[ADDRESSES];

void
start(Session *s, int64_t queryid, bool toplevel, int depth)
{
	pgaml_runs_start(&s->runs, &addresses[depth], queryid, USER, toplevel, s->now);
	s->executed++;
}

void
finish(Session *s, int depth, int64_t rows, double ms)
{
	pgaml_runs_rows(&s->runs, &addresses[depth], rows);
	pgaml_runs_end(&s->runs, &addresses[depth], ms);
}

void
run(Session *s, int64_t queryid, int64_t rows)
{
	bool		own = !s->in_transaction;

	if (own)
		begin(s);
	start(s, queryid, true, 0);
	finish(s, 0, rows, 1.0);
	if (own)
		commit(s);
	s->now += 2 * MS;
}
