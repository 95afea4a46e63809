/*-------------------------------------------------------------------------
 * sql.c
 *		query_features(): the vector that predictions of a statement rest on.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "utils/builtins.h"

#include "base/acl.h"
#include "base/export.h"
#include "base/spi_run.h"
#include "features/features.h"

#define FEATURE_COLUMNS 7

PGAML_FUNCTION_INFO_V1(pgaml_query_features);

static void
put_feature(ReturnSetInfo *rsinfo, int feature, double value, const char *instead)
{
	PgamlFeatureName name = pgaml_feature_name(feature);
	Datum		values[FEATURE_COLUMNS];
	bool		nulls[FEATURE_COLUMNS] = {false};
	bool		known = isfinite(value);

	values[0] = Int32GetDatum(feature + 1);
	values[1] = CStringGetTextDatum(name.name);
	values[2] = Float8GetDatum(value);
	nulls[2] = !known;
	values[3] = CStringGetTextDatum(name.unit);
	values[4] = CStringGetTextDatum(name.meaning);
	nulls[5] = known;
	values[5] = CStringGetTextDatum(instead ? instead : name.unknown);
	values[6] = BoolGetDatum(feature < PGAML_F_CANONICAL);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * query_features(queryid bigint)
 * RETURNS TABLE (position, feature, value, unit, meaning, reason, canonical)
 *
 * A statement that is unknown, or that the caller may not see, has no values
 * and says so as the reason.
 */
Datum
pgaml_query_features(PG_FUNCTION_ARGS)
{
	int64		queryid = PG_GETARG_INT64(0);
	PgamlStatement *statement;
	PgamlStatementSet *set;
	PgamlRunsSummary summary;
	const char *instead = NULL;
	float		row[PGAML_F_COUNT];
	PgamlSpi	spi;

	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	set = pgaml_statements_load(CurrentMemoryContext, true);
	statement = queryid != 0 ? pgaml_statement_find(set, queryid) : NULL;
	if (statement != NULL && pgaml_acl_may_see(spi.saved_userid, statement->users, statement->nusers))
		pgaml_statement_row(set, statement, set->loaded_at, row, &summary);
	else
		instead = "unknown query identifier, or one that only other users ran";
	for (int i = 0; i < PGAML_F_COUNT; i++)
		put_feature((ReturnSetInfo *) fcinfo->resultinfo, i, instead ? NAN : row[i], instead);
	pgaml_spi_close(&spi);
	return (Datum) 0;
}
