/*-------------------------------------------------------------------------
 * batch.h
 *		Rows gathered in memory, handed to one SQL statement as arrays.
 *
 * The statement reads them with unnest($1, $2, ...): one parameter per
 * column, followed by the scalars that pgaml_batch_exec is given.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_BATCH_H
#define PGAML_BATCH_H

#include "postgres.h"

#define PGAML_BATCH_COLUMNS	32	/* most columns */
#define PGAML_BATCH_SCALARS	8	/* most scalars after them */

typedef struct PgamlBatch
{
	int			ncolumns;
	int			nrows;
	int			size;			/* rows there is room for */
	const Oid  *types;			/* of the columns' elements; the caller's, as long as the batch lives */
	Datum	   *values[PGAML_BATCH_COLUMNS];
	bool	   *nulls[PGAML_BATCH_COLUMNS];
} PgamlBatch;

/* Memory comes from the current context and grows with the rows. */
extern void pgaml_batch_init(PgamlBatch *batch, int ncolumns, const Oid *types);

/* Append one row; Datums are kept as they are.  nulls may be NULL. */
extern void pgaml_batch_add(PgamlBatch *batch, const Datum *values, const bool *nulls);

/*
 * Run sql inside an open pgaml_spi bracket with the columns as arrays and
 * nscalars values after them.  Does nothing and returns 0 for no rows.
 */
extern uint64 pgaml_batch_exec(const PgamlBatch *batch, const char *sql, int nscalars,
							   const Oid *scalar_types, const Datum *scalars);

#endif							/* PGAML_BATCH_H */
