/*-------------------------------------------------------------------------
 * sql_internal.h
 *		Shared by the SQL entry points of prediction.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_SQL_INTERNAL_H
#define PGAML_PREDICT_SQL_INTERNAL_H

#include "funcapi.h"
#include "utils/array.h"

#include "predict/predict.h"

/* Elements of the argument of this name of a batch function; ERROR when it is not 1..1000 without NULL. */
extern int	pgaml_batch_length(ArrayType *array, const char *name);

/* Log a prediction and put it as the next row.  latency_us may be NaN. */
extern void pgaml_put_prediction(ReturnSetInfo *rsinfo, const PgamlPrediction *prediction, float latency_us);

#endif							/* PGAML_PREDICT_SQL_INTERNAL_H */
