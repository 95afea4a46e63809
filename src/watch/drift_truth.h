/*-------------------------------------------------------------------------
 * drift_truth.h
 *		How right each model was, day by day.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WATCH_DRIFT_TRUTH_H
#define PGAML_WATCH_DRIFT_TRUTH_H

#include "watch/live.h"

/* Inside an open SPI bracket: keep the days of live executions in model_truth. */
extern void pgaml_drift_write_truth(const PgamlLive *live);

#endif							/* PGAML_WATCH_DRIFT_TRUTH_H */
