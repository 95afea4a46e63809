/*-------------------------------------------------------------------------
 * report.c
 *		What a fit measured, as JSON for the model's card.
 *
 * Keys are stages, baselines and field-standard metric names; errors are on
 * the natural logarithm of ms, or on ms where the name says so; q-errors are
 * ratios.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "lib/stringinfo.h"

#include "features/spec.h"
#include "train/train.h"

/* JSON has no NaN. */
static void
append_number(StringInfo out, const char *key, double value, bool last)
{
	if (isfinite(value))
		appendStringInfo(out, "\"%s\": %.6g", key, value);
	else
		appendStringInfo(out, "\"%s\": null", key);
	if (!last)
		appendStringInfoString(out, ", ");
}

static void
append_score(StringInfo out, const char *name, const MlStageScore *score)
{
	double		none = score->n > 0 ? 0.0 : NAN;	/* no rows: everything null */

	appendStringInfo(out, "\"%s\": {\"n\": " INT64_FORMAT ", ", name, score->n);
	append_number(out, "r2", score->metrics.r2 + none, false);
	append_number(out, "rmse", score->metrics.rmse + none, false);
	append_number(out, "mae", score->metrics.mae + none, false);
	append_number(out, "r2_ms", score->metrics.r2_ms + none, false);
	append_number(out, "rmse_ms", score->metrics.rmse_ms + none, false);
	append_number(out, "mae_ms", score->metrics.mae_ms + none, false);
	append_number(out, "mape", score->metrics.mape + none, false);
	append_number(out, "q50", score->metrics.q50 + none, false);
	append_number(out, "q90", score->metrics.q90 + none, false);
	append_number(out, "q95", score->metrics.q95 + none, false);
	append_number(out, "qmax", score->metrics.qmax + none, false);
	append_number(out, "coverage", score->coverage + none, false);
	append_number(out, "interval_ratio", score->width + none, true);
	appendStringInfoString(out, "}");
}

/*
 * Slopes of a linear learner, per unit of each feature, with their standard
 * errors; nothing for other learners.
 */
static void
append_coefficients(StringInfo out, const MlModel *model)
{
	double		slope;
	double		error;

	for (int f = 0; pgaml_ml_linear_coefficient(model, f, &slope, &error); f++)
	{
		appendStringInfo(out, "%s{\"feature\": \"%s\", ", f > 0 ? ", " : ", \"coefficients\": [",
						 pgaml_feature_name(f).name);
		append_number(out, "slope", slope, false);
		append_number(out, "standard_error", error, true);
		appendStringInfoString(out, "}");
	}
	if (pgaml_ml_model_type(model) == ML_LINEAR_REGRESSION)
		appendStringInfoString(out, "]");
}

char *
pgaml_report_metrics_json(const MlStageReport *report, const MlModel *model)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{");
	append_score(&out, "serving", &report->serving);
	appendStringInfoString(&out, ", ");
	append_score(&out, "serving_own_plan", &report->serving_own);
	appendStringInfoString(&out, ", ");
	append_score(&out, "serving_cold", &report->serving_cold);
	appendStringInfo(&out, ", \"left_out_statements\": %d, ", report->left_out);
	append_score(&out, "left_out_model", &report->left_out_model);
	appendStringInfoString(&out, ", ");
	append_score(&out, "left_out_planner", &report->left_out_planner);
	appendStringInfoString(&out, ", \"stages\": {");
	for (int i = 0; i < ML_STAGE_COUNT; i++)
	{
		appendStringInfoString(&out, i > 0 ? ", " : "");
		append_score(&out, pgaml_ml_stage_name(i), &report->stage[i]);
	}
	appendStringInfoString(&out, "}, \"baselines\": {");
	for (int i = 0; i < ML_BASE_COUNT; i++)
	{
		appendStringInfoString(&out, i > 0 ? ", " : "");
		append_score(&out, pgaml_ml_baseline_name(i), &report->baseline[i]);
	}
	appendStringInfo(&out, "}, \"warm_source\": \"%s\", \"own_plan_source\": \"%s\", \"cold_source\": \"%s\", ",
					 pgaml_ml_source_name(report->warm_source), pgaml_ml_source_name(report->own_source),
					 pgaml_ml_source_name(report->cold_source));
	append_number(&out, "shrink_warm", report->shrink_warm, false);
	append_number(&out, "shrink_own_plan", report->shrink_own, false);
	append_number(&out, "shrink_cold", report->shrink_cold, false);
	append_number(&out, "shrink_new", report->shrink_new, false);
	append_number(&out, "oob_rmse", report->oob_rmse, true);
	append_coefficients(&out, model);
	appendStringInfoString(&out, "}");
	return out.data;
}

char *
pgaml_report_calibration_json(const MlStageReport *report)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"method\": \"split conformal on absolute log error\", \"scores\": {");
	for (int i = 0; i < ML_STAGE_COUNT; i++)
		appendStringInfo(&out, "%s\"%s\": " INT64_FORMAT, i > 0 ? ", " : "",
						 pgaml_ml_stage_name(i), report->calibration[i]);
	appendStringInfoString(&out, "}}");
	return out.data;
}

char *
pgaml_params_json(const MlParams *params)
{
	StringInfoData out;
	const char *name;
	double		value;

	initStringInfo(&out);
	appendStringInfoString(&out, "{");
	for (int i = 0; pgaml_ml_params_get(params, i, &name, &value); i++)
	{
		const char *text = pgaml_ml_params_text(params, i);

		appendStringInfoString(&out, i > 0 ? ", " : "");
		if (text != NULL)
			appendStringInfo(&out, "\"%s\": \"%s\"", name, text);
		else
			appendStringInfo(&out, "\"%s\": %s", name, double_to_shortest_decimal(value));	/* it is read back */
	}
	appendStringInfoString(&out, "}");
	return out.data;
}

const char **
pgaml_train_feature_names(void)
{
	const char **names = palloc(sizeof(char *) * PGAML_F_COUNT);

	for (int i = 0; i < PGAML_F_COUNT; i++)
		names[i] = pgaml_feature_name(i).name;
	return names;
}
