/*-------------------------------------------------------------------------
 * text.h
 *		From a text to what is predicted by.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_TEXT_H
#define PGAML_PREDICT_TEXT_H

#include "base/sample.h"

typedef struct PgamlTextPlan
{
	int64		queryid;		/* 0: not known */
	bool		own_plan;		/* no $n in it: the plan is that of the very execution */
	PgamlPlanFacts facts;
} PgamlTextPlan;

/* Plan a text as the current user; raises what EXPLAIN of it would. */
extern void pgaml_text_plan(const char *query, PgamlTextPlan *out);

/*
 * A text with $n, as pg_stat_statements shows it, has a queryid of its own:
 * take that of the statement with this text, if the current user may see it.
 */
extern void pgaml_text_identify(const char *query, PgamlTextPlan *plan);

#endif							/* PGAML_PREDICT_TEXT_H */
