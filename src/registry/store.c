/*-------------------------------------------------------------------------
 * store.c
 *		Writes models and moves them between stages.
 *
 * Every change sends a relcache invalidation of query_performance_models in
 * its transaction: backends drop their decoded model when it commits.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "registry/ml_adapter.h"
#include "registry/registry.h"
#include "registry/registry_internal.h"

PGAML_FUNCTION_INFO_V1(pgaml_activate_model);

static Datum
bytes_datum(const uint8 *bytes, Size length)
{
	bytea	   *value = palloc(VARHDRSZ + length);

	SET_VARSIZE(value, VARHDRSZ + length);
	memcpy(VARDATA(value), bytes, length);
	return PointerGetDatum(value);
}

static Datum
text_or_null(const char *value)
{
	return value ? CStringGetTextDatum(value) : (Datum) 0;
}

/* Keep the production model and the newest models_retention others, whoever made them. */
static void
retire(void)
{
	static const char sql[] =
		"DELETE FROM pganalytics.query_performance_models m USING ("
		"  SELECT model_id, origin FROM pganalytics.query_performance_models "
		"   WHERE stage <> 'production' "
		"   ORDER BY greatest(created_at, activated_at) DESC, model_id DESC OFFSET $1) old "
		" WHERE m.model_id = old.model_id AND m.origin = old.origin";
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(pgaml_models_retention)};

	pgaml_spi_exec(sql, 1, types, values, NULL, false);
}

int64
pgaml_registry_store(const PgamlNewModel *model, int32 *version)
{
	static const char sql[] =
		"INSERT INTO pganalytics.query_performance_models "
		"  (origin, model_type, version, stage, feature_version, hyperparameters, window_start, window_end, "
		"   training_samples, calibration_samples, heldout_samples, statements, seed, data_hash, metrics, "
		"   calibration, training_ms, training_bytes, extension_version, server_version, created_by, created_at, model, "
		"   importance, feature_statistics) "
		"SELECT i.origin, $1, 1 + coalesce((SELECT max(m.version) FROM pganalytics.query_performance_models m "
		"                                    WHERE m.model_type = $1 AND m.origin = i.origin), 0), "
		"       'candidate', $2, $3::jsonb, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13::jsonb, $14, $15, $16, "
		"       pg_catalog.current_setting('server_version'), $17, $18, $19, $20::jsonb, $21::jsonb "
		"  FROM pganalytics.installation i RETURNING model_id, version";
	Oid			types[] = {TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID,
		INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID, INT8OID, TEXTOID, OIDOID,
	TIMESTAMPTZOID, BYTEAOID, TEXTOID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(model->model_type), Int32GetDatum(model->feature_version),
		CStringGetTextDatum(model->hyperparameters), TimestampTzGetDatum(model->window_start),
		TimestampTzGetDatum(model->window_end), Int64GetDatum(model->training_samples),
		Int64GetDatum(model->calibration_samples), Int64GetDatum(model->heldout_samples),
		Int64GetDatum(model->statements), Int64GetDatum(model->seed), CStringGetTextDatum(model->data_hash),
		CStringGetTextDatum(model->metrics), CStringGetTextDatum(model->calibration),
		Float8GetDatum(model->training_ms), Int64GetDatum(model->training_bytes),
		CStringGetTextDatum(PGAML_VERSION), ObjectIdGetDatum(model->created_by),
		TimestampTzGetDatum(pgaml_clock_now()), bytes_datum(model->bytes, model->length),
		text_or_null(model->importance), text_or_null(model->feature_statistics)
	};
	char		nulls[lengthof(types)];
	int64		model_id;
	bool		isnull;

	memset(nulls, ' ', sizeof(nulls));
	nulls[19] = model->importance ? ' ' : 'n';
	nulls[20] = model->feature_statistics ? ' ' : 'n';

	/* One writer at a time: versions count up without gaps or doubles. */
	pgaml_spi_run("LOCK TABLE pganalytics.query_performance_models IN SHARE ROW EXCLUSIVE MODE", false);
	pgaml_spi_exec(sql, lengthof(types), types, values, nulls, false);
	*version = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	model_id = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
	retire();
	return model_id;
}

bytea *
pgaml_registry_bytes(int64 model_id, MemoryContext context)
{
	static const char sql[] =
		"SELECT m.model FROM pganalytics.models m WHERE m.model_id = $1 AND m.meant";
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model_id)};
	MemoryContext old;
	bytea	   *bytes;
	bool		isnull;

	if (pgaml_spi_exec(sql, 1, types, values, NULL, true) == 0)
		return NULL;
	old = MemoryContextSwitchTo(context);
	bytes = DatumGetByteaPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	MemoryContextSwitchTo(old);
	return bytes;
}

void
pgaml_registry_activate(int64 model_id)
{
	static const char archive[] =
		"UPDATE pganalytics.query_performance_models SET stage = 'archived', archived_at = $2 "
		" WHERE stage = 'production' AND (model_id, origin) NOT IN "
		"       (SELECT m.model_id, m.origin FROM pganalytics.models m WHERE m.model_id = $1 AND m.meant)";
	static const char promote[] =
		"UPDATE pganalytics.query_performance_models SET stage = 'production', activated_at = $2, archived_at = NULL "
		" WHERE (model_id, origin) IN "
		"       (SELECT m.model_id, m.origin FROM pganalytics.models m WHERE m.model_id = $1 AND m.meant)";
	Oid			types[] = {INT8OID, TIMESTAMPTZOID};
	Datum		values[] = {Int64GetDatum(model_id), TimestampTzGetDatum(pgaml_clock_now())};
	PgamlServing serving;
	PgamlMlMemory memory;

	pgaml_spi_run("LOCK TABLE pganalytics.query_performance_models IN SHARE ROW EXCLUSIVE MODE", false);
	pgaml_ml_memory_init(&memory, CurrentMemoryContext, 0);
	if (!pgaml_registry_read(model_id, false, &memory.allocator, &serving))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model " INT64_FORMAT " does not exist", model_id),
				 errhint("See list_models() for the models there are.")));
	if (serving.stages == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model " INT64_FORMAT " cannot serve", model_id),
				 errdetail("The problem is: %s.", serving.problem),
				 errhint("Train a new one with train_performance_model().")));
	pgaml_ml_stages_free(serving.stages);
	pgaml_spi_exec(archive, 2, types, values, NULL, false);
	pgaml_spi_exec(promote, 2, types, values, NULL, false);
	CacheInvalidateRelcacheByRelid(pgaml_registry_relid());
}

/* activate_model(model_id bigint) RETURNS void */
Datum
pgaml_activate_model(PG_FUNCTION_ARGS)
{
	PgamlSpi	spi;

	PreventCommandIfReadOnly("activate_model()");
	pgaml_spi_open(&spi);
	pgaml_registry_activate(PG_GETARG_INT64(0));
	pgaml_spi_close(&spi);
	PG_RETURN_VOID();
}
