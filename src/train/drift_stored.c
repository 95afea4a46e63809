/*-------------------------------------------------------------------------
 * drift_stored.c
 *		Keeps what was usual with its model, and reads it back.
 *
 * The JSON is that of drift_reference.c.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/spi_run.h"
#include "train/drift_reference.h"

void
pgaml_drift_reference_store(int64 model_id, const char *json)
{
	static const char sql[] =
		"UPDATE pganalytics.query_performance_models SET drift_reference = $2::jsonb "
		" WHERE model_id = $1 AND origin = (SELECT origin FROM pganalytics.installation)";
	Oid			types[] = {INT8OID, TEXTOID};
	Datum		values[] = {Int64GetDatum(model_id), CStringGetTextDatum(json)};

	pgaml_spi_exec(sql, 2, types, values, NULL, false);
}

/* How many rows a query about the model gives. */
static int
ask(const char *sql, int64 model_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model_id)};

	return (int) pgaml_spi_exec(sql, 1, types, values, NULL, false);
}

static int
feature_named(const char *name)
{
	for (int i = 0; i < PGAML_F_COUNT; i++)
		if (strcmp(pgaml_feature_name(i).name, name) == 0)
			return i;
	return -1;
}

/* One feature; false when it is none of this build's, or damaged. */
static bool
read_feature(HeapTuple tuple, TupleDesc desc, PgamlDriftFeature *out)
{
	void	   *borders;
	void	   *counts;
	int			nborders = pgaml_row_array(tuple, desc, 2, FLOAT4OID, &borders);
	int			ncounts = pgaml_row_array(tuple, desc, 3, FLOAT8OID, &counts);
	char	   *name = SPI_getvalue(tuple, desc, 1);

	out->feature = name ? feature_named(name) : -1;
	if (out->feature < 0 || nborders >= PGAML_BINS || ncounts != nborders + 2)
		return false;
	out->bins.n = nborders + 1;
	if (nborders > 0)
		memcpy(out->bins.border, borders, sizeof(float) * nborders);
	memcpy(out->counts, counts, sizeof(double) * ncounts);
	out->usual = pgaml_row_float8(tuple, desc, 4);
	return true;
}

static void
read_features(int64 model_id, PgamlDriftReference *reference)
{
	static const char sql[] =
		"SELECT f.feature, f.borders, f.counts, f.usual "
		"  FROM pganalytics.models m, "
		"       jsonb_to_recordset(m.drift_reference -> 'features') "
		"         f(feature text, borders float4[], counts float8[], usual float8) "
		" WHERE m.model_id = $1 AND m.meant";
	int			n = ask(sql, model_id);
	SPITupleTable *table = SPI_tuptable;

	reference->features = palloc(sizeof(PgamlDriftFeature) * Max(n, 1));
	for (int i = 0; i < n; i++)
		reference->nfeatures += read_feature(table->vals[i], table->tupdesc,
											 &reference->features[reference->nfeatures]);
}

static void
read_statements(int64 model_id, PgamlDriftReference *reference)
{
	static const char sql[] =
		"SELECT s.queryid, s.center, s.spread, s.usual "
		"  FROM pganalytics.models m, "
		"       jsonb_to_recordset(m.drift_reference -> 'statements') "
		"         s(queryid int8, center float8, spread float8, usual float8) "
		" WHERE m.model_id = $1 AND m.meant";
	int			n = ask(sql, model_id);
	SPITupleTable *table = SPI_tuptable;

	reference->statements = palloc(sizeof(PgamlDriftStatement) * Max(n, 1));
	for (int i = 0; i < n; i++)
		reference->statements[reference->nstatements++] = (PgamlDriftStatement) {
			.queryid = pgaml_row_int8(table->vals[i], table->tupdesc, 1, 0),
			.center = pgaml_row_float8(table->vals[i], table->tupdesc, 2),
			.spread = pgaml_row_float8(table->vals[i], table->tupdesc, 3),
			.usual = pgaml_row_float8(table->vals[i], table->tupdesc, 4)
		};
}

PgamlDriftReference *
pgaml_drift_reference_read(int64 model_id)
{
	static const char sql[] =
		"SELECT r.hours, r.block_s, r.usual_ks, r.error, r.usual_error, r.usual_coverage, r.usual_novelty, "
		"       r.scores, r.quarters "
		"  FROM pganalytics.models m, "
		"       jsonb_to_record(m.drift_reference) "
		"         r(hours float8, block_s float8, usual_ks float8, error float8, usual_error float8, "
		"           usual_coverage float8, usual_novelty float8, scores float4[], quarters float8[]) "
		" WHERE m.model_id = $1 AND m.meant AND m.drift_reference IS NOT NULL";
	PgamlDriftReference *reference;
	HeapTuple	tuple;
	TupleDesc	desc;

	if (ask(sql, model_id) == 0)
		return NULL;
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	reference = palloc0(sizeof(PgamlDriftReference));
	reference->hours = pgaml_row_float8(tuple, desc, 1);
	reference->block_s = pgaml_row_float8(tuple, desc, 2);
	reference->usual_ks = pgaml_row_float8(tuple, desc, 3);
	reference->error = pgaml_row_float8(tuple, desc, 4);
	reference->usual_error = pgaml_row_float8(tuple, desc, 5);
	reference->usual_coverage = pgaml_row_float8(tuple, desc, 6);
	reference->usual_novelty = pgaml_row_float8(tuple, desc, 7);
	reference->nscores = pgaml_row_array(tuple, desc, 8, FLOAT4OID, (void **) &reference->scores);
	reference->nquarters = pgaml_row_array(tuple, desc, 9, FLOAT8OID, (void **) &reference->quarters);
	read_features(model_id, reference);
	read_statements(model_id, reference);
	return reference;
}
