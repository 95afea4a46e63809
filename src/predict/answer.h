/*-------------------------------------------------------------------------
 * answer.h
 *		From what is known of an execution to its prediction, within the room.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_ANSWER_H
#define PGAML_PREDICT_ANSWER_H

#include "predict/known.h"
#include "predict/predict.h"
#include "registry/registry.h"

/* What is asked. */
typedef struct PgamlCase
{
	const PgamlKnown *known;	/* the statement's past; NULL: none, or none that the caller may see */
	const float *row;			/* PGAML_F_COUNT */
	const PgamlRunsSummary *runs;
	const float *recent;		/* as in MlStageQuery */
	int			nrecent;
	int64		plan_id;		/* 0: none known */
	bool		own_plan;		/* the plan is that of the very execution */
	double		coverage;		/* nominal, of the interval */
} PgamlCase;

/* What the stages of a model that can serve say of it. */
extern void pgaml_answer_forecast(const PgamlServing *serving, const PgamlCase *asked, MlForecast *out);

/*
 * Choose the stage that answers, and say why.  forecast is that of above;
 * NULL when no model can serve.  queryid, coverage and cache_hit of *out are
 * left as they are.
 */
extern void pgaml_answer(const PgamlServing *serving, const PgamlCase *asked, const MlForecast *forecast,
						 bool want_reason, PgamlPrediction *out);

#endif							/* PGAML_PREDICT_ANSWER_H */
