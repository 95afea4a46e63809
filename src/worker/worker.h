/*-------------------------------------------------------------------------
 * worker.h
 *		The launcher and its short-lived visiting workers.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WORKER_H
#define PGAML_WORKER_H

/* Register the launcher; called from _PG_init under preload. */
extern void pgaml_worker_install(void);

#endif							/* PGAML_WORKER_H */
