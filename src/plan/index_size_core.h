/*-------------------------------------------------------------------------
 * index_size_core.h
 *		How large an index would be that is built now.
 *
 * Pure arithmetic over what statistics say of the indexed values: no server
 * header.  Sizes are those right after CREATE INDEX, which packs pages to
 * their fillfactor; an index that has lived for a while is larger.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_INDEX_SIZE_CORE_H
#define PGAML_INDEX_SIZE_CORE_H

#include <stdbool.h>

#define PGAML_INDEX_MAX_COLUMNS 32
#define PGAML_INDEX_WIDTHS		64

/* One column of the index, as it is stored. */
typedef struct PgamlIndexColumn
{
	int			nwidths;		/* 1: all values are that wide */
	float		widths[PGAML_INDEX_WIDTHS]; /* bytes of values that are not null, headers included */
	int			align;			/* 1, 2, 4 or 8 */
	double		null_frac;		/* 0..1 */
	double		distinct;		/* keys: different values of this and all columns before, >= 1 */
} PgamlIndexColumn;

/* Keys that are found about equally often. */
typedef struct PgamlIndexGroup
{
	double		keys;			/* how many different keys */
	double		rows;			/* mean number of rows of each, >= 1 */
	unsigned	nulls;			/* key columns that are null, bit by bit */
} PgamlIndexGroup;

typedef struct PgamlIndexShape
{
	double		tuples;			/* rows in the index */
	int			ncolumns;
	int			nkeys;			/* the others are included ones */
	PgamlIndexColumn columns[PGAML_INDEX_MAX_COLUMNS];
	int			ngroups;		/* of keys; their rows add up to tuples */
	const PgamlIndexGroup *groups;
	bool		deduplicate;	/* btree: equal keys share an entry */
	int			fillfactor;		/* percent */
	double		block_size;		/* bytes */
} PgamlIndexShape;

typedef struct PgamlIndexSize
{
	double		pages;			/* all of the file's, at least 1 */
	int			height;			/* btree: levels above the leaves; else -1 */
} PgamlIndexSize;

extern PgamlIndexSize pgaml_index_size_btree(const PgamlIndexShape *shape);
extern PgamlIndexSize pgaml_index_size_hash(const PgamlIndexShape *shape);

/* Built from sorted entries, or by inserting them. */
extern PgamlIndexSize pgaml_index_size_gist(const PgamlIndexShape *shape, bool sorted);

/* values: stored per column and range of pages, two for minmax. */
extern PgamlIndexSize pgaml_index_size_brin(const PgamlIndexShape *shape, double table_pages,
											double pages_per_range, double values);

#endif							/* PGAML_INDEX_SIZE_CORE_H */
