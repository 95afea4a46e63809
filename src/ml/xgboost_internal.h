/*-------------------------------------------------------------------------
 * xgboost_internal.h
 *		One tree as the arrays of XGBoost's JSON, between xgboost_read.c, which
 *		fills them, and xgboost_tree.c, which makes an MlTree of them.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_XGBOOST_INTERNAL_H
#define PGAML_ML_XGBOOST_INTERNAL_H

#include "tree_internal.h"

#define ML_XGBOOST_MAX_NODES (4 * ML_MAX_LEAVES)	/* with those that pruning left behind */

/* A growing array of integers or floats. */
typedef struct MlXgboostInts
{
	int32_t    *values;
	int32_t		n;
	int32_t		capacity;
} MlXgboostInts;

typedef struct MlXgboostFloats
{
	float	   *values;
	int32_t		n;
	int32_t		capacity;
} MlXgboostFloats;

/* By node number; 0 is the root.  Used for one tree after the other. */
typedef struct MlXgboostTree
{
	MlXgboostInts left;			/* -1 in a leaf */
	MlXgboostInts right;
	MlXgboostInts feature;
	MlXgboostInts default_left; /* where missing values go, 0 or 1 */
	MlXgboostFloats condition;	/* x < condition goes left; in a leaf its value */
	MlXgboostFloats hessian;	/* weight of the training rows; may be empty */
	MlXgboostFloats gain;		/* may be empty */
	MlXgboostInts visited;		/* scratch */
} MlXgboostTree;

/* Any arrays into a tree in pre-order, or the reason why not; tree is allocated on ML_OK only. */
extern MlStatus pgaml_ml_xgboost_tree(MlXgboostTree *raw, const MlAllocator *allocator,
									  MlTree *tree, MlError *error);

/* Room for n integers; what they are is not defined. */
extern bool pgaml_ml_xgboost_ints(MlXgboostInts *array, int32_t n, const MlAllocator *allocator);

#endif							/* PGAML_ML_XGBOOST_INTERNAL_H */
