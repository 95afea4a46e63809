/*-------------------------------------------------------------------------
 * exchange.c
 *		export_model() and import_model(): models as bytes that leave and enter.
 *
 * native: the stored bytes as they are, both ways.  xgboost-json: the learner
 * alone, as XGBoost reads and writes it.  What comes in is hostile until it
 * is validated in full, within training_memory; only then a candidate is
 * stored.  With local history enough, it is measured on it, and a learner
 * from XGBoost gets its cost line and intervals from it.
 *
 * A learner that was trained here tells the departure from a start that its
 * stages know and XGBoost does not: it may go out as xgboost-json, to be
 * looked at and used there, but comes back as native only.  A learner from
 * XGBoost tells log ms itself and goes both ways.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "features/spec.h"
#include "ml/xgboost.h"
#include "registry/registry.h"
#include "train/train.h"

#define LOOKBACK_DAYS	90		/* of local history that an imported model is measured on */

PGAML_FUNCTION_INFO_V1(pgaml_export_model);
PGAML_FUNCTION_INFO_V1(pgaml_import_model);

typedef enum Format
{
	FORMAT_NATIVE,
	FORMAT_XGBOOST_JSON
} Format;

static const char *const format_names[] = {"native", "xgboost-json"};

/* Attributes that travel with an xgboost-json, in this order. */
enum
{
	ATTRIBUTE_TARGET,			/* departure or absolute */
	ATTRIBUTE_FEATURES,			/* version */
	ATTRIBUTE_COUNT
};

static const char *const attribute_names[] = {"pganalytics_ml_target", "pganalytics_ml_feature_version"};

/* One import on its way to a row. */
typedef struct Import
{
	MemoryContext context;
	PgamlMlMemory memory;
	Format		format;
	const uint8 *data;
	Size		length;
	MlModel    *learner;		/* xgboost-json, until stages own it */
	MlStages   *stages;
	MlStageReport report;
	PgamlDataset *dataset;		/* local history; NULL: too little */
	char	   *importance;		/* JSON, or NULL */
	char	   *statistics;		/* JSON, or NULL */
	uint8_t    *bytes;			/* to be stored */
	size_t		bytes_length;
	double		ms;
	int64		model_id;
} Import;

static Format
parse_format(const char *name)
{
	for (int i = 0; i < lengthof(format_names); i++)
		if (strcmp(name, format_names[i]) == 0)
			return (Format) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown model format \"%s\"", name),
			 errhint("Allowed are: native, xgboost-json.")));
	return FORMAT_NATIVE;		/* not reached */
}

static bool
should_stop(void *state, double progress)
{
	return InterruptPending && (QueryCancelPending || ProcDiePending);
}

static const MlStop interrupts = {should_stop, NULL};

static void
name_attributes(MlXgboostAttribute *attributes)
{
	memset(attributes, 0, sizeof(*attributes) * ATTRIBUTE_COUNT);
	for (int i = 0; i < ATTRIBUTE_COUNT; i++)
		attributes[i].name = attribute_names[i];
}

/* ERROR unless status is ML_OK; interrupts first, the library only stopped for them. */
static void
check(MlStatus status, const MlError *error, const PgamlMlMemory *memory, const char *what, const char *hint)
{
	CHECK_FOR_INTERRUPTS();
	if (status == ML_E_NOMEM && memory->limit_hit)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("%s: it does not fit into pganalytics_ml.training_memory (%d kB)", what, pgaml_training_memory),
				 errhint("Raise the setting.")));
	if (status != ML_OK)
		pgaml_ml_raise_hint(status, error, what, hint);
}

/* A feature vector of another build means something else. */
static void
check_features(const MlStageLayout *layout, const char *what)
{
	if (layout->feature_version != PGAML_FEATURE_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s: the model has features of version %u, this build has version %d",
						what, layout->feature_version, PGAML_FEATURE_VERSION),
				 errhint("Train a model with train_performance_model(), or use the version of the extension that made it.")));
	if (memcmp(layout, &pgaml_feature_layout, sizeof(MlStageLayout)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("%s: the features of the model stand in other places than they should", what)));
}

/* ------------------------------------------------------------------ export */

static bytea *
to_bytea(const uint8 *bytes, Size length)
{
	bytea	   *out;

	if (length > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("could not export: the model takes %zu bytes, a bytea holds %zu",
						length, (Size) (MaxAllocSize - VARHDRSZ)),
				 errhint("Export it as native.")));
	out = palloc(VARHDRSZ + length);
	SET_VARSIZE(out, VARHDRSZ + length);
	memcpy(VARDATA(out), bytes, length);
	return out;
}

/* The learner in stored bytes, as XGBoost reads it. */
static bytea *
to_xgboost(const bytea *stored)
{
	static const char what[] = "could not export";
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml export",
												  ALLOCSET_DEFAULT_SIZES);
	PgamlMlMemory memory;
	MlXgboostAttribute attributes[ATTRIBUTE_COUNT];
	MlStages   *stages;
	MlError		error = {0};
	uint8_t    *text;
	size_t		length;
	bytea	   *out;

	pgaml_ml_memory_init(&memory, context, (Size) pgaml_training_memory * 1024);
	check(pgaml_ml_stages_decode((const uint8_t *) VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored),
								 &memory.allocator, &stages, &error),
		  &error, &memory, what, NULL);
	check_features(pgaml_ml_stages_layout(stages), what);
	name_attributes(attributes);
	strlcpy(attributes[ATTRIBUTE_TARGET].value, pgaml_ml_stages_absolute(stages) ? "absolute" : "departure",
			sizeof(attributes[0].value));
	snprintf(attributes[ATTRIBUTE_FEATURES].value, sizeof(attributes[0].value), "%d", PGAML_FEATURE_VERSION);
	check(pgaml_ml_xgboost_write(pgaml_ml_stages_model(stages), pgaml_train_feature_names(), attributes, ATTRIBUTE_COUNT,
								 &memory.allocator, &interrupts, &text, &length, &error),
		  &error, &memory, what, "Export it as native.");
	out = to_bytea(text, length);
	MemoryContextDelete(context);
	return out;
}

/* export_model(model_id bigint, format text) RETURNS bytea */
Datum
pgaml_export_model(PG_FUNCTION_ARGS)
{
	int64		model_id = PG_GETARG_INT64(0);
	Format		format = parse_format(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	MemoryContext context = CurrentMemoryContext;
	PgamlSpi	spi;
	bytea	   *stored;

	pgaml_spi_open(&spi);
	stored = pgaml_registry_bytes(model_id, context);
	pgaml_spi_close(&spi);
	if (stored == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model " INT64_FORMAT " does not exist", model_id),
				 errhint("See list_models() for the models there are.")));
	PG_RETURN_BYTEA_P(format == FORMAT_NATIVE ? stored : to_xgboost(stored));
}

/* ------------------------------------------------------------------ import */

static void
read_native(Import *import)
{
	static const char what[] = "could not import";
	MlError		error = {0};

	check(pgaml_ml_stages_decode(import->data, import->length, &import->memory.allocator, &import->stages, &error),
		  &error, &import->memory, what,
		  "Native bytes come from export_model(); what XGBoost saved is imported with format => 'xgboost-json'.");
	check_features(pgaml_ml_stages_layout(import->stages), what);
	import->bytes = (uint8_t *) import->data;
	import->bytes_length = import->length;
}

/* Was it made by export_model(), and of what? */
static void
check_origin(const MlXgboostAttribute *attributes)
{
	const char *target = attributes[ATTRIBUTE_TARGET].value;
	const char *version = attributes[ATTRIBUTE_FEATURES].value;

	if (target[0] != '\0' && strcmp(target, "absolute") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not import: the model does not tell the logarithm of ms"),
				 errdetail("Its attribute %s is \"%s\".", attribute_names[ATTRIBUTE_TARGET], target),
				 errhint("A model that was trained by this extension travels as native.")));
	if (version[0] != '\0' && strcmp(version, psprintf("%d", PGAML_FEATURE_VERSION)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not import: the model has features of version %s, this build has version %d",
						version, PGAML_FEATURE_VERSION)));
}

static void
read_xgboost(Import *import)
{
	MlXgboostAttribute attributes[ATTRIBUTE_COUNT];
	MlError		error = {0};

	name_attributes(attributes);
	check(pgaml_ml_xgboost_read(import->data, import->length, pgaml_train_feature_names(), PGAML_F_COUNT,
								attributes, ATTRIBUTE_COUNT, &import->memory.allocator, &interrupts,
								&import->learner, &error),
		  &error, &import->memory, "could not import",
		  "Save a regression with Booster.save_model(\"x.json\"), trained on the features of query_features() by their names.");
	check_origin(attributes);
}

/* Local history, if there is enough to measure on. */
static void
read_history(Import *import)
{
	PgamlTrainRequest request = {.lookback_days = LOOKBACK_DAYS, .optional = true};

	/* no fit needs less memory than that of a line */
	pgaml_ml_params_default(ML_LINEAR_REGRESSION, &request.params);
	import->dataset = pgaml_dataset_read(&request, import->context);
	if (import->dataset != NULL)
		pgaml_dataset_split(import->dataset, &request.split, 0);
}

/* Measure what came in; a learner gets its stages first. */
static void
measure(Import *import)
{
	static const char what[] = "could not measure the model on local history";
	const MlStageData *data = import->dataset != NULL ? &import->dataset->data : NULL;
	const MlAllocator *allocator = &import->memory.allocator;
	MlError		error = {0};

	if (import->format == FORMAT_XGBOOST_JSON)
	{
		check(pgaml_ml_stages_adopt(import->learner, &pgaml_feature_layout, data, allocator, &interrupts,
									&import->stages, &import->report, &error),
			  &error, &import->memory, what, NULL);
		check(pgaml_ml_stages_encode(import->stages, allocator, &import->bytes, &import->bytes_length, &error),
			  &error, &import->memory, "could not import", NULL);
	}
	else if (data != NULL)
		check(pgaml_ml_stages_judge(import->stages, data, allocator, &interrupts, &import->report, &error),
			  &error, &import->memory, what, NULL);
	if (data == NULL)
		return;
	import->importance = pgaml_train_importance_json(import->stages, data, 0, allocator, &interrupts);
	/* the rows that gave an adopted learner its ranges */
	if (import->format == FORMAT_XGBOOST_JSON)
		import->statistics = pgaml_train_statistics_json(data, allocator, &interrupts);
	CHECK_FOR_INTERRUPTS();
}

static void
store(Import *import, Oid userid)
{
	const MlModel *learner = pgaml_ml_stages_model(import->stages);
	TimestampTz now = pgaml_clock_now();
	PgamlNewModel model = {
		.model_type = pgaml_ml_type_name(pgaml_ml_model_type(learner)),
		.feature_version = PGAML_FEATURE_VERSION,
		.hyperparameters = psprintf("{\"imported_from\": \"%s\", \"n_trees\": %d}",
									format_names[import->format], pgaml_ml_model_trees(learner)),
		.window_start = import->dataset != NULL ? import->dataset->window_start : now,
		.window_end = import->dataset != NULL ? import->dataset->window_end : now,
		.heldout_from = now,	/* what it was fitted on is not known */
		.calibration_samples = import->report.rows[ML_PART_CALIBRATE],
		.heldout_samples = import->report.rows[ML_PART_TEST],
		.statements = import->dataset != NULL ? import->dataset->data.ngroups : 0,
		.metrics = pgaml_report_metrics_json(&import->report, learner),
		.calibration = pgaml_report_calibration_json(&import->report),
		.training_ms = import->ms,
		.training_bytes = import->memory.peak,
		.importance = import->importance,
		.feature_statistics = import->statistics,
		.created_by = userid,
		.features = pgaml_train_feature_names(),
		.nfeatures = PGAML_F_COUNT,
		.bytes = import->bytes,
		.length = import->bytes_length
	};
	int32		version;

	if (import->dataset != NULL)
		strlcpy(model.data_hash, import->dataset->hash, sizeof(model.data_hash));
	import->model_id = pgaml_registry_store(&model, &version);
}

/* import_model(data bytea, format text) RETURNS bigint */
Datum
pgaml_import_model(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(0);
	Import		import = {
		.format = parse_format(text_to_cstring(PG_GETARG_TEXT_PP(1))),
		.data = (const uint8 *) VARDATA_ANY(data), .length = VARSIZE_ANY_EXHDR(data)
	};
	Oid			userid = GetUserId();
	instr_time	start;
	instr_time	end;
	PgamlSpi	spi;

	pgaml_require_writable("import_model()");
	INSTR_TIME_SET_CURRENT(start);
	import.context = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml import", ALLOCSET_DEFAULT_SIZES);
	pgaml_ml_memory_init(&import.memory, import.context, (Size) pgaml_training_memory * 1024);
	if (import.format == FORMAT_NATIVE)
		read_native(&import);
	else
		read_xgboost(&import);

	pgaml_spi_open(&spi);
	read_history(&import);
	measure(&import);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	import.ms = INSTR_TIME_GET_MILLISEC(end);
	store(&import, userid);
	pgaml_spi_close(&spi);
	MemoryContextDelete(import.context);
	PG_RETURN_INT64(import.model_id);
}
