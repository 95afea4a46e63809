/*-------------------------------------------------------------------------
 * helper_ml.c
 *		See helper_ml.h.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"

/*
 * Bytes before each block, which hold its size.  8 more than malloc aligns to,
 * because 8 bytes is all the alignment that a server promises.
 */
#define HEADER 24

static void *
counting_alloc(void *state, size_t size)
{
	Counter    *counter = state;
	char	   *block;

	counter->calls++;
	if (counter->calls == counter->fail_at)
		return NULL;
	block = malloc(size + HEADER);
	if (block == NULL)
		return NULL;
	memcpy(block, &size, sizeof(size));
	counter->held += size;
	if (counter->held > counter->peak)
		counter->peak = counter->held;
	/* nobody may count on zeroes */
	memset(block + HEADER, 0xa5, size);
	return block + HEADER;
}

static void
counting_free(void *state, void *ptr)
{
	Counter    *counter = state;
	size_t		size;

	if (ptr == NULL)
		return;
	memcpy(&size, (char *) ptr - HEADER, sizeof(size));
	counter->held -= size;
	free((char *) ptr - HEADER);
}

MlAllocator
counting(Counter *counter)
{
	return (MlAllocator) {counting_alloc, counting_free, counter};
}

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

const MlAllocator plain_heap = {heap_alloc, heap_free, NULL};

Table
table_new(int64_t nrows, int32_t nfeatures)
{
	Table		table;

	table.values = calloc((size_t) (nrows * nfeatures), sizeof(float));
	table.target = calloc((size_t) nrows, sizeof(double));
	table.weight = NULL;
	table.columns = calloc((size_t) nfeatures, sizeof(float *));
	for (int32_t f = 0; f < nfeatures; f++)
		table.columns[f] = table.values + f * nrows;
	table.data = (MlDataset) {
		.nrows = nrows, .nfeatures = nfeatures, .columns = table.columns, .target = table.target
	};
	return table;
}

Table
table_random(int64_t nrows, int32_t nfeatures, uint64_t seed)
{
	Table		table = table_new(nrows, nfeatures);
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, seed);
	for (int64_t i = 0; i < nrows; i++)
	{
		double		x[3] = {0};

		for (int32_t f = 0; f < nfeatures; f++)
		{
			table_column(&table, f)[i] = (float) pgaml_ml_rng_normal(&rng);
			if (f < 3)
				x[f] = table_column(&table, f)[i];
		}
		table.target[i] = 2.0 * x[0] + (x[1] > 0.3 ? 1.5 : 0.0) + x[1] * x[2] +
			0.3 * pgaml_ml_rng_normal(&rng);
	}
	return table;
}

float *
table_column(const Table *table, int32_t feature)
{
	return table->values + feature * table->data.nrows;
}

void
table_set_weights(Table *table)
{
	table->weight = malloc((size_t) table->data.nrows * sizeof(float));
	for (int64_t i = 0; i < table->data.nrows; i++)
		table->weight[i] = 1.0f;
	table->data.weight = table->weight;
}

void
table_free(Table *table)
{
	free(table->values);
	free(table->target);
	free(table->weight);
	free(table->columns);
}

MlModel *
train(const Table *table, MlModelType type,...)
{
	MlParams	params;
	MlModel    *model = NULL;
	MlError		error = {0};
	va_list		args;
	const char *name;

	pgaml_ml_params_default(type, &params);
	va_start(args, type);
	while ((name = va_arg(args, const char *)) != NULL)
	{
		if (pgaml_ml_params_set(&params, name, va_arg(args, double), &error) != ML_OK)
			fail_msg("%s: %s", name, error.message);
	}
	va_end(args);
	if (pgaml_ml_train(&table->data, &params, &plain_heap, NULL, &model, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return model;
}

double
predict_row(const MlModel *model, const Table *table, int64_t row)
{
	float		values[256];

	assert_in_range(table->data.nfeatures, 1, 256);
	for (int32_t f = 0; f < table->data.nfeatures; f++)
		values[f] = table->columns[f][row];
	return pgaml_ml_predict(model, values);
}

double
r2_of(const MlModel *model, const Table *table)
{
	double	   *p = malloc((size_t) table->data.nrows * sizeof(double));
	MlMetrics	metrics;

	pgaml_ml_predict_columns(model, table->columns, table->data.nrows, p);
	assert_int_equal(pgaml_ml_metrics(table->target, p, table->weight, table->data.nrows,
									  &plain_heap, &metrics, NULL), ML_OK);
	free(p);
	return metrics.r2;
}

void
assert_same_bytes(const MlModel *a, const MlModel *b)
{
	uint8_t    *bytes_a;
	uint8_t    *bytes_b;
	size_t		length_a;
	size_t		length_b;

	assert_int_equal(pgaml_ml_model_encode(a, &plain_heap, &bytes_a, &length_a, NULL), ML_OK);
	assert_int_equal(pgaml_ml_model_encode(b, &plain_heap, &bytes_b, &length_b, NULL), ML_OK);
	assert_int_equal(length_a, length_b);
	assert_memory_equal(bytes_a, bytes_b, length_a);
	free(bytes_a);
	free(bytes_b);
}

/*
 * Bit by bit from the polynomial, unlike the library's table.
 */
uint32_t
reference_crc32c(const uint8_t *bytes, size_t length)
{
	uint32_t	crc = 0xffffffff;

	for (size_t i = 0; i < length; i++)
	{
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}
