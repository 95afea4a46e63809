/*-------------------------------------------------------------------------
 * guard_sql.c
 *		What the guard did: guard_status(), guard_decisions().
 *
 * A decision is a row of the log of predictions.  Whether it was right is
 * asked when it is read: a warned execution ran, so it is compared with its
 * own time; for a cancelled one stands the median of up to 20 captured
 * executions of the same plan and about the same cost, those nearest in time.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"

#include "base/export.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "predict/guard.h"

#define MOST_ROWS		1000
#define STATUS_COLUMNS	(5 + PGAML_OPEN_COUNT)

PGAML_FUNCTION_INFO_V1(pgaml_guard_status);
PGAML_FUNCTION_INFO_V1(pgaml_guard_decisions);

/*
 * guard_status(): since, checked, warned, repeated, cancelled, and why
 * executions were let through; all NULL without preload
 */
Datum
pgaml_guard_status(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[STATUS_COLUMNS] = {0};
	bool		nulls[STATUS_COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, pgaml_shared == NULL, sizeof(nulls));
	if (pgaml_shared != NULL)
	{
		PgamlGuardCounters *guard = &pgaml_shared->guard;

		pgaml_guard_flush();
		values[0] = TimestampTzGetDatum(pgaml_shared->boot_at);
		values[1] = Int64GetDatum((int64) pg_atomic_read_u64(&guard->checked));
		values[2] = Int64GetDatum((int64) pg_atomic_read_u64(&guard->warned));
		values[3] = Int64GetDatum((int64) pg_atomic_read_u64(&guard->repeated));
		values[4] = Int64GetDatum((int64) pg_atomic_read_u64(&guard->cancelled));
		for (int i = 0; i < PGAML_OPEN_COUNT; i++)
			values[5 + i] = Int64GetDatum((int64) pg_atomic_read_u64(&guard->open[i]));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* guard_decisions(max_rows integer) RETURNS TABLE (...), newest first */
Datum
pgaml_guard_decisions(PG_FUNCTION_ARGS)
{
	/* CASE and not coalesce: comparable executions are looked for only where there is no own one */
	static const char sql[] =
		"SELECT d.prediction_id, d.predicted_at, d.queryid, d.userid, d.guard, d.limit_ms, d.predicted_ms, d.lower_ms, "
		" d.upper_ms, d.source, d.model_id, d.actual, "
		" CASE WHEN d.actual IS NULL THEN NULL WHEN d.own THEN d.actual_source ELSE 'comparable' END, "
		" CASE WHEN d.actual IS NULL THEN 'unknown' WHEN d.actual > d.limit_ms THEN 'right' ELSE 'false alarm' END "
		"FROM (SELECT p.*, p.actual_ms IS NOT NULL AS own, CASE WHEN p.actual_ms IS NOT NULL THEN p.actual_ms "
		"  WHEN p.guard = 'cancel' THEN (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY e.execution_ms) "
		"   FROM (SELECT s.execution_ms FROM pganalytics.execution_samples s "
		"         WHERE s.queryid = p.queryid AND s.plan_id = p.plan_id AND s.outcome = 'done' "
		"          AND abs(s.plan_facts[1] - p.plan_cost) < 0.1 "
		"         ORDER BY abs(extract(epoch FROM s.sampled_at - p.predicted_at)) LIMIT 20) e) END AS actual "
		" FROM pganalytics.predictions p WHERE p.guard IS NOT NULL ORDER BY p.prediction_id DESC LIMIT $1) d "
		"ORDER BY d.prediction_id DESC";
	int32		max_rows = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);
	Oid			type = INT4OID;
	Datum		value = Int32GetDatum(max_rows);
	PgamlSpi	spi;

	if (max_rows < 1 || max_rows > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be from 1 to %d, not %s", MOST_ROWS,
						PG_ARGISNULL(0) ? "NULL" : psprintf("%d", max_rows))));
	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	pgaml_spi_into(sql, 1, &type, &value, NULL, (ReturnSetInfo *) fcinfo->resultinfo);
	pgaml_spi_close(&spi);
	return (Datum) 0;
}
