/*-------------------------------------------------------------------------
 * worker.h
 *		The launcher and its short-lived visiting workers.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WORKER_H
#define PGAML_WORKER_H

/* Register the launcher; called from _PG_init under preload. */
extern void pgaml_worker_install(void);

/* Entry points of the processes; the server looks them up by name. */
extern PGDLLEXPORT void pgaml_launcher_main(Datum arg);
extern PGDLLEXPORT void pgaml_visit_main(Datum arg);
extern PGDLLEXPORT void pgaml_training_main(Datum arg);

#endif							/* PGAML_WORKER_H */
