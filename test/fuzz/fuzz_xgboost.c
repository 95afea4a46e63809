/*-------------------------------------------------------------------------
 * fuzz_xgboost.c
 *		JSON of XGBoost, read, used, written and read again.
 *
 * Hunts: reads past the end of a text that stops inside a token; memory asked
 * for out of proportion; arrays of a tree that differ in length; children
 * that leave the arrays, meet a node twice or go in circles; features that
 * the model does not have; thresholds without a float before them; numbers
 * that make a prediction NaN or infinite; a model that comes back from its
 * own JSON as another one.
 *-------------------------------------------------------------------------
 */
#include "ml/xgboost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FEATURES 4096

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *
heap_alloc(void *state, size_t size)
{
	size_t	   *held = state;

	*held += size;
	return malloc(size);
}

static void
heap_free(void *state, void *ptr)
{
	(void) state;
	free(ptr);
}

static void
predict(const MlModel *model)
{
	static const float values[] = {0.0f, -1.5f, 3e38f, -3e38f, NAN, 1e-40f};
	static float row[MAX_FEATURES];

	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
	{
		for (int32_t f = 0; f < pgaml_ml_model_features(model); f++)
			row[f] = values[(v + (size_t) f) % (sizeof(values) / sizeof(values[0]))];
		if (!isfinite(pgaml_ml_predict(model, row)))
			abort();
	}
}

static void
same_bytes(const MlModel *a, const MlModel *b, const MlAllocator *allocator)
{
	uint8_t    *bytes_a;
	uint8_t    *bytes_b;
	size_t		length_a;
	size_t		length_b;

	if (pgaml_ml_model_encode(a, allocator, &bytes_a, &length_a, NULL) != ML_OK ||
		pgaml_ml_model_encode(b, allocator, &bytes_b, &length_b, NULL) != ML_OK ||
		length_a != length_b || memcmp(bytes_a, bytes_b, length_a) != 0)
		abort();
	free(bytes_a);
	free(bytes_b);
}

static void
there_and_back(const MlModel *model, const MlAllocator *allocator)
{
	MlModel    *again;
	uint8_t    *text;
	size_t		length;

	if (pgaml_ml_xgboost_write(model, NULL, NULL, 0, allocator, NULL, &text, &length, NULL) != ML_OK ||
		pgaml_ml_xgboost_read(text, length, NULL, 0, NULL, 0, allocator, NULL, &again, NULL) != ML_OK)
		abort();
	same_bytes(model, again, allocator);
	pgaml_ml_model_free(again);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"x", "b", "a"};
	size_t		held = 0;
	const MlAllocator allocator = {heap_alloc, heap_free, &held};
	MlXgboostAttribute attribute = {.name = "mine"};
	MlModel    *model;

	if (pgaml_ml_xgboost_read(data, size, NULL, 0, &attribute, 1, &allocator, NULL, &model, NULL) == ML_OK)
	{
		predict(model);
		there_and_back(model, &allocator);
		pgaml_ml_model_free(model);
	}
	else if (held > 64 * size + 65536)
		abort();
	if (pgaml_ml_xgboost_read(data, size, names, 3, NULL, 0, &allocator, NULL, &model, NULL) == ML_OK)
	{
		if (pgaml_ml_model_features(model) != 3)
			abort();
		predict(model);
		pgaml_ml_model_free(model);
	}
	return 0;
}
