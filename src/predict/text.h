/*-------------------------------------------------------------------------
 * text.h
 *		From a text to what is predicted by.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_TEXT_H
#define PGAML_PREDICT_TEXT_H

#include "base/sample.h"

/* Plan a text as the current user; raises what EXPLAIN of it would.  *queryid is 0 when it is not known. */
extern void pgaml_text_plan(const char *query, int64 *queryid, PgamlPlanFacts *facts);

#endif							/* PGAML_PREDICT_TEXT_H */
