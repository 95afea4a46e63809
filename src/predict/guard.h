/*-------------------------------------------------------------------------
 * guard.h
 *		Warns of, or stops, executions that are predicted to take too long.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_GUARD_H
#define PGAML_PREDICT_GUARD_H

/* Install the hook; called from _PG_init under preload, after capture's hooks. */
extern void pgaml_guard_install(void);

/* Add what this backend counted to the counters in shared memory. */
extern void pgaml_guard_flush(void);

#endif							/* PGAML_PREDICT_GUARD_H */
