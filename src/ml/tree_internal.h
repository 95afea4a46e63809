/*-------------------------------------------------------------------------
 * tree_internal.h
 *		The histogram engine: bins, histograms, split finding, growth, and
 *		the tree they give.  Trees, forests and boosting use it.
 *
 * All sums are in (gradient, hessian) terms: a squared-error tree has
 * g = weight * target and h = weight, a leaf's value is G / (H + l2) and a split's
 * gain GL^2/(HL + l2) + GR^2/(HR + l2) - G^2/(H + l2).  Included only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_TREE_INTERNAL_H
#define PGAML_ML_TREE_INTERNAL_H

#include "core_internal.h"

/*
 * A dataset cut into bins: bin b of a feature holds thresholds[b - 1] < x <=
 * thresholds[b]; NaN is bin nbins.  Only features that vary are in it, and
 * the engine counts features as they stand here.
 */
typedef struct MlBins
{
	int32_t		nrows;
	int32_t		nfeatures;		/* that vary */
	int32_t    *feature;		/* [nfeatures] their index in the dataset, ascending */
	int32_t	   *nbins;			/* [nfeatures] bins of real values, 1..255 */
	float	   *thresholds;		/* [nfeatures][max_bins]; nbins - 1 of them in use */
	int32_t		max_bins;		/* stride of thresholds */
	uint8_t    *by_column;		/* [nfeatures][nrows] */
	uint8_t    *by_row;			/* [nrows][nfeatures] */
} MlBins;

extern MlStatus pgaml_ml_bins_build(MlBins *bins, const MlDataset *data, const int32_t *rows,
									int32_t nrows, int32_t max_bins,
									const MlAllocator *allocator, MlTicker *ticker,
									MlError *error);
extern void pgaml_ml_bins_free(MlBins *bins, const MlAllocator *allocator);
extern size_t pgaml_ml_bins_memory(int64_t nrows, int32_t nfeatures, int32_t max_bins);

/* Threshold of "bin <= b goes left"; after the last real bin it is FLT_MAX. */
extern float pgaml_ml_bins_threshold(const MlBins *bins, int32_t feature, int32_t bin);

/*
 * Entries from one feature of a histogram to the next.  Not a power of two:
 * the first bins of all features would share a few sets of the cache.
 */
#define ML_HIST_STRIDE 264

/* How the rows of a tree are packed into integers; see pack.c. */
typedef struct MlPacking
{
	bool		usable;			/* else histograms hold pairs */
	int			count_bits;		/* the lowest: the hessian as a multiple of unit; above: the gradient */
	double		scale;			/* of the gradient: a power of two */
	double		unit;			/* of the hessian */
} MlPacking;

/* Sum of the pairs of some rows. */
extern MlPair pgaml_ml_sum_rows(const MlPair *grad, const int32_t *rows, int32_t count);

/* packed[row] for some rows, if they can be packed; returns their sum. */
extern MlPair pgaml_ml_pack(MlPacking *packing, int64_t *packed, const MlPair *grad,
							const int32_t *rows, int32_t count);

/* hist[f * ML_HIST_STRIDE + b] += what each row has, for some features or (NULL) all. */
extern void pgaml_ml_histogram_add(const MlBins *bins, const int32_t *features, int32_t nfeatures,
								   const int32_t *rows, int32_t count,
								   const MlPair *grad, MlPair *hist);
extern void pgaml_ml_histogram_add_packed(const MlBins *bins, const int32_t *features,
										  int32_t nfeatures, const int32_t *rows, int32_t count,
										  const int64_t *packed, int64_t *hist);

/* parent -= child, for some features: what is left is the sibling. */
extern void pgaml_ml_histogram_subtract(const MlBins *bins, const int32_t *features, int32_t nfeatures,
										MlPair *parent, const MlPair *child);
extern void pgaml_ml_histogram_subtract_packed(const MlBins *bins, const int32_t *features,
											   int32_t nfeatures, int64_t *parent, const int64_t *child);

/*
 * Two ways to cut the same rows apart score the same but for the last bits; a
 * candidate must be better by this share to be better at all.
 */
#define ML_TIE_SHARE 1e-10

/* A gain below this share of G^2/H is rounding noise. */
#define ML_NOISE_SHARE 1e-12

typedef struct MlSplit
{
	double		gain;			/* decrease of the squared error; meaningless without a feature */
	double		threshold;		/* score that a better split must exceed */
	int32_t		feature;		/* -1: no split */
	uint8_t		bin;			/* last bin that goes left */
	bool		missing_left;	/* where NaN goes */
	MlPair		left;			/* (G, H) of the left child */
} MlSplit;

/* What a split must respect. */
typedef struct MlSplitRules
{
	double		min_hessian;	/* of each child */
	double		min_gain;
	double		l2;				/* added to each child's hessian */
} MlSplitRules;

/*
 * Improve *best by the splits of one feature.  occupied has a bit for each
 * real bin that may hold rows.
 */
extern void pgaml_ml_split_scan(const MlPair *hist, int32_t nbins, const uint64_t occupied[4],
								MlPair total, const MlSplitRules *rules,
								int32_t feature, MlSplit *best);

/* The same from a packed histogram; total is the sum of its bins. */
extern void pgaml_ml_split_scan_packed(const int64_t *hist, int32_t nbins, const MlPacking *packing,
									   int64_t total, const MlSplitRules *rules, int32_t feature,
									   MlSplit *best);

/* What the values of a node and of all below it must stay within. */
typedef struct MlBounds
{
	double		low;
	double		high;
} MlBounds;

/*
 * As pgaml_ml_split_scan, where values are clamped to bounds; with a sign a
 * split whose upper side would have the value on the wrong side is none.
 */
extern void pgaml_ml_split_scan_bounded(const MlPair *hist, int32_t nbins, const uint64_t occupied[4],
										MlPair total, const MlSplitRules *rules, int32_t feature,
										int sign, const MlBounds *bounds, MlSplit *best);

/* G / (H + l2), clamped. */
extern double pgaml_ml_bounded_value(MlPair total, double l2, const MlBounds *bounds);

/* 16 bytes, so that a step of a walk touches one cache line. */
typedef struct MlNode
{
	float		threshold;		/* x <= threshold goes left */
	uint16_t	feature;
	uint8_t		missing_left;	/* 1: NaN goes left */
	uint8_t		reserved;		/* 0 */
	int32_t		child[2];		/* right, left: node >= 0, ~leaf < 0 */
} MlNode;

/*
 * Nodes in pre-order (a left inner child is the next node), leaves from left
 * to right.  One block of memory, which starts at leaves.
 */
typedef struct MlTree
{
	int32_t		nleaves;		/* >= 1; there are nleaves - 1 nodes */
	double	   *leaves;			/* [nleaves] values */
	MlNode	   *nodes;			/* [nleaves - 1], at least one readable */
	float	   *gains;			/* [nleaves - 1] decrease of the loss at each node, >= 0; for importance only */
	float	   *covers;			/* [nleaves] weight of the training rows in each leaf, >= 0; for explanations */
} MlTree;

/* Room for a tree; false when there is no memory. */
extern bool pgaml_ml_tree_alloc(MlTree *tree, int32_t nleaves, const MlAllocator *allocator);
extern size_t pgaml_ml_tree_memory(int64_t nleaves);
extern double pgaml_ml_tree_predict(const MlTree *tree, const float *row);

/* Sum over the trees, walked several at a time. */
extern double pgaml_ml_trees_sum(const MlTree *trees, int32_t ntrees, const float *row,
								 int32_t nfeatures);

/* How a tree grows. */
typedef struct MlGrowRules
{
	MlSplitRules split;
	int32_t		max_leaves;
	int32_t		max_depth;
	double		feature_fraction;	/* share of the varying features tried per split, 0..1 */
	const int8_t *monotone;		/* per feature of the dataset: +1 never falls as it rises, -1 never rises,
								 * 0 free; or NULL */
} MlGrowRules;

typedef struct MlGrower MlGrower;

extern MlStatus pgaml_ml_grower_create(const MlBins *bins, const MlGrowRules *rules,
									   const MlAllocator *allocator, MlGrower **grower,
									   MlError *error);
extern void pgaml_ml_grower_free(MlGrower *grower);
extern size_t pgaml_ml_grower_memory(int64_t nrows, int32_t nfeatures, const MlGrowRules *rules);

/* Let the trees that follow use a random share (0..1) of the features, at least one. */
extern void pgaml_ml_grower_restrict(MlGrower *grower, double share, MlRng *rng);

/* From the scales that a tree is grown in to those of its owner. */
typedef struct MlGrowScale
{
	double		offset;			/* added to a leaf's value */
	double		leaf;			/* factor on it */
	double		weight;			/* factor on covers */
	double		gain;			/* factor on gains */
} MlGrowScale;

/*
 * Grow one tree on rows (ascending, reordered by the call) with grad[row] =
 * (g, h), h > 0.  Leaf values are offset + leaf * G / (H + l2).
 */
extern MlStatus pgaml_ml_grow(MlGrower *grower, const MlPair *grad, int32_t *rows, int32_t count,
							  const MlGrowScale *scale, MlRng *rng, MlTicker *ticker,
							  MlTree *tree, MlError *error);

/*
 * The rows of leaf k of the last tree grown, ascending, are those of its row
 * array from ends[k - 1] (0 for the first leaf) to ends[k].
 */
extern const int32_t *pgaml_ml_grower_leaf_ends(const MlGrower *grower);

/* Value that the last tree grown gives to any row of the bins. */
extern double pgaml_ml_grower_value(const MlGrower *grower, const MlTree *tree, int32_t row);

/*
 * Clamp leaves so that the tree keeps to the constraints; work has room for
 * pgaml_ml_order_memory(nleaves) bytes.
 */
typedef struct MlOrderWork MlOrderWork;

extern void pgaml_ml_tree_order(MlTree *tree, const int8_t *monotone, MlOrderWork *work);
extern size_t pgaml_ml_order_memory(int64_t nleaves);

#endif							/* PGAML_ML_TREE_INTERNAL_H */
