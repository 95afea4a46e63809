/*-------------------------------------------------------------------------
 * repair.c
 *		From a normalized text to a plan, by repair and trial.
 *
 * Where capture saw the types of the constants most texts can be planned as
 * they stand.  What the grammar refuses is written differently
 * (repair_core.h); where no types are known, those of the parameters next to
 * an error are tried, commonest first, and one is kept when the error moves
 * on.  Every try is a bracket of its own, and only errors of parsing and
 * analysis lead to another try: nothing that planning runs decides.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "plan/repair_core.h"
#include "plan/replan_internal.h"

#define MAX_TRIES		120		/* brackets opened for one statement */
#define MAX_SUSPECTS	16		/* parameters whose types are tried at one error */
#define MAX_TEXT		(1024 * 1024)	/* bytes of a text that is repaired */
#define MAX_PARAMETERS	4096	/* types of later ones are not tried */

/* Types tried, in this order. */
static const Oid candidates[] = {
	INT4OID, TEXTOID, INTERVALOID, TIMESTAMPTZOID, DATEOID, NUMERICOID, FLOAT8OID, BOOLOID,
	INT4ARRAYOID, TEXTARRAYOID,
};

typedef struct Repair
{
	PgamlPlanning *planning;
	const PgamlRole *role;
	Oid		   *types;			/* MAX_PARAMETERS of them */
	RepairToken *tokens;
	int			ntokens;		/* of planning->text; -1: too many */
	int			tries;
	TimestampTz began;
	bool		literals;		/* repaired already */
	bool		groups;
} Repair;

/* An error that the user's cancel, or the server, has raised: not for us to keep. */
static bool
is_interrupt(const ErrorData *error)
{
	return error->funcname != NULL && strncmp(error->funcname, "Process", 7) == 0 &&
		strstr(error->funcname, "Interrupt") != NULL;
}

/* A type's own functions may run while a text is analyzed: the limit of one try ends them all. */
static bool
may_try(const Repair *repair)
{
	return repair->tries < MAX_TRIES &&
		(repair->role->time_limit == 0 ||
		 !TimestampDifferenceExceeds(repair->began, GetCurrentTimestamp(), repair->role->time_limit));
}

/* One try; NULL when it was planned, else the error, in the current context. */
static ErrorData *
try(Repair *repair)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	repair->tries++;
	repair->planning->param_types = repair->types;
	repair->planning->nparams = MAX_PARAMETERS;
	PG_TRY();
	{
		pgaml_replan_run(repair->planning, repair->role);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!repair->planning->begun || is_interrupt(error))
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return error;
}

/* ---- the text ---- */

static void
cut_tokens(Repair *repair)
{
	const char *text = repair->planning->text;
	int			max = (int) strlen(text) + 1;

	repair->tokens = palloc(sizeof(RepairToken) * max);
	repair->ntokens = pgaml_repair_core_tokens(text, repair->tokens, max);
}

/* Replace the text by what a repair makes of it; false: nothing to repair. */
static bool
rewrite_text(Repair *repair, bool (*write) (const char *, const RepairToken *, int, char *))
{
	const char *text = repair->planning->text;
	char	   *out = palloc(pgaml_repair_core_bound(text, repair->ntokens));

	if (repair->ntokens < 0 || !write(text, repair->tokens, repair->ntokens, out))
		return false;
	repair->planning->text = out;
	cut_tokens(repair);
	return true;
}

static bool
repair_text(Repair *repair, const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_SYNTAX_ERROR:
			if (repair->literals)
				return false;
			repair->literals = true;
			return rewrite_text(repair, pgaml_repair_core_literals);
		case ERRCODE_GROUPING_ERROR:
		case ERRCODE_INVALID_COLUMN_REFERENCE:
			if (repair->groups)
				return false;
			repair->groups = true;
			return rewrite_text(repair, pgaml_repair_core_groups);
		default:
			return false;
	}
}

/* ---- types ---- */

/* May other types of parameters help? */
static bool
is_about_types(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_AMBIGUOUS_FUNCTION:
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_AMBIGUOUS_PARAMETER:
		case ERRCODE_INDETERMINATE_DATATYPE:
		case ERRCODE_DATATYPE_MISMATCH:
		case ERRCODE_CANNOT_COERCE:
		case ERRCODE_INVALID_TEXT_REPRESENTATION:
			return true;
		default:
			return false;
	}
}

/* Byte in the text at which the error stands; -1: unknown. */
static int
byte_of(const char *text, const ErrorData *error)
{
	int			position = error->internalpos;
	const char *at = text;

	if (position <= 0 || error->internalquery == NULL || strcmp(error->internalquery, text) != 0)
		return -1;
	while (--position > 0 && *at != '\0')
		at += pg_mblen(at);
	return (int) (at - text);
}

/*
 * Is the new error another one?  Operands are analyzed before what takes
 * them: an error among them is one that the try has made.
 */
static bool
is_progress(const Repair *repair, const ErrorData *error, const ErrorData *next, const RepairSpan *span)
{
	int			position = byte_of(repair->planning->text, next);

	if (repair->planning->understood || !is_about_types(next))
		return true;
	if (position == byte_of(repair->planning->text, error))
		return false;
	return position < span->from || position >= span->to;
}

/* Try types for one parameter.  True: one led to another error, or to none (*error NULL). */
static bool
try_types(Repair *repair, int param, const RepairSpan *span, ErrorData **error)
{
	for (int i = 0; i < lengthof(candidates) && may_try(repair); i++)
	{
		ErrorData  *next;

		repair->types[param - 1] = candidates[i];
		next = try(repair);
		if (next == NULL || is_progress(repair, *error, next, span))
		{
			*error = next;
			return true;
		}
	}
	repair->types[param - 1] = InvalidOid;
	return false;
}

/* A type for one of the parameters next to the error, or for any other. */
static bool
repair_types(Repair *repair, ErrorData **error)
{
	int			suspects[MAX_SUSPECTS];
	RepairSpan	span;
	int			n;

	if (!is_about_types(*error) || repair->ntokens < 0)
		return false;
	n = pgaml_repair_core_suspects(repair->planning->text, repair->tokens, repair->ntokens,
								   byte_of(repair->planning->text, *error), suspects, MAX_SUSPECTS, &span);
	for (int i = 0; i < n && may_try(repair); i++)
		if (suspects[i] <= MAX_PARAMETERS && !OidIsValid(repair->types[suspects[i] - 1]) &&
			try_types(repair, suspects[i], &span, error))
			return true;
	return false;
}

/* Types that were captured and do not fit any longer are forgotten, once. */
static bool
forget_types(Repair *repair, const ErrorData *error, bool *captured)
{
	if (!*captured || !is_about_types(error))
		return false;
	*captured = false;
	memset(repair->types, 0, sizeof(Oid) * MAX_PARAMETERS);
	return true;
}

/*
 * What is told of an error.  Messages about names and rights, and our own, are
 * for everybody; any other may hold what the role's functions have read.
 */
static char *
reason_of(const ErrorData *error, const PgamlPlanning *planning, Oid role)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	if (!planning->understood || has_privs_of_role(GetUserId(), role) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_QUERY_CANCELED))
		return psprintf("cannot be planned: %s", error->message);
	return psprintf("cannot be planned: error %s in code that planning runs",
					unpack_sql_state(error->sqlerrcode));
}

bool
pgaml_repair_and_plan(PgamlPlanning *planning, const PgamlRole *role, const char **problem)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(context, "pganalytics_ml repair", ALLOCSET_DEFAULT_SIZES);
	Repair		repair = {.planning = planning,.role = role,.began = GetCurrentTimestamp()};
	bool		captured = planning->nparams > 0;
	bool		repairable = strlen(planning->text) <= MAX_TEXT;
	ErrorData  *error;

	MemoryContextSwitchTo(scratch);
	repair.types = palloc0(sizeof(Oid) * MAX_PARAMETERS);
	if (captured)
		memcpy(repair.types, planning->param_types,
			   sizeof(Oid) * Min(planning->nparams, MAX_PARAMETERS));
	cut_tokens(&repair);
	error = try(&repair);
	while (error != NULL && repairable && !planning->understood && may_try(&repair))
	{
		if (repair_text(&repair, error))
			error = try(&repair);
		else if (!repair_types(&repair, &error))
		{
			if (!forget_types(&repair, error, &captured))
				break;
			error = try(&repair);
		}
	}
	MemoryContextSwitchTo(context);
	if (error != NULL)
		*problem = reason_of(error, planning, role->userid);
	MemoryContextDelete(scratch);
	return error == NULL;
}
