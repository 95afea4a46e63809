/*-------------------------------------------------------------------------
 * promote.h
 *		Does a new model take the place of the one in production?
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_PROMOTE_H
#define PGAML_TRAIN_PROMOTE_H

#include "train/judge.h"

/* The new model (a) against the one in production (b) on the same newest rows. */
typedef struct PgamlPromotion
{
	int64		incumbent_id;	/* 0: there is none */
	bool		incumbent_serves;
	PgamlVerdict verdict;
	SeriesPaired errors;		/* absolute log errors */
	SeriesPaired scores;		/* interval scores */
} PgamlPromotion;

/* Inside the bracket and under the registry's lock: compare a run's model with the one in production. */
extern void pgaml_promote_decide(const PgamlTrainRun *run, PgamlPromotion *out);

/* The same, once the model is stored: put it into the stage that it deserves, and say so in run->message. */
extern void pgaml_promote_apply(PgamlTrainRun *run, const PgamlPromotion *promotion);

#endif							/* PGAML_TRAIN_PROMOTE_H */
