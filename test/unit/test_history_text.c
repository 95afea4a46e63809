/*-------------------------------------------------------------------------
 * test_history_text.c
 *		Rewriting of statement texts: no literal, no comment remains.
 *
 * The scanner is the server's; here a small one cuts at blanks that stand
 * outside of quotes and comments, which is all these texts need.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history/text_core.h"

#define MAX_TOKENS	64

/* Cut at blanks; what starts with a comment sign belongs to the gap. */
static int
cut(const char *text, TextToken *tokens)
{
	int			n = 0;
	int			i = 0;

	while (text[i] != '\0')
	{
		int			start;

		if (text[i] == ' ' || text[i] == '\n')
		{
			i++;
			continue;
		}
		if (strncmp(text + i, "--", 2) == 0)
		{
			while (text[i] != '\0' && text[i] != '\n')
				i++;
			continue;
		}
		if (strncmp(text + i, "/*", 2) == 0)
		{
			int			depth = 0;

			do
			{
				int			step = strncmp(text + i, "/*", 2) == 0 ? 1 : strncmp(text + i, "*/", 2) == 0 ? -1 : 0;

				depth += step;
				i += step == 0 ? 1 : 2;
			} while (depth > 0 && text[i] != '\0');
			continue;
		}
		start = i;
		if (text[i] == '\'')
			for (i++; text[i] != '\'' && text[i] != '\0'; i++)
				;
		while (text[i] != '\0' && text[i] != ' ' && text[i] != '\n')
			i++;
		tokens[n] = (TextToken)
		{
			.start = start,.length = i - start,.kind = pgaml_text_core_kind(text + start)
		};
		tokens[n].constant = tokens[n].kind == TEXT_STRING || tokens[n].kind == TEXT_NUMBER;
		n++;
	}
	return n;
}

static bool
is_ambiguous(const char *text)
{
	TextToken	tokens[MAX_TOKENS];
	int			n = cut(text, tokens);

	return pgaml_text_core_is_ambiguous(text, tokens, n);
}

static void
check(const char *text, const char *expected)
{
	TextToken	tokens[MAX_TOKENS];
	int			n = cut(text, tokens);
	char	   *out = malloc(pgaml_text_core_bound(text, tokens, n));
	size_t		length = pgaml_text_core_rewrite(text, tokens, n, out);

	assert_string_equal(out, expected);
	assert_int_equal(length, strlen(expected));
	free(out);
}

static void
kinds(void **state)
{
	(void) state;
	assert_int_equal(pgaml_text_core_kind("$1"), TEXT_PARAM);
	assert_int_equal(pgaml_text_core_kind("$$x$$"), TEXT_STRING);
	assert_int_equal(pgaml_text_core_kind("$tag$x$tag$"), TEXT_STRING);
	assert_int_equal(pgaml_text_core_kind("'x'"), TEXT_STRING);
	assert_int_equal(pgaml_text_core_kind("E'x'"), TEXT_STRING);
	assert_int_equal(pgaml_text_core_kind("b'1'"), TEXT_STRING);
	assert_int_equal(pgaml_text_core_kind("U&'x'"), TEXT_STRING);
	assert_int_equal(pgaml_text_core_kind("u&\"x\""), TEXT_WORD);
	assert_int_equal(pgaml_text_core_kind("1.5"), TEXT_NUMBER);
	assert_int_equal(pgaml_text_core_kind(".5"), TEXT_NUMBER);
	assert_int_equal(pgaml_text_core_kind("."), TEXT_OTHER);
	assert_int_equal(pgaml_text_core_kind("e"), TEXT_WORD);
	assert_int_equal(pgaml_text_core_kind("\"x\""), TEXT_OTHER);
	assert_int_equal(pgaml_text_core_kind("\xc3\xa4"), TEXT_WORD);
	assert_int_equal(pgaml_text_core_kind(""), TEXT_OTHER);
	assert_int_equal(pgaml_text_core_param("$12 "), 12);
	assert_int_equal(pgaml_text_core_param("$99999999999999999999"), 0);
}

static void
constants_become_parameters(void **state)
{
	(void) state;
	check("select 'secret' , 42", "select $1 , $2");
	check("select $3 , 42 , $1 , 'x'", "select $3 , $4 , $1 , $5");
	check("select now()", "select now()");
	check("", "");
	check("  select  1  ", "select  $1");
}

static void
comments_go(void **state)
{
	(void) state;
	check("select a /* trace='7' */ from t", "select a  from t");
	check("select a--secret\n from t", "select a--secret\n from t");	/* one token to our scanner */
	check("select a --secret\n from t", "select a \n from t");
	check("/* x */ select a /* /* nested 'y' */ z */ from t", "select a  from t");
	check("select a /*+ SeqScan(secret) */ from t", "select a  from t");
	check("select a in ( $1 /*, ... */ )", "select a in ( $1 /*, ... */ )");
	check("select a /* open", "select a");
	check("select a/**/ /* b */ from t -- end", "select a/**/  from t");
}

/* Many constants need more room than they leave. */
static void
the_bound_is_enough(void **state)
{
	char		text[MAX_TOKENS * 2 + 8] = "";
	TextToken	tokens[MAX_TOKENS];
	char	   *out;
	int			n;

	(void) state;
	for (int i = 0; i < MAX_TOKENS - 1; i++)
		strcat(text, "1 ");
	n = cut(text, tokens);
	assert_int_equal(n, MAX_TOKENS - 1);
	out = malloc(pgaml_text_core_bound(text, tokens, n));
	assert_true(pgaml_text_core_rewrite(text, tokens, n, out) < pgaml_text_core_bound(text, tokens, n));
	free(out);
}

/* Whatever the tokens are, nothing is read or written out of bounds (ASan), and no digit of a constant stays. */
static void
random_texts(void **state)
{
	static const char alphabet[] = "a1'$-/*+ \n.,;(\"E";

	(void) state;
	srand(7);
	for (int run = 0; run < 20000; run++)
	{
		char		text[40];
		TextToken	tokens[MAX_TOKENS];
		int			length = rand() % 39;
		char	   *out;
		int			n;

		for (int i = 0; i < length; i++)
			text[i] = alphabet[rand() % (sizeof(alphabet) - 1)];
		text[length] = '\0';
		n = cut(text, tokens);
		out = malloc(pgaml_text_core_bound(text, tokens, n));
		assert_true(pgaml_text_core_rewrite(text, tokens, n, out) < pgaml_text_core_bound(text, tokens, n));
		free(out);
	}
}

static void
escaped_quotes_are_ambiguous(void **state)
{
	(void) state;
	assert_false(is_ambiguous("SELECT 'a' , 'b''c' , '\\\\' , '\\d'"));
	assert_true(is_ambiguous("SELECT 'a\\' , 1"));
	assert_true(is_ambiguous("SELECT 1 , 'a\\\\\\' , 2"));
	assert_true(is_ambiguous("SELECT N'a\\'"));
	assert_false(is_ambiguous("SELECT E'a\\'b'"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escaped_quotes_are_ambiguous),
		cmocka_unit_test(kinds),
		cmocka_unit_test(constants_become_parameters),
		cmocka_unit_test(comments_go),
		cmocka_unit_test(the_bound_is_enough),
		cmocka_unit_test(random_texts),
	};

	return cmocka_run_group_tests_name("history text", tests, NULL, NULL);
}
