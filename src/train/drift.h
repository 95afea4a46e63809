/*-------------------------------------------------------------------------
 * drift.h
 *		Does the model in production still fit what runs?
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_DRIFT_H
#define PGAML_TRAIN_DRIFT_H

/*
 * Inside an open SPI bracket of a transaction that may write: once an hour
 * measure the model in production against live executions, keep signals and
 * truth, queue a retraining where a signal has crossed its threshold, and let
 * models be compared on the same rows.  False when it was not due, or somebody else is at it.
 */
extern bool pgaml_drift_check(void);

#endif							/* PGAML_TRAIN_DRIFT_H */
