/*-------------------------------------------------------------------------
 * stages_ahead.c
 *		What fitted stages would have said of a row of data ahead of its execution.
 *
 * The same question that a fit asks of its held-out rows (stages_report.c),
 * for rows that come later: comparisons of models, live truth.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_fit_internal.h"

void
pgaml_ml_stages_ahead(const MlStages *stages, const MlStageData *data, int64_t row, double coverage, float *scratch,
					  MlForecast *out)
{
	float		recent[ML_STAGE_RECENT];
	float	   *ahead = scratch + stages->layout.nfeatures;
	MlStageQuery query = {
		.row = ahead, .key = pgaml_ml_key_of(data, row), .plan = data->plan[row], .coverage = coverage,
		.recent = recent, .nrecent = pgaml_ml_recent_of(&stages->layout, data, row, recent)
	};

	pgaml_ml_stage_row_ahead(&stages->layout, data, row, ahead);
	pgaml_ml_stages_predict(stages, &query, scratch, out);
	if (out->source == ML_SOURCE_NONE)
		out->center = stages->global_median;
}
