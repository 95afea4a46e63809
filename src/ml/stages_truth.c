/*-------------------------------------------------------------------------
 * stages_truth.c
 *		What fitted stages would have said of an execution, against the truth.
 *
 * Const stages, no allocation, no failure.  Training asks it of held-out rows
 * and later checks ask it of live ones, so that both mean the same.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_fit_internal.h"

#include <math.h>
#include <string.h>

#define LEAST_WIDTH		1e-9	/* log; of an interval made of times that repeat to the digit */

/* The width of the interval and what a miss costs, 2 / (1 - coverage) for each unit beyond it. */
static double
interval_score(const MlForecast *forecast, double actual, double coverage)
{
	double		beyond = fmax(fmax(forecast->lower - actual, actual - forecast->upper), 0.0);

	return forecast->upper - forecast->lower + 2.0 / (1.0 - coverage) * beyond;
}

void
pgaml_ml_stages_truth(const MlStages *stages, const MlStageData *data, int64_t row, const float *recent,
					  int32_t nrecent, double coverage, float *scratch, MlStageTruth *out)
{
	float		before[ML_STAGE_RECENT];
	float	   *ahead = scratch + stages->layout.nfeatures;
	double		actual = data->target[row];
	MlForecast	forecast;
	MlStageQuery query = {
		.row = ahead, .key = pgaml_ml_key_of(data, row), .plan = data->plan[row], .coverage = coverage,
		.recent = recent, .nrecent = nrecent
	};

	if (recent == NULL)
	{
		query.recent = before;
		query.nrecent = pgaml_ml_recent_of(&stages->layout, data, row, before);
	}
	pgaml_ml_stage_row_ahead(&stages->layout, data, row, ahead);
	pgaml_ml_stages_predict(stages, &query, scratch, &forecast);

	memset(out, 0, sizeof(*out));
	out->source = forecast.source;
	out->novel = forecast.novel;
	out->error = out->winkler = out->score = NAN;
	if (forecast.source == ML_SOURCE_NONE)
		return;
	out->error = actual - forecast.center;
	out->calibrated = forecast.calibrated && data->single[row];
	if (!out->calibrated)
		return;
	out->covered = actual >= forecast.lower && actual <= forecast.upper;
	out->score = (float) (2.0 * fabs(out->error) / fmax(forecast.upper - forecast.lower, LEAST_WIDTH));
	out->winkler = interval_score(&forecast, actual, coverage);
}
