/*-------------------------------------------------------------------------
 * helper_ml.h
 *		What the tests of src/ml share: a counting allocator that can be told
 *		to fail, and seeded datasets.
 *-------------------------------------------------------------------------
 */
#ifndef HELPER_ML_H
#define HELPER_ML_H

#include "ml/ml.h"

/* Counts what is held; fails at the fail_at-th allocation (1 is the first, 0 never). */
typedef struct Counter
{
	size_t		held;			/* bytes */
	size_t		peak;			/* bytes */
	int64_t		calls;			/* allocations asked for */
	int64_t		fail_at;
} Counter;

extern MlAllocator counting(Counter *counter);
extern const MlAllocator plain_heap;

/* A dataset that owns its memory. */
typedef struct Table
{
	MlDataset	data;
	float	   *values;			/* columns one after the other */
	double	   *target;
	float	   *weight;			/* or NULL */
	const float **columns;
} Table;

extern Table table_new(int64_t nrows, int32_t nfeatures);

/* Standard normal features; a target with steps, products and noise. */
extern Table table_random(int64_t nrows, int32_t nfeatures, uint64_t seed);
extern float *table_column(const Table *table, int32_t feature);
extern void table_set_weights(Table *table);	/* all 1, to be changed */
extern void table_free(Table *table);

/* Train with defaults changed by "name", value pairs that end with NULL; asserts success. */
extern MlModel *train(const Table *table, MlModelType type,...);

/* Prediction for row i of a table. */
extern double predict_row(const MlModel *model, const Table *table, int64_t row);
extern double r2_of(const MlModel *model, const Table *table);

/* Both models encode to the same bytes. */
extern void assert_same_bytes(const MlModel *a, const MlModel *b);

extern uint32_t reference_crc32c(const uint8_t *bytes, size_t length);

#endif							/* HELPER_ML_H */
