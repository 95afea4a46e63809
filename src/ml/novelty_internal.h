/*-------------------------------------------------------------------------
 * novelty_internal.h
 *		How little training saw that is like a row.
 *
 * Included only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_NOVELTY_INTERNAL_H
#define PGAML_ML_NOVELTY_INTERNAL_H

#include "ml/core_internal.h"

#define ML_NOVELTY_SETS		10	/* tuples of trees */
#define ML_NOVELTY_BITS		8192	/* of each tuple's set */
#define ML_NOVELTY_BYTES	(ML_NOVELTY_BITS / 8)

/* Which paths through tuples of trees training took. */
typedef struct MlNovelty
{
	int32_t		nsets;			/* 0: the learner has too few trees */
	double		usual;			/* 0..1, share of unseen paths that a held-out row of seen statements has */
	uint8_t    *bits;			/* [nsets][ML_NOVELTY_BYTES], or NULL */
} MlNovelty;

/* Room for the sets of a learner; nsets and usual stay 0 for one without trees. */
extern MlStatus pgaml_ml_novelty_create(MlNovelty *novelty, const MlModel *model,
										const MlAllocator *allocator, MlError *error);
extern void pgaml_ml_novelty_free(MlNovelty *novelty, const MlAllocator *allocator);

/* Remember the paths of a training row. */
extern void pgaml_ml_novelty_learn(MlNovelty *novelty, const MlModel *model, const float *row);

/* Share of a row's paths that training did not take, 0..1. */
extern double pgaml_ml_novelty_unseen(const MlNovelty *novelty, const MlModel *model, const float *row);

/* The same, 0 where it is as usual. */
extern double pgaml_ml_novelty(const MlNovelty *novelty, const MlModel *model, const float *row);

/* Could a reader's sets belong to this learner? */
extern bool pgaml_ml_novelty_valid(const MlNovelty *novelty, const MlModel *model);

#endif							/* PGAML_ML_NOVELTY_INTERNAL_H */
