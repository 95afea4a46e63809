/*-------------------------------------------------------------------------
 * sql_row.c
 *		A prediction as a row of query_prediction, and the limits of a batch.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "base/clock.h"
#include "predict/log.h"
#include "predict/sql_internal.h"

#define PREDICTION_COLUMNS	16
#define BATCH_MAX			1000

int
pgaml_batch_length(ArrayType *array, const char *name)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (n < 1 || n > BATCH_MAX || ARR_NDIM(array) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a one-dimensional array of 1 to %d elements", name, BATCH_MAX),
				 errdetail("It has %d dimensions and %d elements.", ARR_NDIM(array), n)));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain NULL", name)));
	return n;
}

static void
set_ms(Datum *values, bool *nulls, int column, double ms)
{
	nulls[column] = !isfinite(ms);
	values[column] = Float8GetDatum(ms);
}

void
pgaml_put_prediction(ReturnSetInfo *rsinfo, const PgamlPrediction *prediction, float latency_us)
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
