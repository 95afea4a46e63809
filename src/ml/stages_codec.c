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
	{
		allocator.free(allocator.state, stages->pooled[kind].values);
		for (int size = 0; size < ML_SIZE_GROUPS; size++)
			allocator.free(allocator.state, stages->sized[kind][size].values);
	}
	for (int kind = 0; kind < ML_STAGE_WARM_COUNT; kind++)
		pgaml_ml_own_scores_free(&stages->own[kind], &allocator);
	allocator.free(allocator.state, stages->few.values);
	pgaml_ml_novelty_free(&stages->novelty, &allocator);
	allocator.free(allocator.state, stages->feature_min);
	allocator.free(allocator.state, stages->feature_max);
	allocator.free(allocator.state, stages->plans);
	if (stages->model != NULL)
		pgaml_ml_model_free(stages->model);
	allocator.free(allocator.state, stages);
}

bool
pgaml_ml_stage_layout_valid(const MlStageLayout *layout)
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
valid_share(double share)
{
	return share >= 0.0 && share <= 1.0;
}

static bool
valid_numbers(const MlStages *stages)
{
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		if (!isfinite(stages->smear[kind]) || stages->smear[kind] < 0.0)
			return false;
		for (int group = 0; group < ML_SIZE_GROUPS; group++)
			if (!valid_share(stages->confidence[kind][group]))
				return false;
		for (int size = 0; size < ML_SIZE_GROUPS; size++)
			if (!pgaml_ml_scores_valid(&stages->sized[kind][size]))
				return false;
		if (!pgaml_ml_scores_valid(&stages->pooled[kind]))
			return false;
	}
	for (int kind = 0; kind < ML_STAGE_WARM_COUNT; kind++)
		if (!pgaml_ml_own_scores_valid(&stages->own[kind]))
			return false;
	for (int group = 0; group < ML_SPREAD_GROUPS; group++)
		if (!valid_share(stages->shrink_warm[group]) || !valid_share(stages->shrink_own[group]))
			return false;
	if (!(isnan(stages->y_min) && isnan(stages->y_max)) &&
		!(isfinite(stages->y_min) && isfinite(stages->y_max) && stages->y_min <= stages->y_max))
		return false;
	return isfinite(stages->global_median) && isfinite(stages->default_spread) && stages->default_spread >= 0.0 &&
		isfinite(stages->line.intercept) && isfinite(stages->line.slope) && isfinite(stages->line.scale) &&
		valid_share(stages->shrink_cold) && valid_share(stages->shrink_new) && pgaml_ml_scores_valid(&stages->few);
}

MlStatus
pgaml_ml_stages_validate(const MlStages *stages, MlError *error)
{
	if (!pgaml_ml_stage_layout_valid(&stages->layout))
		return pgaml_ml_fail(error, ML_E_FORMAT, "layout", "feature positions are out of range");
	if (stages->warm_source != ML_SOURCE_HISTORY && stages->warm_source != ML_SOURCE_MODEL)
		return pgaml_ml_fail(error, ML_E_FORMAT, "warm_source", "unknown source");
	if (stages->own_source != ML_SOURCE_HISTORY && stages->own_source != ML_SOURCE_MODEL)
		return pgaml_ml_fail(error, ML_E_FORMAT, "own_source", "unknown source");
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
	if (!pgaml_ml_novelty_valid(&stages->novelty, stages->model))
		return pgaml_ml_fail(error, ML_E_FORMAT, "novelty", "its sets do not fit the learner");
	return ML_OK;
}

static void
write_scalars(MlWriter *out, const MlStages *stages)
{
	const MlStageLayout *layout = &stages->layout;
	const uint32_t places[] = {
		layout->feature_version, stages->absolute, layout->nfeatures, layout->lag_center, layout->lag_spread,
		layout->lag_runs, layout->cost, stages->warm_source, stages->own_source, stages->cold_source
	};
	const double numbers[] = {
		stages->shrink_cold, stages->shrink_new, stages->global_median, stages->y_min, stages->y_max, stages->default_spread,
		stages->line.intercept, stages->line.slope, stages->line.scale, stages->line.x_min, stages->line.x_max
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		pgaml_ml_write(out, places[i], 4);
	for (int i = 0; i < layout->nfeatures; i++)
		pgaml_ml_write(out, layout->roles[i], 1);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		pgaml_ml_write_f64(out, numbers[i]);
	for (int group = 0; group < ML_SPREAD_GROUPS; group++)
	{
		pgaml_ml_write_f64(out, stages->shrink_warm[group]);
		pgaml_ml_write_f64(out, stages->shrink_own[group]);
	}
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
		&stages->shrink_cold, &stages->shrink_new, &stages->global_median, &stages->y_min, &stages->y_max, &stages->default_spread,
		&stages->line.intercept, &stages->line.slope, &stages->line.scale, &stages->line.x_min, &stages->line.x_max
	};
	uint32_t	absolute;
	MlSource   *sources[] = {&stages->warm_source, &stages->own_source, &stages->cold_source};

	layout->feature_version = pgaml_ml_read(in, 4);
	absolute = pgaml_ml_read(in, 4);
	in->failed = in->failed || absolute > 1;
	stages->absolute = absolute == 1;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		*places[i] = (int32_t) pgaml_ml_read(in, 4);
	for (int i = 0; i < 3; i++)
	{
		uint32_t	source = (uint32_t) pgaml_ml_read(in, 4);

		*sources[i] = source <= ML_SOURCE_PLANNER ? (MlSource) source : ML_SOURCE_NONE;
	}
	for (int i = 0; i < layout->nfeatures && i < ML_STAGE_MAX_FEATURES; i++)
		layout->roles[i] = (uint8_t) pgaml_ml_read(in, 1);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		*numbers[i] = pgaml_ml_read_f64(in);
	for (int group = 0; group < ML_SPREAD_GROUPS; group++)
	{
		stages->shrink_warm[group] = pgaml_ml_read_f64(in);
		stages->shrink_own[group] = pgaml_ml_read_f64(in);
	}
}

static void
write_scores(MlWriter *out, const MlScores *scores)
{
	pgaml_ml_write(out, (uint32_t) scores->n, 4);
	pgaml_ml_write(out, (uint32_t) scores->each, 4);
	for (int32_t i = 0; i < scores->n; i++)
		pgaml_ml_write_f32(out, scores->values[i]);
}

static void
write_calibration(MlWriter *out, const MlStages *stages)
{
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		pgaml_ml_write_f64(out, stages->smear[kind]);
		for (int group = 0; group < ML_SIZE_GROUPS; group++)
			pgaml_ml_write_f64(out, stages->confidence[kind][group]);
		write_scores(out, &stages->pooled[kind]);
		for (int size = 0; size < ML_SIZE_GROUPS; size++)
			write_scores(out, &stages->sized[kind][size]);
	}
	write_scores(out, &stages->few);
	for (int kind = 0; kind < ML_STAGE_WARM_COUNT; kind++)
	{
		const MlOwnScores *own = &stages->own[kind];

		pgaml_ml_write(out, (uint32_t) own->n, 4);
		pgaml_ml_write(out, (uint32_t) own->total, 4);
		for (int32_t i = 0; i < own->n; i++)
		{
			pgaml_ml_write(out, (uint64_t) own->key[i], 8);
			pgaml_ml_write(out, (uint32_t) (own->start[i + 1] - own->start[i]), 4);
		}
		for (int32_t i = 0; i < own->total; i++)
			pgaml_ml_write_f32(out, own->values[i]);
	}
}

static void
write_all(MlWriter *out, const MlStages *stages, const uint8_t *model, size_t model_length)
{
	pgaml_ml_write_bytes(out, MAGIC, 8);
	pgaml_ml_write(out, FORMAT_VERSION, 4);
	pgaml_ml_write(out, 0, 8);	/* length, filled in by the caller */
	write_scalars(out, stages);
	write_calibration(out, stages);
	for (int32_t i = 0; i < stages->layout.nfeatures; i++)
	{
		pgaml_ml_write_f32(out, stages->feature_min[i]);
		pgaml_ml_write_f32(out, stages->feature_max[i]);
	}
	pgaml_ml_write(out, (uint32_t) stages->nplans, 4);
	for (int32_t i = 0; i < stages->nplans; i++)
		pgaml_ml_write(out, (uint64_t) stages->plans[i], 8);
	pgaml_ml_write(out, (uint32_t) stages->novelty.nsets, 4);
	pgaml_ml_write_f64(out, stages->novelty.usual);
	if (stages->novelty.nsets > 0)
		pgaml_ml_write_bytes(out, stages->novelty.bits, (size_t) stages->novelty.nsets * ML_NOVELTY_BYTES);
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
read_scores(MlReader *in, MlStages *stages, MlScores *scores)
{
	uint32_t	n = pgaml_ml_read_count(in, ML_SCORES_MAX, 4);
	MlStatus	status = ML_OK;

	scores->each = (int32_t) pgaml_ml_read(in, 4);
	if (n > in->left / 4)
		in->failed = true;
	scores->values = take_array(stages, in, n, sizeof(float), &status);
	if (scores->values == NULL)
		return status;
	for (uint32_t i = 0; i < n; i++)
		scores->values[i] = pgaml_ml_read_f32(in);
	scores->n = (int32_t) n;
	return ML_OK;
}

static MlStatus
read_own_scores(MlReader *in, MlStages *stages, MlOwnScores *own)
{
	uint32_t	n = pgaml_ml_read_count(in, ML_SCORES_TOTAL, 12);
	uint32_t	total = (uint32_t) pgaml_ml_read(in, 4);
	uint32_t	sum = 0;
	MlStatus	status = ML_OK;

	if (n > in->left / 12 || total > ML_SCORES_TOTAL || total > (in->left - (size_t) n * 12) / 4)
		in->failed = true;
	own->key = take_array(stages, in, n, sizeof(int64_t), &status);
	own->start = take_array(stages, in, n + 1, sizeof(int32_t), &status);
	own->values = take_array(stages, in, total, sizeof(float), &status);
	if (own->key == NULL || own->start == NULL || own->values == NULL)
		return status;
	own->start[0] = 0;
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	count;

		own->key[i] = (int64_t) pgaml_ml_read(in, 8);
		count = (uint32_t) pgaml_ml_read(in, 4);
		if (count > total - sum)
			in->failed = true;
		sum = in->failed ? sum : sum + count;
		own->start[i + 1] = (int32_t) sum;
	}
	if (sum != total)
		in->failed = true;
	for (uint32_t i = 0; i < total; i++)
		own->values[i] = pgaml_ml_read_f32(in);
	own->n = (int32_t) n;
	own->total = (int32_t) total;
	return ML_OK;
}

static MlStatus
read_calibration(MlReader *in, MlStages *stages)
{
	MlStatus	status = ML_OK;

	for (int kind = 0; kind < ML_STAGE_COUNT && status == ML_OK && !in->failed; kind++)
	{
		stages->smear[kind] = pgaml_ml_read_f64(in);
		for (int group = 0; group < ML_SIZE_GROUPS; group++)
			stages->confidence[kind][group] = pgaml_ml_read_f64(in);
		status = read_scores(in, stages, &stages->pooled[kind]);
		for (int size = 0; size < ML_SIZE_GROUPS && status == ML_OK; size++)
			status = read_scores(in, stages, &stages->sized[kind][size]);
	}
	if (status == ML_OK)
		status = read_scores(in, stages, &stages->few);
	for (int kind = 0; kind < ML_STAGE_WARM_COUNT && status == ML_OK && !in->failed; kind++)
		status = read_own_scores(in, stages, &stages->own[kind]);
	return status;
}

static MlStatus
read_novelty(MlReader *in, MlStages *stages)
{
	MlNovelty  *novelty = &stages->novelty;
	uint32_t	nsets = (uint32_t) pgaml_ml_read(in, 4);
	MlStatus	status = ML_OK;

	novelty->usual = pgaml_ml_read_f64(in);
	if (nsets > ML_NOVELTY_SETS || in->left / ML_NOVELTY_BYTES < nsets)
		in->failed = true;
	if (in->failed || nsets == 0)
		return ML_OK;
	novelty->bits = take_array(stages, in, nsets, ML_NOVELTY_BYTES, &status);
	if (novelty->bits == NULL)
		return status;
	novelty->nsets = (int32_t) nsets;
	memcpy(novelty->bits, in->at, (size_t) nsets * ML_NOVELTY_BYTES);
	in->at += (size_t) nsets * ML_NOVELTY_BYTES;
	in->left -= (size_t) nsets * ML_NOVELTY_BYTES;
	return ML_OK;
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
	if (!pgaml_ml_stage_layout_valid(&stages->layout))
		status = pgaml_ml_fail(error, ML_E_FORMAT, "layout", "feature positions are out of range");
	if (status == ML_OK)
		status = read_calibration(&in, stages);
	if (status == ML_OK && !in.failed)
		status = read_ranges_and_plans(&in, stages);
	if (status == ML_OK && !in.failed)
		status = read_novelty(&in, stages);
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
