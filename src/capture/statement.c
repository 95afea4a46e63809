/*-------------------------------------------------------------------------
 * statement.c
 *		What parse analysis knows of a statement: parameter types, search_path.
 *
 * pg_stat_statements replaces constants by $n in the order of their place in
 * the text, numbered after the external parameters.  From 18 on, when a list
 * of constants was squashed, everything is numbered by place, external
 * parameters too, and a list is one $n of its element type.  The types found
 * here are in that order.
 *
 * Runs once per statement, user and search_path in a backend, and again
 * after PGAML_FACTS_REFRESH ticks.  The walk meets what query jumbling has
 * just met, with smaller frames.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/timestamp.h"

#include "base/fault.h"
#include "base/mix.h"
#include "base/shmem.h"
#include "compat/compat.h"
#include "capture/capture_internal.h"

#define SEEN_STATEMENTS 512		/* a power of two */

typedef struct SeenStatement
{
	uint64		key;
	uint64		offered;		/* tick */
} SeenStatement;

/* A place in the text that is a $n of the normalized text. */
typedef struct Constant
{
	int			location;		/* bytes from the start of the source text */
	Oid			type;			/* InvalidOid until the walk finds it */
} Constant;

typedef struct Collection
{
	int			nextern;		/* external parameters that keep their number */
	int			nconstants;
	Oid			extern_types[PGAML_MAX_PARAMS];
	Constant	constants[PGAML_MAX_PARAMS];	/* ascending by location */
} Collection;

static SeenStatement seen_statements[SEEN_STATEMENTS];

/* The search_path last hashed; a longer one is not remembered. */
static char hashed_path[PGAML_SEARCH_PATH_LEN];
static int64 path_hash = 0;

int64
pgaml_search_path_hash(void)
{
	const char *path = namespace_search_path ? namespace_search_path : "";
	size_t		length;

	if (likely(path_hash != 0 && strcmp(path, hashed_path) == 0))
		return path_hash;
	length = strlen(path);
	path_hash = (int64) hash_bytes_extended((const unsigned char *) path, (int) length, 0);
	if (path_hash == 0)
		path_hash = 1;
	if (length < sizeof(hashed_path))
		memcpy(hashed_path, path, length + 1);
	else
	{
		int64		hash = path_hash;

		path_hash = 0;
		return hash;
	}
	return path_hash;
}

void
pgaml_statement_begin(PgamlStatementFacts *facts, int64 queryid)
{
	const char *path = namespace_search_path ? namespace_search_path : "";

	memset(facts, 0, sizeof(PgamlStatementFacts));
	facts->dbid = MyDatabaseId;
	facts->userid = GetUserId();
	facts->queryid = queryid;
	facts->search_path_hash = pgaml_search_path_hash();
	facts->seen_at = GetCurrentTimestamp();
	facts->search_path_cut = strlen(path) >= sizeof(facts->search_path);
	if (!facts->search_path_cut)
		strcpy(facts->search_path, path);
}

/* Insert a place in order, unless it is there; false when there are too many. */
static bool
add_constant(Collection *all, int location)
{
	int			at = all->nconstants;

	while (at > 0 && all->constants[at - 1].location > location)
		at--;
	if (at > 0 && all->constants[at - 1].location == location)
		return true;
	if (all->nextern + all->nconstants == PGAML_MAX_PARAMS)
		return false;
	memmove(&all->constants[at + 1], &all->constants[at],
			(all->nconstants - at) * sizeof(Constant));
	all->constants[at].location = location;
	all->constants[at].type = InvalidOid;
	all->nconstants++;
	return true;
}

/* The places of constants; false when there are more than a record holds. */
static bool
collect_places(const JumbleState *jstate, Collection *all)
{
	memset(all, 0, sizeof(Collection));
	if (jstate->highest_extern_param_id > PGAML_MAX_PARAMS)
		return false;
	all->nextern = jstate->highest_extern_param_id;
	for (int i = 0; i < jstate->clocations_count; i++)
	{
		const LocationLen *place = &jstate->clocations[i];

		if (PGAML_LOCATION_IS_PARAM(place) && !PGAML_JUMBLE_SQUASHED(jstate))
			continue;
		if (!add_constant(all, place->location))
			return false;
	}
	return true;
}

/* Note the type of what stands at a place, if that is one of the places. */
static void
note_type(Collection *all, int location, Oid type)
{
	int			low = 0;
	int			high = all->nconstants - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (all->constants[middle].location == location)
		{
			if (!OidIsValid(all->constants[middle].type))
				all->constants[middle].type = type;
			return;
		}
		if (all->constants[middle].location < location)
			low = middle + 1;
		else
			high = middle - 1;
	}
}

static bool
collect_types(Node *node, void *context)
{
	Collection *all = context;

	if (node == NULL || stack_is_too_deep())
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_types, context,
								 QTW_IGNORE_JOINALIASES);
	if (IsA(node, Const))
		note_type(all, ((Const *) node)->location, ((Const *) node)->consttype);
	else if (IsA(node, ArrayExpr) && PGAML_ARRAY_LIST_START((ArrayExpr *) node) > 0)
		note_type(all, PGAML_ARRAY_LIST_START((ArrayExpr *) node) + 1,
				  ((ArrayExpr *) node)->element_typeid);
	else if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		Param	   *param = (Param *) node;

		if (param->paramid >= 1 && param->paramid <= all->nextern)
			all->extern_types[param->paramid - 1] = param->paramtype;
		note_type(all, param->location, param->paramtype);
	}
	return expression_tree_walker(node, collect_types, context);
}

/* Fill nparams and param_types; nparams stays -1 when there are too many. */
static void
find_types(const Query *query, const JumbleState *jstate, PgamlStatementFacts *facts)
{
	Collection	all;

	facts->nparams = -1;
	if (!collect_places(jstate, &all))
		return;
	if (all.nextern + all.nconstants > 0)
		(void) collect_types((Node *) query, &all);
	facts->nparams = all.nextern + all.nconstants;
	memcpy(facts->param_types, all.extern_types, all.nextern * sizeof(Oid));
	for (int i = 0; i < all.nconstants; i++)
		facts->param_types[all.nextern + i] = all.constants[i].type;
}

/* What is new here. */
typedef struct Seeing
{
	const Query *query;
	const JumbleState *jstate;
	bool		offered;		/* result */
} Seeing;

/* Shielded work. */
static void
offer(void *arg)
{
	Seeing	   *seeing = arg;
	PgamlStatementFacts facts;

	PGAML_FAULT("capture-statement");
	pgaml_statement_begin(&facts, (int64) seeing->query->queryId);
	find_types(seeing->query, seeing->jstate, &facts);
	seeing->offered = pgaml_mailbox_put_facts(&facts);
}

void
pgaml_statement_seen(const Query *query, const JumbleState *jstate)
{
	uint64		key = pgaml_mix(pgaml_mix((uint64) query->queryId, GetUserId()),
								(uint64) pgaml_search_path_hash());
	SeenStatement *seen = &seen_statements[key & (SEEN_STATEMENTS - 1)];
	uint64		tick = pg_atomic_read_u64(&pgaml_shared->tick);
	Seeing		seeing = {.query = query, .jstate = jstate};

	if (seen->key == key && tick - seen->offered < PGAML_FACTS_REFRESH)
		return;
	if (!pgaml_shield_run(offer, &seeing) || !seeing.offered)
		return;
	seen->key = key;
	seen->offered = tick;
}
