/*-------------------------------------------------------------------------
 * sample.h
 *		The records that hooks hand to the worker through shared memory.
 *
 * Pure data, fixed size, no pointers.  plan/ fills PgamlPlanFacts, capture/
 * the rest, history/drain writes them to execution_samples, statement_users
 * and statement_recent, features/ reads them.
 *
 * CAUTION: the order of PgamlPlanFact is stored (plan_facts real[]).  Append
 * only, and raise PGAML_FEATURE_VERSION in features/spec.h.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SAMPLE_H
#define PGAML_SAMPLE_H

#include "datatype/timestamp.h"

#define PGAML_MAX_RELATIONS		24	/* relations kept per plan */
#define PGAML_MAX_PARAMS		48	/* parameter types kept per statement */
#define PGAML_SEARCH_PATH_LEN	256 /* bytes, with the terminating zero */

/* One value per fact; NaN where unknown.  log means ln(1 + x). */
typedef enum PgamlPlanFact
{
	PGAML_PF_LOG_COST,			/* total cost of the top node */
	PGAML_PF_LOG_STARTUP_COST,	/* startup cost of the top node */
	PGAML_PF_LOG_ROWS,			/* estimated rows of the top node */
	PGAML_PF_WIDTH,				/* bytes, estimated width of the top node */
	PGAML_PF_LOG_MAX_ROWS,		/* largest estimated row count of any node */
	PGAML_PF_LOG_SUM_ROWS,		/* estimated rows over all nodes */
	PGAML_PF_NODES,				/* nodes in the plan, subplans included */
	PGAML_PF_DEPTH,				/* longest path from the top to a leaf */
	PGAML_PF_RELATIONS,			/* scans of a stored relation */
	PGAML_PF_SEQ_SCANS,			/* sequential and sample scans */
	PGAML_PF_INDEX_SCANS,		/* index scans */
	PGAML_PF_INDEX_ONLY_SCANS,	/* index-only scans */
	PGAML_PF_BITMAP_SCANS,		/* bitmap heap scans */
	PGAML_PF_OTHER_SCANS,		/* function, values, CTE, foreign, ... scans */
	PGAML_PF_NESTED_LOOPS,		/* nested loop joins */
	PGAML_PF_HASH_JOINS,		/* hash joins */
	PGAML_PF_MERGE_JOINS,		/* merge joins */
	PGAML_PF_SORTS,				/* sorts and incremental sorts */
	PGAML_PF_HASH_AGGREGATES,	/* hashed aggregates */
	PGAML_PF_OTHER_AGGREGATES,	/* plain, sorted and window aggregates, groups */
	PGAML_PF_MATERIALIZES,		/* materialize and memoize */
	PGAML_PF_APPENDS,			/* append, merge append, set operations */
	PGAML_PF_LIMITS,			/* limits */
	PGAML_PF_SUBPLANS,			/* SubPlans and InitPlans */
	PGAML_PF_SUBQUERY_DEPTH,	/* deepest nesting of SubPlans and subquery scans */
	PGAML_PF_MODIFIES,			/* 1 if the plan changes data */
	PGAML_PF_PARALLEL_WORKERS,	/* workers planned */
	PGAML_PF_LOG_SPILL_KB,		/* kB beyond work_mem that sorts and hashes are estimated to need */
	PGAML_PF_LOG_SEQ_COST,		/* cost of all sequential scans */
	PGAML_PF_LOG_INNER_LOOPS,	/* estimated executions of the inner sides of nested loops */
	PGAML_PF_SUBPLAN_LOG_COST,	/* per-call cost of the costliest correlated SubPlan times outer rows */
	PGAML_PF_JIT,				/* 1 if the plan asks for JIT */
	PGAML_PF_LOG_MAX_COST,		/* largest total cost of any node: that below a LIMIT is not cut down */
	PGAML_PF_LOG_LOOPED_ROWS,	/* estimated rows over all nodes and all their executions */
	PGAML_PF_LOG_SORTED_ROWS,	/* estimated rows that go into sorts, over all their executions */
	PGAML_PF_LOG_GROUPED_ROWS,	/* estimated rows that go into aggregates and window functions, likewise */
	PGAML_PF_LOG_MODIFIED_ROWS, /* estimated rows that are inserted, updated or deleted */
	PGAML_PF_COUNT
} PgamlPlanFact;

typedef struct PgamlPlanFacts
{
	int64		plan_id;		/* core's, or a hash of the plan's shape; never 0 */
	float		values[PGAML_PF_COUNT]; /* see PgamlPlanFact */
	int32		nrelations;		/* entries used in relations */
	Oid			relations[PGAML_MAX_RELATIONS]; /* distinct stored relations, ascending */
	bool		relations_cut;	/* there were more */
} PgamlPlanFacts;

typedef enum PgamlOutcome
{
	PGAML_OUTCOME_DONE = 'd',
	PGAML_OUTCOME_ERROR = 'e',
	PGAML_OUTCOME_CANCELLED = 'c',
	PGAML_OUTCOME_EXPLAINED = 'x'	/* done, but by EXPLAIN ANALYZE: with a clock at its nodes, its rows not sent */
} PgamlOutcome;

/*
 * One captured execution.  NaN and -1 stand for "not instrumented" and are
 * stored as NULL.
 */
typedef struct PgamlSample
{
	TimestampTz sampled_at;		/* when the execution ended */
	Oid			dbid;
	Oid			userid;
	int64		queryid;		/* never 0 */
	int64		plan_id;		/* PgamlPlanFacts.plan_id */
	bool		toplevel;		/* as pg_stat_statements counts it */
	bool		nodes_counted;	/* rows were counted for every node */
	char		outcome;		/* PgamlOutcome */
	int16		active_backends;	/* executing statements at the start, this one included */
	float		weight;			/* executions this one stands for, >= 1 */
	float		plan_values[PGAML_PF_COUNT];	/* of this very execution's plan */
	double		planning_ms;	/* NaN when the plan came from a cache */
	double		execution_ms;
	double		jit_ms;			/* of it, compiling in this process; NaN: none */
	int64		rows;			/* rows returned or changed */
	double		top_rows_estimated; /* of the top node */
	double		top_rows_true;	/* NaN unless the top node ran to its end once */
	double		worst_rows_estimated;	/* of the node whose estimate was worst; NaN */
	double		worst_rows_true;
	int32		worst_node;		/* its place in the order of EXPLAIN, from 0; -1 */
	int64		shared_blks_hit;
	int64		shared_blks_read;
	int64		shared_blks_dirtied;
	int64		shared_blks_written;
	int64		temp_blks_read;
	int64		temp_blks_written;
	double		blk_read_ms;	/* NaN unless track_io_timing */
	double		blk_write_ms;
	int64		wal_bytes;
	int64		sort_memory_kb; /* peak of the largest sort that stayed in memory; -1 */
	int64		sort_disk_kb;	/* peak of the largest sort that did not, 0: all stayed; -1 */
	int64		hash_memory_kb; /* peak of the largest hash table, of joins, groups and memoize; -1 */
	int32		batches;		/* most batches of any join or grouping, 1: all in memory; -1 */
	int32		place;			/* number of the statement in its transaction, from 1 */
	int64		session_id;		/* pid and backend start, hashed */
	int64		transaction_no; /* number of the transaction in its session, from 1 */
	int64		previous_queryid;	/* statement before this one in the session; 0 */
	int64		previous_rows;	/* rows that one returned or changed; -1 */
	int32		application_hash;	/* hash of application_name */
} PgamlSample;

/*
 * What is known of a statement as one user ran it: what statement_users
 * holds.  Written by hooks when new or changed, read by history/drain.
 */
typedef struct PgamlStatementFacts
{
	Oid			dbid;
	Oid			userid;
	int64		queryid;
	int64		search_path_hash;
	TimestampTz seen_at;
	int32		nparams;		/* -1: not seen by parse analysis */
	Oid			param_types[PGAML_MAX_PARAMS];	/* of $1..$n of the normalized text */
	bool		search_path_cut;	/* it was longer than this; search_path is empty */
	char		search_path[PGAML_SEARCH_PATH_LEN];
	PgamlPlanFacts plan;		/* last plan; plan_id 0: none yet */
} PgamlStatementFacts;

#endif							/* PGAML_SAMPLE_H */
