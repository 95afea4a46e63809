/*-------------------------------------------------------------------------
 * training.h
 *		What shared memory knows of training jobs: which database has some, and
 *		how the one under way gets on.
 *
 * The queue itself is a table.  Whoever queues a job announces it when the
 * transaction commits (jobs_due of the database, the launcher's latch);
 * whoever cancels one has its worker interrupted then.  A training worker
 * shows in its slot what it is at; status functions read it there.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAINING_H
#define PGAML_TRAINING_H

#include "base/shmem.h"

/*
 * In a transaction: when it commits, the launcher is told that this database
 * has a job that may start.  Does nothing without the preload.
 */
extern void pgaml_training_announce(void);

/*
 * In a transaction: when it commits, the worker that is at this job of this
 * database is told to stop.
 */
extern void pgaml_training_cancel(int64 job_id);

/* Copy all PGAML_TRAINING_MAX slots. */
extern void pgaml_training_copy(PgamlTrainingSlot *copy);

/* Among copied slots: the one at this job of this database, or NULL. */
extern const PgamlTrainingSlot *pgaml_training_find(const PgamlTrainingSlot *slots, int64 job_id);

/* This process is the training worker of a slot; -1: none. */
extern int	pgaml_training_slot;

/* Training worker: show how far its job is.  Cheap: writes a few times a second. */
extern void pgaml_training_progress(double progress, int64 rows_read, int32 trees_grown);

#endif							/* PGAML_TRAINING_H */
