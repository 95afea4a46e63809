/*-------------------------------------------------------------------------
 * xgboost_internal.h
 *		What is shared by the files that read the JSON of XGBoost.
 *
 * xgboost_fields.c reads values, xgboost_read.c knows the keys, xgboost_tree.c
 * makes an MlTree of a tree's arrays.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_XGBOOST_INTERNAL_H
#define PGAML_ML_XGBOOST_INTERNAL_H

#include <stddef.h>

#include "json_internal.h"
#include "tree_internal.h"
#include "xgboost.h"

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

#define ML_XGBOOST_WORD_BYTES 48	/* longest name of a booster or objective */

/* A file being read. */
typedef struct MlXgboostInput
{
	MlJsonReader json;
	MlAllocator allocator;
	MlTicker	ticker;
	MlError    *error;

	/* what the caller wants to know */
	const char *const *names;	/* [nfeatures], or NULL */
	int32_t		nfeatures;
	MlXgboostAttribute *attributes;
	int32_t		nattributes;

	/* what was found */
	MlXgboostTree raw;			/* of the present tree */
	int64_t		raw_nodes;		/* its number of nodes as declared, -1: not */
	MlTree	   *trees;
	int32_t		ntrees;
	int32_t		max_trees;
	MlXgboostInts map;			/* feature of the file -> feature of ours */
	char		unknown[96];	/* names of the file that we do not have */
	char		booster[ML_XGBOOST_WORD_BYTES];
	char		objective[ML_XGBOOST_WORD_BYTES];
	double		base_score;
	int64_t		num_feature;
	int64_t		num_class;
	int64_t		num_target;
	int64_t		leaf_size;		/* values in a leaf; 0 and 1 are one */
	bool		several_outputs;
	bool		categorical;
} MlXgboostInput;

typedef enum MlXgboostKind
{
	ML_XGBOOST_READ,			/* a function reads it */
	ML_XGBOOST_INTS,			/* MlXgboostInts */
	ML_XGBOOST_FLOATS,			/* MlXgboostFloats */
	ML_XGBOOST_COUNT,			/* int64_t */
	ML_XGBOOST_WORD				/* char[ML_XGBOOST_WORD_BYTES] */
} MlXgboostKind;

/* A key that is known, and where its value goes. */
typedef struct MlXgboostField
{
	const char *name;
	bool		required;
	MlXgboostKind kind;
	size_t		offset;			/* in MlXgboostInput */
	MlStatus	(*read) (MlXgboostInput *in);
} MlXgboostField;

#define ML_XGBOOST_AT(member) offsetof(MlXgboostInput, member), NULL

/* The file is no JSON, or not what is expected here; the status to return. */
extern MlStatus pgaml_ml_xgboost_malformed(MlXgboostInput *in, const char *what);

/* The next token must be this one. */
extern MlStatus pgaml_ml_xgboost_expect(MlXgboostInput *in, MlJsonToken token, const char *what);

/* Skip what is left of a value whose first token is given. */
extern MlStatus pgaml_ml_xgboost_skip(MlXgboostInput *in, MlJsonToken token);

/* A word that is text; longer ones are cut, they are none that we know. */
extern MlStatus pgaml_ml_xgboost_word(MlXgboostInput *in, char *out, size_t size);

/* XGBoost writes its parameters as text; a plain number is as good. */
extern MlStatus pgaml_ml_xgboost_count(MlXgboostInput *in, int64_t *out);

/* Make room for one more of n items of size bytes; *array may move. */
extern MlStatus pgaml_ml_xgboost_grow(MlXgboostInput *in, void **array, int32_t n, int32_t *capacity,
									  size_t size, int32_t max, const char *what);
extern MlStatus pgaml_ml_xgboost_add_int(MlXgboostInput *in, MlXgboostInts *array, int32_t value,
										 int32_t max, const char *what);
extern MlStatus pgaml_ml_xgboost_read_ints(MlXgboostInput *in, MlXgboostInts *array);

/* An object whose keys are in a table of at most 32; others are skipped, known ones must not come twice. */
extern MlStatus pgaml_ml_xgboost_object(MlXgboostInput *in, const char *what, const MlXgboostField *fields,
										size_t nfields);

/* Any arrays into a tree in pre-order, or the reason why not; tree is allocated on ML_OK only. */
extern MlStatus pgaml_ml_xgboost_tree(MlXgboostTree *raw, const MlAllocator *allocator,
									  MlTree *tree, MlError *error);

/* Room for n integers; what they are is not defined. */
extern bool pgaml_ml_xgboost_ints(MlXgboostInts *array, int32_t n, const MlAllocator *allocator);

#endif							/* PGAML_ML_XGBOOST_INTERNAL_H */
