/*-------------------------------------------------------------------------
 * log.h
 *		Remembers a prediction, so that it can be compared with what happened.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_LOG_H
#define PGAML_PREDICT_LOG_H

#include "utils/timestamp.h"

#include "base/prediction.h"
#include "predict/predict.h"

/*
 * Put an answer into the log of predictions; returns its prediction_id, or 0
 * when it was not logged: no answer, not preloaded, in recovery, a database
 * that no worker visits, prediction_log_rate, work of our own, or no room.
 * at is the moment of the prediction, or 0: then it is known to some ms, and
 * never before the client's statement began.  latency_us may be NaN.  Never
 * waits, never raises.
 */
extern int64 pgaml_log_prediction(const PgamlPrediction *prediction, TimestampTz at, float latency_us);

/*
 * The same for a decision of the guard, which is kept whatever
 * prediction_log_rate says, with its limit.
 */
extern int64 pgaml_log_decision(const PgamlPrediction *prediction, PgamlGuardDecision decision,
								double limit_ms);

#endif							/* PGAML_PREDICT_LOG_H */
