/*-------------------------------------------------------------------------
 * collect.c
 *		collect_statements(): what a visiting worker does, by hand.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/export.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "history/history.h"

#define COLLECT_COLUMNS	7

PGAML_FUNCTION_INFO_V1(pgaml_collect_statements);

/*
 * collect_statements(): one row about the tick.  Rights are those of EXECUTE.
 */
Datum
pgaml_collect_statements(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	PgamlSpi	spi;
	PgamlTick	tick;
	int64		samples;
	Datum		values[COLLECT_COLUMNS];
	bool		nulls[COLLECT_COLUMNS] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgaml_require_writable("collect_statements()");

	pgaml_spi_open(&spi);
	pgaml_history_collect(&tick);
	pgaml_history_read_texts(false);
	pgaml_history_join();
	samples = pgaml_history_drain();
	(void) pgaml_history_retire();
	pgaml_spi_close(&spi);

	values[0] = Int64GetDatum(tick.entries);
	values[1] = Int64GetDatum(tick.grown);
	values[2] = Int64GetDatum(tick.calls);
	values[3] = Int64GetDatum(tick.unknown);
	values[4] = Int64GetDatum(samples);
	values[5] = BoolGetDatum(tick.first);
	nulls[6] = tick.reason == NULL;
	if (tick.reason != NULL)
		values[6] = CStringGetTextDatum(tick.reason);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
