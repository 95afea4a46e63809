/*-------------------------------------------------------------------------
 * text_core.c
 *		Rewrites a statement's text so that no literal and no comment remains.
 *-------------------------------------------------------------------------
 */
#include "text_core.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PARAM_BYTES	12			/* "$2147483647" and a space */

/* What pg_stat_statements leaves of a squashed list (18 and later). */
static const char squashed[] = "/*, ... */";

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

TextKind
pgaml_text_core_kind(const char *token)
{
	char		c = token[0];

	if (c == '$')
		return is_digit(token[1]) ? TEXT_PARAM : TEXT_STRING;
	if (c == '\'')
		return TEXT_STRING;
	if (is_digit(c) || (c == '.' && is_digit(token[1])))
		return TEXT_NUMBER;
	if (c != '\0' && strchr("eEbBxXnN", c) != NULL && token[1] == '\'')
		return TEXT_STRING;
	if ((c == 'u' || c == 'U') && token[1] == '&' && token[2] == '\'')
		return TEXT_STRING;
	return is_word_start(c) ? TEXT_WORD : TEXT_OTHER;
}

int
pgaml_text_core_param(const char *token)
{
	long long	value = 0;

	for (const char *c = token + 1; is_digit(*c); c++)
	{
		value = value * 10 + (*c - '0');
		if (value > INT_MAX)
			return 0;
	}
	return (int) value;
}

/* Is there a quote behind an odd number of backslashes in this plain string? */
static bool
has_escaped_quote(const char *string, int length)
{
	bool		escaped = false;

	for (int i = 0; i < length; i++)
	{
		if (escaped && string[i] == '\'')
			return true;
		escaped = !escaped && string[i] == '\\';
	}
	return false;
}

bool
pgaml_text_core_is_ambiguous(const char *text, const TextToken *tokens, int n)
{
	for (int i = 0; i < n; i++)
	{
		const char *start = text + tokens[i].start;

		if ((start[0] == '\'' || start[0] == 'n' || start[0] == 'N') &&
			tokens[i].kind == TEXT_STRING && has_escaped_quote(start, tokens[i].length))
			return true;
	}
	return false;
}

size_t
pgaml_text_core_bound(const char *text, const TextToken *tokens, int n)
{
	size_t		bytes = strlen(text) + 1;

	for (int i = 0; i < n; i++)
		bytes += tokens[i].constant ? PARAM_BYTES : 1;
	return bytes;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Length of the comment at c; block comments nest.  0 when there is none. */
static size_t
comment_length(const char *c, const char *end)
{
	const char *p = c;
	int			depth = 0;

	if (end - c >= 2 && c[0] == '-' && c[1] == '-')
	{
		while (p < end && *p != '\n' && *p != '\r')
			p++;
		return (size_t) (p - c);
	}
	if (end - c < 2 || c[0] != '/' || c[1] != '*')
		return 0;
	while (p < end)
	{
		if (end - p >= 2 && p[0] == '/' && p[1] == '*')
		{
			depth++;
			p += 2;
		}
		else if (end - p >= 2 && p[0] == '*' && p[1] == '/')
		{
			depth--;
			p += 2;
			if (depth == 0)
				break;
		}
		else
			p++;
	}
	return (size_t) (p - c);
}

/* Any other comment may hold what a user wrote into it, a hint included. */
static bool
is_squashed_mark(const char *comment, size_t length)
{
	return length == sizeof(squashed) - 1 && memcmp(comment, squashed, length) == 0;
}

/* Copy what lies between two tokens; a comment that goes leaves a space. */
static char *
copy_gap(const char *from, const char *end, char *out)
{
	char	   *start = out;

	while (from < end)
	{
		size_t		length = comment_length(from, end);

		if (length == 0)
			*out++ = *from++;
		else
		{
			if (is_squashed_mark(from, length))
			{
				memcpy(out, from, length);
				out += length;
			}
			else if (out == start || !is_space(out[-1]))
				*out++ = ' ';
			from += length;
		}
	}
	return out;
}

static int
highest_param(const char *text, const TextToken *tokens, int n)
{
	int			highest = 0;

	for (int i = 0; i < n; i++)
	{
		if (tokens[i].kind == TEXT_PARAM)
		{
			int			number = pgaml_text_core_param(text + tokens[i].start);

			highest = number > highest ? number : highest;
		}
	}
	return highest;
}

size_t
pgaml_text_core_rewrite(const char *text, const TextToken *tokens, int n, char *out)
{
	int			next = highest_param(text, tokens, n);
	char	   *start = out;

	for (int i = 0; i < n; i++)
	{
		const TextToken *token = &tokens[i];

		if (token->constant)
		{
			next = next < INT_MAX ? next + 1 : next;
			out += sprintf(out, "$%d", next);
		}
		else
		{
			memcpy(out, text + token->start, (size_t) token->length);
			out += token->length;
		}
		if (i + 1 < n)
			out = copy_gap(text + token->start + token->length, text + tokens[i + 1].start, out);
	}
	*out = '\0';
	return (size_t) (out - start);
}
