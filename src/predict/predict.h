/*-------------------------------------------------------------------------
 * predict.h
 *		How long the next execution of a statement will take.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_H
#define PGAML_PREDICT_H

#include "ml/stages.h"

/* One prediction.  Times in ms; NaN where there is no answer. */
typedef struct PgamlPrediction
{
	int64		queryid;
	MlSource	source;			/* NONE: no answer, see reason */
	const char *reason;			/* static or in the caller's context; NULL: nothing to add */
	double		predicted_ms;	/* median of the next execution */
	double		expected_ms;	/* its mean */
	double		lower_ms;
	double		upper_ms;
	double		std_dev_ms;
	double		confidence;		/* 0..1 */
	bool		in_range;
	bool		plan_in_range;	/* what its plan says, at least, is within what training saw */
	bool		novel;
	bool		plan_known;		/* else novel means nothing */
	bool		cache_hit;		/* features were already in this session */
	double		coverage;		/* of the history behind the features, 0..1 */
	double		nominal;		/* coverage that the interval promises, 0..1 */
	bool		by_model;		/* the model's stages answered, whichever of them */
	MlIntervalGroup group;		/* of the interval */
	int64		plan_id;		/* 0: none captured */
	float		plan_cost;		/* ln(1 + cost) of the plan of the very execution; NaN: predicted without it */
	int64		model_id;		/* 0: no model was asked */
	int32		model_version;
} PgamlPrediction;

/*
 * Predict by query identifier, as the current user.  Never raises for a
 * reason that lies in data or models: then source is NONE or a simpler stage,
 * and reason says why.  With want_reason false reason may be left NULL.
 */
extern void pgaml_predict_queryid(int64 queryid, bool want_reason, PgamlPrediction *out);

#endif							/* PGAML_PREDICT_H */
