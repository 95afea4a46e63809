/*-------------------------------------------------------------------------
 * stages_fit_internal.h
 *		One run of pgaml_ml_stages_fit, shared by stages_fit.c and
 *		stages_report.c.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_STAGES_FIT_INTERNAL_H
#define PGAML_ML_STAGES_FIT_INTERNAL_H

#include "ml/stages_internal.h"

typedef struct MlFit
{
	const MlStageData *data;
	const MlStageLayout *layout;
	const MlParams *params;
	const MlAllocator *allocator;
	const MlStop *stop;
	MlStageReport *report;
	MlError    *error;
	MlStages   *stages;
	int64_t		n[3];			/* rows by part */
	int64_t    *rows[3];		/* their numbers */
} MlFit;

/* What every stage says of the rows of one part. */
typedef struct MlHeldOut
{
	int64_t		n;
	double	   *y;
	uint8_t    *single;
	double	   *center[ML_STAGE_COUNT]; /* NaN where the stage has no answer */
	double	   *scale[ML_STAGE_COUNT];
} MlHeldOut;

/* Ask every stage; on failure nothing is left allocated. */
extern MlStatus pgaml_ml_held_out(MlFit *fit, MlPart part, MlHeldOut *held);
extern void pgaml_ml_held_out_free(MlFit *fit, MlHeldOut *held);

/* Fill the report and the confidence table from the test part. */
extern MlStatus pgaml_ml_stages_measure(MlFit *fit);

#endif							/* PGAML_ML_STAGES_FIT_INTERNAL_H */
