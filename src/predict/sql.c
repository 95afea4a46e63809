/*-------------------------------------------------------------------------
 * sql.c
 *		SQL entry points of prediction by query identifier.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/float.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/fault.h"
#include "predict/log.h"
#include "predict/predict.h"
#include "predict/sql_internal.h"
#include "registry/registry.h"

#define LATENCY_EVERY		64	/* predictions of a statement of which one is timed */

PGAML_FUNCTION_INFO_V1(pgaml_predict_query_time);
PGAML_FUNCTION_INFO_V1(pgaml_predict_query_execution);
PGAML_FUNCTION_INFO_V1(pgaml_predict_query_executions);

/*
 * Predict, and tell how long that took, in us; NaN when it was not measured.
 * The first prediction of a client's statement is, because it is the one that
 * may have to read everything, and then one in LATENCY_EVERY.
 */
static float
predict(int64 queryid, bool want_reason, PgamlPrediction *out)
{
	static TimestampTz last_began = 0;
	static uint32 turn = 0;
	TimestampTz began = GetCurrentStatementStartTimestamp();
	instr_time	start;
	instr_time	took;

	if (began == last_began && ++turn % LATENCY_EVERY != 0)
	{
		pgaml_predict_queryid(queryid, want_reason, out);
		return get_float4_nan();
	}
	last_began = began;
	INSTR_TIME_SET_CURRENT(start);
	pgaml_predict_queryid(queryid, want_reason, out);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	return (float) (INSTR_TIME_GET_DOUBLE(took) * 1e6);
}

/* predict_query_time(queryid bigint) RETURNS double precision, ms; NULL without an answer */
Datum
pgaml_predict_query_time(PG_FUNCTION_ARGS)
{
	PgamlPrediction prediction;
	float		latency_us = predict(PG_GETARG_INT64(0), false, &prediction);

	(void) pgaml_log_prediction(&prediction, 0, latency_us);
	if (prediction.source == ML_SOURCE_NONE)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(prediction.predicted_ms);
}

/* predict_query_execution(id bigint) RETURNS TABLE (...), one row */
Datum
pgaml_predict_query_execution(PG_FUNCTION_ARGS)
{
	PgamlPrediction prediction;
	float		latency_us;

	InitMaterializedSRF(fcinfo, 0);
	latency_us = predict(PG_GETARG_INT64(0), true, &prediction);
	pgaml_put_prediction((ReturnSetInfo *) fcinfo->resultinfo, &prediction, latency_us);
	return (Datum) 0;
}

static void
put_rows(ReturnSetInfo *rsinfo, const int64 *queryids, int n)
{
	for (int i = 0; i < n; i++)
	{
		PgamlPrediction prediction;
		float		latency_us = predict(queryids[i], true, &prediction);

		pgaml_put_prediction(rsinfo, &prediction, latency_us);
		PGAML_FAULT("predict_next");
		CHECK_FOR_INTERRUPTS();
	}
}

/* predict_query_executions(queryids bigint[]) RETURNS TABLE (...), in the order given */
Datum
pgaml_predict_query_executions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			n = pgaml_batch_length(array, "queryids");
	int64	   *queryids = (int64 *) ARR_DATA_PTR(array);

	InitMaterializedSRF(fcinfo, 0);
	pgaml_registry_hold();
	PG_TRY();
	{
		put_rows(rsinfo, queryids, n);
	}
	PG_FINALLY();
	{
		pgaml_registry_release();
	}
	PG_END_TRY();
	return (Datum) 0;
}
