/*-------------------------------------------------------------------------
 * test_repeats_random.c
 *		Random sessions of repeated statements beside a model without the
 *		bookkeeping of the table, and the table's links.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_repeats.h"

#define MODEL_RUNS	64

typedef struct ModelRun
{
	int64_t		queryid;
	bool		toplevel;
	int			parent;			/* index, or -1 */
	int			n;
	int			anchor;			/* executions before the last turn */
	int			anchor_serial;
	int			serials[4096];
	int			transactions[4096];
	int64_t		rows;
} ModelRun;

/* The rules of repeats_core.h on plain lists that never fill. */
typedef struct Model
{
	ModelRun   *runs[MODEL_RUNS];	/* NULL: free */
	int			serial;
	int			transaction;
	int			transaction_top;
	int			last[2];
	int64_t		ended;			/* sums over what came out */
	int64_t		lengths;
	uint64_t	digest;
	int64_t		unexplained;
} Model;

static uint64_t
digest_of(int64_t queryid, bool toplevel, bool burst, bool matched, int64_t length, int64_t previous, int64_t rows)
{
	uint64_t	x = (uint64_t) queryid * 1000003 + (toplevel ? 1 : 0) + (burst ? 2 : 0) + (matched ? 4 : 0);

	x = x * 1000003 + (uint64_t) length;
	x = x * 1000003 + (uint64_t) previous;
	x = x * 1000003 + (uint64_t) rows;
	return x * UINT64_C(0x9e3779b97f4a7c15);
}

static bool
model_matches(int64_t rows, int64_t length)
{
	return rows >= 4 && (llabs(rows - length) <= 1 || llabs(rows - length) * 10 <= rows);
}

/* Statement before executions from..to-1 of a run. */
static void
model_before(const Model *m, const ModelRun *r, int length, int began, int64_t *queryid, int64_t *rows,
			 bool *matched, bool *explained)
{
	int			seen = 0;

	*queryid = 0;
	*rows = -1;
	*matched = *explained = false;
	for (int p = r->parent; p >= 0 && seen < PGAML_RUNS_FAR && !*matched; p = m->runs[p]->parent)
	{
		const ModelRun *a = m->runs[p];
		bool		fits = model_matches(a->rows, length);

		if (a->serials[a->n - 1] > began)
			continue;
		if (seen++ == 0 || fits || (a->rows > length && !*explained))
		{
			*queryid = a->queryid;
			*rows = a->rows;
			*matched = fits;
			*explained = fits || a->rows > length;
		}
	}
}

static void
model_part(Model *m, const ModelRun *r, int from, int to, int began)
{
	bool		burst = false;
	bool		matched;
	bool		explained;
	int64_t		previous;
	int64_t		rows;

	if (to - from < PGAML_RUN_MIN)
		return;
	/* a turn begins with the statement that comes back, in its transaction */
	for (int i = from; i < to; i++)
		burst |= r->transactions[i] != r->transactions[from];
	model_before(m, r, to - from, began, &previous, &rows, &matched, &explained);
	if (burst && !explained)
	{
		m->unexplained++;
		return;
	}
	m->ended++;
	m->lengths += to - from;
	m->digest += digest_of(r->queryid, r->toplevel, burst, matched, to - from, previous, rows);
}

static void
model_end(Model *m, const ModelRun *r)
{
	if (r->anchor > 0 && r->n - r->anchor >= PGAML_RUN_MIN)
	{
		model_part(m, r, r->anchor, r->n, r->anchor_serial);
		model_part(m, r, 0, r->anchor, r->serials[0]);
	}
	else
		model_part(m, r, 0, r->n, r->serials[0]);
}

static bool
model_follows(const Model *m, int run, int ancestor)
{
	while (run >= 0 && run != ancestor)
		run = m->runs[run]->parent;
	return run >= 0;
}

/* End the runs that are marked, together. */
static void
model_end_marked(Model *m, const bool *marked)
{
	for (int i = 0; i < MODEL_RUNS; i++)
	{
		if (m->runs[i] != NULL && marked[i])
			model_end(m, m->runs[i]);
	}
	for (int i = 0; i < MODEL_RUNS; i++)
	{
		if (m->runs[i] == NULL || !marked[i])
			continue;
		free(m->runs[i]);
		m->runs[i] = NULL;
		for (int k = 0; k < 2; k++)
		{
			if (m->last[k] == i)
				m->last[k] = -1;
		}
	}
}

static void
model_end_all(Model *m, bool only_nested)
{
	bool		marked[MODEL_RUNS];

	for (int i = 0; i < MODEL_RUNS; i++)
		marked[i] = m->runs[i] != NULL && !(only_nested && m->runs[i]->toplevel);
	model_end_marked(m, marked);
	if (only_nested)
		m->last[0] = m->last[1];
}

static void
model_end_tree(Model *m, int top)
{
	bool		marked[MODEL_RUNS];

	for (int i = 0; i < MODEL_RUNS; i++)
		marked[i] = m->runs[i] != NULL && model_follows(m, i, top);
	model_end_marked(m, marked);
}

/* A statement comes back after another one. */
static void
model_end_followers(Model *m, int at)
{
	for (int i = 0; i < MODEL_RUNS; i++)
	{
		if (m->runs[i] == NULL || m->runs[i]->parent != at)
			continue;
		if (m->runs[i]->n - m->runs[i]->anchor >= PGAML_RUN_MIN)
			model_end_tree(m, i);
		else
		{
			model_end_followers(m, i);
			m->runs[i]->anchor = m->runs[i]->n;
			m->runs[i]->anchor_serial = m->serial;
		}
	}
}

static bool
model_begins_loop(const Model *m, const ModelRun *r, const ModelRun *list)
{
	bool		turn = r->anchor > 0 && r->n - r->anchor >= PGAML_RUN_MIN;
	int			length = turn ? r->n - r->anchor : r->n;
	int			began = turn ? r->anchor_serial : r->serials[0];
	int			during = 0;
	int64_t		previous;
	int64_t		rows;
	bool		matched;
	bool		explained;

	for (int i = 0; i < list->n; i++)
		during += list->serials[i] > began;
	if (list->rows < 4 || length < PGAML_RUN_MIN || during > 1)
		return false;
	model_before(m, r, length, began, &previous, &rows, &matched, &explained);
	return matched || !explained;
}

static int
model_start(Model *m, int64_t queryid, bool toplevel)
{
	int			at = -1;
	int			before = m->last[toplevel];
	int			free_at = -1;

	m->serial++;
	for (int i = 0; i < MODEL_RUNS; i++)
	{
		if (m->runs[i] == NULL)
			free_at = i;
		else if (m->runs[i]->queryid == queryid && m->runs[i]->toplevel == toplevel)
			at = i;
	}
	if (at >= 0 && at != m->last[0])
	{
		if (before >= 0 && at != before && model_begins_loop(m, m->runs[at], m->runs[before]))
		{
			m->runs[before]->parent = -1;
			model_end_tree(m, at);
			free_at = at;
			at = -1;
		}
		else
			model_end_followers(m, at);
	}
	if (at < 0)
	{
		at = free_at;
		m->runs[at] = calloc(1, sizeof(ModelRun));
		m->runs[at]->queryid = queryid;
		m->runs[at]->toplevel = toplevel;
		m->runs[at]->parent = before;
	}
	m->last[0] = at;
	if (toplevel)
	{
		m->last[1] = at;
		m->transaction_top++;
	}
	assert_true(m->runs[at]->n < 4096);
	m->runs[at]->serials[m->runs[at]->n] = m->serial;
	m->runs[at]->transactions[m->runs[at]->n++] = m->transaction;
	return at;
}

static uint64_t random_state;

static uint32_t
draw(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (random_state >> 33) % n;
}

/* One statement in both; the model's rows are set when it has ended. */
static void
both(Session *s, Model *m, int64_t queryid, bool toplevel, int64_t rows)
{
	int			at = model_start(m, queryid, toplevel);

	m->runs[at]->rows = rows;
	start(s, queryid, toplevel, 0);
	finish(s, 0, rows, 1.0);
	s->now += MS;
}

/* A transaction of loops and single statements, with up to 30 statements in all. */
static void
random_transaction(Session *s, Model *m)
{
	int			parts = 1 + (int) draw(4);

	pgaml_runs_transaction(&s->runs, s->now);
	m->transaction++;
	m->transaction_top = 0;
	for (int p = 0; p < parts; p++)
	{
		int			rows = draw(3) ? 1 : (int) draw(25);
		int			lookups = (int) draw(4);
		bool		toplevel = draw(4) != 0;

		both(s, m, 1 + draw(5), draw(5) != 0, rows);
		for (int row = 0; row < (int) (draw(3) ? rows : (int) draw(6)); row++)
		{
			for (int k = 0; k < lookups; k++)
			{
				if (draw(10) != 0)
					both(s, m, 1 + (draw(8) + k) % 14, draw(30) ? toplevel : !toplevel, draw(3) ? 1 : draw(12));
			}
		}
	}
	pgaml_runs_transaction_end(&s->runs);
	if (m->transaction_top >= PGAML_RUN_MIN)
		model_end_all(m, false);
	else
		model_end_all(m, true);
}

static void
random_sessions(void **state)
{
	int64_t		in_runs = 0;

	(void) state;
	for (uint64_t seed = 1; seed <= 400; seed++)
	{
		Session    *s = session_new();
		Model		m;
		uint64_t	digest = 0;
		int64_t		lengths = 0;

		memset(&m, 0, sizeof(m));
		m.last[0] = m.last[1] = -1;
		random_state = seed * 77;
		for (int i = 0; i < 120; i++)
			random_transaction(s, &m);
		pgaml_runs_close(&s->runs);
		model_end_all(&m, false);
		for (int i = 0; i < s->ndelivered; i++)
		{
			const PgamlRun *r = &s->delivered[i];

			lengths += r->length;
			digest += digest_of(r->queryid, r->toplevel, r->burst, r->matched, r->length,
								r->previous_queryid, r->previous_rows);
		}
		assert_int_equal(s->ndelivered, m.ended);
		assert_int_equal(lengths, m.lengths);
		assert_int_equal(s->runs.unexplained, m.unexplained);
		assert_true(digest == m.digest);
		assert_true(lengths <= s->executed);
		assert_int_equal(s->runs.used, 0);
		assert_int_equal(s->runs.nested, 0);
		in_runs += lengths;
		session_free(s);
	}
	assert_true(in_runs > 20000);
}

/* Links hold together after every execution, with more statements than slots. */
static void
links_hold(void **state)
{
	(void) state;
	for (uint64_t seed = 1; seed <= 60; seed++)
	{
		Session    *s = session_new();

		random_state = seed;
		for (int i = 0; i < 3000; i++)
		{
			int			in_hash = 0;
			int			by_age = 0;
			int			children = 0;
			int			roots = 0;

			if (draw(300) == 0)
			{
				pgaml_runs_transaction_end(&s->runs);
				pgaml_runs_transaction(&s->runs, s->now);
			}
			start(s, draw(3) ? draw(12) : draw(80), draw(3) != 0, (int) draw(64));
			if (draw(5) != 0)
				finish(s, (int) draw(64), draw(20), 1.0);
			for (int b = 0; b < PGAML_RUNS_BUCKETS; b++)
			{
				for (uint8_t at = s->runs.buckets[b]; at != PGAML_RUN_NONE; at = s->runs.slots[at].hash_next)
				{
					in_hash++;
					roots += s->runs.slots[at].parent == PGAML_RUN_NONE;
					for (uint8_t c = s->runs.slots[at].first_child; c != PGAML_RUN_NONE; c = s->runs.slots[c].next_sibling)
					{
						assert_int_equal(s->runs.slots[c].parent, at);
						children++;
					}
				}
			}
			for (uint8_t at = s->runs.newest; at != PGAML_RUN_NONE; at = s->runs.slots[at].older)
				by_age++;
			assert_int_equal(in_hash, s->runs.used);
			assert_int_equal(by_age, s->runs.used);
			assert_int_equal(roots + children, s->runs.used);
		}
		assert_true(s->runs.evicted > 0);
		session_free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sessions),
		cmocka_unit_test(links_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
