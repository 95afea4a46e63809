/*-------------------------------------------------------------------------
 * stages_learner.c
 *		What the learner of the stages is fitted to.
 *
 * Rows of the training part, as departures from a robust cost line: some
 * cold, what their past tells hidden, the others as they are, with their own
 * plan.  The line and the weights of statements come from the same part.
 * stages_fit.c fits one learner to it; stages_tune.c asks which parameters
 * do best on it.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/core_internal.h"
#include "ml/stages_fit_internal.h"

#define SHOW_TWICE_ROWS	20000	/* training rows up to which each is shown both cold and warm */
#define SHOW_STEPS		100		/* elementary steps to show one row */

int64_t
pgaml_ml_learner_most(int64_t nrows)
{
	return nrows > 2 * SHOW_TWICE_ROWS ? nrows : nrows > SHOW_TWICE_ROWS ? 2 * SHOW_TWICE_ROWS : 2 * nrows;
}

/* Leaving statements out comes before the fit and never takes more rows, so the larger of the two counts. */
size_t
pgaml_ml_stages_memory(const MlParams *params, int64_t nrows, int32_t nfeatures)
{
	int64_t		shown = pgaml_ml_learner_most(nrows);
	size_t		model = pgaml_ml_train_memory(params, shown, nfeatures);
	size_t		per_row = (size_t) nfeatures * sizeof(float)	/* gathered columns */
		+ sizeof(double) * (2 * ML_STAGE_COUNT + ML_BASE_COUNT + 10);
	size_t		fixed = sizeof(float) * (ML_STAGE_WARM_COUNT * ML_SCORES_TOTAL + ML_STAGE_COUNT * 2 * ML_SCORES_MAX) +
		ML_NOVELTY_SETS * ML_NOVELTY_BYTES;

	return pgaml_ml_size_add(pgaml_ml_size_add(model, fixed), pgaml_ml_size_mul(per_row, (size_t) shown));
}

MlStatus
pgaml_ml_stages_check(const MlStageData *data, const MlStageLayout *layout, MlError *error)
{
	if (data->nrows < 1 || data->ngroups < 1)
		return pgaml_ml_fail(error, ML_E_DATA, "nrows", "no rows");
	if (!pgaml_ml_stage_layout_valid(layout))
		return pgaml_ml_fail(error, ML_E_LIMIT, "layout", "feature positions are out of range");
	for (int64_t i = 0; i < data->nrows; i++)
	{
		if (!isfinite(data->target[i]))
			return pgaml_ml_fail(error, ML_E_DATA, "target", "target is not finite");
		if (data->group[i] < 0 || data->group[i] >= data->ngroups)
			return pgaml_ml_fail(error, ML_E_DATA, "group", "group out of range");
		if (data->part[i] > ML_PART_TEST)
			return pgaml_ml_fail(error, ML_E_DATA, "part", "unknown part");
	}
	return ML_OK;
}

/* Rows of each part, in order. */
MlStatus
pgaml_ml_stages_parts(MlFit *fit)
{
	const MlStageData *data = fit->data;

	for (int64_t i = 0; i < data->nrows; i++)
		fit->n[data->part[i]]++;
	for (int p = 0; p < 3; p++)
	{
		int64_t		n = 0;

		fit->rows[p] = pgaml_ml_alloc(fit->allocator, fit->n[p], sizeof(int64_t));
		if (fit->rows[p] == NULL)
			return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
		for (int64_t i = 0; i < data->nrows; i++)
			if (data->part[i] == p)
				fit->rows[p][n++] = i;
	}
	if (fit->n[ML_PART_TRAIN] < 1)
		return pgaml_ml_fail(fit->error, ML_E_DATA, "part", "no rows to train on");
	return ML_OK;
}

/* 1 / sqrt(rows) for every statement: one with ten thousand runs does not drown one with ten. */
static MlStatus
weigh_statements(MlFit *fit)
{
	int64_t		n = fit->n[ML_PART_TRAIN];
	int32_t		ngroups = fit->data->ngroups;
	double		sum = 0.0;

	fit->weight = pgaml_ml_alloc_zero(fit->allocator, ngroups, sizeof(float));
	if (fit->weight == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < n; i++)
		fit->weight[fit->data->group[fit->rows[ML_PART_TRAIN][i]]] += 1.0f;
	for (int32_t g = 0; g < ngroups; g++)
		sum += sqrt(fit->weight[g]);
	for (int32_t g = 0; g < ngroups; g++)
		if (fit->weight[g] > 0.0f)
			fit->weight[g] = (float) (n / sum / sqrt(fit->weight[g]));
	return ML_OK;
}

/* Median, range, cost line and usual spread of the training part. */
static MlStatus
learn_scale(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	const MlStageData *data = fit->data;
	int64_t		n = fit->n[ML_PART_TRAIN];
	int64_t		nspread = 0;
	MlTicker	ticker = {.stop = fit->stop};
	double	   *y = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	double	   *spread = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	float	   *cost = pgaml_ml_alloc(fit->allocator, n, sizeof(float));
	float	   *weight = pgaml_ml_alloc(fit->allocator, n, sizeof(float));
	MlStatus	status = ML_OK;

	if (y == NULL || spread == NULL || cost == NULL || weight == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	else
	{
		stages->y_min = INFINITY;
		stages->y_max = -INFINITY;
		for (int64_t i = 0; i < n; i++)
		{
			int64_t		row = fit->rows[ML_PART_TRAIN][i];
			float		s = data->columns[fit->layout->lag_spread][row];

			y[i] = data->target[row];
			cost[i] = data->columns[fit->layout->cost][row];
			weight[i] = fit->weight[data->group[row]];
			stages->y_min = fmin(stages->y_min, y[i]);
			stages->y_max = fmax(stages->y_max, y[i]);
			if (isfinite(s))
				spread[nspread++] = s;
		}
		status = pgaml_ml_weighted_quantile(y, NULL, n, 0.5, fit->allocator,
											&stages->global_median, fit->error);
		if (status == ML_OK)
			status = pgaml_ml_stages_ask(fit);
		if (status == ML_OK)
			status = pgaml_ml_fit_line(cost, y, weight, n, fit->allocator, &ticker, &stages->line, fit->error);
		if (status == ML_OK && !isfinite(stages->line.intercept))	/* no plan is known at all */
			stages->line = (MlLine) {stages->global_median, 0.0, ML_SPREAD_DEFAULT, 0.0, 0.0};
		stages->default_spread = ML_SPREAD_DEFAULT;
		if (status == ML_OK && nspread > 0)
			status = pgaml_ml_weighted_quantile(spread, NULL, nspread, 0.5, fit->allocator,
												&stages->default_spread, fit->error);
	}
	pgaml_ml_release(fit->allocator, weight);
	pgaml_ml_release(fit->allocator, cost);
	pgaml_ml_release(fit->allocator, spread);
	pgaml_ml_release(fit->allocator, y);
	return status;
}

MlStatus
pgaml_ml_learner_begin(MlFit *fit)
{
	MlStatus	status = pgaml_ml_stages_parts(fit);

	fit->monotone[fit->layout->cost] = 1;
	if (status == ML_OK)
		status = weigh_statements(fit);
	if (status == ML_OK)
		status = learn_scale(fit);
	return status;
}

void
pgaml_ml_learner_end(MlFit *fit)
{
	for (int p = 0; p < 3; p++)
		pgaml_ml_release(fit->allocator, fit->rows[p]);
	pgaml_ml_release(fit->allocator, fit->weight);
}

bool
pgaml_ml_validates(int32_t group)
{
	return group % ML_VALIDATION_EVERY == ML_VALIDATION_EVERY / 2;
}

const uint8_t *
pgaml_ml_validation(const MlFit *fit, const uint8_t *validation, int64_t n, int32_t statements)
{
	int64_t		aside = 0;

	for (int64_t i = 0; i < n; i++)
		aside += validation[i];
	return fit->params->type == ML_GRADIENT_BOOSTING && fit->params->early_stopping_rounds > 0 &&
		statements >= ML_VALIDATION_MIN && aside > 0 && aside <= n / 2 ? validation : NULL;
}

/* How often each of n training rows is shown: cold and otherwise where rows are few, else one or the other. */
static int64_t
times_shown(int64_t n)
{
	return n <= SHOW_TWICE_ROWS ? 2 : 1;
}

/* One training row into place at, with its own plan; what its past tells is hidden when cold. */
static void
show_row(MlFit *fit, MlLearnerRows *shown, int64_t from, bool cold, int64_t n, int64_t at)
{
	const MlStageLayout *layout = fit->layout;
	int32_t		group = fit->data->group[from];
	float		row[ML_STAGE_MAX_FEATURES];

	for (int32_t j = 0; j < layout->nfeatures; j++)
		row[j] = fit->data->columns[j][from];
	cold = cold || !pgaml_ml_stage_warm(layout, row);
	shown->target[at] = fit->data->target[from] -
		pgaml_ml_line_at(&fit->stages->line, fit->stages->global_median, row[layout->cost]);
	if (cold)
		pgaml_ml_stage_hide(layout, row);
	for (int32_t j = 0; j < layout->nfeatures; j++)
		shown->values[(int64_t) j * n + at] = row[j];
	shown->weight[at] = cold ? fit->weight[group] : 1.0f;
	shown->validation[at] = pgaml_ml_validates(group);
}

/* Every training row once or twice; rows shown twice come again after all others. */
static MlStatus
show_rows(MlFit *fit, MlLearnerRows *shown)
{
	int64_t		rows = fit->n[ML_PART_TRAIN];
	MlTicker	ticker = {.stop = fit->stop};
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, fit->params->seed);
	for (int64_t i = 0; i < rows; i++)
	{
		int64_t		from = fit->rows[ML_PART_TRAIN][i];
		bool		cold = (pgaml_ml_rng_next(&rng) >> 63) != 0;

		if (pgaml_ml_tick(&ticker, SHOW_STEPS))
			return pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit");
		show_row(fit, shown, from, shown->data.nrows > rows || cold, shown->data.nrows, i);
		if (shown->data.nrows > rows)
			show_row(fit, shown, from, false, shown->data.nrows, rows + i);
	}
	return ML_OK;
}

int64_t
pgaml_ml_learner_source(const MlFit *fit, int64_t i)
{
	return fit->rows[ML_PART_TRAIN][i % fit->n[ML_PART_TRAIN]];
}

MlStatus
pgaml_ml_learner_show(MlFit *fit, MlLearnerRows *shown)
{
	const MlAllocator *allocator = fit->allocator;
	int32_t		nfeatures = fit->layout->nfeatures;
	int64_t		n = fit->n[ML_PART_TRAIN] * times_shown(fit->n[ML_PART_TRAIN]);
	MlStatus	status;

	*shown = (MlLearnerRows) {
		.values = pgaml_ml_alloc(allocator, pgaml_ml_size_mul(n, nfeatures), sizeof(float)),
		.columns = pgaml_ml_alloc(allocator, nfeatures, sizeof(float *)),
		.target = pgaml_ml_alloc(allocator, n, sizeof(double)),
		.weight = pgaml_ml_alloc(allocator, n, sizeof(float)),
		.validation = pgaml_ml_alloc(allocator, n, 1)
	};
	if (shown->values == NULL || shown->columns == NULL || shown->target == NULL || shown->weight == NULL ||
		shown->validation == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int32_t j = 0; j < nfeatures; j++)
		shown->columns[j] = shown->values + (int64_t) j * n;
	shown->data = (MlDataset) {
		.nrows = n, .nfeatures = nfeatures, .columns = shown->columns, .target = shown->target,
		.weight = shown->weight, .monotone = fit->monotone
	};
	status = show_rows(fit, shown);
	if (status == ML_OK)
		shown->data.validation = pgaml_ml_validation(fit, shown->validation, n, fit->data->ngroups);
	return status;
}

void
pgaml_ml_learner_hide(const MlFit *fit, MlLearnerRows *shown)
{
	pgaml_ml_release(fit->allocator, shown->validation);
	pgaml_ml_release(fit->allocator, shown->weight);
	pgaml_ml_release(fit->allocator, shown->target);
	pgaml_ml_release(fit->allocator, shown->columns);
	pgaml_ml_release(fit->allocator, shown->values);
	memset(shown, 0, sizeof(*shown));
}

MlStatus
pgaml_ml_learner_fit(MlFit *fit)
{
	MlLearnerRows shown;
	MlStatus	status = pgaml_ml_learner_show(fit, &shown);

	if (status == ML_OK)
		status = pgaml_ml_train(&shown.data, fit->params, fit->allocator, fit->stop, &fit->stages->model, fit->error);
	pgaml_ml_learner_hide(fit, &shown);
	return status;
}
