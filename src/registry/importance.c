/*-------------------------------------------------------------------------
 * importance.c
 *		feature_importance() and feature_report(): what was measured of a
 *		model's features when it was trained.
 *
 * Both are stored with the model by the training run, so reading is cheap and
 * the same on a standby.  The stored JSON carries names, units and meanings:
 * a model of another feature version is still reported truly.
 *
 *		importance = {"part", "rows", "shap_rows", "features": [{"feature",
 *			"gain", "permutation", "shap"}, ...]}
 *		feature_statistics = [{"feature", "unit", "meaning", "canonical",
 *			"rows", "missing", "minimum", ...}, ...]
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/export.h"
#include "base/spi_run.h"
#include "registry/registry.h"

PGAML_FUNCTION_INFO_V1(pgaml_feature_importance);
PGAML_FUNCTION_INFO_V1(pgaml_feature_report);

static const char *const methods[] = {"gain", "permutation", "shap"};

/*
 * Inside the bracket: ERROR when there is no such model.  False, with a
 * notice, when it has nothing stored in that column.
 */
static bool
has_stored(int64 model_id, const char *sql, const char *what)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model_id)};
	bool		isnull;

	if (pgaml_spi_exec(sql, 1, types, values, NULL, true) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model " INT64_FORMAT " does not exist", model_id),
				 errhint("See list_models() for the models there are.")));
	if (DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
		return true;
	ereport(NOTICE,
			(errmsg("model " INT64_FORMAT " has no stored %s", model_id, what),
			 errdetail("The model was imported, or its training had no time or memory left for it."),
			 errhint("Models that train_performance_model() makes have it.")));
	return false;
}

/*
 * feature_importance(model_id bigint, method text)
 * RETURNS TABLE (rank, feature, importance, share)
 *
 * An importance below zero is chance, and has no share.
 */
Datum
pgaml_feature_importance(PG_FUNCTION_ARGS)
{
	static const char exists[] =
		"SELECT m.importance IS NOT NULL "
		"  FROM pganalytics.models m WHERE m.model_id = $1 AND m.meant";
	static const char sql[] =
		"SELECT (row_number() OVER (ORDER BY f.importance DESC, f.at))::int4, f.feature, f.importance, "
		"       greatest(f.importance, 0) / nullif(sum(greatest(f.importance, 0)) OVER (), 0) "
		"  FROM (SELECT e.at, e.f ->> 'feature' AS feature, (e.f ->> $2)::float8 AS importance "
		"          FROM pganalytics.models m, "
		"               jsonb_array_elements(m.importance -> 'features') WITH ORDINALITY e(f, at) "
		"         WHERE m.model_id = $1 AND m.meant) f "
		" ORDER BY 1";
	int64		model_id = PG_GETARG_INT64(0);
	char	   *method = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Oid			types[] = {INT8OID, TEXTOID};
	Datum		values[] = {Int64GetDatum(model_id), CStringGetTextDatum(method)};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		known = false;
	PgamlSpi	spi;

	for (int i = 0; i < lengthof(methods); i++)
		known = known || strcmp(method, methods[i]) == 0;
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown method \"%s\"", method),
				 errhint("Allowed are: gain, permutation, shap.")));
	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	if (has_stored(model_id, exists, "feature importance"))
	{
		pgaml_spi_into(sql, 2, types, values, NULL, rsinfo);
	}
	pgaml_spi_close(&spi);
	return (Datum) 0;
}

/*
 * feature_report(model_id bigint)
 * RETURNS TABLE (position, feature, unit, meaning, canonical, minimum, p05, median, p95, maximum,
 *				  mean, missing_share, distinct_values, deviation, outliers, outlier_share, finding)
 */
Datum
pgaml_feature_report(PG_FUNCTION_ARGS)
{
	static const char exists[] =
		"SELECT m.feature_statistics IS NOT NULL "
		"  FROM pganalytics.models m WHERE m.model_id = $1 AND m.meant";
	static const char sql[] =
		"SELECT e.at::int4, s.feature, s.unit, s.meaning, s.canonical, s.minimum, s.p05, s.median, s.p95, s.maximum, "
		"       s.mean, s.missing / nullif(s.\"rows\", 0)::float8, s.\"distinct\", s.deviation, s.outliers, "
		"       s.outliers / nullif(s.\"rows\" - s.missing, 0)::float8, "
		"       CASE WHEN s.\"rows\" = s.missing THEN 'never known in training' "
		"            WHEN s.\"distinct\" = 1 AND s.missing = 0 THEN 'constant: nothing can be learnt from it' "
		"            WHEN s.\"distinct\" = 1 THEN 'the same wherever it is known' "
		"            WHEN s.outliers > 0 THEN format('%s of %s values are below %s or above %s', s.outliers, "
		"                 s.\"rows\" - s.missing, (s.median - 3 * s.deviation)::float4, (s.median + 3 * s.deviation)::float4) "
		"       END "
		"  FROM pganalytics.models m, "
		"       jsonb_array_elements(m.feature_statistics) WITH ORDINALITY e(f, at), "
		"       jsonb_to_record(e.f) s(feature text, unit text, meaning text, canonical bool, \"rows\" int8, missing int8, "
		"         minimum float8, p05 float8, median float8, p95 float8, maximum float8, mean float8, "
		"         \"distinct\" int8, deviation float8, outliers int8) "
		" WHERE m.model_id = $1 AND m.meant "
		" ORDER BY 1";
	int64		model_id = PG_GETARG_INT64(0);
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model_id)};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PgamlSpi	spi;

	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	if (has_stored(model_id, exists, "feature statistics"))
	{
		pgaml_spi_into(sql, 1, types, values, NULL, rsinfo);
	}
	pgaml_spi_close(&spi);
	return (Datum) 0;
}
