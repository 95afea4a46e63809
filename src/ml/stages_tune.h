/*-------------------------------------------------------------------------
 * stages_tune.h
 *		Which parameters serve the learner of the stages best.
 *
 * Pure C, on top of stages.h and tune.h.  An objective over the very rows
 * that pgaml_ml_stages_fit would fit its learner to: departures from the
 * robust cost line, rows cold and with their own plan.  Its value is the
 * weighted mean absolute error on the log scale of rows held out.  Both
 * showings of a row are always on the same side of a fold.
 *
 * Only the training part is looked at: what is calibrated and tested on
 * remains unseen by the search.  The cost line, two numbers, is that of the
 * whole training part in every fold.
 */
#ifndef PGAML_ML_STAGES_TUNE_H
#define PGAML_ML_STAGES_TUNE_H

#include "ml/stages.h"
#include "ml/tune.h"

typedef enum MlStageFolds
{
	ML_STAGE_FOLDS_TIME,		/* trained on the past, tested on what follows */
	ML_STAGE_FOLDS_STATEMENT,	/* whole statements left out */
	ML_STAGE_FOLDS_ROW			/* any row */
} MlStageFolds;

typedef struct MlStageTuneSpec
{
	MlStageFolds folds;
	int32_t		nfolds;			/* as MlTuneOptions.nsteps */
	uint64_t	seed;			/* of the folds */
	const int64_t *times;		/* by time: of each row of the data, any unit */
} MlStageTuneSpec;

typedef struct MlStageTune MlStageTune;

/*
 * base is trial 0: its seed decides which rows are shown cold, and its rounds
 * of early stopping whether statements are set aside for it.  The data need
 * not outlive the call.  ML_E_DATA when there are too few statements or
 * moments for the folds.  On ML_OK freed by the caller.
 */
extern MlStatus pgaml_ml_stages_tune_create(const MlStageData *data, const MlStageLayout *layout, const MlParams *base,
											const MlStageTuneSpec *spec, const MlAllocator *allocator,
											const MlStop *stop, MlStageTune **out, MlError *error);
extern void pgaml_ml_stages_tune_free(MlStageTune *tune);

/* Fails a trial for which the allocator has no memory. */
extern MlTuneObjective pgaml_ml_stages_tune_objective(MlStageTune *tune);

/* Bytes beside the data that measuring one trial takes, all that is created included; SIZE_MAX on overflow. */
extern size_t pgaml_ml_stages_tune_memory(const MlParams *params, int64_t nrows, int32_t nfeatures);

#endif							/* PGAML_ML_STAGES_TUNE_H */
