/*-------------------------------------------------------------------------
 * cache.c
 *		The model in production, decoded once per backend.
 *
 * Dropped by a relcache invalidation of query_performance_models, which the
 * activating transaction sends: so the cache is transactional, per database,
 * and works without preload and on standbys.  A callback may come at any
 * time; it only sets a flag.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/spi_run.h"
#include "registry/ml_adapter.h"
#include "registry/registry.h"
#include "registry/registry_internal.h"

static bool callback_registered = false;
static bool valid = false;
static bool held = false;		/* what was read serves until it is released */
static Oid	relid = InvalidOid;
static uint64 generation = 0;
static PgamlServing serving;
static PgamlMlMemory memory;
static int	expected_version;
static const MlStageLayout *expected_layout;

void
pgaml_registry_expect(int feature_version, const MlStageLayout *layout)
{
	expected_version = feature_version;
	expected_layout = layout;
}

Oid
pgaml_registry_relid(void)
{
	Oid			schema = get_namespace_oid("pganalytics", true);

	return OidIsValid(schema) ? get_relname_relid("query_performance_models", schema) : InvalidOid;
}

static void
invalidate(Datum arg, Oid changed)
{
	if (changed != InvalidOid && changed != relid)
		return;
	valid = false;
	generation++;
}

uint64
pgaml_registry_generation(void)
{
	return generation;
}

/* Were the features of this version? */
static bool
expected_features(PgamlServing *out, int64 feature_version)
{
	if (feature_version == expected_version)
		return true;
	snprintf(out->problem, sizeof(out->problem),
			 "model " INT64_FORMAT " has features of version " INT64_FORMAT ", this build reads version %d",
			 out->model_id, feature_version, expected_version);
	return false;
}

/* Decode the stored bytes, or say why they cannot serve. */
static void
decode(PgamlServing *out, int feature_version, Datum model, const MlAllocator *allocator)
{
	bytea	   *bytes = DatumGetByteaPP(model);
	MlError		error = {0};

	if (!expected_features(out, feature_version))
		return;
	if (pgaml_ml_stages_decode((const uint8_t *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
							   allocator, &out->stages, &error) == ML_OK)
	{
		const MlStageLayout *layout = pgaml_ml_stages_layout(out->stages);
		bool		right = expected_features(out, layout->feature_version);

		if (right && memcmp(layout, expected_layout, sizeof(MlStageLayout)) == 0)
			return;
		pgaml_ml_stages_free(out->stages);
		out->stages = NULL;
		if (!right)
			return;
		snprintf(error.message, sizeof(error.message), "its features stand in other places");
	}
	out->stages = NULL;
	snprintf(out->problem, sizeof(out->problem), "model " INT64_FORMAT " is damaged: %s",
			 out->model_id, error.message);
}

bool
pgaml_registry_read(int64 model_id, bool read_only, const MlAllocator *allocator, PgamlServing *out)
{
	static const char sql[] =
		"SELECT m.model_id, m.version, m.feature_version, m.model_type, m.model, m.heldout_from, m.restored FROM pganalytics.models m "
		" WHERE CASE WHEN $1 = 0 THEN m.stage = 'production' ELSE m.model_id = $1 AND m.meant END";
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model_id)};
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		isnull;

	memset(out, 0, sizeof(*out));
	if (pgaml_spi_exec(sql, 1, types, values, NULL, read_only) == 0)
		return false;
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	out->model_id = pgaml_row_int8(tuple, desc, 1, 0);
	out->version = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
	strlcpy(out->model_type, TextDatumGetCString(SPI_getbinval(tuple, desc, 4, &isnull)),
			sizeof(out->model_type));
	out->heldout_from = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 6, &isnull));
	out->restored = DatumGetBool(SPI_getbinval(tuple, desc, 7, &isnull));
	decode(out, DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull)),
		   SPI_getbinval(tuple, desc, 5, &isnull), allocator);
	return true;
}

const PgamlServing *
pgaml_registry_serving(void)
{
	PgamlSpi	spi;
	uint64		before;

	if (held)
		return &serving;
	/* In a long transaction that touches no table nothing else would notice an activation. */
	AcceptInvalidationMessages();
	if (valid)
		return &serving;
	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
		callback_registered = true;
	}
	if (memory.context != NULL)
	{
		MemoryContextDelete(memory.context);
		memory.context = NULL;
	}
	pgaml_ml_memory_init(&memory,
						 AllocSetContextCreate(CacheMemoryContext, "pganalytics_ml model",
											   ALLOCSET_DEFAULT_SIZES), 0);
	relid = pgaml_registry_relid();
	pgaml_spi_open(&spi);
	before = generation;

	/*
	 * CAUTION: the caller's snapshot may be older than the invalidation that
	 * was already taken in; what it shows must not be kept.
	 */
	PushActiveSnapshot(GetLatestSnapshot());
	(void) pgaml_registry_read(0, true, &memory.allocator, &serving);
	serving.generation = before;
	PopActiveSnapshot();
	pgaml_spi_close(&spi);

	/* CAUTION: an invalidation that came while reading must not be lost. */
	valid = before == generation;
	return &serving;
}

void
pgaml_registry_hold(void)
{
	(void) pgaml_registry_serving();
	held = true;
}

void
pgaml_registry_release(void)
{
	held = false;
}
