/*-------------------------------------------------------------------------
 * stages_explain.h
 *		Why the stages answer what they answer, and what their learner looks at.
 *
 * Pure C, on top of stages.h and explain.h.  All times are natural logarithms
 * of ms.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_STAGES_EXPLAIN_H
#define PGAML_ML_STAGES_EXPLAIN_H

#include "ml/stages.h"

/* One answer taken apart: center = start + base + contributions + clamp. */
typedef struct MlStageExplanation
{
	bool		answered;		/* else nothing is known of the row, and the rest is 0 */
	MlStageKind kind;			/* the stage that answers */
	double		start;			/* the centre of the recent runs, the cost line, or between them; 0 with an absolute learner */
	bool		from_history;	/* the centre of the recent runs is in it */
	bool		learner;		/* the learner was asked; else base and contributions are 0 */
	double		base;			/* what it adds when nothing is known of a row, shrunk */
	double		clamp;			/* what keeps the answer within the range of training */
	double		center;			/* as pgaml_ml_stages_predict gives it */
} MlStageExplanation;

/*
 * own_plan as in MlStageQuery.  contributions[nfeatures] are of the learner, shrunk as its departure is;
 * seen[nfeatures] is the row as it was asked for it, without what is hidden.
 */
extern MlStatus pgaml_ml_stages_explain(const MlStages *stages, const float *row, bool own_plan,
										const MlAllocator *allocator, MlStageExplanation *out,
										double *contributions, float *seen, MlError *error);

/* On which rows importances were measured. */
typedef struct MlStageImportance
{
	MlPart		part;			/* test, or where that is empty calibration, or training */
	int64_t		rows;
	int64_t		shap_rows;
} MlStageImportance;

/*
 * Importances of the learner, each nfeatures numbers as in explain.h, on at
 * most max_rows and max_shap_rows rows, taken evenly, each as it would be
 * served; errors are of the learner's departure (or of log ms itself).
 */
extern MlStatus pgaml_ml_stages_importance(const MlStages *stages, const MlStageData *data,
										   int64_t max_rows, int64_t max_shap_rows, int repeats, uint64_t seed,
										   const MlAllocator *allocator, const MlStop *stop,
										   MlStageImportance *out, double *gain, double *permutation,
										   double *shap, MlError *error);

#endif							/* PGAML_ML_STAGES_EXPLAIN_H */
