/*-------------------------------------------------------------------------
 * queue.h
 *		The queue of training jobs: asked for here, run by a worker.
 *
 * A job is a row of training_jobs.  The launcher hears of it when the
 * transaction that queued it commits (base/shmem.h).
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_QUEUE_H
#define PGAML_TRAIN_QUEUE_H

#include "postgres.h"

/*
 * Inside an open SPI bracket: queue a job of this kind ("train", "tune");
 * arguments is JSON, reason says why ("asked for", "schedule", "drift: ...").
 * Returns job_id.
 */
extern int64 pgaml_queue_add(const char *kind, const char *arguments, const char *reason, Oid requested_by);

/* Inside an open SPI bracket: is a job of this kind pending or training? */
extern bool pgaml_queue_busy(const char *kind);

#endif							/* PGAML_TRAIN_QUEUE_H */
