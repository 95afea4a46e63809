/*-------------------------------------------------------------------------
 * loss_internal.h
 *		What a boosted model is fitted to: where it starts, what pulls each
 *		row, what a leaf becomes, and how far off the model is.
 *
 * All in the prepared scales.  The link is the identity: targets are on the
 * scale that predictions are wanted on.  Included only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_LOSS_INTERNAL_H
#define PGAML_ML_LOSS_INTERNAL_H

#include "core_internal.h"

typedef struct MlLoss
{
	MlLossKind	kind;
	double		level;			/* huber: share of the residuals inside delta; quantile: which one; 0..1 */
	double		l2;				/* added to the weight of a leaf */
	double		delta;			/* huber: where the loss turns linear, of the present tree */
} MlLoss;

/* Some rows; what is indexed by row belongs to all of them. */
typedef struct MlLossRows
{
	const int32_t *rows;
	int32_t		count;			/* >= 1 */
	const double *target;
	const double *weight;		/* > 0 */
	const double *fitted;		/* sum of the trees so far */
	MlPair	   *scratch;		/* [count]; NULL for a loss that refits no leaves */
	MlTicker   *ticker;
} MlLossRows;

extern const char *pgaml_ml_loss_name(MlLossKind kind);

/* Are leaves given other values than their gradients say?  Then scratch is needed. */
extern bool pgaml_ml_loss_refits(MlLossKind kind);

/* Does the size of a gradient not depend on that of the target? */
extern bool pgaml_ml_loss_is_scale_free(MlLossKind kind);

/* The best constant; true when stopped, as the next two. */
extern bool pgaml_ml_loss_start(const MlLoss *loss, const MlLossRows *in, double *start);

/* grad[row] = (negative gradient, hessian), weights included; sets delta. */
extern bool pgaml_ml_loss_gradients(MlLoss *loss, const MlLossRows *in, MlPair *grad);

/* The best value of a leaf with these rows, shrunk by l2; only for losses that refit. */
extern bool pgaml_ml_loss_leaf(const MlLoss *loss, const MlLossRows *in, double *value);

/* Weighted mean of the loss, for comparing rounds; huber: of the absolute error, since its delta moves. */
extern double pgaml_ml_loss_mean(const MlLoss *loss, const MlLossRows *in);

#endif							/* PGAML_ML_LOSS_INTERNAL_H */
