/*-------------------------------------------------------------------------
 * adaptive_internal.h
 *		Intervals that adapt to drift, for stages_predict.c.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_ADAPTIVE_INTERNAL_H
#define PGAML_ML_ADAPTIVE_INTERNAL_H

#include "ml/scores_internal.h"

/*
 * The share of misses to aim at next, so that target of them are missed in
 * the long run.  scores are those of history, normalised; floor is the least
 * spread.  recent: log ms of the newest executions, oldest first.
 */
extern double pgaml_ml_adapted_share(const MlScores *scores, const float *recent, int32_t nrecent,
									 double floor, double target);

#endif							/* PGAML_ML_ADAPTIVE_INTERNAL_H */
