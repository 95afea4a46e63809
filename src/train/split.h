/*-------------------------------------------------------------------------
 * split.h
 *		Which rows train, which calibrate, which test.
 *
 * A plain split, one of the three strategies, divides whatever rows a run
 * reads.  One of create_data_split() names the same rows for ever: its window
 * is frozen, and a row's part follows from the row and the split alone.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_SPLIT_H
#define PGAML_TRAIN_SPLIT_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "ml/stages.h"

typedef enum PgamlSplitStrategy
{
	PGAML_SPLIT_TIME,			/* newest rows held out */
	PGAML_SPLIT_GROUP,			/* whole statements held out */
	PGAML_SPLIT_RANDOM
} PgamlSplitStrategy;

#define PGAML_SPLIT_STRATEGIES	(PGAML_SPLIT_RANDOM + 1)
#define PGAML_SPLIT_PARTS		(ML_PART_TEST + 1)

/* All zero is a plain split by time. */
typedef struct PgamlSplit
{
	PgamlSplitStrategy strategy;
	char		name[NAMEDATALEN];	/* of data_splits; empty: a plain one */
	TimestampTz from;			/* window; until 0: not frozen, and nothing below counts */
	TimestampTz until;
	uint64		seed;			/* group, random */
	double		fractions[PGAML_SPLIT_PARTS];	/* by MlPart, sum 1 */
	bool		has_borders;	/* else they are to be found in the rows */
	double		border[PGAML_SPLIT_PARTS - 1];	/* keys of rows from which on they calibrate, and test */
	int64		rows;			/* in the window when it was created; 0: not known */
} PgamlSplit;

/* What one row is judged by. */
typedef struct PgamlSplitRow
{
	double		at;				/* s since the PostgreSQL epoch */
	int64		queryid;
	double		log_ms;
} PgamlSplitRow;

/* "time", "group", "random". */
extern const char *pgaml_split_strategy_name(PgamlSplitStrategy strategy);

/* A plain split with a frozen window. */
extern void pgaml_split_freeze(PgamlSplit *split, int lookback_days, uint64 seed);

/*
 * What decides about a row: by time its moment, else a number in [0, 1) drawn
 * from what it is.  The rows of a part have keys below those of the next.
 */
extern double pgaml_split_key(const PgamlSplit *split, const PgamlSplitRow *row);

/*
 * Set the borders so that each part has its share of n keys, n >= 1: by time
 * those of all rows, by group one of each statement.  Sorts them.
 */
extern void pgaml_split_set_borders(PgamlSplit *split, double *keys, int64 n);

/* Part of one row; borders must be set. */
extern MlPart pgaml_split_part(const PgamlSplit *split, const PgamlSplitRow *row);

/*
 * In a transaction: the plain split or the one of data_splits that has this
 * name; ERROR when there is none.
 */
extern void pgaml_split_find(const char *name, PgamlSplit *split);

/* As JSON, palloc'd: a name as text where that says all, else everything; and back, checked. */
extern char *pgaml_split_json(const PgamlSplit *split);
extern void pgaml_split_parse(const JsonbValue *json, PgamlSplit *split);

/* A clause that says how many rows of a frozen split are no longer there; NULL when none are missing. */
extern char *pgaml_split_gone(const PgamlSplit *split, int64 rows);

#endif							/* PGAML_TRAIN_SPLIT_H */
