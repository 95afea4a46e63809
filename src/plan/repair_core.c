/*-------------------------------------------------------------------------
 * repair_core.c
 *		Makes a normalized text parse again where $n stands for a literal.
 *
 * Works on tokens, not on a grammar: a name right before a parameter can only
 * be the type of a literal, because between a name and an expression the
 * grammar always wants an operator, a comma or one of a few keywords.
 *-------------------------------------------------------------------------
 */
#include "repair_core.h"

#include <limits.h>
#include <string.h>

#define EXTRA_PER_TOKEN	12		/* bytes that a repair adds to a token at most */
#define MAX_GROUP_ITEMS	64

/* Keywords behind which an expression starts; any other word there is a type. */
static const char *const before_expression[] = {
	"all", "and", "any", "array", "as", "asymmetric", "between", "both", "by", "case", "default",
	"distinct", "else", "escape", "except", "first", "for", "from", "groups", "having", "ilike",
	"in", "is", "leading", "like", "limit", "next", "not", "notnull", "of", "offset", "on", "only",
	"operator", "or", "over", "overlaps", "passing", "path", "placing", "range", "returning", "rows",
	"select", "set", "similar", "some", "symmetric", "then", "to", "trailing", "union", "using",
	"value", "values", "variadic", "when", "where", "with",
};

/* ---- characters ---- */

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

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

static bool
is_word_part(char c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/* ---- tokens ---- */

/* Bytes of a quoted token from its opening quote on, doubled quotes inside; to the end when it never closes. */
static int
quoted_length(const char *text, char quote, bool backslashes)
{
	int			i = 1;

	while (text[i] != '\0')
	{
		if (backslashes && text[i] == '\\' && text[i + 1] != '\0')
			i += 2;
		else if (text[i] != quote)
			i++;
		else if (text[i + 1] == quote)
			i += 2;
		else
			return i + 1;
	}
	return i;
}

/* Bytes of a dollar-quoted string; 0 when this is no start of one. */
static int
dollar_length(const char *text)
{
	int			tag = 1;
	int			i;

	if (is_word_start(text[tag]))
		while (is_word_part(text[tag]) && text[tag] != '$')
			tag++;
	if (text[tag] != '$')
		return 0;
	tag++;
	for (i = tag; text[i] != '\0'; i++)
		if (text[i] == '$' && strncmp(text + i, text, (size_t) tag) == 0)
			return i + tag;
	return i;
}

/* Bytes of white space and comments. */
static int
gap_length(const char *text)
{
	int			i = 0;
	int			depth = 0;

	for (;;)
	{
		if (depth == 0 && is_space(text[i]))
			i++;
		else if (depth == 0 && text[i] == '-' && text[i + 1] == '-')
			while (text[i] != '\0' && text[i] != '\n' && text[i] != '\r')
				i++;
		else if (text[i] == '/' && text[i + 1] == '*')
		{
			depth++;
			i += 2;
		}
		else if (depth > 0 && text[i] == '*' && text[i + 1] == '/')
		{
			depth--;
			i += 2;
		}
		else if (depth > 0 && text[i] != '\0')
			i++;
		else
			return i;
	}
}

static int
word_length(const char *text)
{
	int			i = 0;

	while (is_word_part(text[i]))
		i++;
	return i;
}

static int
number_length(const char *text)
{
	int			i = 0;

	while (is_word_part(text[i]) || text[i] == '.')
		i++;
	return i;
}

/* Is this the letter before a string, as in E'...'? */
static bool
is_string_prefix(const char *text)
{
	return text[0] != '\0' && strchr("eEbBxXnN", text[0]) != NULL && text[1] == '\'';
}

static RepairToken
next_token(const char *text, int start)
{
	const char *at = text + start;
	RepairToken token = {start, 1, REPAIR_OTHER};
	int			dollar;

	if (at[0] == '$' && is_digit(at[1]))
	{
		token.kind = REPAIR_PARAM;
		while (is_digit(at[token.length]))
			token.length++;
	}
	else if (at[0] == '$' && (dollar = dollar_length(at)) > 0)
	{
		token.kind = REPAIR_LITERAL;
		token.length = dollar;
	}
	else if (at[0] == '\'' || is_string_prefix(at))
	{
		int			prefix = at[0] == '\'' ? 0 : 1;

		token.kind = REPAIR_LITERAL;
		token.length = prefix + quoted_length(at + prefix, '\'', prefix == 1 && lower(at[0]) == 'e');
	}
	else if (at[0] == '"')
	{
		token.kind = REPAIR_WORD;
		token.length = quoted_length(at, '"', false);
	}
	else if (is_digit(at[0]) || (at[0] == '.' && is_digit(at[1])))
	{
		token.kind = REPAIR_LITERAL;
		token.length = number_length(at);
	}
	else if (is_word_start(at[0]))
	{
		token.kind = REPAIR_WORD;
		token.length = word_length(at);
	}
	return token;
}

int
pgaml_repair_core_tokens(const char *text, RepairToken *tokens, int max)
{
	int			n = 0;
	int			at = gap_length(text);

	while (text[at] != '\0')
	{
		if (n == max)
			return -1;
		tokens[n] = next_token(text, at);
		at += tokens[n].length;
		at += gap_length(text + at);
		n++;
	}
	return n;
}

/* Is it this keyword?  Quoted words are none. */
static bool
is(const char *text, const RepairToken *token, const char *word)
{
	int			i;

	if (token->kind != REPAIR_WORD)
		return false;
	for (i = 0; i < token->length && word[i] != '\0'; i++)
		if (lower(text[token->start + i]) != word[i])
			return false;
	return i == token->length && word[i] == '\0';
}

static bool
is_char(const char *text, const RepairToken *token, char c)
{
	return token->kind == REPAIR_OTHER && text[token->start] == c;
}

static bool
is_one_of(const char *text, const RepairToken *token, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is(text, token, words[i]))
			return true;
	return false;
}

/* The number of a parameter; 0 when no int can hold it. */
static int
number_of(const char *text, const RepairToken *param)
{
	int			number = 0;

	for (int i = 1; i < param->length; i++)
	{
		int			digit = text[param->start + i] - '0';

		if (number > (INT_MAX - digit) / 10)
			return 0;
		number = number * 10 + digit;
	}
	return number;
}

/* ---- typed literals ---- */

/* Token that opens the parenthesis which closes at this one; -1: none does. */
static int
opening(const char *text, const RepairToken *tokens, int at)
{
	int			depth = 0;

	for (int i = at; i >= 0; i--)
	{
		if (is_char(text, &tokens[i], ')'))
			depth++;
		else if (is_char(text, &tokens[i], '(') && --depth == 0)
			return i;
	}
	return -1;
}

/* Token that closes the parenthesis which opens at this one; n: none does. */
static int
closing(const char *text, const RepairToken *tokens, int n, int at)
{
	int			depth = 0;

	for (int i = at; i < n; i++)
	{
		if (is_char(text, &tokens[i], '('))
			depth++;
		else if (is_char(text, &tokens[i], ')') && --depth == 0)
			return i;
	}
	return n;
}

/* First token of a name a.b that ends at this word. */
static int
name_start(const char *text, const RepairToken *tokens, int at)
{
	while (at >= 2 && is_char(text, &tokens[at - 1], '.') && tokens[at - 2].kind == REPAIR_WORD)
		at -= 2;
	return at;
}

/* Step over a modifier (n) backwards. */
static int
before_modifier(const char *text, const RepairToken *tokens, int at)
{
	if (at >= 0 && is_char(text, &tokens[at], ')'))
		return opening(text, tokens, at) - 1;
	return at;
}

/* First token of "time|timestamp [(n)] with|without time zone" that ends here; -1: it is none. */
static int
zoned_start(const char *text, const RepairToken *tokens, int at)
{
	if (at < 3 || !is(text, &tokens[at], "zone") || !is(text, &tokens[at - 1], "time") ||
		(!is(text, &tokens[at - 2], "with") && !is(text, &tokens[at - 2], "without")))
		return -1;
	at = before_modifier(text, tokens, at - 3);
	if (at >= 0 && (is(text, &tokens[at], "timestamp") || is(text, &tokens[at], "time")))
		return at;
	return -1;
}

/* First token of the type whose last token is this one; -1: an expression starts behind it. */
static int
type_start(const char *text, const RepairToken *tokens, int at)
{
	if (at < 0)
		return -1;
	if (is(text, &tokens[at], "zone"))
		return zoned_start(text, tokens, at);
	at = before_modifier(text, tokens, at);
	if (at < 0 || tokens[at].kind != REPAIR_WORD ||
		is_one_of(text, &tokens[at], before_expression,
				  sizeof(before_expression) / sizeof(before_expression[0])))
		return -1;
	if (at >= 1 && ((is(text, &tokens[at], "precision") && is(text, &tokens[at - 1], "double")) ||
					is(text, &tokens[at], "varying")))
		at--;
	if (at >= 1 && is(text, &tokens[at - 1], "national"))
		at--;
	return name_start(text, tokens, at);
}

/* Token behind the fields of an interval that may start at this one. */
static int
behind_fields(const char *text, const RepairToken *tokens, int n, int at)
{
	static const char *const fields[] = {"year", "month", "day", "hour", "minute", "second"};

	if (at >= n || !is_one_of(text, &tokens[at], fields, 6))
		return at;
	at++;
	if (at + 1 < n && is(text, &tokens[at], "to") && is_one_of(text, &tokens[at + 1], fields, 6))
		at += 2;
	if (at < n && is(text, &tokens[at - 1], "second") && is_char(text, &tokens[at], '('))
		at = closing(text, tokens, n, at) + 1;
	return at < n ? at : n;
}

static int
token_end(const RepairToken *token)
{
	return token->start + token->length;
}

/* Where output goes. */
typedef struct Writer
{
	const char *text;
	int			copied;			/* bytes of the text that are written or left out */
	char	   *out;
	size_t		length;
} Writer;

static void
write_bytes(Writer *writer, const char *bytes, size_t n)
{
	memcpy(writer->out + writer->length, bytes, n);
	writer->length += n;
}

static void
write_string(Writer *writer, const char *string)
{
	write_bytes(writer, string, strlen(string));
}

/* Write the text up to this byte. */
static void
write_until(Writer *writer, int byte)
{
	if (byte > writer->copied)
		write_bytes(writer, writer->text + writer->copied, (size_t) (byte - writer->copied));
	if (byte > writer->copied)
		writer->copied = byte;
}

static void
write_end(Writer *writer)
{
	write_string(writer, writer->text + writer->copied);
	writer->out[writer->length] = '\0';
}

size_t
pgaml_repair_core_bound(const char *text, int ntokens)
{
	return strlen(text) + (size_t) ntokens * EXTRA_PER_TOKEN + 1;
}

/* type $n [fields] becomes CAST($n AS type fields). */
static void
write_cast(Writer *writer, const RepairToken *tokens, int type, int param, int behind)
{
	write_until(writer, tokens[type].start);
	write_string(writer, "CAST(");
	write_bytes(writer, writer->text + tokens[param].start, (size_t) tokens[param].length);
	write_string(writer, " AS ");
	write_until(writer, token_end(&tokens[param - 1]));
	writer->copied = token_end(&tokens[param]);
	write_until(writer, token_end(&tokens[behind - 1]));
	write_string(writer, ")");
}

/* extract($n from x) becomes pg_catalog.extract($n , x); at is the parameter, or a word that becomes a string. */
static bool
is_extract(const char *text, const RepairToken *tokens, int n, int at)
{
	return at >= 2 && at + 1 < n && is(text, &tokens[at - 2], "extract") &&
		is_char(text, &tokens[at - 1], '(') && is(text, &tokens[at + 1], "from") &&
		text[tokens[at].start] != '"';
}

static void
write_extract(Writer *writer, const RepairToken *tokens, int at)
{
	const char *quote = tokens[at].kind == REPAIR_WORD ? "'" : "";

	write_until(writer, tokens[at - 2].start);
	write_string(writer, "pg_catalog.");
	write_until(writer, tokens[at].start);
	write_string(writer, quote);
	write_until(writer, token_end(&tokens[at]));
	write_string(writer, quote);
	write_until(writer, tokens[at + 1].start);
	write_string(writer, ",");
	writer->copied = token_end(&tokens[at + 1]);
}

bool
pgaml_repair_core_literals(const char *text, const RepairToken *tokens, int n, char *out)
{
	Writer		writer = {text, 0, out, 0};
	bool		changed = false;

	for (int i = 1; i < n; i++)
	{
		int			type;

		if ((tokens[i].kind == REPAIR_PARAM || tokens[i].kind == REPAIR_WORD) &&
			is_extract(text, tokens, n, i))
		{
			write_extract(&writer, tokens, i);
			changed = true;
			continue;
		}
		if (tokens[i].kind != REPAIR_PARAM)
			continue;
		type = type_start(text, tokens, i - 1);
		if (type < 0 || tokens[type].start < writer.copied)
			continue;
		write_cast(&writer, tokens, type, i,
				   is(text, &tokens[before_modifier(text, tokens, i - 1)], "interval") ?
				   behind_fields(text, tokens, n, i + 1) : i + 1);
		changed = true;
	}
	write_end(&writer);
	return changed;
}

/* ---- GROUP BY, ORDER BY ---- */

typedef struct Span
{
	int			from;			/* token */
	int			to;				/* token behind */
} Span;

typedef struct Items
{
	const char *text;
	const RepairToken *tokens;
	int			n;				/* tokens */
	Span		items[MAX_GROUP_ITEMS];
	int			nitems;
} Items;

/* Is this token, outside of parentheses, behind the list? */
static bool
ends_list(const char *text, const RepairToken *token)
{
	static const char *const words[] = {
		"except", "fetch", "for", "having", "intersect", "limit", "offset", "order", "range", "rows",
		"union", "window",
	};

	return is_char(text, token, ';') || is_one_of(text, token, words, sizeof(words) / sizeof(words[0]));
}

/* Is it behind an item, and no part of it? */
static bool
follows_item(const char *text, const RepairToken *token)
{
	static const char *const words[] = {"asc", "desc", "nulls", "using"};

	return is_one_of(text, token, words, sizeof(words) / sizeof(words[0]));
}

/* Do only words stand here that make a set of groupings of what follows in parentheses? */
static bool
opens_grouping(const Items *all, Span words)
{
	static const char *const names[] = {"cube", "grouping", "rollup", "sets"};

	for (int i = words.from; i < words.to; i++)
		if (!is_one_of(all->text, &all->tokens[i], names, sizeof(names) / sizeof(names[0])))
			return false;
	return true;
}

/* Keep an item that holds a value and more. */
static void
add_item(Items *all, Span item)
{
	if (all->nitems == MAX_GROUP_ITEMS || item.to - item.from < 2)
		return;
	for (int i = item.from; i < item.to; i++)
	{
		if (all->tokens[i].kind == REPAIR_PARAM || all->tokens[i].kind == REPAIR_LITERAL)
		{
			all->items[all->nitems++] = item;
			return;
		}
	}
}

/* Collect the items of the list that starts here; parentheses of groupings are looked through. */
static void
add_items(Items *all, int at)
{
	Span		item = {at, at};
	int			depth = 0;
	int			groupings = 0;
	bool		skipping = false;	/* behind an item */

	for (; item.to < all->n; item.to++)
	{
		const RepairToken *token = &all->tokens[item.to];
		bool		closes = is_char(all->text, token, ')');

		if (depth == 0 && (ends_list(all->text, token) || (closes && groupings == 0)))
			break;
		if (is_char(all->text, token, '(') && depth == 0 && opens_grouping(all, item))
		{
			groupings++;
			item.from = item.to + 1;
		}
		else if (depth == 0 && (closes || is_char(all->text, token, ',')))
		{
			if (!skipping)
				add_item(all, item);
			groupings -= closes ? 1 : 0;
			item.from = item.to + 1;
			skipping = false;
		}
		else if (depth == 0 && !skipping && follows_item(all->text, token))
		{
			add_item(all, item);
			skipping = true;
		}
		else if (is_char(all->text, token, '('))
			depth++;
		else if (closes)
			depth--;
	}
	if (!skipping)
		add_item(all, item);
}

/* Those of all lists that this word starts. */
static void
add_lists(Items *all, const char *word)
{
	for (int i = 0; i + 2 < all->n; i++)
		if (is(all->text, &all->tokens[i], word) && is(all->text, &all->tokens[i + 1], "by"))
			add_items(all, i + 2);
}

/* The same token, or two that constants may have become. */
static bool
alike(const char *text, const RepairToken *a, const RepairToken *b)
{
	bool		a_value = a->kind == REPAIR_PARAM || a->kind == REPAIR_LITERAL;
	bool		b_value = b->kind == REPAIR_PARAM || b->kind == REPAIR_LITERAL;

	if (a_value && b_value && (a->kind == REPAIR_PARAM || b->kind == REPAIR_PARAM))
		return true;
	return a->length == b->length && a->kind == b->kind &&
		memcmp(text + a->start, text + b->start, (size_t) a->length) == 0;
}

static bool
item_stands_at(const char *text, const RepairToken *tokens, int n, Span item, int at)
{
	if (at + (item.to - item.from) > n)
		return false;
	for (int i = item.from; i < item.to; i++)
		if (!alike(text, &tokens[i], &tokens[at + i - item.from]))
			return false;
	return true;
}

/* Write what equals the item at this token with the item's values; did that change any? */
static bool
write_item(Writer *writer, const RepairToken *tokens, Span item, int at)
{
	const char *text = writer->text;
	bool		changed = false;

	for (int i = item.from; i < item.to; i++)
	{
		const RepairToken *old = &tokens[at + i - item.from];

		if ((tokens[i].kind != REPAIR_PARAM && old->kind != REPAIR_PARAM) ||
			(tokens[i].length == old->length &&
			 memcmp(text + tokens[i].start, text + old->start, (size_t) old->length) == 0) ||
			tokens[i].length > old->length + EXTRA_PER_TOKEN)
			continue;
		write_until(writer, old->start);
		write_bytes(writer, text + tokens[i].start, (size_t) tokens[i].length);
		writer->copied = token_end(old);
		changed = true;
	}
	return changed;
}

bool
pgaml_repair_core_groups(const char *text, const RepairToken *tokens, int n, char *out)
{
	Writer		writer = {text, 0, out, 0};
	Items		all = {.text = text,.tokens = tokens,.n = n};
	bool		changed = false;

	add_lists(&all, "group");
	add_lists(&all, "order");
	for (int at = 0; at < n; at++)
	{
		for (int i = 0; i < all.nitems; i++)
		{
			if (!item_stands_at(text, tokens, n, all.items[i], at))
				continue;
			changed = write_item(&writer, tokens, all.items[i], at) || changed;
			at += all.items[i].to - all.items[i].from - 1;
			break;
		}
	}
	write_end(&writer);
	return changed;
}

/* ---- suspects ---- */

/* Does an operand end here, seen from inside it at the same depth? */
static bool
ends_operand(const char *text, const RepairToken *token)
{
	static const char *const words[] = {
		"and", "as", "case", "else", "end", "from", "group", "having", "limit", "on", "or", "order",
		"select", "set", "then", "values", "when", "where",
	};

	return is_char(text, token, ',') || is_char(text, token, ';') ||
		is_one_of(text, token, words, sizeof(words) / sizeof(words[0]));
}

static int
add_suspect(const char *text, const RepairToken *token, int *params, int n, int max)
{
	int			number = token->kind == REPAIR_PARAM ? number_of(text, token) : 0;

	if (number == 0 || n == max)
		return n;
	for (int i = 0; i < n; i++)
		if (params[i] == number)
			return n;
	params[n] = number;
	return n + 1;
}

/* Parameters from a token on in one direction, as far as its operand goes, which is *end. */
static int
walk_operand(const char *text, const RepairToken *tokens, int n, int at, int step,
			 int *params, int found, int max, int *end)
{
	char		opens = step > 0 ? '(' : ')';
	char		closes = step > 0 ? ')' : '(';
	int			depth = 0;

	for (int i = at; i >= 0 && i < n; i += step)
	{
		if (depth == 0 && (is_char(text, &tokens[i], closes) || ends_operand(text, &tokens[i])))
			break;
		if (is_char(text, &tokens[i], opens))
			depth++;
		else if (is_char(text, &tokens[i], closes))
			depth--;
		found = add_suspect(text, &tokens[i], params, found, max);
		*end = i;
	}
	return found;
}

/* The same around the token of an error: what it calls, or its operands. */
static int
walk_around(const char *text, const RepairToken *tokens, int n, int at, int *params, int max,
			RepairSpan *span)
{
	int			first = at;
	int			last = at;
	int			found = 0;

	if (at + 1 < n && tokens[at].kind == REPAIR_WORD && is_char(text, &tokens[at + 1], '('))
	{
		last = closing(text, tokens, n, at + 1);
		last = last < n ? last : n - 1;
		for (int i = at + 2; i < last; i++)
			found = add_suspect(text, &tokens[i], params, found, max);
	}
	else
	{
		found = add_suspect(text, &tokens[at], params, found, max);
		found = walk_operand(text, tokens, n, at + 1, 1, params, found, max, &last);
		found = walk_operand(text, tokens, n, at - 1, -1, params, found, max, &first);
	}
	span->from = tokens[first].start;
	span->to = token_end(&tokens[last]);
	return found;
}

int
pgaml_repair_core_suspects(const char *text, const RepairToken *tokens, int n, int position,
						   int *params, int max, RepairSpan *span)
{
	int			at = 0;
	int			found = 0;

	span->from = span->to = -1;
	if (n <= 0)
		return 0;
	while (at + 1 < n && tokens[at + 1].start <= position)
		at++;
	if (position >= 0)
		found = walk_around(text, tokens, n, at, params, max, span);
	for (int i = 0; i < n; i++)
		found = add_suspect(text, &tokens[i], params, found, max);
	return found;
}
