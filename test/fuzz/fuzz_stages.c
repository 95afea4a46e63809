/*-------------------------------------------------------------------------
 * fuzz_stages.c
 *		Bytes of stored stages, decoded and used.
 *
 * Hunts: counts of scores, plans and features that say more than there is;
 * positions of features outside the row; ranges and scores that are no
 * numbers; a learner with other features than the stages; a prediction whose
 * bounds are no numbers or in the wrong order; stages that encode to bytes
 * which do not decode.  Both checksums, of the stages and of the learner in
 * them, are repaired first, else nothing would get past them.
 *-------------------------------------------------------------------------
 */
#include "ml/stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_AT	12			/* of the length of the stages */

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *
heap_alloc(void *state, size_t size)
{
	(void) state;
	return malloc(size);
}

static void
heap_free(void *state, void *ptr)
{
	(void) state;
	free(ptr);
}

static void
put(uint8_t *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (uint8_t) (value >> (8 * i));
}

static void
repair_checksum(uint8_t *bytes, size_t length)
{
	uint32_t	crc = 0xffffffff;

	for (size_t i = 0; i < length - 4; i++)
	{
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	put(bytes + length - 4, ~crc, 4);
}

/* The learner begins with its magic and ends where the stages' checksum begins. */
static void
repair(uint8_t *bytes, size_t length)
{
	put(bytes + LENGTH_AT, length, 8);
	for (size_t at = 28; at + 28 + 4 <= length; at++)
	{
		if (memcmp(bytes + at, "PGAMLMOD", 8) == 0)
		{
			put(bytes + at - 4, length - at - 4, 4);
			put(bytes + at + 16, length - at - 4, 8);
			repair_checksum(bytes + at, length - at - 4);
			break;
		}
	}
	repair_checksum(bytes, length);
}

static void
use(const MlStages *stages, const MlAllocator *allocator)
{
	static const float values[] = {0.0f, -1.5f, 3e38f, -3e38f, NAN, 1e-40f, 5.0f};
	static const size_t nvalues = sizeof(values) / sizeof(values[0]);
	float		row[ML_STAGE_MAX_FEATURES];
	float		scratch[2 * ML_STAGE_MAX_FEATURES];
	MlStages   *again;
	uint8_t    *bytes;
	size_t		length;

	for (size_t v = 0; v < 2 * nvalues; v++)
	{
		MlStageQuery query = {
			.row = row, .key = (int64_t) v % 7, .plan = (int64_t) v - 3, .own_plan = v % 2, .coverage = 0.9,
			.recent = values, .nrecent = v % 3 ? 0 : (int32_t) nvalues
		};
		MlForecast	forecast;

		for (int32_t f = 0; f < pgaml_ml_stages_layout(stages)->nfeatures; f++)
			row[f] = values[(v < nvalues ? v : v + (size_t) f) % nvalues];
		pgaml_ml_stages_predict(stages, &query, scratch, &forecast);
		if (forecast.source != ML_SOURCE_NONE &&
			(!isfinite(forecast.center) || !(forecast.lower <= forecast.center) ||
			 !(forecast.upper >= forecast.center) || isnan(forecast.confidence)))
			abort();
	}
	if (pgaml_ml_stages_encode(stages, allocator, &bytes, &length, NULL) != ML_OK ||
		pgaml_ml_stages_decode(bytes, length, allocator, &again, NULL) != ML_OK)
		abort();
	pgaml_ml_stages_free(again);
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const MlAllocator allocator = {heap_alloc, heap_free, NULL};
	uint8_t    *bytes = malloc(size + 1);
	MlStages   *stages;

	memcpy(bytes, data, size);
	if (size >= 32)
		repair(bytes, size);
	if (pgaml_ml_stages_decode(bytes, size, &allocator, &stages, NULL) == ML_OK)
	{
		use(stages, &allocator);
		pgaml_ml_stages_free(stages);
	}
	free(bytes);
	return 0;
}
