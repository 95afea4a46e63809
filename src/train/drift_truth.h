/*-------------------------------------------------------------------------
 * drift_truth.h
 *		How right each model was, day by day.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_DRIFT_TRUTH_H
#define PGAML_TRAIN_DRIFT_TRUTH_H

#include "train/live.h"

/* Inside an open SPI bracket: keep the days of live executions in model_truth. */
extern void pgaml_drift_write_truth(const PgamlLive *live);

#endif							/* PGAML_TRAIN_DRIFT_TRUTH_H */
