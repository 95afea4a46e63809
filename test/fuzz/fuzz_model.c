/*-------------------------------------------------------------------------
 * fuzz_model.c
 *		Bytes of a stored model, decoded and used.
 *
 * Hunts: reads past the end where a count says more than there is; memory
 * asked for on the word of a count; children that leave the arrays, meet a
 * node twice or go in circles; trees deeper than the walk allows; numbers
 * that make a prediction or its explanation NaN or infinite; a decoded model
 * that encodes to other bytes.  The checksum is repaired first, else nothing
 * would get past it.
 *-------------------------------------------------------------------------
 */
#include "ml/ml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/explain.h"

#define MAX_FEATURES 4096

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
repair(uint8_t *bytes, size_t length)
{
	uint32_t	crc = 0xffffffff;

	for (int i = 0; i < 8; i++)
		bytes[16 + i] = (uint8_t) ((uint64_t) length >> (8 * i));
	for (size_t i = 0; i < length - 4; i++)
	{
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	for (int i = 0; i < 4; i++)
		bytes[length - 4 + (size_t) i] = (uint8_t) (~crc >> (8 * i));
}

static void
use(const MlModel *model, const MlAllocator *allocator, const uint8_t *bytes, size_t length)
{
	static const float values[] = {0.0f, -1.5f, 3e38f, -3e38f, NAN, 1e-40f};
	static float row[MAX_FEATURES];
	static double contributions[MAX_FEATURES];
	double		expected;
	uint8_t    *again;
	size_t		again_length;

	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
	{
		for (int32_t f = 0; f < pgaml_ml_model_features(model); f++)
			row[f] = values[(v + (size_t) f) % (sizeof(values) / sizeof(values[0]))];
		if (!isfinite(pgaml_ml_predict(model, row)))
			abort();
		if (pgaml_ml_explain(model, row, 1, allocator, NULL, &expected, contributions, NULL) != ML_OK ||
			!isfinite(expected))
			abort();
		for (int32_t f = 0; f < pgaml_ml_model_features(model); f++)
			if (!isfinite(contributions[f]))
				abort();
	}
	if (pgaml_ml_model_encode(model, allocator, &again, &again_length, NULL) != ML_OK ||
		again_length != length)
		abort();
	/* only a NaN may be written with other bits, and the checksum with it */
	if (!isnan(pgaml_ml_model_oob_rmse(model)) && memcmp(again, bytes, length) != 0)
		abort();
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const MlAllocator allocator = {heap_alloc, heap_free, NULL};
	uint8_t    *bytes = malloc(size + 1);
	MlModel    *model;

	memcpy(bytes, data, size);
	if (size >= 28)
		repair(bytes, size);
	if (pgaml_ml_model_decode(bytes, size, &allocator, &model, NULL) == ML_OK)
	{
		use(model, &allocator, bytes, size);
		pgaml_ml_model_free(model);
	}
	free(bytes);
	return 0;
}
