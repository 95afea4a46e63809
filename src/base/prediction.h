/*-------------------------------------------------------------------------
 * prediction.h
 *		The record that a logged prediction is in shared memory.
 *
 * Pure data, fixed size, no pointers.  predict/log fills it, registry/truth
 * writes it to the table predictions.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICTION_H
#define PGAML_PREDICTION_H

#include "datatype/timestamp.h"

/* What the guard did because of a prediction. */
typedef enum PgamlGuardDecision
{
	PGAML_DECISION_NONE,		/* it was not the guard's */
	PGAML_DECISION_WARNED,
	PGAML_DECISION_CANCELLED
} PgamlGuardDecision;

typedef struct PgamlPredictionRecord
{
	int64		prediction_id;	/* rises, also across restarts; see predict/log.c */
	TimestampTz predicted_at;
	int64		queryid;
	int64		plan_id;		/* 0: none captured */
	int64		model_id;		/* 0: answered without a model */
	double		predicted_ms;
	double		expected_ms;
	double		lower_ms;
	double		upper_ms;
	double		coverage;		/* nominal, of the interval, 0..1 */
	double		confidence;		/* 0..1 */
	float		latency_us;		/* NaN: not measured */
	float		plan_cost;		/* as in PgamlPrediction; NaN: predicted without the execution's own plan */
	int32		model_version;
	Oid			dbid;
	Oid			userid;			/* who asked */
	float		limit_ms;		/* of the guard */
	uint8		decision;		/* PgamlGuardDecision */
	uint8		source;			/* MlSource */
	uint8		group;			/* MlIntervalGroup */
	bool		in_range;
	bool		novel;
	bool		novel_known;	/* else novel means nothing */
	bool		cache_hit;
} PgamlPredictionRecord;

#endif							/* PGAML_PREDICTION_H */
