/*-------------------------------------------------------------------------
 * features.h
 *		Reads what is known of statements and turns it into feature vectors.
 *
 * Functions that read tables run inside an open pgaml_spi bracket, write
 * nothing and raise errors.  Results are in the memory context given.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_FEATURES_H
#define PGAML_FEATURES_H

#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "features/spec.h"
#include "features/state_core.h"

/* What does not change from one execution to the next. */
typedef struct PgamlTables
{
	int			known;			/* tables with statistics */
	double		size_mb;		/* mean */
	double		indexes;		/* sum */
	double		rows;			/* sum */
	double		row_width;		/* mean, bytes; NaN when never analyzed */
} PgamlTables;

/* What the catalog says of one table. */
typedef struct PgamlTable
{
	double		pages;
	double		rows;			/* negative: never vacuumed nor analyzed */
	double		indexes;
	double		row_width;		/* bytes; NaN when never analyzed */
} PgamlTable;

/* Means and sums over the tables of one plan. */
extern void pgaml_tables_sum(const PgamlTable *tables, int n, PgamlTables *out);

/* The same of these relations, straight from the catalog; in a transaction. */
extern void pgaml_tables_of(const Oid *relations, int n, PgamlTables *out);

/* Everything known of one queryid. */
typedef struct PgamlStatement
{
	int64		queryid;		/* hash key */
	bool		plannable;		/* false: utility or not known yet */
	double		first_seen;		/* s since the PostgreSQL epoch; NaN */
	int			nusers;
	Oid		   *users;			/* who ran it */
	int64		plan_id;		/* last plan; 0 = none captured */
	double		plan_seen;		/* s, when it was */
	float	   *plan_values;	/* PGAML_PF_COUNT, or NULL */
	PgamlTables tables;
	PgamlRuns	runs;
	PgamlCalls	calls;
	bool		captured;		/* runs are single executions, not buckets */
	double		lifetime_calls; /* of pg_stat_statements; 0 = not there */
	double		lifetime_mean;	/* ms */
	double		lifetime_std_dev;	/* ms */
} PgamlStatement;

/* All statements of the database at one moment. */
typedef struct PgamlStatementSet
{
	MemoryContext context;
	HTAB	   *statements;		/* PgamlStatement by queryid */
	TimestampTz loaded_at;
	int			bucket_width;	/* s */
	double		coverage;		/* of the buckets that calls come from, 0..1 */
	double		memory_pct;		/* available memory now; NaN */
	bool		pgss_missing;	/* pg_stat_statements could not be read */
} PgamlStatementSet;

/* Read everything once.  The set lives in a new child of parent. */
extern PgamlStatementSet *pgaml_statements_load(MemoryContext parent, bool read_only);

/*
 * Read only these statements, by the index; cheap when they are few.  Their
 * lifetime counters are those of the last tick.
 */
extern PgamlStatementSet *pgaml_statements_load_few(MemoryContext parent, const int64 *queryids, int n,
													bool read_only);

/* Inside an open SPI bracket: width in force of a bucket of history, s. */
extern int	pgaml_features_bucket_width(bool read_only);

extern void pgaml_statements_free(PgamlStatementSet *set);
extern PgamlStatement *pgaml_statement_find(const PgamlStatementSet *set, int64 queryid);

/* Number of the bucket in which it was first seen; INT64_MAX when that is not known. */
extern int64 pgaml_statement_first(const PgamlStatementSet *set, const PgamlStatement *statement);

/* Rises when this very backend collected: what it has read is out of date then. */
extern uint64 pgaml_statements_collected_here(void);

/* What a row is built from, as of one moment. */
typedef struct PgamlMoment
{
	double		at;				/* s since the PostgreSQL epoch */
	int64		bucket;			/* number of the bucket that holds it */
	double		per_hour;		/* buckets in an hour */
	double		memory_pct;
} PgamlMoment;

/*
 * Fill row[PGAML_F_COUNT] from the state of a statement, with these plan
 * values (or NULL).  summary receives what the runs say.
 */
extern void pgaml_feature_row(const PgamlTables *tables, const PgamlRuns *runs,
							  const PgamlCalls *calls, int64 plan_id, const float *plan_values,
							  const PgamlMoment *moment, float *row, PgamlRunsSummary *summary);

/* The moment now, with what a set knows of it. */
extern void pgaml_moment(int bucket_width, double memory_pct, TimestampTz now, PgamlMoment *out);

/* The same for a loaded statement as of now. */
extern void pgaml_statement_row(const PgamlStatementSet *set, const PgamlStatement *statement,
								TimestampTz now, float *row, PgamlRunsSummary *summary);

#endif							/* PGAML_FEATURES_H */
