/*-------------------------------------------------------------------------
 * folds.h
 *		Which rows train and which test, several times over.
 *
 * Pure C, on top of ml.h.  Four rules: shuffled k-fold; whole groups in one
 * fold; and two that respect time, where a fold trains on the past and tests
 * on the block that follows.  The same seed gives the same folds.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_FOLDS_H
#define PGAML_ML_FOLDS_H

#include "ml/ml.h"

#define ML_MAX_FOLDS	100

typedef enum MlFoldKind
{
	ML_FOLDS_RANDOM,			/* every row is tested once, the others train */
	ML_FOLDS_GROUP,				/* the same, no group on both sides, sizes as even as groups allow */
	ML_FOLDS_EXPANDING,			/* time: trains on everything before the tested block */
	ML_FOLDS_BLOCKED			/* time: trains on the one block before the tested block */
} MlFoldKind;

typedef struct MlFoldSpec
{
	MlFoldKind	kind;
	int32_t		nfolds;			/* 2..ML_MAX_FOLDS; by time 1 is allowed too */
	uint64_t	seed;			/* random, group */
	const int64_t *times;		/* by time: nrows, any unit; NULL: rows are in order of time */
	const int64_t *groups;		/* group: nrows, any key */
} MlFoldSpec;

typedef enum MlFoldSide
{
	ML_FOLD_NEITHER,			/* by time: later than the tested block, or too old */
	ML_FOLD_TRAIN,
	ML_FOLD_TEST
} MlFoldSide;

typedef struct MlFolds
{
	MlFoldKind	kind;
	int32_t		nfolds;
	int64_t		nrows;
	int8_t	   *fold;			/* [nrows] where a row is tested, 0..nfolds-1; -1: never, the
								 * oldest block by time */
} MlFolds;

/*
 * Weights are not asked for: sizes are counted in rows.  By time, rows of one
 * moment are never parted.  ML_E_DATA when there are fewer rows, groups or
 * moments than folds need.  On ML_OK the caller frees *out with pgaml_ml_folds_free.
 */
extern MlStatus pgaml_ml_folds_create(const MlFoldSpec *spec, int64_t nrows, const MlAllocator *allocator,
									  const MlStop *stop, MlFolds *out, MlError *error);
extern void pgaml_ml_folds_free(MlFolds *folds, const MlAllocator *allocator);

/* What a row does when fold k is tested. */
extern MlFoldSide pgaml_ml_folds_side(const MlFolds *folds, int32_t k, int64_t row);

/* Rows of one side in ascending order into rows (room for nrows; may be NULL); how many. */
extern int64_t pgaml_ml_folds_rows(const MlFolds *folds, int32_t k, MlFoldSide side, int64_t *rows);

#endif							/* PGAML_ML_FOLDS_H */
