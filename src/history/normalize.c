/*-------------------------------------------------------------------------
 * normalize.c
 *		What kind of statement is a text, and its form without literals.
 *
 * pg_stat_statements has replaced most constants by $n, which the raw parser
 * refuses in places (INTERVAL $1).  So each $n is masked by a string constant
 * of the same length before parsing: locations stay true.  Strings are
 * replaced wherever they stand; numbers where the tree has a constant, which
 * leaves type modifiers and positions in ORDER BY and GROUP BY alone.
 *
 * The raw parser reads no catalog and takes no lock, so its errors are caught
 * without a subtransaction: all it leaves behind is memory.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/keywords.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "tcop/utility.h"
#include "utils/memutils.h"

#include "history/normalize.h"
#include "history/text_core.h"

/* What a PL/pgSQL expression lacks to be a statement. */
static const char expression_prefix[] = "SELECT ";

typedef struct Tokens
{
	TextToken  *list;
	int			n;
} Tokens;

/* Locations of constants in a raw parse tree, and where to stop looking. */
typedef struct ConstantWalk
{
	int		   *locations;
	int			n;
	int			size;
	int			offset;			/* of the parsed text before the original one */
} ConstantWalk;

/* May this error be swallowed?  Anything about the text itself. */
static bool
is_text_error(int code)
{
	int			category = ERRCODE_TO_CATEGORY(code);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}

/* In a PG_CATCH block: forget an error about the text, pass any other on. */
static void
swallow_text_error(MemoryContext context)
{
	MemoryContextSwitchTo(context);
	if (!is_text_error(geterrcode()))
		PG_RE_THROW();
	FlushErrorState();
}

/*
 * TOKENS
 */

static void
add_token(Tokens *tokens, int *size, const char *text, int start, int length)
{
	if (tokens->n == *size)
	{
		*size *= 2;
		tokens->list = repalloc_huge(tokens->list, sizeof(TextToken) * *size);
	}
	tokens->list[tokens->n++] = (TextToken)
	{
		.start = start,.length = length,.kind = pgaml_text_core_kind(text + start)
	};
}

/* Cut text into tokens; false when the scanner refuses it. */
static bool
scan(const char *text, Tokens *tokens)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;
	int			size = 64;

	tokens->n = 0;
	tokens->list = palloc(sizeof(TextToken) * size);
	PG_TRY();
	{
		core_yy_extra_type extra;
		core_YYSTYPE value;
		YYLTYPE		location = 0;
		core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);

		extra.escape_string_warning = false;
		while (core_yylex(&value, &location, scanner) != 0)
			/* The scanner ends its buffer behind the current token. */
			add_token(tokens, &size, text, location, (int) strlen(extra.scanbuf + location));
		scanner_finish(scanner);
		done = true;
	}
	PG_CATCH();
	{
		swallow_text_error(context);
	}
	PG_END_TRY();
	return done;
}

static bool
token_is(const char *text, const TextToken *token, const char *word)
{
	return token->kind == TEXT_WORD && (int) strlen(word) == token->length &&
		pg_strncasecmp(text + token->start, word, token->length) == 0;
}

static bool
token_is_char(const char *text, const TextToken *token, char c)
{
	return token->length == 1 && text[token->start] == c;
}

/*
 * PARSING
 */

static List *
try_parse(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *volatile list = NIL;

	PG_TRY();
	{
		list = raw_parser(text, RAW_PARSE_DEFAULT);
	}
	PG_CATCH();
	{
		swallow_text_error(context);
		list = NIL;
	}
	PG_END_TRY();
	return list;
}

/* The text behind prefix with every $n turned into a string constant of its length. */
static char *
mask_params(const char *text, const Tokens *tokens, const char *prefix)
{
	int			offset = strlen(prefix);
	char	   *masked = psprintf("%s%s", prefix, text);

	for (int i = 0; i < tokens->n; i++)
	{
		const TextToken *token = &tokens->list[i];
		char	   *param = masked + offset + token->start;

		if (token->kind != TEXT_PARAM)
			continue;
		memset(param, ' ', token->length);
		param[0] = '\'';
		param[token->length - 1] = '\'';
	}
	return masked;
}

static bool
has_into(const SelectStmt *select)
{
	while (select->larg != NULL)
		select = select->larg;
	return select->intoClause != NULL;
}

static bool
is_plannable(const Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_SelectStmt:
			return !has_into((const SelectStmt *) stmt);
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			return true;
		default:
			return false;
	}
}

/*
 * CONSTANTS
 */

static bool find_constants(Node *node, ConstantWalk *walk);

static void
add_location(ConstantWalk *walk, int location)
{
	if (location < walk->offset)
		return;
	if (walk->n == walk->size)
	{
		walk->size *= 2;
		walk->locations = repalloc_huge(walk->locations, sizeof(int) * walk->size);
	}
	walk->locations[walk->n++] = location - walk->offset;
}

/* An integer that stands for a column of the result. */
static bool
is_position(Node *node)
{
	return node != NULL && IsA(node, A_Const) && !((A_Const *) node)->isnull &&
		IsA(&((A_Const *) node)->val, Integer);
}

static bool
find_in_list(List *list, ConstantWalk *walk)
{
	ListCell   *cell;

	foreach(cell, list)
	{
		Node	   *node = lfirst(cell);
		bool		stop;

		if (is_position(node))
			continue;
		if (node != NULL && IsA(node, SortBy))
			stop = !is_position(((SortBy *) node)->node) && find_constants(node, walk);
		else if (node != NULL && IsA(node, GroupingSet))
			stop = find_in_list(((GroupingSet *) node)->content, walk);
		else
			stop = find_constants(node, walk);
		if (stop)
			return true;
	}
	return false;
}

/* Everything of a SELECT, but positions in its ORDER BY, GROUP BY and DISTINCT ON. */
static bool
find_in_select(SelectStmt *select, ConstantWalk *walk)
{
	SelectStmt	rest = *select;

	rest.sortClause = NIL;
	rest.groupClause = NIL;
	rest.distinctClause = NIL;
	if (find_in_list(select->sortClause, walk) || find_in_list(select->groupClause, walk))
		return true;
	/* DISTINCT without ON is a list of one NULL. */
	if (select->distinctClause != NIL && linitial(select->distinctClause) != NULL &&
		find_in_list(select->distinctClause, walk))
		return true;
	return raw_expression_tree_walker((Node *) &rest, find_constants, walk);
}

static bool
find_constants(Node *node, ConstantWalk *walk)
{
	if (node == NULL)
		return false;
	check_stack_depth();
	switch (nodeTag(node))
	{
		case T_A_Const:
			add_location(walk, ((A_Const *) node)->location);
			return false;
		case T_TypeName:
			return false;
		case T_SelectStmt:
			return find_in_select((SelectStmt *) node, walk);
		case T_CommonTableExpr:
			{
				CTECycleClause *cycle = ((CommonTableExpr *) node)->cycle_clause;

				if (cycle != NULL && (find_constants(cycle->cycle_mark_value, walk) ||
									  find_constants(cycle->cycle_mark_default, walk)))
					return true;
				return raw_expression_tree_walker(node, find_constants, walk);
			}
		default:
			return raw_expression_tree_walker(node, find_constants, walk);
	}
}

/* Locations of constants in stmt; false when the tree holds what the walker does not know. */
static bool
constants_of(Node *stmt, ConstantWalk *walk)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	walk->n = 0;
	walk->size = 64;
	walk->locations = palloc(sizeof(int) * walk->size);
	PG_TRY();
	{
		(void) find_constants(stmt, walk);
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		/* The walker reports an unknown node as an internal error. */
		if (!is_text_error(geterrcode()) && geterrcode() != ERRCODE_INTERNAL_ERROR)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return done;
}

static int
compare_int(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return x < y ? -1 : x > y;
}

static bool
has_location(const ConstantWalk *walk, int location)
{
	return bsearch(&location, walk->locations, walk->n, sizeof(int), compare_int) != NULL;
}

/*
 * Mark the constants.  A negative number starts at its sign, which becomes
 * part of the token.  Without a walk every number is one.
 */
static void
mark_constants(const char *text, Tokens *tokens, ConstantWalk *walk)
{
	int			kept = 0;

	if (walk != NULL)
		qsort(walk->locations, walk->n, sizeof(int), compare_int);
	for (int i = 0; i < tokens->n; i++)
	{
		TextToken	token = tokens->list[i];

		if (walk != NULL && token_is_char(text, &token, '-') && i + 1 < tokens->n &&
			tokens->list[i + 1].kind == TEXT_NUMBER && has_location(walk, token.start))
		{
			const TextToken *number = &tokens->list[++i];

			token.length = number->start + number->length - token.start;
			token.constant = true;
		}
		else if (token.kind == TEXT_STRING)
			token.constant = true;
		else if (token.kind == TEXT_NUMBER)
			token.constant = walk == NULL || has_location(walk, token.start);
		tokens->list[kept++] = token;
	}
	tokens->n = kept;
}

/*
 * JUDGING
 */

/* Index of the token behind PREPARE name [ (types) ] AS; 0 when there is no such start. */
static int
behind_prepare(const char *text, const Tokens *tokens)
{
	if (tokens->n == 0 || !token_is(text, &tokens->list[0], "prepare"))
		return 0;
	for (int i = 2; i + 1 < tokens->n; i++)
		if (token_is(text, &tokens->list[i], "as"))
			return i + 1;
	return 0;
}

/* Index of the token behind "variable :=" of PL/pgSQL; 0 when there is none. */
static int
behind_assignment(const char *text, const Tokens *tokens)
{
	for (int i = 1; i + 1 < tokens->n; i++)
		if (tokens->list[i].length == 2 && strncmp(text + tokens->list[i].start, ":=", 2) == 0)
			return i + 1;
	return 0;
}

static char *
render(const char *text, const Tokens *tokens, int first)
{
	int			n = tokens->n - first;
	const TextToken *list = tokens->list + first;
	char	   *out;

	while (n > 0 && token_is_char(text, &list[n - 1], ';'))
		n--;
	out = palloc_extended(pgaml_text_core_bound(text, list, n), MCXT_ALLOC_HUGE);
	pgaml_text_core_rewrite(text, list, n, out);
	return out;
}

/* A text that parsed; prefix_length bytes were put before it. */
static void
judge_tree(const char *text, Tokens *tokens, List *list, int prefix_length, NormalizedText *out)
{
	Node	   *stmt = linitial_node(RawStmt, list)->stmt;
	bool		several = list_length(list) > 1;
	int			first = 0;
	ConstantWalk walk = {.offset = prefix_length};

	if (IsA(stmt, PrepareStmt))
	{
		stmt = ((PrepareStmt *) stmt)->query;
		first = behind_prepare(text, tokens);
	}
	out->plannable = is_plannable(stmt);
	out->tag = CreateCommandName(stmt);
	if (IsA(stmt, SelectStmt) && !out->plannable)
		out->tag = "SELECT INTO";
	if (!out->plannable)
		return;
	mark_constants(text, tokens, !several && constants_of(stmt, &walk) ? &walk : NULL);
	out->text = render(text, tokens, first);
	if (prefix_length > 0)
		out->text = psprintf("%s%s", expression_prefix, out->text);
}

static const struct
{
	const char *word;
	const char *tag;
}			plannable_starts[] = {
	{"select", "SELECT"},
	{"insert", "INSERT"},
	{"update", "UPDATE"},
	{"delete", "DELETE"},
	{"merge", "MERGE"},
	{"with", "SELECT"},
	{"values", "SELECT"},
	{"table", "SELECT"},
};

/* A text that does not parse, by its first word. */
static void
judge_words(const char *text, Tokens *tokens, bool cut, NormalizedText *out)
{
	int			first = behind_prepare(text, tokens);
	const TextToken *start;

	while (first < tokens->n && token_is_char(text, &tokens->list[first], '('))
		first++;
	if (first >= tokens->n)
		return;
	start = &tokens->list[first];
	for (int i = 0; i < lengthof(plannable_starts); i++)
	{
		if (!token_is(text, start, plannable_starts[i].word))
			continue;
		out->plannable = true;
		out->tag = plannable_starts[i].tag;
		if (cut)
			return;
		mark_constants(text, tokens, NULL);
		out->text = render(text, tokens, behind_prepare(text, tokens));
		return;
	}
}

/* A text that was cut into tokens, or as far as the scanner could. */
static void
judge(const char *text, Tokens *tokens, NormalizedText *out)
{
	List	   *list = try_parse(mask_params(text, tokens, ""));
	int			value;

	if (list != NIL)
	{
		judge_tree(text, tokens, list, 0, out);
		return;
	}
	list = try_parse(mask_params(text, tokens, expression_prefix));
	value = behind_assignment(text, tokens);
	if (list != NIL && list_length(list) == 1)
		judge_tree(text, tokens, list, strlen(expression_prefix), out);
	else if (value > 0)
		pgaml_history_normalize(text + tokens->list[value].start, false, out);
	else
		judge_words(text, tokens, false, out);
}

void
pgaml_history_normalize(const char *text, bool cut, NormalizedText *out)
{
	Tokens		tokens;

	*out = (NormalizedText)
	{
		.tag = GetCommandTagName(CMDTAG_UNKNOWN)
	};
	if (!scan(text, &tokens) && tokens.n == 0)
		return;
	if (cut)
	{
		judge_words(text, &tokens, true, out);
		return;
	}
	/* Judging merges tokens, but leaves strings alone. */
	judge(text, &tokens, out);
	if (pgaml_text_core_is_ambiguous(text, tokens.list, tokens.n))
		out->text = NULL;
}
