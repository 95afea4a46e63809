/*-------------------------------------------------------------------------
 * store.c
 *		Writes models, gives their bytes, and forgets old ones.
 *
 * What moves them between stages: lifecycle.c.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "history/history.h"
#include "registry/registry.h"
#include "registry/registry_internal.h"

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

static Datum
names_datum(const char *const *names, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		values[i] = CStringGetTextDatum(names[i]);
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The newest model and the one in production, as the active snapshot or a fresh one shows them. */
static void
look(bool read_only, int64 seen[2])
{
	static const char sql[] =
		"SELECT max(m.model_id), max(m.model_id) FILTER (WHERE m.stage = 'production') "
		"  FROM pganalytics.query_performance_models m";

	pgaml_spi_run(sql, read_only);
	for (int i = 0; i < 2; i++)
		seen[i] = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, 0);
}

void
pgaml_registry_lock(void)
{
	int64		then[2];
	int64		now[2];

	pgaml_spi_run("LOCK TABLE pganalytics.query_performance_models IN SHARE ROW EXCLUSIVE MODE", false);
	if (!IsolationUsesXactSnapshot())
		return;

	/* An old snapshot must not decide about models that it does not show. */
	look(false, then);
	PushActiveSnapshot(GetLatestSnapshot());
	look(true, now);
	PopActiveSnapshot();
	if (then[0] != now[0] || then[1] != now[1])
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to a concurrent change of models"),
				 errhint("Run the transaction again, or use the isolation level READ COMMITTED.")));
}

bool
pgaml_registry_try_lock(void)
{
	return ConditionalLockRelationOid(pgaml_registry_relid(), ShareRowExclusiveLock);
}

int64
pgaml_registry_retire(void)
{
	/* $1 kept beside those in use, $2 and $3 oldest times of others and of deleted ones */
	static const char sql[] =
		"WITH spare AS ("
		"  SELECT m.model_id, m.origin, greatest(m.created_at, m.staged_at, m.activated_at, m.archived_at) AS used "
		"    FROM pganalytics.models m "
		"   WHERE m.stage NOT IN ('production', 'staging') AND m.model_id NOT IN ("
		"         SELECT p.predecessor_id FROM pganalytics.models p "
		"          WHERE p.stage = 'production' AND p.predecessor_id IS NOT NULL)), "
		"ranked AS (SELECT *, row_number() OVER (ORDER BY used DESC, model_id DESC) AS place FROM spare) "
		"DELETE FROM pganalytics.query_performance_models m USING ("
		"  SELECT model_id, origin FROM ranked WHERE place > $1 OR used < $2 "
		"  UNION ALL SELECT model_id, origin FROM pganalytics.query_performance_models WHERE deleted_at < $3) old "
		" WHERE m.model_id = old.model_id AND m.origin = old.origin";
	Oid			types[] = {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	TimestampTz now = pgaml_history_settled_now();
	Datum		values[] = {
		Int32GetDatum(pgaml_models_retention),
		TimestampTzGetDatum(now - pgaml_history_retention * USECS_PER_MINUTE),
		TimestampTzGetDatum(now - PGAML_DELETED_DAYS * USECS_PER_DAY)
	};

	/* CAUTION: before the snapshot is taken, or a model that is being activated looks spare. */
	if (!pgaml_registry_try_lock())
		return 0;
	return pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}

int64
pgaml_registry_store(const PgamlNewModel *model, int32 *version)
{
	/* After a restore the sequence is behind the table, and a number is never given twice. */
	static const char sql[] =
		"INSERT INTO pganalytics.query_performance_models "
		"  (model_id, origin, model_type, version, stage, feature_version, hyperparameters, window_start, window_end, "
		"   training_samples, calibration_samples, heldout_samples, statements, seed, data_hash, metrics, "
		"   calibration, training_ms, training_bytes, extension_version, server_version, created_by, created_at, model, "
		"   importance, feature_statistics, heldout_from, features) "
		"SELECT setval(s.name, greatest(nextval(s.name), 1 + coalesce((SELECT max(m.model_id) "
		"                                     FROM pganalytics.query_performance_models m), 0))), "
		"       i.origin, $1, 1 + coalesce((SELECT max(m.version) FROM pganalytics.query_performance_models m "
		"                                    WHERE m.model_type = $1), 0), "
		"       'candidate', $2, $3::jsonb, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13::jsonb, $14, $15, $16, "
		"       pg_catalog.current_setting('server_version'), $17, $18, $19, $20::jsonb, $21::jsonb, $22, $23 "
		"  FROM pganalytics.installation i, "
		"       pg_get_serial_sequence('pganalytics.query_performance_models', 'model_id') s(name) RETURNING model_id, version";
	Oid			types[] = {TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID,
		INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID, INT8OID, TEXTOID, OIDOID,
	TIMESTAMPTZOID, BYTEAOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTARRAYOID};
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
		text_or_null(model->importance), text_or_null(model->feature_statistics),
		TimestampTzGetDatum(model->heldout_from), names_datum(model->features, model->nfeatures)
	};
	char		nulls[lengthof(types)];
	int64		model_id;
	bool		isnull;

	memset(nulls, ' ', sizeof(nulls));
	nulls[19] = model->importance ? ' ' : 'n';
	nulls[20] = model->feature_statistics ? ' ' : 'n';

	/* So versions count up without gaps or doubles. */
	pgaml_registry_lock();
	pgaml_spi_exec(sql, lengthof(types), types, values, nulls, false);
	*version = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	model_id = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
	(void) pgaml_registry_retire();
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
