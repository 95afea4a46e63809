/*-------------------------------------------------------------------------
 * features_sql.c
 *		query_features(): the vector that predictions of a statement rest on;
 *		list_features(): what its places mean.
 *
 * The same row that a prediction would use now, from what the session knows.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/acl.h"
#include "base/export.h"
#include "predict/known.h"

#define FEATURE_COLUMNS 7
#define LIST_COLUMNS	5

PGAML_FUNCTION_INFO_V1(pgaml_query_features);
PGAML_FUNCTION_INFO_V1(pgaml_list_features);

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
	const PgamlKnown *entry = NULL;
	const char *instead = NULL;
	bool		cache_hit;
	double		coverage;

	InitMaterializedSRF(fcinfo, 0);
	if (queryid != 0)
		entry = pgaml_known_find(queryid, &cache_hit, &coverage);
	if (entry == NULL || !pgaml_acl_may_see(GetUserId(), entry->users, entry->nusers))
		instead = "unknown query identifier, or one that only other users ran";
	for (int i = 0; i < PGAML_F_COUNT; i++)
		put_feature((ReturnSetInfo *) fcinfo->resultinfo, i, instead ? NAN : entry->row[i], instead);
	return (Datum) 0;
}

/*
 * list_features()
 * RETURNS TABLE (position, feature, unit, meaning, canonical)
 */
Datum
pgaml_list_features(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < PGAML_F_COUNT; i++)
	{
		PgamlFeatureName name = pgaml_feature_name(i);
		Datum		values[LIST_COLUMNS];
		bool		nulls[LIST_COLUMNS] = {false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = CStringGetTextDatum(name.name);
		values[2] = CStringGetTextDatum(name.unit);
		values[3] = CStringGetTextDatum(name.meaning);
		values[4] = BoolGetDatum(i < PGAML_F_CANONICAL);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
