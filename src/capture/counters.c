/*-------------------------------------------------------------------------
 * counters.c
 *		SQL: what capture did since the server started.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "base/export.h"
#include "base/shmem.h"
#include "capture/capture.h"

#define COUNTER_COLUMNS 9

PGAML_FUNCTION_INFO_V1(pgaml_capture_counters);

static Datum
counter(pg_atomic_uint64 *value)
{
	return Int64GetDatum((int64) pg_atomic_read_u64(value));
}

/*
 * One row: executions, samples, thinned, dropped, errors, facts_skipped,
 * ring_size, ring_used, active_backends.  Of other sessions up to 255
 * executions may not be counted yet.
 */
Datum
pgaml_capture_counters(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[COUNTER_COLUMNS];
	bool		nulls[COUNTER_COLUMNS] = {0};

	pgaml_require_preload("capture_counters()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	pgaml_capture_flush();
	values[0] = counter(&pgaml_shared->executions);
	values[1] = Int64GetDatum((int64) pgaml_bag_put(pgaml_sample_bag));
	values[2] = counter(&pgaml_shared->thinned);
	values[3] = counter(&pgaml_sample_bag->dropped);
	values[4] = counter(&pgaml_shared->errors);
	values[5] = counter(&pgaml_shared->facts_skipped);
	values[6] = Int32GetDatum((int32) pgaml_sample_bag->size);
	values[7] = Int32GetDatum((int32) pgaml_bag_used(pgaml_sample_bag));
	values[8] = Int32GetDatum(pgaml_shmem_active());
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
