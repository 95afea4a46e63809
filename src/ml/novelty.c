/*-------------------------------------------------------------------------
 * novelty.c
 *		How little training saw that is like a row.
 *
 * A tree says of a row which of few regions it is in; each region was seen,
 * but not every combination of regions.  The first steps through three trees
 * together are hashed into a set of bits; a row many of whose combinations
 * are not in the sets is unlike anything that training saw.  Ranges of single
 * features are the caller's.
 *-------------------------------------------------------------------------
 */
#include "ml/novelty_internal.h"

#include <string.h>

#include "ml/model_internal.h"

#define TUPLE			3		/* trees whose paths are looked at together */
#define STEPS			5		/* of each path: deeper ones would be new for every row */

MlStatus
pgaml_ml_novelty_create(MlNovelty *novelty, const MlModel *model, const MlAllocator *allocator, MlError *error)
{
	int32_t		tuples = model->ntrees / TUPLE;

	memset(novelty, 0, sizeof(*novelty));
	if (tuples == 0)
		return ML_OK;
	novelty->nsets = tuples < ML_NOVELTY_SETS ? tuples : ML_NOVELTY_SETS;
	novelty->bits = pgaml_ml_alloc_zero(allocator, novelty->nsets, ML_NOVELTY_BYTES);
	if (novelty->bits == NULL)
		return pgaml_ml_nomem(error, "pgaml_ml_novelty_create");
	return ML_OK;
}

void
pgaml_ml_novelty_free(MlNovelty *novelty, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, novelty->bits);
	memset(novelty, 0, sizeof(*novelty));
}

/* The first steps of a row through a tree, as bits after a leading 1. */
static uint32_t
path(const MlTree *tree, const float *row)
{
	uint32_t	path = 1;
	int32_t		at = tree->nleaves > 1 ? 0 : ~0;

	for (int step = 0; step < STEPS && at >= 0; step++)
	{
		const MlNode *node = &tree->nodes[at];
		float		x = row[node->feature];
		int			left = (x <= node->threshold) | ((x != x) & node->missing_left);

		path = path << 1 | (uint32_t) left;
		at = node->child[left];
	}
	return path;
}

/* The bit of a row in one set; trees are taken from all over the learner. */
static uint32_t
bit_of(const MlNovelty *novelty, const MlModel *model, const float *row, int32_t set)
{
	uint32_t	key = 0;

	for (int k = 0; k < TUPLE; k++)
	{
		int64_t		tree = ((int64_t) set * TUPLE + k) * model->ntrees / ((int64_t) novelty->nsets * TUPLE);

		key = key << (STEPS + 1) | path(&model->trees[tree], row);
	}
	return (uint32_t) set * ML_NOVELTY_BITS + (key * 2654435761u) % ML_NOVELTY_BITS;
}

void
pgaml_ml_novelty_learn(MlNovelty *novelty, const MlModel *model, const float *row)
{
	for (int32_t set = 0; set < novelty->nsets; set++)
	{
		uint32_t	bit = bit_of(novelty, model, row, set);

		novelty->bits[bit / 8] |= (uint8_t) (1u << bit % 8);
	}
}

double
pgaml_ml_novelty_unseen(const MlNovelty *novelty, const MlModel *model, const float *row)
{
	int32_t		unseen = 0;

	for (int32_t set = 0; set < novelty->nsets; set++)
	{
		uint32_t	bit = bit_of(novelty, model, row, set);

		unseen += !(novelty->bits[bit / 8] >> bit % 8 & 1);
	}
	return novelty->nsets > 0 ? (double) unseen / novelty->nsets : 0.0;
}

double
pgaml_ml_novelty(const MlNovelty *novelty, const MlModel *model, const float *row)
{
	double		unseen = pgaml_ml_novelty_unseen(novelty, model, row);

	return unseen > novelty->usual ? (unseen - novelty->usual) / (1.0 - novelty->usual) : 0.0;
}

bool
pgaml_ml_novelty_valid(const MlNovelty *novelty, const MlModel *model)
{
	return novelty->nsets >= 0 && novelty->nsets <= ML_NOVELTY_SETS && novelty->nsets * TUPLE <= model->ntrees &&
		novelty->usual >= 0.0 && novelty->usual < 1.0 && (novelty->nsets == 0 || novelty->bits != NULL);
}
