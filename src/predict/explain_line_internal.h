/*-------------------------------------------------------------------------
 * explain_line_internal.h
 *		Shared by the ways in which EXPLAIN is met.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_EXPLAIN_LINE_INTERNAL_H
#define PGAML_PREDICT_EXPLAIN_LINE_INTERNAL_H

#include "base/sample.h"
#include "compat/explain.h"
#include "predict/predict.h"

#define PGAML_EXPLAIN_TIME		"Predicted Time"
#define PGAML_EXPLAIN_LOWER		"Predicted Time Lower"
#define PGAML_EXPLAIN_UPPER		"Predicted Time Upper"
#define PGAML_EXPLAIN_COVERAGE	"Predicted Time Coverage"
#define PGAML_EXPLAIN_SOURCE	"Predicted Time Source"
#define PGAML_EXPLAIN_IN_RANGE	"Predicted Time In Training Range"
#define PGAML_EXPLAIN_REASON	"Predicted Time Reason"

/* A statement that is being explained. */
typedef struct PgamlExplained
{
	const char *source;			/* its text: this very pointer */
	ExplainState *es;			/* NULL: not known */
	bool		met;			/* its plan was seen; else the rest says nothing */
	int64		queryid;
	PgamlPlanFacts facts;		/* of the plan */
	bool		predicted;		/* the rest is set */
	const char *problem;		/* why there is no prediction; NULL: there is one */
	PgamlPrediction prediction;
} PgamlExplained;

/* From now until the end, which is given what this returns, the plan of a text is met when it is started. */
extern PgamlExplained *pgaml_explained_begin(PgamlExplained *what, const char *source);
extern void pgaml_explained_end(PgamlExplained *outer);

/* Of a plan that was met: what stands behind "Predicted Time: " in the text format, palloc'd. */
extern char *pgaml_explained_text(PgamlExplained *what);

/* The same as fields of the format. */
extern void pgaml_explained_print(ExplainState *es, PgamlExplained *what);

extern void pgaml_explain_execute_install(void);

#endif							/* PGAML_PREDICT_EXPLAIN_LINE_INTERNAL_H */
