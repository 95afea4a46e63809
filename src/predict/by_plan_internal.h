/*-------------------------------------------------------------------------
 * by_plan_internal.h
 *		What a prediction by plan rests on, for who takes it apart.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_BY_PLAN_INTERNAL_H
#define PGAML_PREDICT_BY_PLAN_INTERNAL_H

#include "predict/answer.h"
#include "predict/by_plan.h"

/* CAUTION: asked points into the struct itself. */
typedef struct PgamlOwnCase
{
	PgamlCase	asked;
	float		row[PGAML_F_COUNT];
	float		recent[PGAML_RECENT_RUNS];
	PgamlRunsSummary runs;
	double		history;		/* coverage of the history behind it; NaN: none */
	bool		cache_hit;
} PgamlOwnCase;

/*
 * As pgaml_predict_plan, and what it rests on, which is valid until the next
 * prediction.  own_plan false: the plan is one for any values, as that of an
 * execution before.
 */
extern void pgaml_predict_own(const PgamlPlanFacts *facts, int64 queryid, bool own_plan, double coverage,
							  bool want_reason, PgamlOwnCase *own, PgamlPrediction *out);

#endif							/* PGAML_PREDICT_BY_PLAN_INTERNAL_H */
