/*-------------------------------------------------------------------------
 * explain_line.h
 *		EXPLAIN shows the predicted time of the plan.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_EXPLAIN_LINE_H
#define PGAML_PREDICT_EXPLAIN_LINE_H

/* Set the hooks; called when the library is loaded, preloaded or not. */
extern void pgaml_explain_line_install(void);

#endif							/* PGAML_PREDICT_EXPLAIN_LINE_H */
