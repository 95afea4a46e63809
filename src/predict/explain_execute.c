/*-------------------------------------------------------------------------
 * explain_execute.c
 *		The predicted time in EXPLAIN EXECUTE, before 18.
 *
 * There the server explains the plan of a prepared statement without calling
 * any hook of EXPLAIN.  So the utility statement is met, the plan when it is
 * started, and the fields are put into what EXPLAIN sends: one more line of
 * text, or the same fields within the one document of the other formats.
 * Where rules make several plans of it nothing is added: it could not be told
 * whose the fields are.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/prepare.h"
#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "base/guc.h"
#include "compat/explain.h"
#include "predict/explain_line_internal.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

/* Stands between EXPLAIN and who receives its output. */
typedef struct Receiver
{
	DestReceiver pub;
	DestReceiver *inner;
	ExplainFormat format;
	TupleDesc	desc;			/* one column */
	PgamlExplained *what;
} Receiver;

static void
send_one(Receiver *receiver, Datum value)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(receiver->desc, &TTSOpsVirtual);

	slot->tts_values[0] = value;
	slot->tts_isnull[0] = false;
	ExecStoreVirtualTuple(slot);
	(void) receiver->inner->receiveSlot(slot, receiver->inner);
	ExecDropSingleTupleTableSlot(slot);
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	Receiver   *receiver = (Receiver *) self;

	receiver->desc = desc;
	receiver->inner->rStartup(receiver->inner, operation, desc);
}

/* The fields as they stand in the group of the query. */
static char *
fields(const Receiver *receiver)
{
	ExplainState *es = NewExplainState();

	es->format = receiver->format;
	es->indent = receiver->format == EXPLAIN_FORMAT_YAML ? 1 : 2;
	es->grouping_stack = list_make1_int(1);
	pgaml_explained_print(es, receiver->what);
	return es->str->data;
}

/* A document with the fields before its end, or as it is where that is not found. */
static char *
with_fields(const Receiver *receiver, char *document)
{
	static const char *const ends[] = {
		[EXPLAIN_FORMAT_XML] = "  </Query>\n</explain>",
		[EXPLAIN_FORMAT_JSON] = "\n  }\n]",
		[EXPLAIN_FORMAT_YAML] = "",
	};
	const char *end = ends[receiver->format];
	int			keep = (int) strlen(document) - (int) strlen(end);

	if (keep < 0 || strcmp(document + keep, end) != 0)
		return document;
	return psprintf("%.*s%s%s", keep, document, fields(receiver), end);
}

static bool
receiver_take(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	bool		isnull;
	Datum		value;

	if (receiver->format == EXPLAIN_FORMAT_TEXT || !receiver->what->met)
		return receiver->inner->receiveSlot(slot, receiver->inner);
	value = slot_getattr(slot, 1, &isnull);
	send_one(receiver, CStringGetTextDatum(with_fields(receiver, TextDatumGetCString(value))));
	return true;
}

static void
receiver_shutdown(DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;

	if (receiver->format == EXPLAIN_FORMAT_TEXT && receiver->what->met)
		send_one(receiver, CStringGetTextDatum(psprintf("%s: %s", PGAML_EXPLAIN_TIME,
														pgaml_explained_text(receiver->what))));
	receiver->inner->rShutdown(receiver->inner);
}

/* The receiver behind this one is its caller's. */
static void
receiver_destroy(DestReceiver *self)
{
}

/* What EXPLAIN will make of its options; it has the say about wrong ones. */
static ExplainFormat
format_of(const ExplainStmt *stmt)
{
	static const struct
	{
		const char *name;
		ExplainFormat format;
	}			formats[] = {
		{"xml", EXPLAIN_FORMAT_XML}, {"json", EXPLAIN_FORMAT_JSON}, {"yaml", EXPLAIN_FORMAT_YAML}
	};
	ExplainFormat format = EXPLAIN_FORMAT_TEXT;
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "format") != 0 || option->arg == NULL)
			continue;
		format = EXPLAIN_FORMAT_TEXT;
		for (int i = 0; i < lengthof(formats); i++)
			if (strcmp(defGetString(option), formats[i].name) == 0)
				format = formats[i].format;
	}
	return format;
}

/* The prepared statement that is explained, one with one plan; NULL when it is something else. */
static PreparedStatement *
prepared_of(const ExplainStmt *stmt)
{
	const Query *query = (const Query *) stmt->query;
	PreparedStatement *prepared;

	while (IsA(query, Query) && query->utilityStmt != NULL && IsA(query->utilityStmt, CreateTableAsStmt))
		query = (const Query *) ((const CreateTableAsStmt *) query->utilityStmt)->query;
	if (!IsA(query, Query) || query->utilityStmt == NULL || !IsA(query->utilityStmt, ExecuteStmt))
		return NULL;
	prepared = FetchPreparedStatement(((const ExecuteStmt *) query->utilityStmt)->name, false);
	return prepared != NULL && list_length(prepared->plansource->query_list) == 1 ? prepared : NULL;
}

static void
process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, query_string, read_only_tree, context, params, environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, environment, dest, qc);
}

static void
explain_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
						ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
						DestReceiver *dest, QueryCompletion *qc)
{
	PreparedStatement *prepared = NULL;
	PgamlExplained what;
	PgamlExplained *outer;
	Receiver	receiver = {
		.pub = {receiver_take, receiver_startup, receiver_shutdown, receiver_destroy, dest->mydest},
		.inner = dest, .what = &what
	};

	if (pgaml_explain_predicted_time && IsA(pstmt->utilityStmt, ExplainStmt))
		prepared = prepared_of((const ExplainStmt *) pstmt->utilityStmt);
	if (prepared == NULL)
	{
		process_utility(pstmt, query_string, read_only_tree, context, params, environment, dest, qc);
		return;
	}
	receiver.format = format_of((const ExplainStmt *) pstmt->utilityStmt);
	outer = pgaml_explained_begin(&what, prepared->plansource->query_string);
	PG_TRY();
	{
		process_utility(pstmt, query_string, read_only_tree, context, params, environment, &receiver.pub, qc);
	}
	PG_FINALLY();
	{
		pgaml_explained_end(outer);
	}
	PG_END_TRY();
}

void
pgaml_explain_execute_install(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = explain_process_utility;
}
