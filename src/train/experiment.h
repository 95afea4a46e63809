/*-------------------------------------------------------------------------
 * experiment.h
 *		A search for parameters as it is stored: what was asked for, and its
 *		trials.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_EXPERIMENT_H
#define PGAML_TRAIN_EXPERIMENT_H

#include "ml/tune.h"
#include "train/train.h"

typedef struct PgamlExperiment
{
	int64		id;
	PgamlTrainRequest request;	/* its params are trial 0; its window is frozen */
	char	   *split;			/* as asked for */
	MlTuneOptions options;
	int64		time_limit;		/* of the search, µs */
	double		ran_ms;			/* of it */
	char	   *data_hash;		/* of the rows that it began with; NULL: not begun */
} PgamlExperiment;

/* Inside an open SPI bracket: a new one, not yet queued; sets id. */
extern void pgaml_experiment_create(PgamlExperiment *experiment, Oid userid);

/* Inside: it is to be run by this job from now on; its time begins anew. */
extern void pgaml_experiment_queue(int64 id, int64 job_id);

/*
 * Inside: lock and read; its status ("pending", "running", ...) is palloc'd, as
 * all it points to.  NULL when there is none.
 */
extern char *pgaml_experiment_read(int64 id, PgamlExperiment *experiment);

/* Inside: it runs on these rows. */
extern void pgaml_experiment_start(const PgamlExperiment *experiment, const PgamlDataset *dataset);

/* Inside: give the recorded trials back to its study. */
extern void pgaml_experiment_restore(const PgamlExperiment *experiment, MlStudy *study);

/* Inside: a trial began, ended or was measured again; and how long the search has run. */
extern void pgaml_experiment_record(int64 id, const MlTrial *trial, double ran_ms);

/* Inside: it has ended; model_id 0: none was stored. */
extern void pgaml_experiment_finish(int64 id, const char *outcome, int best_trial, int64 model_id, const char *message);

#endif							/* PGAML_TRAIN_EXPERIMENT_H */
