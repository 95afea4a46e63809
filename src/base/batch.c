/*-------------------------------------------------------------------------
 * batch.c
 *		Rows gathered in memory, handed to one SQL statement as arrays.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/lsyscache.h"

#include "base/batch.h"
#include "base/spi_run.h"

#define FIRST_SIZE	64

void
pgaml_batch_init(PgamlBatch *batch, int ncolumns, const Oid *types)
{
	Assert(ncolumns <= PGAML_BATCH_COLUMNS);
	memset(batch, 0, sizeof(PgamlBatch));
	batch->ncolumns = ncolumns;
	batch->types = types;
	batch->size = FIRST_SIZE;
	for (int i = 0; i < ncolumns; i++)
	{
		batch->values[i] = palloc(sizeof(Datum) * FIRST_SIZE);
		batch->nulls[i] = palloc(sizeof(bool) * FIRST_SIZE);
	}
}

static void
grow(PgamlBatch *batch)
{
	batch->size *= 2;
	for (int i = 0; i < batch->ncolumns; i++)
	{
		batch->values[i] = repalloc_huge(batch->values[i], sizeof(Datum) * batch->size);
		batch->nulls[i] = repalloc_huge(batch->nulls[i], sizeof(bool) * batch->size);
	}
}

void
pgaml_batch_add(PgamlBatch *batch, const Datum *values, const bool *nulls)
{
	if (batch->nrows == batch->size)
		grow(batch);
	for (int i = 0; i < batch->ncolumns; i++)
	{
		batch->values[i][batch->nrows] = values[i];
		batch->nulls[i][batch->nrows] = nulls != NULL && nulls[i];
	}
	batch->nrows++;
}

/* One column as an array Datum. */
static Datum
column_array(const PgamlBatch *batch, int i)
{
	int16		length;
	bool		by_value;
	char		align;
	int			dims = batch->nrows;
	int			lower = 1;

	get_typlenbyvalalign(batch->types[i], &length, &by_value, &align);
	return PointerGetDatum(construct_md_array(batch->values[i], batch->nulls[i], 1,
											  &dims, &lower, batch->types[i],
											  length, by_value, align));
}

uint64
pgaml_batch_exec(const PgamlBatch *batch, const char *sql, int nscalars,
				 const Oid *scalar_types, const Datum *scalars)
{
	Oid			types[PGAML_BATCH_COLUMNS + PGAML_BATCH_SCALARS];
	Datum		values[PGAML_BATCH_COLUMNS + PGAML_BATCH_SCALARS];

	Assert(nscalars <= PGAML_BATCH_SCALARS);
	if (batch->nrows == 0)
		return 0;
	for (int i = 0; i < batch->ncolumns; i++)
	{
		types[i] = get_array_type(batch->types[i]);
		values[i] = column_array(batch, i);
	}
	for (int i = 0; i < nscalars; i++)
	{
		types[batch->ncolumns + i] = scalar_types[i];
		values[batch->ncolumns + i] = scalars[i];
	}
	return pgaml_spi_exec(sql, batch->ncolumns + nscalars, types, values, NULL, false);
}
