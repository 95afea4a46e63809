/*-------------------------------------------------------------------------
 * event.h
 *		What the extension did by itself: rows of pganalytics.events.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_EVENT_H
#define PGAML_EVENT_H

/*
 * Inside an open SPI bracket: one row, in the caller's transaction.  0 as
 * model_id or job_id and NULL as detail (JSON) stand for none.
 */
extern void pgaml_event_write(const char *kind, int64 model_id, int64 job_id, const char *message, const char *detail);

#endif							/* PGAML_EVENT_H */
