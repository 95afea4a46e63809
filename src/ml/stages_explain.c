/*-------------------------------------------------------------------------
 * stages_explain.c
 *		Takes an answer of the stages apart, and asks what their learner
 *		looks at.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_explain.h"

#include <math.h>
#include <string.h>

#include "ml/core_internal.h"
#include "ml/explain.h"
#include "ml/stages_internal.h"

MlStatus
pgaml_ml_stages_explain(const MlStages *stages, const float *row, bool own_plan,
						const MlAllocator *allocator, MlStageExplanation *out, double *contributions, float *seen, MlError *error)
{
	int32_t		n = stages->layout.nfeatures;
	MlStageTerms terms;
	double		sum;

	memset(out, 0, sizeof(*out));
	memset(contributions, 0, sizeof(double) * (size_t) n);
	memcpy(seen, row, sizeof(float) * (size_t) n);
	out->answered = pgaml_ml_stage_choose(stages, row, own_plan, &out->kind);
	if (!out->answered)
		return ML_OK;
	terms = pgaml_ml_stage_terms(stages, out->kind, row);
	out->center = pgaml_ml_stage_center(stages, out->kind, row, seen);
	memcpy(seen, row, sizeof(float) * (size_t) n);
	out->answered = isfinite(out->center);	/* not so with absurd coefficients of an imported model */
	if (!out->answered)
		return ML_OK;
	out->start = sum = terms.start;
	out->from_history = pgaml_ml_stage_needs_lags(out->kind);
	out->learner = terms.shrink != 0.0;
	if (out->learner)
	{
		MlStatus	status;

		if (!out->from_history)
			pgaml_ml_stage_hide(&stages->layout, seen);
		else if (out->kind != ML_STAGE_MODEL_OWN)
			pgaml_ml_stage_hide_own(&stages->layout, seen);
		status = pgaml_ml_explain(stages->model, seen, 1, allocator, NULL, &out->base, contributions, error);
		if (status != ML_OK)
			return status;
		out->base *= terms.shrink;
		sum += out->base;
		for (int32_t f = 0; f < n; f++)
			sum += contributions[f] *= terms.shrink;
	}
	/* what rounding leaves is no clamping */
	if (out->center == stages->y_min || out->center == stages->y_max)
		out->clamp = out->center - sum;
	return ML_OK;
}

/* The rows that importances are measured on, as the learner is asked for them. */
typedef struct Rows
{
	int64_t		n;
	float	   *values;			/* [n][nfeatures] */
	double	   *target;			/* [n] what the learner should say */
	float	   *scratch;		/* [nfeatures] */
	float	   *row;			/* [nfeatures] */
} Rows;

static void
take_row(const MlStages *stages, const MlStageData *data, int64_t i, Rows *rows)
{
	const MlStageLayout *layout = &stages->layout;
	MlStageTerms terms;
	MlStageKind kind;

	pgaml_ml_stage_row_ahead(layout, data, i, rows->row);
	kind = pgaml_ml_stage_warm(layout, rows->row) ? ML_STAGE_MODEL_WARM : ML_STAGE_MODEL_COLD;
	terms = pgaml_ml_stage_terms(stages, kind, rows->row);
	memcpy(rows->values + rows->n * layout->nfeatures,
		   pgaml_ml_stage_row(stages, &terms, rows->row, rows->scratch),
		   sizeof(float) * (size_t) layout->nfeatures);
	rows->target[rows->n++] = data->target[i] -
		(stages->absolute ? 0.0 :
		 pgaml_ml_line_at(&stages->line, stages->global_median, rows->row[layout->cost]));
}

/* Evenly, max of them or all there are. */
static void
take_rows(const MlStages *stages, const MlStageData *data, MlPart part, int64_t there, int64_t max, Rows *rows)
{
	int64_t		met = 0;

	for (int64_t i = 0; i < data->nrows && rows->n < max; i++)
	{
		if (data->part[i] != part)
			continue;
		if (there <= max || met * max / there >= rows->n)
			take_row(stages, data, i, rows);
		met++;
	}
}

static MlPart
choose_part(const MlStageData *data, int64_t *there)
{
	static const MlPart order[] = {ML_PART_TEST, ML_PART_CALIBRATE, ML_PART_TRAIN};
	int64_t		n[3] = {0};
	int			i = 0;

	for (int64_t row = 0; row < data->nrows; row++)
		n[data->part[row]]++;
	while (i < 2 && n[order[i]] == 0)
		i++;
	*there = n[order[i]];
	return order[i];
}

/* Permutation and shap take about half of the time each; progress is told as a whole. */
typedef struct Halves
{
	const MlStop *stop;
	double		before;			/* progress of the halves that are done */
} Halves;

static bool
ask_half(void *state, double progress)
{
	Halves	   *halves = state;

	return halves->stop->should_stop(halves->stop->state, halves->before + 0.5 * progress);
}

MlStatus
pgaml_ml_stages_importance(const MlStages *stages, const MlStageData *data,
						   int64_t max_rows, int64_t max_shap_rows, int repeats, uint64_t seed,
						   const MlAllocator *allocator, const MlStop *stop,
						   MlStageImportance *out, double *gain, double *permutation,
						   double *shap, MlError *error)
{
	size_t		nfeatures = (size_t) stages->layout.nfeatures;
	Halves		halves = {.stop = stop};
	MlStop		half = {stop != NULL && stop->should_stop != NULL ? ask_half : NULL, &halves};
	Rows		rows = {0};
	int64_t		there;
	MlStatus	status;

	memset(out, 0, sizeof(*out));
	if (data->nrows < 1 || max_rows < 1 || max_shap_rows < 0)
		return pgaml_ml_fail(error, ML_E_ARG, "importance", "no rows");
	out->part = choose_part(data, &there);
	max_rows = there < max_rows ? there : max_rows;
	rows.values = pgaml_ml_alloc(allocator, (size_t) max_rows, nfeatures * sizeof(float));
	rows.target = pgaml_ml_alloc(allocator, (size_t) max_rows, sizeof(double));
	rows.scratch = pgaml_ml_alloc(allocator, 2 * nfeatures, sizeof(float));
	if (rows.values == NULL || rows.target == NULL || rows.scratch == NULL)
		status = pgaml_ml_nomem(error, "importance");
	else
	{
		rows.row = rows.scratch + nfeatures;
		take_rows(stages, data, out->part, there, max_rows, &rows);
		out->rows = rows.n;
		pgaml_ml_importance_gain(stages->model, gain);
		status = pgaml_ml_importance_permutation(stages->model, rows.values, rows.target, rows.n, repeats, seed,
												 allocator, &half, permutation, error);
	}
	if (status == ML_OK)
	{
		/* the same rows thinned once more */
		int64_t		step = max_shap_rows > 0 ? (rows.n + max_shap_rows - 1) / max_shap_rows : rows.n + 1;

		for (int64_t i = 0; i < rows.n && max_shap_rows > 0; i += step)
			memmove(rows.values + (size_t) out->shap_rows++ * nfeatures, rows.values + (size_t) i * nfeatures,
					sizeof(float) * nfeatures);
		halves.before = 0.5;
		status = pgaml_ml_importance_shap(stages->model, rows.values, out->shap_rows, allocator, &half, shap, error);
	}
	pgaml_ml_release(allocator, rows.scratch);
	pgaml_ml_release(allocator, rows.target);
	pgaml_ml_release(allocator, rows.values);
	return status;
}
