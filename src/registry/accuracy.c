/*-------------------------------------------------------------------------
 * accuracy.c
 *		How good were predictions?  prediction_accuracy(), recent_predictions()
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/export.h"
#include "base/spi_run.h"

#define MOST_ROWS	1000

PGAML_FUNCTION_INFO_V1(pgaml_prediction_accuracy);
PGAML_FUNCTION_INFO_V1(pgaml_recent_predictions);

static void
answer(FunctionCallInfo fcinfo, const char *sql, Oid type, Datum value)
{
	PgamlSpi	spi;

	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	pgaml_spi_into(sql, 1, &type, &value, NULL, (ReturnSetInfo *) fcinfo->resultinfo);
	pgaml_spi_close(&spi);
}

/* prediction_accuracy(group_by text) RETURNS TABLE (...), see truth.c for what is judged */
Datum
pgaml_prediction_accuracy(PG_FUNCTION_ARGS)
{
	static const char *const groups[] = {"model", "statement", "source", "day"};

	/* A bucket's median says nothing about an interval, which is for a single execution. */
	static const char sql[] =
		"SELECT g.item, g.n, g.statements, g.q[1], g.q[2], g.q[3], g.bias, g.covered, g.nominal, g.intervals "
		"FROM (SELECT CASE $1 WHEN 'model' THEN coalesce(p.model_id::text, 'none') "
		"                     WHEN 'statement' THEN p.queryid::text WHEN 'source' THEN p.source "
		"                     ELSE to_char(p.predicted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS item, "
		"  count(*) AS n, count(DISTINCT p.queryid) AS statements, min(p.model_id) AS model_id, "
		"  percentile_cont(ARRAY[0.5, 0.9, 0.95]) WITHIN GROUP (ORDER BY exp(abs(p.log_error))) AS q, "
		"  avg(p.log_error) AS bias, "
		"  avg((p.actual_ms BETWEEN p.lower_ms AND p.upper_ms)::int::float8) FILTER (WHERE p.actual_source <> 'bucket') AS covered, "
		"  avg(p.coverage) FILTER (WHERE p.actual_source <> 'bucket') AS nominal, "
		"  count(*) FILTER (WHERE p.actual_source <> 'bucket') AS intervals "
		"  FROM pganalytics.predictions p WHERE p.judged GROUP BY 1) g "
		"ORDER BY CASE $1 WHEN 'model' THEN g.model_id WHEN 'statement' THEN -g.n END NULLS LAST, g.item COLLATE \"C\"";

	for (int i = 0; i < lengthof(groups) && !PG_ARGISNULL(0); i++)
	{
		if (strcmp(text_to_cstring(PG_GETARG_TEXT_PP(0)), groups[i]) == 0)
		{
			answer(fcinfo, sql, TEXTOID, PG_GETARG_DATUM(0));
			return (Datum) 0;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("group_by must be model, statement, source or day%s%s",
					PG_ARGISNULL(0) ? ", not NULL" : ", not ",
					PG_ARGISNULL(0) ? "" : quote_literal_cstr(text_to_cstring(PG_GETARG_TEXT_PP(0))))));
}

/* recent_predictions(max_rows integer) RETURNS TABLE (...), newest first */
Datum
pgaml_recent_predictions(PG_FUNCTION_ARGS)
{
	static const char sql[] =
		"SELECT p.prediction_id, p.predicted_at, p.queryid, p.userid, p.source, p.model_id, p.model_version, "
		"  p.predicted_ms, p.lower_ms, p.upper_ms, p.confidence, p.in_range, p.novel, p.cache_hit, "
		"  p.latency_us::float8, p.actual_ms, p.actual_source, exp(abs(p.log_error)), "
		"  CASE WHEN p.actual_source <> 'bucket' THEN p.actual_ms BETWEEN p.lower_ms AND p.upper_ms END, p.judged "
		"FROM pganalytics.predictions p ORDER BY p.prediction_id DESC LIMIT $1";
	int32		max_rows = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);

	if (max_rows < 1 || max_rows > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be from 1 to %d, not %s", MOST_ROWS,
						PG_ARGISNULL(0) ? "NULL" : psprintf("%d", max_rows))));
	answer(fcinfo, sql, INT4OID, Int32GetDatum(max_rows));
	return (Datum) 0;
}
