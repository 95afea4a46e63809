/*-------------------------------------------------------------------------
 * test_repeats.c
 *		Runs of one statement: shapes of loops with a known answer, an injected
 *		clock, bounds.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "helper_repeats.h"

static void
nested(Session *s, int64_t queryid, int64_t rows)
{
	start(s, queryid, false, 1);
	finish(s, 1, rows, 0.25);
}

/* The one run of a statement. */
static const PgamlRun *
only(const Session *s, int64_t queryid)
{
	const PgamlRun *found = NULL;

	for (int i = 0; i < s->ndelivered; i++)
	{
		if (s->delivered[i].queryid != queryid)
			continue;
		assert_null(found);
		found = &s->delivered[i];
	}
	assert_non_null(found);
	return found;
}

static void
expect(const Session *s, int64_t queryid, uint32_t length, int64_t previous, int64_t rows, bool matched)
{
	const PgamlRun *run = only(s, queryid);

	assert_int_equal(run->length, length);
	assert_int_equal(run->previous_queryid, previous);
	assert_int_equal(run->previous_rows, rows);
	assert_int_equal(run->matched, matched);
}

/* ---- shapes ---- */

static void
lookups_after_a_list(void **state)
{
	Session    *s = session_new();
	const PgamlRun *found;

	(void) state;
	begin(s);
	run(s, 9, 1);
	run(s, 1, 20);
	for (int i = 0; i < 20; i++)
		run(s, 2, 1);
	run(s, 3, 1);
	assert_int_equal(s->ndelivered, 0);
	commit(s);
	assert_int_equal(s->ndelivered, 1);
	expect(s, 2, 20, 1, 20, true);
	found = only(s, 2);
	assert_false(found->burst);
	assert_true(found->toplevel);
	assert_int_equal(found->userid, USER);
	assert_true(found->ms == 20.0);
	assert_int_equal(found->last_at - found->first_at, 19 * 2 * MS);
	session_free(s);
}

/* Any number of lookups per row, in turn: one run for each, after the list. */
static void
several_lookups_per_row(void **state)
{
	(void) state;
	for (int lookups = 2; lookups < PGAML_RUNS - 1; lookups++)
	{
		Session    *s = session_new();

		begin(s);
		run(s, 1, 12);
		for (int row = 0; row < 12; row++)
		{
			for (int k = 0; k < lookups; k++)
				run(s, 100 + k, 7);
		}
		commit(s);
		assert_int_equal(s->ndelivered, lookups);
		for (int k = 0; k < lookups; k++)
			expect(s, 100 + k, 12, 1, 12, true);
		assert_int_equal(s->runs.evicted, 0);
		session_free(s);
	}
}

/* A lookup that only some rows need, of several rows itself, does not end the loop. */
static void
lookup_of_some_rows(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	run(s, 1, 40);
	for (int row = 0; row < 40; row++)
	{
		run(s, 2, 1);
		if (row % 8 == 7)
			run(s, 3, 10);
	}
	commit(s);
	assert_int_equal(s->ndelivered, 2);
	expect(s, 2, 40, 1, 40, true);
	assert_int_equal(only(s, 3)->length, 5);
	session_free(s);
}

/* For each of 10 orders their items, for each item the product: each list with its own loop. */
static void
loop_in_a_loop(void **state)
{
	Session    *s = session_new();
	int			products = 0;

	(void) state;
	begin(s);
	run(s, 1, 10);
	for (int order = 0; order < 10; order++)
	{
		run(s, 2, 5 + order);
		run(s, 4, 1);
		for (int item = 0; item < 5 + order; item++)
			run(s, 3, 1);
	}
	commit(s);
	expect(s, 2, 10, 1, 10, true);
	expect(s, 4, 10, 1, 10, true);
	for (int i = 0; i < s->ndelivered; i++)
	{
		if (s->delivered[i].queryid != 3)
			continue;
		assert_int_equal(s->delivered[i].previous_queryid, 2);
		assert_int_equal(s->delivered[i].previous_rows, s->delivered[i].length);
		assert_true(s->delivered[i].matched);
		products++;
	}
	assert_int_equal(products, 10);
	session_free(s);
}

/* Short lists between long ones do not blur them. */
static void
lists_of_any_length(void **state)
{
	Session    *s = session_new();
	static const int lengths[] = {1, 20, 0, 3, 2, 30, 0, 0, 7};
	int			at = 0;

	(void) state;
	begin(s);
	for (int i = 0; i < 9; i++)
	{
		run(s, 1, lengths[i]);
		for (int k = 0; k < lengths[i]; k++)
			run(s, 2, 1);
	}
	commit(s);
	for (int i = 0; i < s->ndelivered; i++)
	{
		static const uint32_t expected[] = {20, 30, 7};

		if (s->delivered[i].queryid != 2)
			continue;
		if (s->delivered[i].length == 5)	/* what was of the short ones */
			continue;
		assert_true(at < 3);
		assert_int_equal(s->delivered[i].length, expected[at++]);
		assert_true(s->delivered[i].matched);
	}
	assert_int_equal(at, 3);
	session_free(s);
}

/* Two lists one after the other, the same lookup for both. */
static void
two_lists(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	for (int list = 0; list < 12; list++)
	{
		run(s, 1 + list % 2, 20 + list);
		for (int i = 0; i < 20 + list; i++)
			run(s, 5, 1);
	}
	commit(s);
	for (int list = 0; list < 12; list++)
	{
		assert_int_equal(s->delivered[list].queryid, 5);
		assert_int_equal(s->delivered[list].length, 20 + list);
		assert_int_equal(s->delivered[list].previous_queryid, 1 + list % 2);
		assert_true(s->delivered[list].matched);
	}
	session_free(s);
}

/* A cursor over the list is open during the loop; its rows come in portions. */
static void
list_under_way(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	start(s, 1, true, 7);
	for (int portion = 0; portion < 3; portion++)
	{
		pgaml_runs_rows(&s->runs, &addresses[7], 10);
		for (int i = 0; i < 10; i++)
			run(s, 2, 1);
	}
	pgaml_runs_end(&s->runs, &addresses[7], 3.0);
	commit(s);
	expect(s, 2, 30, 1, 30, true);
	session_free(s);
}

/* A statement calls a function for each of its rows: what the function runs is nested. */
static void
function_per_row(void **state)
{
	Session    *s = session_new();

	(void) state;
	for (int call = 0; call < 3; call++)
	{
		begin(s);
		start(s, 1, true, 0);
		for (int i = 0; i < 8; i++)
			nested(s, 2, 1);
		finish(s, 0, 8, 4.0);
		commit(s);
		s->now += MS;
		assert_int_equal(s->ndelivered, call + 1);
		assert_int_equal(s->delivered[call].previous_queryid, 1);
		assert_int_equal(s->delivered[call].length, 8);
		assert_true(s->delivered[call].matched);
		assert_false(s->delivered[call].toplevel);
		assert_false(s->delivered[call].burst);
	}
	session_free(s);
}

/* The same calls in one transaction: each call is a turn. */
static void
function_per_row_again(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	for (int call = 0; call < 6; call++)
	{
		start(s, 1, true, 0);
		for (int i = 0; i < 8; i++)
			nested(s, 2, 1);
		finish(s, 0, 8, 4.0);
	}
	commit(s);
	assert_int_equal(s->ndelivered, 7);
	for (int i = 0; i < 7; i++)
	{
		bool		inner = s->delivered[i].queryid == 2;

		assert_int_equal(s->delivered[i].length, inner ? 8 : 6);
		assert_int_equal(s->delivered[i].previous_queryid, inner ? 1 : 0);
		assert_int_equal(s->delivered[i].matched, inner);
	}
	session_free(s);
}

/* One statement inside and outside of functions is two. */
static void
nested_is_apart(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	for (int i = 0; i < 6; i++)
	{
		run(s, 2, 1);
		nested(s, 2, 1);
	}
	commit(s);
	assert_int_equal(s->ndelivered, 2);
	assert_int_equal(s->delivered[0].length, 6);
	assert_int_equal(s->delivered[1].length, 6);
	assert_int_not_equal(s->delivered[0].toplevel, s->delivered[1].toplevel);
	session_free(s);
}

static void
four_are_no_run(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	run(s, 1, 4);
	for (int i = 0; i < PGAML_RUN_MIN - 1; i++)
		run(s, 2, 1);
	run(s, 3, 4);
	commit(s);
	assert_int_equal(s->ndelivered, 0);
	session_free(s);
}

/* Rows that a loop leaves out: fewer lookups than rows, not matched, still after the list. */
static void
lookups_of_half_the_rows(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	run(s, 1, 20);
	for (int i = 0; i < 12; i++)
		run(s, 2, 1);
	commit(s);
	expect(s, 2, 12, 1, 20, false);
	session_free(s);
}

/* Between list and loop something else runs: the list is still found. */
static void
statement_in_between(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	run(s, 1, 20);
	run(s, 7, 1);
	run(s, 8, 0);
	for (int i = 0; i < 20; i++)
		run(s, 2, 1);
	commit(s);
	expect(s, 2, 20, 1, 20, true);
	session_free(s);
}

static void
failed_list_has_no_rows(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	start(s, 1, true, 0);
	pgaml_runs_rows(&s->runs, &addresses[0], 20);
	pgaml_runs_fail(&s->runs, &addresses[0]);
	for (int i = 0; i < 20; i++)
		run(s, 2, 1);
	commit(s);
	expect(s, 2, 20, 1, -1, false);
	session_free(s);
}

/* Another user's executions are another statement. */
static void
users_are_apart(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	for (int i = 0; i < 12; i++)
	{
		pgaml_runs_start(&s->runs, addresses, 5, i % 2 ? 4000000000u : 11, true, s->now);
		finish(s, 0, 1, 1.0);
	}
	commit(s);
	assert_int_equal(s->ndelivered, 2);
	assert_int_equal(s->delivered[0].length, 6);
	assert_true(s->delivered[0].userid == 4000000000u || s->delivered[1].userid == 4000000000u);
	session_free(s);
}

/* ---- bursts and the clock ---- */

/* Single statements and transactions of one or two, close together. */
static void
burst_after_a_list(void **state)
{
	(void) state;
	for (int wrapped = 0; wrapped < 3; wrapped++)
	{
		Session    *s = session_new();

		run(s, 1, 20);
		for (int i = 0; i < 20; i++)
		{
			if (wrapped)
				begin(s);
			if (wrapped == 2)
				run(s, 8, 1);	/* a pooler's or an ORM's ping */
			run(s, 2, 1);
			if (wrapped)
				commit(s);
		}
		assert_int_equal(s->ndelivered, 0);
		s->now += 101 * MS;
		run(s, 3, 1);
		expect(s, 2, 20, 1, 20, true);
		assert_true(only(s, 2)->burst);
		assert_int_equal(s->ndelivered, wrapped == 2 ? 2 : 1);
		session_free(s);
	}
}

/* A busy client without a list is not evidence, however often it calls. */
static void
often_is_no_run(void **state)
{
	Session    *s = session_new();

	(void) state;
	for (int i = 0; i < 10000; i++)
		run(s, 2, 1);
	for (int i = 0; i < 10000; i++)
	{
		run(s, 3, 1);
		run(s, 4, 2);
	}
	pgaml_runs_close(&s->runs);
	assert_int_equal(s->ndelivered, 0);
	assert_int_equal(s->runs.unexplained, 3);
	session_free(s);
}

/* A loop over a list that a busy client has once is seen beside its other calls. */
static void
list_in_a_busy_session(void **state)
{
	Session    *s = session_new();

	(void) state;
	for (int i = 0; i < 500; i++)
		run(s, 2, 1);
	run(s, 1, 20);
	for (int i = 0; i < 20; i++)
		run(s, 2, 1);
	pgaml_runs_close(&s->runs);
	expect(s, 2, 20, 1, 20, true);
	assert_int_equal(s->runs.unexplained, 1);
	session_free(s);
}

/* Lookups with this pause between them, each of that duration: is it one run? */
static bool
is_one_burst(int64_t pause, double ms)
{
	Session    *s = session_new();
	bool		one;

	run(s, 1, 10);
	for (int i = 0; i < 10; i++)
	{
		begin(s);
		start(s, 2, true, 0);
		finish(s, 0, 1, ms);
		commit(s);
		s->now += (int64_t) (ms * 1000.0) + pause;
	}
	pgaml_runs_close(&s->runs);
	one = s->ndelivered == 1 && s->delivered[0].length == 10;
	assert_true(one || s->ndelivered == 0);
	session_free(s);
	return one;
}

static void
pause_ends_a_burst(void **state)
{
	(void) state;
	assert_true(is_one_burst(0, 1.0));
	assert_true(is_one_burst(100 * MS, 1.0));
	assert_false(is_one_burst(100 * MS + 1, 1.0));
	assert_true(is_one_burst(2000 * MS, 2000.0));	/* no longer than the statement took */
	assert_false(is_one_burst(2001 * MS, 2000.0));
	assert_true(is_one_burst(-500 * MS, 1.0));	/* the clock went back */
}

/* Inside a transaction no pause matters. */
static void
pause_in_a_transaction(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	run(s, 1, 5);
	for (int i = 0; i < 5; i++)
	{
		s->now += 60 * 1000 * MS;
		run(s, 2, 1);
	}
	commit(s);
	expect(s, 2, 5, 1, 5, true);
	session_free(s);
}

/* A transaction of its own size is its own unit: the next one begins anew. */
static void
transactions_are_units(void **state)
{
	Session    *s = session_new();

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		begin(s);
		run(s, 1, 9);
		for (int k = 0; k < 9; k++)
			run(s, 2, 1);
		commit(s);
		assert_int_equal(s->ndelivered, i + 1);
		assert_int_equal(s->delivered[i].length, 9);
		assert_false(s->delivered[i].burst);
	}
	session_free(s);
}

/* ---- bounds ---- */

static void
table_is_bounded(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	for (int i = 0; i < 6; i++)
		run(s, 1, 1);
	for (int i = 0; i < 1000; i++)
		run(s, 1000 + i, 1);
	assert_int_equal(s->ndelivered, 1);
	assert_int_equal(s->runs.evicted, 1);
	assert_int_equal(s->runs.used, PGAML_RUNS);
	commit(s);
	assert_int_equal(s->ndelivered, 1);
	assert_int_equal(s->runs.used, 0);
	session_free(s);
}

/* The list leaves the table during the loop: its rows stay known. */
static void
evicted_list_is_remembered(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	run(s, 1, 12);
	for (int row = 0; row < 12; row++)
	{
		run(s, 2, 1);
		for (int k = 0; k < 3; k++)
			run(s, 100 + row * 3 + k, 1);
	}
	commit(s);
	expect(s, 2, 12, 1, 12, true);
	session_free(s);
}

/* Executions that are dropped without an end, and their addresses used again. */
static void
executions_without_an_end(void **state)
{
	Session    *s = session_new();

	(void) state;
	begin(s);
	for (int i = 0; i < 100; i++)
		start(s, 2, true, i % 64);
	for (int i = 0; i < 64; i++)
		finish(s, i, 1, 1.0);
	finish(s, 3, 1, 1.0);
	start(s, 3, true, 0);
	finish(s, 0, 1, 1e300);
	commit(s);
	assert_int_equal(only(s, 2)->length, 100);
	start(s, 4, true, 1);
	commit(s);
	finish(s, 1, 50, 1.0);		/* its transaction is over */
	assert_int_equal(s->runs.nopen, 0);
	session_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups_after_a_list),
		cmocka_unit_test(several_lookups_per_row),
		cmocka_unit_test(lookup_of_some_rows),
		cmocka_unit_test(loop_in_a_loop),
		cmocka_unit_test(lists_of_any_length),
		cmocka_unit_test(two_lists),
		cmocka_unit_test(list_under_way),
		cmocka_unit_test(function_per_row),
		cmocka_unit_test(function_per_row_again),
		cmocka_unit_test(nested_is_apart),
		cmocka_unit_test(four_are_no_run),
		cmocka_unit_test(lookups_of_half_the_rows),
		cmocka_unit_test(statement_in_between),
		cmocka_unit_test(failed_list_has_no_rows),
		cmocka_unit_test(users_are_apart),
		cmocka_unit_test(burst_after_a_list),
		cmocka_unit_test(often_is_no_run),
		cmocka_unit_test(list_in_a_busy_session),
		cmocka_unit_test(pause_ends_a_burst),
		cmocka_unit_test(pause_in_a_transaction),
		cmocka_unit_test(transactions_are_units),
		cmocka_unit_test(table_is_bounded),
		cmocka_unit_test(evicted_list_is_remembered),
		cmocka_unit_test(executions_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
