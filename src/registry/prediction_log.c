/*-------------------------------------------------------------------------
 * prediction_log.c
 *		Turns logged predictions into rows; truth told by hand.
 *
 * Records wait in a bag in shared memory (base/bag.h) until a transaction
 * takes and stores them.  Every taker holds the log's lock in share mode until
 * its transaction ends, so that who looks for a record that is neither in the
 * table nor free to take can wait for it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/batch.h"
#include "base/clock.h"
#include "base/export.h"
#include "base/fault.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "ml/stages.h"
#include "registry/truth.h"

#define BATCH				1024	/* records per statement */
#define VALIDATE_COLUMNS	6
#define STATE_COLUMNS		4

PGAML_FUNCTION_INFO_V1(pgaml_validate_prediction);
PGAML_FUNCTION_INFO_V1(pgaml_prediction_log_state);

#define LOG_COLUMNS \
	"prediction_id, predicted_at, queryid, plan_id, model_id, predicted_ms, expected_ms, lower_ms, " \
	"upper_ms, userid, model_version, coverage, confidence, latency_us, plan_cost, source, interval_group, " \
	"in_range, novel, cache_hit, guard, limit_ms"

static const Oid log_types[] = {
	INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	FLOAT8OID, OIDOID, INT4OID, FLOAT8OID, FLOAT8OID, FLOAT4OID, FLOAT4OID, TEXTOID, TEXTOID,
	BOOLOID, BOOLOID, BOOLOID, TEXTOID, FLOAT8OID
};

/* A clock set back over a restart may bring a number that is there already. */
static const char insert_predictions[] =
"INSERT INTO pganalytics.predictions (" LOG_COLUMNS ") SELECT " LOG_COLUMNS " "
"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) "
"AS c(" LOG_COLUMNS ") ON CONFLICT (prediction_id) DO NOTHING";

/* ---- from the bag into the table ---- */

static void
add_record(PgamlBatch *batch, const PgamlPredictionRecord *record)
{
	Datum		values[] = {
		Int64GetDatum(record->prediction_id), TimestampTzGetDatum(record->predicted_at),
		Int64GetDatum(record->queryid), Int64GetDatum(record->plan_id), Int64GetDatum(record->model_id),
		Float8GetDatum(record->predicted_ms), Float8GetDatum(record->expected_ms),
		Float8GetDatum(record->lower_ms), Float8GetDatum(record->upper_ms),
		ObjectIdGetDatum(record->userid), Int32GetDatum(record->model_version),
		Float8GetDatum(record->coverage), Float8GetDatum(record->confidence),
		Float4GetDatum(record->latency_us), Float4GetDatum(record->plan_cost),
		CStringGetTextDatum(pgaml_ml_source_name(record->source)),
		CStringGetTextDatum(pgaml_ml_interval_name(record->group)),
		BoolGetDatum(record->in_range), BoolGetDatum(record->novel), BoolGetDatum(record->cache_hit),
		CStringGetTextDatum(record->decision == PGAML_DECISION_CANCELLED ? "cancel" : "warn"),
		Float8GetDatum(record->limit_ms)
	};
	bool		nulls[lengthof(values)] = {false};

	nulls[3] = record->plan_id == 0;
	nulls[4] = nulls[10] = record->model_id == 0;
	nulls[13] = isnan(record->latency_us);
	nulls[14] = isnan(record->plan_cost);
	nulls[18] = !record->novel_known;
	nulls[20] = nulls[21] = record->decision == PGAML_DECISION_NONE;
	pgaml_batch_add(batch, values, nulls);
}

static void
store_records(const PgamlPredictionRecord *records, int n)
{
	PgamlBatch	batch;

	StaticAssertStmt(lengthof(log_types) == 22, "one parameter for each column");
	pgaml_batch_init(&batch, lengthof(log_types), log_types);
	for (int i = 0; i < n; i++)
		add_record(&batch, &records[i]);
	pgaml_batch_exec(&batch, insert_predictions, 0, NULL, NULL);
}

/* What takers hold and who waits for them takes: an object lock that nothing else uses. */
static Oid
log_relid(void)
{
	return get_relname_relid("predictions", get_namespace_oid("pganalytics", false));
}

int64
pgaml_predictions_store(void)
{
	PgamlPredictionRecord *records;
	MemoryContext scratch;
	uint32		from = 0;
	int64		stored = 0;
	int			n;

	if (pgaml_prediction_bag == NULL || pgaml_bag_used(pgaml_prediction_bag) == 0)
		return 0;
	LockDatabaseObject(RelationRelationId, log_relid(), 0, ShareLock);
	records = palloc(BATCH * sizeof(PgamlPredictionRecord));
	scratch = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml prediction batch",
									ALLOCSET_DEFAULT_SIZES);
	while ((n = pgaml_bag_take(pgaml_prediction_bag, MyDatabaseId, &from, records, BATCH)) > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);

		store_records(records, n);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
		stored += n;
	}
	PGAML_FAULT("predictions_stored");
	MemoryContextDelete(scratch);
	pfree(records);
	return stored;
}

/* ---- truth by hand ---- */

static bool
has_id(const void *record, const void *arg)
{
	const volatile PgamlPredictionRecord *prediction = record;

	return prediction->prediction_id == *(const int64 *) arg;
}

/* Move one prediction from the bag into the table, waiting for who may be doing so; false when it is not there. */
static bool
fetch_from_bag(int64 prediction_id)
{
	PgamlPredictionRecord record;
	PgamlBagFound found;
	Oid			relid = log_relid();
	LOCKTAG		tag;

	if (pgaml_prediction_bag == NULL)
		return false;
	LockDatabaseObject(RelationRelationId, relid, 0, ShareLock);
	found = pgaml_bag_take_one(pgaml_prediction_bag, MyDatabaseId, has_id, &prediction_id, &record);
	if (found == PGAML_BAG_TAKEN)
	{
		store_records(&record, 1);
		return true;
	}

	/*
	 * CAUTION: who took nothing must not keep the lock, or two who wait for a
	 * third wait for each other.  Nor may he queue for a stronger one, which
	 * would hold up whoever wants to store.
	 */
	UnlockDatabaseObject(RelationRelationId, relid, 0, ShareLock);
	if (found == PGAML_BAG_BUSY)
	{
		SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId, relid, 0);
		WaitForLockers(tag, ExclusiveLock, false);
	}
	return found == PGAML_BAG_BUSY;
}

/* Write the truth; false when there is no such row.  Its figures are in SPI_tuptable. */
static bool
set_actual(int64 prediction_id, double actual_ms)
{
	static const char sql[] =
		"UPDATE pganalytics.predictions SET actual_ms = $2, actual_source = 'manual', matched_at = $3, "
		" actual_at = NULL, judged = guard IS NULL, "
		" log_error = ln(greatest($2, 0.0001) / greatest(predicted_ms, 0.0001)) "
		"WHERE prediction_id = $1 RETURNING predicted_ms, lower_ms, upper_ms";
	Oid			types[] = {INT8OID, FLOAT8OID, TIMESTAMPTZOID};
	Datum		values[] = {
		Int64GetDatum(prediction_id), Float8GetDatum(actual_ms), TimestampTzGetDatum(pgaml_clock_now())
	};

	return pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false) > 0;
}

static void
check_arguments(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", PG_ARGISNULL(0) ? "prediction_id" : "actual_ms"),
				 PG_ARGISNULL(0) ? errhint("The number is NULL when a prediction was not logged: see pganalytics_ml.prediction_log_rate.") : 0));
	if (!isfinite(PG_GETARG_FLOAT8(1)) || PG_GETARG_FLOAT8(1) < 0.0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("actual_ms must be a number of milliseconds from 0 on, not %g", PG_GETARG_FLOAT8(1))));
}

/*
 * validate_prediction(prediction_id bigint, actual_ms double precision):
 * predicted_ms, actual_ms, error_percent, accuracy_score, within_interval, q_error
 *
 * The prediction may still be on its way to the log.  Rights are those of EXECUTE.
 */
Datum
pgaml_validate_prediction(PG_FUNCTION_ARGS)
{
	int64		prediction_id;
	double		actual;
	double		predicted;
	double		larger;
	double		smaller;
	TupleDesc	desc;
	PgamlSpi	spi;
	Datum		values[VALIDATE_COLUMNS];
	bool		nulls[VALIDATE_COLUMNS] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgaml_require_writable("validate_prediction()");
	check_arguments(fcinfo);
	prediction_id = PG_GETARG_INT64(0);
	actual = PG_GETARG_FLOAT8(1);

	pgaml_spi_open(&spi);
	while (!set_actual(prediction_id, actual))
	{
		/* Who stored it may have committed between the two looks. */
		if (!fetch_from_bag(prediction_id) && !set_actual(prediction_id, actual))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("prediction " INT64_FORMAT " does not exist", prediction_id),
					 errhint("recent_predictions() shows the newest; older ones are deleted after pganalytics_ml.predictions_retention.")));
		CHECK_FOR_INTERRUPTS();
	}
	predicted = pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	values[4] = BoolGetDatum(actual >= pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2) &&
							 actual <= pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3));
	pgaml_spi_close(&spi);

	larger = Max(predicted, actual);
	smaller = Min(predicted, actual);
	values[0] = Float8GetDatum(predicted);
	values[1] = Float8GetDatum(actual);
	nulls[2] = actual == 0.0;
	values[2] = Float8GetDatum(actual == 0.0 ? 0.0 : 100.0 * (larger - smaller) / actual);
	values[3] = Float8GetDatum(larger > 0.0 ? smaller / larger : 1.0);
	nulls[5] = smaller == 0.0 && larger > 0.0;
	values[5] = Float8GetDatum(smaller > 0.0 ? larger / smaller : 1.0);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* pganalytics.prediction_log_state(): logged, dropped, waiting, room; all NULL without preload */
Datum
pgaml_prediction_log_state(PG_FUNCTION_ARGS)
{
	PgamlBag   *bag = pgaml_prediction_bag;
	TupleDesc	desc;
	Datum		values[STATE_COLUMNS] = {0};
	bool		nulls[STATE_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, bag == NULL, sizeof(nulls));
	if (bag != NULL)
	{
		values[0] = Int64GetDatum((int64) pgaml_bag_put(bag));
		values[1] = Int64GetDatum((int64) pg_atomic_read_u64(&bag->dropped));
		values[2] = Int32GetDatum((int32) pgaml_bag_used(bag));
		values[3] = Int32GetDatum((int32) bag->size);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
