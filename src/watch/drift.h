/*-------------------------------------------------------------------------
 * drift.h
 *		Does the model in production still fit what runs?
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WATCH_DRIFT_H
#define PGAML_WATCH_DRIFT_H

#include "train/train.h"

/* A retraining that drift asks for. */
typedef struct PgamlDriftWish
{
	bool		wanted;
	char		reason[64];		/* of the job */
	PgamlTrainRequest request;
} PgamlDriftWish;

/*
 * Inside an open SPI bracket of a transaction that may write: once an hour
 * measure the model in production against live executions, keep signals and
 * truth, and queue a retraining where a signal has crossed its threshold; with
 * a wish that is left to the caller.  False when it was not due, or somebody
 * else is at it.
 */
extern bool pgaml_drift_check(PgamlDriftWish *wish);

#endif							/* PGAML_WATCH_DRIFT_H */
