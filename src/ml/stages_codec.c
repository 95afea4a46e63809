/*-------------------------------------------------------------------------
 * stages_codec.c
 *		Fitted stages as bytes and back.
 *
 * The layout stands in FORMAT.md ("Stages").  Bytes may be hostile: length
 * and CRC first, every count against the bytes that are left before memory
 * is asked for, everything validated before the stages are handed out.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_internal.h"

#include <math.h>
#include <string.h>

#include "ml/bytes_internal.h"
#include "ml/core_internal.h"

#define MAGIC			"PGAMLSTG"
#define FORMAT_VERSION	2
#define HEADER_BYTES	20		/* magic, version, length */
#define CRC_BYTES		4

MlStages *
pgaml_ml_stages_new(const MlAllocator *allocator, const MlStageLayout *layout)
{
	MlStages   *stages = pgaml_ml_alloc_zero(allocator, 1, sizeof(MlStages));

	if (stages == NULL)
		return NULL;
	stages->allocator = *allocator;
	stages->layout = *layout;
	return stages;
}

void
pgaml_ml_stages_free(MlStages *stages)
{
	MlAllocator allocator;

	if (stages == NULL)
		return;
	allocator = stages->allocator;
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
		allocator.free(allocator.state, stages->scores[kind]);
	allocator.free(allocator.state, stages->feature_min);
	allocator.free(allocator.state, stages->feature_max);
	allocator.free(allocator.state, stages->plans);
	if (stages->model != NULL)
		pgaml_ml_model_free(stages->model);
	allocator.free(allocator.state, stages);
}

static bool
valid_layout(const MlStageLayout *layout)
{
	int32_t		n = layout->nfeatures;

	for (int i = 0; i < ML_STAGE_MAX_FEATURES; i++)
		if (layout->roles[i] > ML_ROLE_ALL)
			return false;
	return n >= 1 && n <= ML_STAGE_MAX_FEATURES &&
		layout->lag_center >= 0 && layout->lag_center < n && layout->lag_spread >= 0 && layout->lag_spread < n &&
		layout->lag_runs >= 0 && layout->lag_runs < n && layout->cost >= 0 && layout->cost < n;
}

static bool
valid_numbers(const MlStages *stages)
{
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		if (!isfinite(stages->smear[kind]) || stages->smear[kind] < 0.0)
			return false;
		for (int group = 0; group < ML_SIZE_GROUPS; group++)
			if (!(stages->confidence[kind][group] >= 0.0 && stages->confidence[kind][group] <= 1.0))
				return false;
		for (int32_t i = 0; i < stages->nscores[kind]; i++)
			if (!isfinite(stages->scores[kind][i]) || stages->scores[kind][i] < 0.0 ||
				(i > 0 && stages->scores[kind][i] < stages->scores[kind][i - 1]))
				return false;
	}
	if (!(isnan(stages->y_min) && isnan(stages->y_max)) &&
		!(isfinite(stages->y_min) && isfinite(stages->y_max) && stages->y_min <= stages->y_max))
		return false;
	return isfinite(stages->global_median) && isfinite(stages->default_spread) && stages->default_spread >= 0.0 &&
		isfinite(stages->line.intercept) && isfinite(stages->line.slope) && isfinite(stages->line.scale) &&
		stages->shrink_warm >= 0.0 && stages->shrink_warm <= 1.0 &&
		stages->shrink_cold >= 0.0 && stages->shrink_cold <= 1.0;
}

MlStatus
pgaml_ml_stages_validate(const MlStages *stages, MlError *error)
{
	if (!valid_layout(&stages->layout))
		return pgaml_ml_fail(error, ML_E_FORMAT, "layout", "feature positions are out of range");
	if (stages->warm_source != ML_SOURCE_HISTORY && stages->warm_source != ML_SOURCE_MODEL)
		return pgaml_ml_fail(error, ML_E_FORMAT, "warm_source", "unknown source");
	if (stages->cold_source != ML_SOURCE_PLANNER && stages->cold_source != ML_SOURCE_MODEL)
		return pgaml_ml_fail(error, ML_E_FORMAT, "cold_source", "unknown source");
	if (!valid_numbers(stages))
		return pgaml_ml_fail(error, ML_E_FORMAT, "calibration", "a number is out of its range");
	for (int32_t i = 0; i < stages->layout.nfeatures; i++)
		if (isinf(stages->feature_min[i]) || isinf(stages->feature_max[i]))
			return pgaml_ml_fail(error, ML_E_FORMAT, "feature_range", "a range is infinite");
	for (int32_t i = 1; i < stages->nplans; i++)
		if (stages->plans[i] <= stages->plans[i - 1])
			return pgaml_ml_fail(error, ML_E_FORMAT, "plans", "plan ids are not ascending");
	if (pgaml_ml_model_features(stages->model) != stages->layout.nfeatures)
		return pgaml_ml_fail(error, ML_E_FORMAT, "model", "the learner has another number of features");
	return ML_OK;
}

static void
write_scalars(MlWriter *out, const MlStages *stages)
{
	const MlStageLayout *layout = &stages->layout;
	const uint32_t places[] = {
		layout->feature_version, stages->absolute, layout->nfeatures, layout->lag_center, layout->lag_spread,
		layout->lag_runs, layout->cost, stages->warm_source, stages->cold_source
	};
	const double numbers[] = {
		stages->shrink_warm, stages->shrink_cold, stages->global_median, stages->y_min, stages->y_max,
		stages->default_spread, stages->line.intercept, stages->line.slope, stages->line.scale,
		stages->line.x_min, stages->line.x_max
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		pgaml_ml_write(out, places[i], 4);
	for (int i = 0; i < layout->nfeatures; i++)
		pgaml_ml_write(out, layout->roles[i], 1);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		pgaml_ml_write_f64(out, numbers[i]);
}

static void
read_scalars(MlReader *in, MlStages *stages)
{
	MlStageLayout *layout = &stages->layout;
	int32_t    *places[] = {
		&layout->nfeatures, &layout->lag_center, &layout->lag_spread,
		&layout->lag_runs, &layout->cost
	};
	double	   *numbers[] = {
		&stages->shrink_warm, &stages->shrink_cold, &stages->global_median, &stages->y_min, &stages->y_max,
		&stages->default_spread, &stages->line.intercept, &stages->line.slope, &stages->line.scale,
		&stages->line.x_min, &stages->line.x_max
	};
	uint32_t	absolute;
	uint32_t	sources[2];

	layout->feature_version = pgaml_ml_read(in, 4);
	absolute = pgaml_ml_read(in, 4);
	in->failed = in->failed || absolute > 1;
	stages->absolute = absolute == 1;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		*places[i] = (int32_t) pgaml_ml_read(in, 4);
	for (int i = 0; i < 2; i++)
		sources[i] = pgaml_ml_read(in, 4);
	stages->warm_source = sources[0] <= ML_SOURCE_PLANNER ? (MlSource) sources[0] : ML_SOURCE_NONE;
	stages->cold_source = sources[1] <= ML_SOURCE_PLANNER ? (MlSource) sources[1] : ML_SOURCE_NONE;
	for (int i = 0; i < layout->nfeatures && i < ML_STAGE_MAX_FEATURES; i++)
		layout->roles[i] = (uint8_t) pgaml_ml_read(in, 1);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		*numbers[i] = pgaml_ml_read_f64(in);
}

static void
write_all(MlWriter *out, const MlStages *stages, const uint8_t *model, size_t model_length)
{
	pgaml_ml_write_bytes(out, MAGIC, 8);
	pgaml_ml_write(out, FORMAT_VERSION, 4);
	pgaml_ml_write(out, 0, 8);	/* length, filled in by the caller */
	write_scalars(out, stages);
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		pgaml_ml_write_f64(out, stages->smear[kind]);
		for (int group = 0; group < ML_SIZE_GROUPS; group++)
			pgaml_ml_write_f64(out, stages->confidence[kind][group]);
		pgaml_ml_write(out, (uint32_t) stages->nscores[kind], 4);
		for (int32_t i = 0; i < stages->nscores[kind]; i++)
			pgaml_ml_write_f64(out, stages->scores[kind][i]);
	}
	for (int32_t i = 0; i < stages->layout.nfeatures; i++)
	{
		pgaml_ml_write_f32(out, stages->feature_min[i]);
		pgaml_ml_write_f32(out, stages->feature_max[i]);
	}
	pgaml_ml_write(out, (uint32_t) stages->nplans, 4);
	for (int32_t i = 0; i < stages->nplans; i++)
		pgaml_ml_write(out, (uint64_t) stages->plans[i], 8);
	pgaml_ml_write(out, (uint32_t) model_length, 4);
	pgaml_ml_write_bytes(out, model, model_length);
}

MlStatus
pgaml_ml_stages_encode(const MlStages *stages, const MlAllocator *allocator, uint8_t **bytes,
					   size_t *length, MlError *error)
{
	MlWriter	out = {0};
	uint8_t    *model;
	size_t		model_length;
	MlStatus	status = pgaml_ml_model_encode(stages->model, allocator, &model, &model_length, error);

	if (status != ML_OK)
		return status;
	write_all(&out, stages, model, model_length);
	*length = out.at + CRC_BYTES;
	*bytes = allocator->alloc(allocator->state, *length);
	if (*bytes != NULL)
	{
		MlWriter	head = {.buffer = *bytes, .at = HEADER_BYTES - 8};

		out.buffer = *bytes;
		out.at = 0;
		write_all(&out, stages, model, model_length);
		pgaml_ml_write(&head, *length, 8);
		pgaml_ml_write(&out, pgaml_ml_crc32c(*bytes, *length - CRC_BYTES), 4);
	}
	allocator->free(allocator->state, model);
	return *bytes ? ML_OK : pgaml_ml_nomem(error, "pgaml_ml_stages_encode");
}

/* Magic, version, length and CRC. */
static MlStatus
check_envelope(const uint8_t *bytes, size_t length, MlError *error)
{
	MlReader	in = {.at = bytes + 8, .left = HEADER_BYTES - 8};
	MlReader	tail = {.at = bytes + length - CRC_BYTES, .left = CRC_BYTES};

	if (length < HEADER_BYTES + CRC_BYTES || memcmp(bytes, MAGIC, 8) != 0)
		return pgaml_ml_fail(error, ML_E_FORMAT, "magic", "these bytes are not a model");
	if (pgaml_ml_read(&in, 4) != FORMAT_VERSION)
		return pgaml_ml_fail(error, ML_E_VERSION, "version", "unknown version of the model format");
	if (pgaml_ml_read(&in, 8) != length)
		return pgaml_ml_fail(error, ML_E_FORMAT, "length", "the model is truncated or has bytes too many");
	if (pgaml_ml_read(&tail, 4) != pgaml_ml_crc32c(bytes, length - CRC_BYTES))
		return pgaml_ml_fail(error, ML_E_FORMAT, "crc", "the checksum does not match");
	return ML_OK;
}

/* An array of count items of size bytes; NULL fails the reader or says out of memory. */
static void *
take_array(MlStages *stages, MlReader *in, uint32_t count, size_t size, MlStatus *status)
{
	void	   *array;

	if (in->failed || *status != ML_OK)
		return NULL;
	array = pgaml_ml_alloc(&stages->allocator, count, size);
	if (array == NULL)
		*status = ML_E_NOMEM;
	return array;
}

static MlStatus
read_calibration(MlReader *in, MlStages *stages)
{
	MlStatus	status = ML_OK;

	for (int kind = 0; kind < ML_STAGE_COUNT && status == ML_OK; kind++)
	{
		uint32_t	n;

		stages->smear[kind] = pgaml_ml_read_f64(in);
		for (int group = 0; group < ML_SIZE_GROUPS; group++)
			stages->confidence[kind][group] = pgaml_ml_read_f64(in);
		n = pgaml_ml_read_count(in, ML_STAGE_MAX_SCORES, 8);
		stages->scores[kind] = take_array(stages, in, n, sizeof(double), &status);
		if (stages->scores[kind] == NULL)
			break;
		for (uint32_t i = 0; i < n; i++)
			stages->scores[kind][i] = pgaml_ml_read_f64(in);
		stages->nscores[kind] = (int32_t) n;
	}
	return status;
}

static MlStatus
read_ranges_and_plans(MlReader *in, MlStages *stages)
{
	uint32_t	nfeatures = (uint32_t) stages->layout.nfeatures;
	uint32_t	nplans;
	MlStatus	status = ML_OK;

	if (nfeatures > in->left / 8)
		in->failed = true;
	stages->feature_min = take_array(stages, in, nfeatures, sizeof(float), &status);
	stages->feature_max = take_array(stages, in, nfeatures, sizeof(float), &status);
	if (stages->feature_min == NULL || stages->feature_max == NULL)
		return status;
	for (uint32_t i = 0; i < nfeatures; i++)
	{
		stages->feature_min[i] = pgaml_ml_read_f32(in);
		stages->feature_max[i] = pgaml_ml_read_f32(in);
	}
	nplans = pgaml_ml_read_count(in, ML_STAGE_MAX_PLANS, 8);
	stages->plans = take_array(stages, in, nplans, sizeof(int64_t), &status);
	if (stages->plans == NULL)
		return status;
	for (uint32_t i = 0; i < nplans; i++)
		stages->plans[i] = (int64_t) pgaml_ml_read(in, 8);
	stages->nplans = (int32_t) nplans;
	return ML_OK;
}

static MlStatus
read_model(MlReader *in, MlStages *stages, MlError *error)
{
	uint32_t	length = pgaml_ml_read_count(in, UINT32_MAX, 1);

	if (in->failed || in->left != (size_t) length + CRC_BYTES)
		return pgaml_ml_fail(error, ML_E_FORMAT, "model", "the learner does not fill the rest of the bytes");
	return pgaml_ml_model_decode(in->at, length, &stages->allocator, &stages->model, error);
}

MlStatus
pgaml_ml_stages_decode(const uint8_t *bytes, size_t length, const MlAllocator *allocator,
					   MlStages **out, MlError *error)
{
	static const MlStageLayout no_layout = {0};
	MlReader	in;
	MlStages   *stages;
	MlStatus	status = check_envelope(bytes, length, error);

	*out = NULL;
	if (status != ML_OK)
		return status;
	in = (MlReader) {.at = bytes + HEADER_BYTES, .left = length - HEADER_BYTES};
	stages = pgaml_ml_stages_new(allocator, &no_layout);
	if (stages == NULL)
		return pgaml_ml_nomem(error, "pgaml_ml_stages_decode");
	read_scalars(&in, stages);
	if (!valid_layout(&stages->layout))
		status = pgaml_ml_fail(error, ML_E_FORMAT, "layout", "feature positions are out of range");
	if (status == ML_OK)
		status = read_calibration(&in, stages);
	if (status == ML_OK && !in.failed)
		status = read_ranges_and_plans(&in, stages);
	if (status == ML_E_NOMEM)
		(void) pgaml_ml_nomem(error, "pgaml_ml_stages_decode");
	if (status == ML_OK && in.failed)
		status = pgaml_ml_fail(error, ML_E_FORMAT, "length", "a count exceeds the bytes that are left");
	if (status == ML_OK)
		status = read_model(&in, stages, error);
	if (status == ML_OK)
		status = pgaml_ml_stages_validate(stages, error);
	if (status == ML_OK)
		*out = stages;
	else
		pgaml_ml_stages_free(stages);
	return status;
}
