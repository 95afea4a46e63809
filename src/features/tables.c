/*-------------------------------------------------------------------------
 * tables.c
 *		What the catalog says of the tables of a plan.
 *
 * Index scans of the catalog only; no lock on the tables themselves is taken,
 * and nothing is computed that VACUUM and ANALYZE have not written there.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_statistic.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

#include "features/features.h"

#define BYTES_PER_MB		(1024.0 * 1024.0)

void
pgaml_tables_sum(const PgamlTable *tables, int n, PgamlTables *out)
{
	int			widths = 0;
	double		width = 0.0;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < n; i++)
	{
		if (!(tables[i].rows >= 0.0))
			continue;
		out->known++;
		out->size_mb += tables[i].pages * BLCKSZ / BYTES_PER_MB;
		out->indexes += tables[i].indexes;
		out->rows += tables[i].rows;
		if (!isnan(tables[i].row_width))
		{
			width += tables[i].row_width;
			widths++;
		}
	}
	if (out->known > 0)
		out->size_mb /= out->known;
	out->row_width = widths > 0 ? width / widths : get_float8_nan();
}

static double
count_indexes(Relation pg_index, Oid relid)
{
	ScanKeyData key;
	SysScanDesc scan;
	double		n = 0.0;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_index, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(systable_getnext(scan)))
		n++;
	systable_endscan(scan);
	return n;
}

/* Mean bytes of all analyzed columns; NaN without one. */
static double
row_width(Relation pg_statistic, Oid relid)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	double		width = 0.0;
	bool		known = false;

	ScanKeyInit(&key, Anum_pg_statistic_starelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_statistic, StatisticRelidAttnumInhIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_statistic column = (Form_pg_statistic) GETSTRUCT(tuple);

		if (column->stainherit)
			continue;
		width += column->stawidth;
		known = true;
	}
	systable_endscan(scan);
	return known ? width : get_float8_nan();
}

void
pgaml_tables_of(const Oid *relations, int n, PgamlTables *out)
{
	Relation	pg_index = table_open(IndexRelationId, AccessShareLock);
	Relation	pg_statistic = table_open(StatisticRelationId, AccessShareLock);
	PgamlTable *tables = palloc(sizeof(PgamlTable) * Max(n, 1));
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relations[i]));
		PgamlTable *table = &tables[found];

		if (!HeapTupleIsValid(tuple))	/* dropped meanwhile */
			continue;
		table->pages = ((Form_pg_class) GETSTRUCT(tuple))->relpages;
		table->rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
		table->indexes = count_indexes(pg_index, relations[i]);
		table->row_width = row_width(pg_statistic, relations[i]);
		found++;
	}
	pgaml_tables_sum(tables, found, out);
	pfree(tables);
	table_close(pg_statistic, AccessShareLock);
	table_close(pg_index, AccessShareLock);
}
