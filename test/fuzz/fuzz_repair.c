/*-------------------------------------------------------------------------
 * fuzz_repair.c
 *		Texts of statements, cut into tokens and repaired.
 *
 * Hunts: reads behind the end where a quote or a comment never closes; writes
 * behind the size that was promised; parentheses that close before they open;
 * parameters whose numbers no int holds; a repair that says it changed
 * nothing and did; tokens that overlap or leave the text.
 *-------------------------------------------------------------------------
 */
#include "plan/repair_core.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOKENS	2000
#define MAX_SUSPECTS 16

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef bool (*Write) (const char *text, const RepairToken *tokens, int n, char *out);

static void
check(bool right)
{
	if (!right)
		abort();
}

static void
check_tokens(const char *text, const RepairToken *tokens, int n)
{
	int			end = 0;

	for (int i = 0; i < n; i++)
	{
		check(tokens[i].start >= end && tokens[i].length > 0);
		end = tokens[i].start + tokens[i].length;
	}
	check((size_t) end <= strlen(text));
}

/* The text that a repair makes, to be freed. */
static char *
repair(Write write, const char *text)
{
	static RepairToken tokens[MAX_TOKENS];
	int			n = pgaml_repair_core_tokens(text, tokens, MAX_TOKENS);
	char	   *out;
	size_t		bound;
	bool		changed;

	if (n < 0)
		return NULL;
	check_tokens(text, tokens, n);
	bound = pgaml_repair_core_bound(text, n);
	out = malloc(bound);
	check(out != NULL);
	changed = write(text, tokens, n, out);
	check(strlen(out) < bound);
	check(changed || strcmp(out, text) == 0);
	return out;
}

static void
suspect(const char *text, int position)
{
	static RepairToken tokens[MAX_TOKENS];
	int			n = pgaml_repair_core_tokens(text, tokens, MAX_TOKENS);
	int			params[MAX_SUSPECTS];
	RepairSpan	span;

	if (n < 0)
		return;
	n = pgaml_repair_core_suspects(text, tokens, n, position, params, MAX_SUSPECTS, &span);
	check(n >= 0 && n <= MAX_SUSPECTS);
	for (int i = 0; i < n; i++)
		check(params[i] > 0);
	check(span.from <= span.to && span.to <= (int) strlen(text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = malloc(size + 1);
	char	   *first;
	char	   *second = NULL;

	check(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	first = repair(pgaml_repair_core_literals, text);
	if (first != NULL)
		second = repair(pgaml_repair_core_groups, first);
	for (int position = -1; position < (int) size; position += 1 + (int) size / 8)
		suspect(text, position);
	free(second);
	free(first);
	free(text);
	return 0;
}
