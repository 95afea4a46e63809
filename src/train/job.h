/*-------------------------------------------------------------------------
 * job.h
 *		A job that a training worker has taken, and what runs it may ask of it.
 *
 * The worker (worker/jobs.c) takes the job from the queue, calls the run
 * function of its kind outside any transaction, and records what became of it:
 * whatever the run raises ends the job as failed, cancelled, or due again.
 * The run opens transactions of its own, holds none while it computes, and
 * stores what it found together with the end of the job.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_JOB_H
#define PGAML_TRAIN_JOB_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/shmem.h"
#include "base/spi_run.h"

typedef struct PgamlJob
{
	int64		job_id;
	Oid			extension;		/* that it belongs to */
	char		kind[PGAML_JOB_KIND_LEN];
	Jsonb	   *arguments;
	char	   *reason;			/* why it was queued */
	Oid			requested_by;
	int			attempt;		/* this one, from 1 */
	MemoryContext context;		/* lives as long as the job */
	TimestampTz deadline;		/* training_time_limit, or what its kind allows; on the real clock */
	bool		finished;		/* pgaml_job_store() has committed */
} PgamlJob;

/* What a run leaves in the row of its job. */
typedef struct PgamlJobResult
{
	int64		model_id;		/* 0: none */
	int64		rows_read;
	int32		trees_grown;
	char	   *json;			/* r_squared, rmse, mae, training_samples, message, ... */
} PgamlJobResult;

/*
 * A transaction of the job with an open SPI bracket; the extension cannot be
 * dropped meanwhile.  Statements that run beyond the job's deadline are
 * cancelled.  ERROR when the extension is gone or about to be dropped.
 */
extern void pgaml_job_open(PgamlJob *job, PgamlSpi *spi, const char *activity);
extern void pgaml_job_close(PgamlJob *job, PgamlSpi *spi);

/*
 * Between two transactions, as a stop callback (state is the PgamlJob): shows
 * progress (0..1); true when the job should stop.  Reads flags only.
 */
extern bool pgaml_job_ask(void *state, double progress);

/* What get_training_status() shows while the job runs, beside progress. */
extern void pgaml_job_show(int64 rows_read, int32 trees_grown);

/*
 * Outside a transaction: in one, call store(), which leaves its rows and fills
 * in the result, and mark the job as completed.  When somebody else's lock is
 * in the way the transaction is tried again, so store() may be called more
 * than once.  ERROR when the job was cancelled meanwhile.
 */
typedef void (*PgamlJobStore) (PgamlJob *job, PgamlSpi *spi, void *state, PgamlJobResult *result);
extern void pgaml_job_store(PgamlJob *job, PgamlJobStore store, void *state);

/* Kinds of jobs: the functions that run them. */
extern void pgaml_train_job(PgamlJob *job);
extern void pgaml_tune_job(PgamlJob *job);

/* Seconds that a job of kind "tune" may take: search and fit. */
extern int64 pgaml_tune_time_limit(Jsonb *arguments);

#endif							/* PGAML_TRAIN_JOB_H */
