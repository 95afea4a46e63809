/*-------------------------------------------------------------------------
 * test_plan_repair.c
 *		Normalized texts: tokens, typed literals, groups, suspects.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/repair_core.h"

#define MAX_TOKENS	256

typedef bool (*Write) (const char *text, const RepairToken *tokens, int n, char *out);

/* What a repair makes of a text, in a buffer of exactly the size that was promised; NULL: nothing. */
static char *
repaired(Write write, const char *text)
{
	RepairToken tokens[MAX_TOKENS];
	int			n = pgaml_repair_core_tokens(text, tokens, MAX_TOKENS);
	char	   *out;

	assert_true(n >= 0);
	out = malloc(pgaml_repair_core_bound(text, n));
	assert_non_null(out);
	if (write(text, tokens, n, out))
		return out;
	assert_string_equal(out, text);
	free(out);
	return NULL;
}

static void
check(Write write, const char *text, const char *expected)
{
	char	   *out = repaired(write, text);

	if (expected == NULL)
		assert_null(out);
	else
	{
		assert_non_null(out);
		assert_string_equal(out, expected);
		/* Once is enough. */
		assert_null(repaired(write, out));
	}
	free(out);
}

static void
test_tokens(void **state)
{
	const char *text = "SELECT $1, \"a\"\"b\".c -- $2\n /* $3 /* $4 */ */ ::x, 'it''s $5', E'\\'$6', $q$ $7 $q$, $$'$$, 1.5e3";
	static const RepairKind kinds[] = {
		REPAIR_WORD, REPAIR_PARAM, REPAIR_OTHER, REPAIR_WORD, REPAIR_OTHER, REPAIR_WORD, REPAIR_OTHER,
		REPAIR_OTHER, REPAIR_WORD, REPAIR_OTHER, REPAIR_LITERAL, REPAIR_OTHER, REPAIR_LITERAL,
		REPAIR_OTHER, REPAIR_LITERAL, REPAIR_OTHER, REPAIR_LITERAL, REPAIR_OTHER, REPAIR_LITERAL,
	};
	RepairToken tokens[MAX_TOKENS];
	int			n = pgaml_repair_core_tokens(text, tokens, MAX_TOKENS);

	(void) state;
	assert_int_equal(n, sizeof(kinds) / sizeof(kinds[0]));
	for (int i = 0; i < n; i++)
		assert_int_equal(tokens[i].kind, kinds[i]);
	assert_int_equal(pgaml_repair_core_tokens(text, tokens, n - 1), -1);
	assert_int_equal(pgaml_repair_core_tokens("", tokens, 0), 0);
	assert_int_equal(pgaml_repair_core_tokens(" /* never closed", tokens, 0), 0);
	assert_int_equal(pgaml_repair_core_tokens("'never closed", tokens, 1), 1);
	assert_int_equal(tokens[0].length, 13);
}

static void
test_literals(void **state)
{
	static const char *const cases[][2] = {
		{"SELECT DATE $1", "SELECT CAST($1 AS DATE)"},
		{"SELECT date $1, $2", "SELECT CAST($1 AS date), $2"},
		{"x <= date $1 - interval $2 day GROUP", "x <= CAST($1 AS date) - CAST($2 AS interval day) GROUP"},
		{"interval $1 year to month, interval $2", "CAST($1 AS interval year to month), CAST($2 AS interval)"},
		{"a + interval $1 second(3) + 1", "a + CAST($1 AS interval second(3)) + 1"},
		{"(interval(3) $1)", "(CAST($1 AS interval(3)))"},
		{"= timestamp with time zone $1)", "= CAST($1 AS timestamp with time zone))"},
		{"timestamp (3) without time zone $1", "CAST($1 AS timestamp (3) without time zone)"},
		{", timestamp (3) without time zone $1", ", CAST($1 AS timestamp (3) without time zone)"},
		{", double precision $1", ", CAST($1 AS double precision)"},
		{", national character varying(3) $1", ", CAST($1 AS national character varying(3))"},
		{", numeric(10, 2) $12", ", CAST($12 AS numeric(10, 2))"},
		{", pg_catalog.date $1", ", CAST($1 AS pg_catalog.date)"},
		{", \"My\".\"Type\" $1", ", CAST($1 AS \"My\".\"Type\")"},
		{"extract($1 FROM x)", "pg_catalog.extract($1 , x)"},
		{"Extract ( $1 from date $2)", "pg_catalog.Extract ( $1 , CAST($2 AS date))"},
		{"extract(hour from x)", "pg_catalog.extract('hour' , x)"},
		{"x AT TIME ZONE $1", NULL},
		{"substring(a from $1 for $2)", NULL},
		{"SELECT $1 WHERE a LIKE $2 ESCAPE $3 AND NOT $4 OR b BETWEEN $5 AND $6", NULL},
		{"CASE WHEN $1 THEN $2 ELSE $3 END LIMIT $4 OFFSET $5", NULL},
		{"SELECT DISTINCT $1", NULL},
		{"ROWS BETWEEN $1 PRECEDING", NULL},
		{"FETCH FIRST $1 ROWS", NULL},
		{"position($1 IN x) IS DISTINCT FROM $2", NULL},
		{"(SELECT a) $1", NULL},
		{"$1", NULL},
		{"", NULL},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(pgaml_repair_core_literals, cases[i][0], cases[i][1]);
}

static void
test_groups(void **state)
{
	static const char *const cases[][2] = {
		{"SELECT a + $1 FROM t GROUP BY a + $2", "SELECT a + $2 FROM t GROUP BY a + $2"},
		{"SELECT b, f(a, $1) FROM t GROUP BY b, f(a, $2) ORDER BY f(a, $3) DESC",
		"SELECT b, f(a, $2) FROM t GROUP BY b, f(a, $2) ORDER BY f(a, $2) DESC"},
		{"SELECT a % $1 FROM t GROUP BY ROLLUP (a % $2, b)", "SELECT a % $2 FROM t GROUP BY ROLLUP (a % $2, b)"},
		{"SELECT a % $1, b % $2 FROM t GROUP BY GROUPING SETS ((a % $3), (b % $4)), CUBE (c)",
		"SELECT a % $3, b % $4 FROM t GROUP BY GROUPING SETS ((a % $3), (b % $4)), CUBE (c)"},
		{"SELECT DISTINCT a % $1 FROM t ORDER BY a % $2 NULLS FIRST LIMIT $3",
		"SELECT DISTINCT a % $2 FROM t ORDER BY a % $2 NULLS FIRST LIMIT $3"},
		{"SELECT x($1 , at) FROM t GROUP BY x('hour' , at)", "SELECT x('hour' , at) FROM t GROUP BY x('hour' , at)"},
		{"SELECT a + $10 FROM t GROUP BY a + $9", "SELECT a + $9 FROM t GROUP BY a + $9"},
		{"SELECT a + $1 FROM t GROUP BY a - $2", NULL},
		{"SELECT $1 FROM t GROUP BY $2, a", NULL},
		{"SELECT a FROM t GROUP BY", NULL},
		{"SELECT a FROM t GROUP BY a + $1)", NULL},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(pgaml_repair_core_groups, cases[i][0], cases[i][1]);
}

/* Suspects of an error at the first place of a word, as "1 2 3 @from-to". */
static void
check_suspects(const char *text, const char *at, const char *expected)
{
	RepairToken tokens[MAX_TOKENS];
	int			params[4];
	int			n = pgaml_repair_core_tokens(text, tokens, MAX_TOKENS);
	int			position = at != NULL ? (int) (strstr(text, at) - text) : -1;
	RepairSpan	span;
	char		found[100] = "";

	n = pgaml_repair_core_suspects(text, tokens, n, position, params, 4, &span);
	for (int i = 0; i < n; i++)
		sprintf(found + strlen(found), "%d ", params[i]);
	sprintf(found + strlen(found), "@%d-%d", span.from, span.to);
	assert_string_equal(found, expected);
}

static void
test_suspects(void **state)
{
	(void) state;
	check_suspects("SELECT $1 + $2, $3", "+", "2 1 3 @7-14");
	check_suspects("SELECT $9, sum(CASE WHEN a THEN $2 ELSE $3 END) > $4", "sum", "2 3 9 4 @11-47");
	check_suspects("SELECT a FROM t WHERE at > now() - $1 AND b = $2", ">", "1 2 @22-37");
	check_suspects("SELECT a WHERE (f($1) || b) = $2", "||", "1 2 @16-26");
	check_suspects("SELECT $1, $2, $3, $4, $5", NULL, "1 2 3 4 @-1--1");
	check_suspects("f(", "f", "@0-2");
	check_suspects("$99999999999 + $1", "+", "1 @0-17");
	check_suspects("", NULL, "@-1--1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_suspects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
