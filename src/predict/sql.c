/*-------------------------------------------------------------------------
 * sql.c
 *		SQL entry points of prediction.
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
#include "utils/builtins.h"
#include "utils/float.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/fault.h"
#include "predict/log.h"
#include "predict/predict.h"
#include "registry/registry.h"

#define PREDICTION_COLUMNS	16
#define BATCH_MAX			1000
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

static void
set_ms(Datum *values, bool *nulls, int column, double ms)
{
	nulls[column] = !isfinite(ms);
	values[column] = Float8GetDatum(ms);
}

static void
put_row(ReturnSetInfo *rsinfo, const PgamlPrediction *prediction, float latency_us)
{
	TimestampTz now = pgaml_clock_now();
	int64		id = pgaml_log_prediction(prediction, now, latency_us);
	Datum		values[PREDICTION_COLUMNS] = {0};
	bool		nulls[PREDICTION_COLUMNS] = {false};
	bool		answered = prediction->source != ML_SOURCE_NONE;

	values[0] = Int64GetDatum(prediction->queryid);
	set_ms(values, nulls, 1, prediction->predicted_ms);
	set_ms(values, nulls, 2, prediction->expected_ms);
	set_ms(values, nulls, 3, prediction->lower_ms);
	set_ms(values, nulls, 4, prediction->upper_ms);
	set_ms(values, nulls, 5, prediction->std_dev_ms);
	set_ms(values, nulls, 6, answered ? prediction->confidence : NAN);
	nulls[7] = !answered;
	if (answered)
		values[7] = CStringGetTextDatum(pgaml_ml_source_name(prediction->source));
	nulls[8] = prediction->reason == NULL;
	if (prediction->reason != NULL)
		values[8] = CStringGetTextDatum(prediction->reason);
	nulls[9] = !answered;
	values[9] = BoolGetDatum(prediction->in_range);
	nulls[10] = !answered || !prediction->plan_known || prediction->model_id == 0;
	values[10] = BoolGetDatum(prediction->novel);
	set_ms(values, nulls, 11, prediction->coverage);
	nulls[12] = prediction->model_id == 0;
	values[12] = Int32GetDatum(prediction->model_version);
	values[13] = BoolGetDatum(prediction->cache_hit);
	nulls[14] = id == 0;
	values[14] = Int64GetDatum(id);
	values[15] = TimestampTzGetDatum(now);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* predict_query_execution(id bigint) RETURNS TABLE (...), one row */
Datum
pgaml_predict_query_execution(PG_FUNCTION_ARGS)
{
	PgamlPrediction prediction;
	float		latency_us;

	InitMaterializedSRF(fcinfo, 0);
	latency_us = predict(PG_GETARG_INT64(0), true, &prediction);
	put_row((ReturnSetInfo *) fcinfo->resultinfo, &prediction, latency_us);
	return (Datum) 0;
}

static void
put_rows(ReturnSetInfo *rsinfo, const int64 *queryids, int n)
{
	for (int i = 0; i < n; i++)
	{
		PgamlPrediction prediction;
		float		latency_us = predict(queryids[i], true, &prediction);

		put_row(rsinfo, &prediction, latency_us);
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
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	int64	   *queryids;

	if (n < 1 || n > BATCH_MAX || ARR_NDIM(array) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queryids must be a one-dimensional array of 1 to %d elements", BATCH_MAX),
				 errdetail("It has %d dimensions and %d elements.", ARR_NDIM(array), n)));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("queryids must not contain NULL")));
	queryids = (int64 *) ARR_DATA_PTR(array);
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
