/*-------------------------------------------------------------------------
 * rows_sql.c
 *		training_rows(): what training would learn from, for other tools.
 *
 * The same rows through the same replay, thinned as training would thin them.
 * Nothing is held here but a tuplestore, which goes to disk beyond work_mem.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/spi_run.h"
#include "train/train.h"

#define ROW_COLUMNS 6

PGAML_FUNCTION_INFO_V1(pgaml_training_rows);

/* Where rows go; memory is emptied after each. */
typedef struct Output
{
	ReturnSetInfo *rsinfo;
	MemoryContext memory;
} Output;

static void
put_row(const PgamlTrainingRow *row, void *state)
{
	Output	   *output = state;
	MemoryContext old = MemoryContextSwitchTo(output->memory);
	Datum		features[PGAML_F_COUNT];
	Datum		values[ROW_COLUMNS];
	bool		nulls[ROW_COLUMNS] = {false};

	for (int i = 0; i < PGAML_F_COUNT; i++)
		features[i] = Float4GetDatum(row->features[i]);
	values[0] = Int64GetDatum(row->queryid);
	values[1] = TimestampTzGetDatum((TimestampTz) rint(row->at * USECS_PER_SEC));
	values[2] = Float8GetDatum(row->log_ms);
	values[3] = Int64GetDatum(row->plan);
	nulls[3] = row->plan == 0;
	values[4] = BoolGetDatum(row->single);
	values[5] = PointerGetDatum(construct_array(features, PGAML_F_COUNT, FLOAT4OID, sizeof(float4), true,
												TYPALIGN_INT));
	tuplestore_putvalues(output->rsinfo->setResult, output->rsinfo->setDesc, values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(output->memory);
}

/*
 * training_rows(lookback_days int)
 * RETURNS TABLE (queryid bigint, at timestamptz, log_ms double precision,
 *				  plan_id bigint, single boolean, features real[])
 *
 * No row when there is nothing yet; a feature that was not known is NaN.
 */
Datum
pgaml_training_rows(PG_FUNCTION_ARGS)
{
	int			lookback_days = PG_GETARG_INT32(0);
	PgamlWindow window = {.since = pgaml_clock_now() - lookback_days * USECS_PER_DAY, .until = DT_NOEND};
	Output		output;
	PgamlStatementSet *set;
	PgamlSpi	spi;
	MlParams	params;
	TimestampTz first;
	int64		nrows;
	int32		ngroups;

	pgaml_check_lookback(lookback_days);
	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	output.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	output.memory = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml training row", ALLOCSET_SMALL_SIZES);
	set = pgaml_statements_load(CurrentMemoryContext, true);
	nrows = pgaml_replay_count(&window, set->bucket_width, true, &first);
	pgaml_default_params(pgaml_default_model_type(), &params);
	if (nrows > 0)
		(void) pgaml_replay(set, &window, pgaml_dataset_thinning(&params, nrows), true, put_row, &output, &ngroups);
	pgaml_spi_close(&spi);
	return (Datum) 0;
}
