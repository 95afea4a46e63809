/*-------------------------------------------------------------------------
 * stages_cross.c
 *		What is known of statements never seen: leave some out, predict them.
 *
 * The statements of the training part are dealt into folds; learners fitted
 * without a fold predict it cold.  From these predictions come the factor on
 * the learner's departure, the choice between learner and cost line, and the
 * errors behind intervals of new statements.  Every statement counts the
 * same, however often it ran: what is new is the statement, not one run of it
 * (Lee, Barber and Willett 2023, Distribution-free inference with
 * hierarchical data).  Rows are thinned per statement to bound the cost.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_fit_internal.h"

#include <math.h>
#include <string.h>

#define FOLDS			5
#define MIN_STATEMENTS	5		/* with fewer nothing is said */
#define MAX_ROWS		20000	/* over all statements */
#define MAX_TREES		60		/* of each of the learners that are thrown away */
#define MUST_WIN		0.98	/* the learner serves when its error is below this share of the cost line's */
#define MAY_LOSE		1.02	/* ... and no quantile of it is above this */
#define PRIOR_STATEMENTS 5.0	/* that say nothing can be learnt of what is unlike all others */
#define SCORES_EACH		16		/* errors that one statement gives, at most */
#define ROW_STEPS		1000	/* elementary steps to predict a row */

/* Rows of one statement, next to each other. */
typedef struct Statement
{
	int32_t		group;
	int32_t		fold;
	int64_t		start;			/* in the arrays of Cross */
	int64_t		n;
} Statement;

typedef struct Cross
{
	MlFit	   *fit;
	MlStop		stop;			/* passes the caller's on, with the progress over all folds */
	int			fold;			/* that is left out */
	int32_t		nstatements;
	Statement  *statements;
	int64_t		n;
	int64_t    *rows;			/* in the data */
	double	   *y;
	double	   *line;			/* cost line without the statement */
	double	   *departure;		/* of a learner without it */
	float	   *unseen;			/* 0..1, how little that learner saw that is like the row */
	double	   *p;				/* scratch: predictions */
	double	   *error;			/* scratch: their absolute errors */
	float	   *weight;			/* 1 / rows of the statement */
} Cross;

static bool
should_stop(void *state, double progress)
{
	Cross	   *cross = state;
	const MlStop *stop = cross->fit->stop;

	return stop != NULL && stop->should_stop != NULL &&
		stop->should_stop(stop->state, fmin((cross->fold + progress) / FOLDS, 1.0));
}

static void
cross_free(Cross *cross)
{
	const MlAllocator *allocator = cross->fit->allocator;

	pgaml_ml_release(allocator, cross->statements);
	pgaml_ml_release(allocator, cross->rows);
	pgaml_ml_release(allocator, cross->y);
	pgaml_ml_release(allocator, cross->line);
	pgaml_ml_release(allocator, cross->departure);
	pgaml_ml_release(allocator, cross->unseen);
	pgaml_ml_release(allocator, cross->p);
	pgaml_ml_release(allocator, cross->error);
	pgaml_ml_release(allocator, cross->weight);
}

static bool
cross_alloc(Cross *cross, int64_t n)
{
	const MlAllocator *allocator = cross->fit->allocator;

	cross->rows = pgaml_ml_alloc(allocator, n, sizeof(int64_t));
	cross->y = pgaml_ml_alloc(allocator, n, sizeof(double));
	cross->line = pgaml_ml_alloc(allocator, n, sizeof(double));
	cross->departure = pgaml_ml_alloc(allocator, n, sizeof(double));
	cross->unseen = pgaml_ml_alloc(allocator, n, sizeof(float));
	cross->p = pgaml_ml_alloc(allocator, n, sizeof(double));
	cross->error = pgaml_ml_alloc(allocator, n, sizeof(double));
	cross->weight = pgaml_ml_alloc(allocator, n, sizeof(float));
	return cross->rows && cross->y && cross->line && cross->departure && cross->unseen && cross->p &&
		cross->error && cross->weight;
}

/* The statements with a known plan, and how many such rows each has in training. */
static MlStatus
find_statements(Cross *cross)
{
	MlFit	   *fit = cross->fit;
	const MlStageData *data = fit->data;
	const float *cost = data->columns[fit->layout->cost];

	cross->statements = pgaml_ml_alloc(fit->allocator, data->ngroups, sizeof(Statement));
	if (cross->statements == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < fit->n[ML_PART_TRAIN]; i++)
	{
		int64_t		row = fit->rows[ML_PART_TRAIN][i];
		int32_t		n = cross->nstatements;

		if (isnan(cost[row]))
			continue;
		if (n > 0 && cross->statements[n - 1].group == data->group[row])
			cross->statements[n - 1].n++;
		else if (cross->nstatements < data->ngroups)
			cross->statements[cross->nstatements++] = (Statement) {.group = data->group[row], .n = 1};
	}
	return ML_OK;
}

/* Deal the statements into folds and take an even share of each one's rows. */
static MlStatus
take_rows(Cross *cross)
{
	MlFit	   *fit = cross->fit;
	const float *cost = fit->data->columns[fit->layout->cost];
	int64_t		quota = MAX_ROWS / cross->nstatements > 0 ? MAX_ROWS / cross->nstatements : 1;
	int64_t		total = 0;
	int64_t		from = 0;
	MlRng		rng;

	for (int32_t s = 0; s < cross->nstatements; s++)
		total += cross->statements[s].n < quota ? cross->statements[s].n : quota;
	if (!cross_alloc(cross, total))
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	pgaml_ml_rng_seed(&rng, fit->params->seed);
	for (int32_t s = 0; s < cross->nstatements; s++)
		cross->statements[s].fold = s % FOLDS;
	for (int32_t s = cross->nstatements - 1; s > 0; s--)
	{
		int32_t		other = (int32_t) pgaml_ml_rng_below(&rng, (uint64_t) s + 1);
		int32_t		fold = cross->statements[s].fold;

		cross->statements[s].fold = cross->statements[other].fold;
		cross->statements[other].fold = fold;
	}
	for (int32_t s = 0; s < cross->nstatements; s++)
	{
		Statement  *statement = &cross->statements[s];
		int64_t		n = statement->n;
		int64_t		take = n < quota ? n : quota;

		statement->start = cross->n;
		for (int64_t k = 0; k < n; from++)
		{
			int64_t		row = fit->rows[ML_PART_TRAIN][from];

			if (isnan(cost[row]))
				continue;
			if ((k + 1) * take / n > k * take / n)
			{
				cross->rows[cross->n] = row;
				cross->y[cross->n] = fit->data->target[row];
				cross->weight[cross->n++] = (float) (1.0 / take);
			}
			k++;
		}
		statement->n = take;
	}
	return ML_OK;
}

/* One fold's learner and line. */
typedef struct Fold
{
	int64_t		n;
	float	   *values;			/* column after column */
	const float **columns;
	double	   *y;				/* log ms, then the departure from the line */
	float	   *cost;
	float	   *weight;
	uint8_t    *validation;
	MlLine		line;
	MlModel    *model;
	MlNovelty	novelty;
	float		low[ML_STAGE_MAX_FEATURES]; /* ranges of the features */
	float		high[ML_STAGE_MAX_FEATURES];
} Fold;

/* Everything but the fold that is left out, cold. */
static void
fill_fold(Cross *cross, Fold *fold)
{
	MlFit	   *fit = cross->fit;
	const MlStageLayout *layout = fit->layout;
	int64_t		at = 0;

	for (int32_t s = 0; s < cross->nstatements; s++)
	{
		const Statement *statement = &cross->statements[s];

		if (statement->fold == cross->fold)
			continue;
		for (int64_t i = statement->start; i < statement->start + statement->n; i++, at++)
		{
			for (int32_t j = 0; j < layout->nfeatures; j++)
				fold->values[j * fold->n + at] = layout->roles[j] & ML_ROLE_PAST ? NAN :
					fit->data->columns[j][cross->rows[i]];
			fold->y[at] = cross->y[i];
			fold->cost[at] = fit->data->columns[layout->cost][cross->rows[i]];
			fold->weight[at] = (float) (1.0 / sqrt((double) statement->n));
			fold->validation[at] = pgaml_ml_validates(statement->group);
		}
	}
}

/* What these statements look like: the ranges and the paths that they take. */
static MlStatus
learn_paths(Cross *cross, Fold *fold)
{
	MlTicker	ticker = {.stop = &cross->stop, .progress = 1.0};
	float		row[ML_STAGE_MAX_FEATURES];

	for (int32_t j = 0; j < cross->fit->layout->nfeatures; j++)
		pgaml_ml_range(fold->columns[j], NULL, fold->n, &fold->low[j], &fold->high[j]);
	for (int64_t i = 0; i < fold->n && fold->novelty.nsets > 0; i++)
	{
		if (pgaml_ml_tick(&ticker, ROW_STEPS))
			return pgaml_ml_stopped(cross->fit->error, "pgaml_ml_stages_fit");
		for (int32_t j = 0; j < cross->fit->layout->nfeatures; j++)
			row[j] = fold->columns[j][i];
		pgaml_ml_novelty_learn(&fold->novelty, fold->model, row);
	}
	return ML_OK;
}

static MlStatus
train_fold(Cross *cross, Fold *fold)
{
	MlFit	   *fit = cross->fit;
	MlTicker	ticker = {.stop = &cross->stop};
	MlParams	params = *fit->params;
	MlDataset	data = {
		.nrows = fold->n, .nfeatures = fit->layout->nfeatures, .columns = fold->columns, .target = fold->y,
		.weight = fold->weight, .monotone = fit->monotone
	};
	MlStatus	status;

	fill_fold(cross, fold);
	data.validation = pgaml_ml_validation(fit, fold->validation, fold->n, cross->nstatements);
	status = pgaml_ml_fit_line(fold->cost, fold->y, fold->weight, fold->n, fit->allocator, &ticker, &fold->line, fit->error);
	if (status != ML_OK || fit->stages->absolute)
		return status;
	for (int64_t i = 0; i < fold->n; i++)
		fold->y[i] -= pgaml_ml_line_at(&fold->line, 0.0, fold->cost[i]);
	if (params.n_trees > MAX_TREES)
		params.n_trees = MAX_TREES;
	status = pgaml_ml_train(&data, &params, fit->allocator, &cross->stop, &fold->model, fit->error);
	if (status == ML_OK)
		status = pgaml_ml_novelty_create(&fold->novelty, fold->model, fit->allocator, fit->error);
	if (status == ML_OK)
		status = learn_paths(cross, fold);
	return status;
}

static float
unseen_share(const Cross *cross, const Fold *fold, const float *row)
{
	double		seen = 1.0 - pgaml_ml_stage_outside(cross->fit->layout, fold->low, fold->high, row);

	return (float) (1.0 - seen * (1.0 - pgaml_ml_novelty_unseen(&fold->novelty, fold->model, row)));
}

/* The statements of the fold by what was fitted without them. */
static MlStatus
predict_fold(Cross *cross, const Fold *fold)
{
	MlFit	   *fit = cross->fit;
	const MlModel *model = fit->stages->absolute ? fit->stages->model : fold->model;
	MlTicker	ticker = {.stop = &cross->stop, .progress = 1.0};
	float		row[ML_STAGE_MAX_FEATURES];

	for (int32_t s = 0; s < cross->nstatements; s++)
	{
		const Statement *statement = &cross->statements[s];

		if (statement->fold != cross->fold)
			continue;
		for (int64_t i = statement->start; i < statement->start + statement->n; i++)
		{
			if (pgaml_ml_tick(&ticker, ROW_STEPS))
				return pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit");
			for (int32_t j = 0; j < fit->layout->nfeatures; j++)
				row[j] = fit->data->columns[j][cross->rows[i]];
			cross->line[i] = pgaml_ml_line_at(&fold->line, 0.0, row[fit->layout->cost]);
			pgaml_ml_stage_hide(fit->layout, row);
			cross->departure[i] = pgaml_ml_predict(model, row) - (fit->stages->absolute ? cross->line[i] : 0.0);
			cross->unseen[i] = fit->stages->absolute ? 0.0f : unseen_share(cross, fold, row);
		}
	}
	return ML_OK;
}

static MlStatus
run_fold(Cross *cross)
{
	MlFit	   *fit = cross->fit;
	const MlAllocator *allocator = fit->allocator;
	int32_t		nfeatures = fit->layout->nfeatures;
	Fold		fold = {0};
	MlStatus	status;

	for (int32_t s = 0; s < cross->nstatements; s++)
		fold.n += cross->statements[s].fold != cross->fold ? cross->statements[s].n : 0;
	fold.values = pgaml_ml_alloc(allocator, fold.n * nfeatures, sizeof(float));
	fold.columns = pgaml_ml_alloc(allocator, nfeatures, sizeof(float *));
	fold.y = pgaml_ml_alloc(allocator, fold.n, sizeof(double));
	fold.cost = pgaml_ml_alloc(allocator, fold.n, sizeof(float));
	fold.weight = pgaml_ml_alloc(allocator, fold.n, sizeof(float));
	fold.validation = pgaml_ml_alloc(allocator, fold.n, 1);
	if (fold.values == NULL || fold.columns == NULL || fold.y == NULL || fold.cost == NULL ||
		fold.weight == NULL || fold.validation == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	else
	{
		for (int32_t j = 0; j < nfeatures; j++)
			fold.columns[j] = fold.values + (int64_t) j * fold.n;
		status = train_fold(cross, &fold);
	}
	if (status == ML_OK)
		status = predict_fold(cross, &fold);
	if (fold.model != NULL)
		pgaml_ml_model_free(fold.model);
	pgaml_ml_novelty_free(&fold.novelty, allocator);
	pgaml_ml_release(allocator, fold.validation);
	pgaml_ml_release(allocator, fold.weight);
	pgaml_ml_release(allocator, fold.cost);
	pgaml_ml_release(allocator, fold.y);
	pgaml_ml_release(allocator, fold.columns);
	pgaml_ml_release(allocator, fold.values);
	return status;
}

/* Factors on the learner's departure: where it saw the like of a row, and where not. */
typedef struct Shrink
{
	double		seen;
	double		unseen;
} Shrink;

static double
share(double x)
{
	return fmin(1.0, fmax(0.0, x));
}

/*
 * Least squares, both factors held within 0..1.  The one for unlike rows is
 * drawn to 0 as by PRIOR_STATEMENTS statements: where none was unlike the
 * others, nothing is known of it.
 */
static Shrink
fit_shrink(const Cross *cross)
{
	double		ss = 0.0;
	double		su = 0.0;
	double		uu = 0.0;
	double		sy = 0.0;
	double		uy = 0.0;
	double		dd = 0.0;
	Shrink		out = {0.0, 0.0};

	for (int64_t i = 0; i < cross->n; i++)
	{
		double		w = cross->weight[i];
		double		y = cross->y[i] - cross->line[i];
		double		s = cross->departure[i] * (1.0 - cross->unseen[i]);
		double		u = cross->departure[i] * cross->unseen[i];

		ss += w * s * s;
		su += w * s * u;
		uu += w * u * u;
		sy += w * s * y;
		uy += w * u * y;
		dd += w * cross->departure[i] * cross->departure[i];
	}
	uu += PRIOR_STATEMENTS * dd / cross->nstatements;
	if (!(ss > 0.0))
		return out;
	if (ss * uu - su * su > 0.0)
		out.unseen = share((ss * uy - su * sy) / (ss * uu - su * su));
	out.seen = share((sy - su * out.unseen) / ss);
	return out;
}

/* Cold predictions with these shares of the learner's departure, clamped as a stage does. */
static void
predict_cold(const Cross *cross, Shrink shrink)
{
	const MlStages *stages = cross->fit->stages;

	for (int64_t i = 0; i < cross->n; i++)
	{
		double		factor = shrink.seen + cross->unseen[i] * (shrink.unseen - shrink.seen);

		cross->p[i] = fmin(fmax(cross->line[i] + factor * cross->departure[i], stages->y_min), stages->y_max);
		cross->error[i] = fabs(cross->y[i] - cross->p[i]);
	}
}

/* What decides between two ways to predict: mean, median and 90 % quantile of the absolute error. */
static MlStatus
summarize(const Cross *cross, double out[3])
{
	MlFit	   *fit = cross->fit;
	double		sum = 0.0;
	double		weight = 0.0;
	MlStatus	status;

	for (int64_t i = 0; i < cross->n; i++)
	{
		sum += cross->weight[i] * cross->error[i];
		weight += cross->weight[i];
	}
	out[0] = sum / weight;
	status = pgaml_ml_weighted_quantile(cross->error, cross->weight, cross->n, 0.5, fit->allocator, &out[1], fit->error);
	if (status == ML_OK)
		status = pgaml_ml_weighted_quantile(cross->error, cross->weight, cross->n, 0.9, fit->allocator, &out[2], fit->error);
	return status;
}

/*
 * Errors of one statement's single executions: each of them at evenly spaced
 * quantiles into out.  False when it has none.
 */
static bool
statement_scores(const Cross *cross, const Statement *statement, int32_t each, float *sorted, float *out, int *size)
{
	int64_t		n = 0;

	for (int64_t i = statement->start; i < statement->start + statement->n; i++)
		if (cross->fit->data->single[cross->rows[i]])
			sorted[n++] = pgaml_ml_score_of(cross->error[i], 1.0);
	if (n == 0)
		return false;
	*size = pgaml_ml_size_group(cross->p[statement->start + statement->n / 2]);
	pgaml_ml_sort_floats(sorted, n);
	for (int32_t k = 0; k < each; k++)
		out[k] = sorted[(int64_t) ((k + 0.5) * n / each)];
	return true;
}

/* Keep the errors of the present predictions as scores of a stage for cold rows. */
static MlStatus
keep_scores(Cross *cross, MlStageKind kind)
{
	MlFit	   *fit = cross->fit;
	MlStages   *stages = fit->stages;
	int32_t		each = ML_SCORES_MAX / cross->nstatements;
	int32_t		most = cross->nstatements < ML_SCORES_MAX ? cross->nstatements : ML_SCORES_MAX;
	int64_t		n[ML_SIZE_GROUPS] = {0};
	int64_t		all = 0;
	int64_t		room;
	float	   *sorted = pgaml_ml_alloc(fit->allocator, cross->n, sizeof(float));
	float	   *scores;
	MlStatus	status = ML_OK;

	each = each < 1 ? 1 : each > SCORES_EACH ? SCORES_EACH : each;
	room = (int64_t) most * each;
	scores = pgaml_ml_alloc(fit->allocator, room * (ML_SIZE_GROUPS + 1), sizeof(float));
	if (sorted == NULL || scores == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int32_t s = 0; s < most && status == ML_OK; s++)
	{
		float	   *to = scores + all;
		int			size;

		if (!statement_scores(cross, &cross->statements[s], each, sorted, to, &size))
			continue;
		memcpy(scores + room * (size + 1) + n[size], to, sizeof(float) * each);
		n[size] += each;
		all += each;
	}
	if (status == ML_OK)
		status = pgaml_ml_scores_keep(&stages->pooled[kind], scores, all, fit->allocator, fit->error);
	stages->pooled[kind].each = each;
	for (int size = 0; size < ML_SIZE_GROUPS && status == ML_OK; size++)
	{
		status = pgaml_ml_scores_keep(&stages->sized[kind][size], scores + room * (size + 1), n[size],
									  fit->allocator, fit->error);
		stages->sized[kind][size].each = each;
	}
	fit->report->calibration[kind] = all / each;
	pgaml_ml_release(fit->allocator, scores);
	pgaml_ml_release(fit->allocator, sorted);
	return status;
}

/* Expected time over exp(prediction). */
static double
smear(const Cross *cross)
{
	double		sum = 0.0;
	double		weight = 0.0;

	for (int64_t i = 0; i < cross->n; i++)
	{
		if (!cross->fit->data->single[cross->rows[i]])
			continue;
		sum += cross->weight[i] * exp(fmin(cross->y[i] - cross->p[i], ML_SMEAR_MAX));
		weight += cross->weight[i];
	}
	return weight > 0.0 ? sum / weight : 1.0;
}

/* Predict with this shrinkage; measure, and keep what a stage needs. */
static MlStatus
judge(Cross *cross, MlStageKind kind, Shrink shrink, MlStageScore *score, double out[3])
{
	MlFit	   *fit = cross->fit;
	MlStatus	status;

	predict_cold(cross, shrink);
	status = summarize(cross, out);
	if (status == ML_OK)
		status = pgaml_ml_stage_score(fit, cross->y, cross->p, NULL, NULL, cross->weight, cross->n, score);
	if (status == ML_OK)
		status = keep_scores(cross, kind);
	fit->stages->smear[kind] = smear(cross);
	return status;
}

static MlStatus
conclude(Cross *cross)
{
	MlFit	   *fit = cross->fit;
	MlStages   *stages = fit->stages;
	MlStageReport *report = fit->report;
	Shrink		whole = {1.0, 1.0};
	Shrink		nothing = {0.0, 0.0};
	Shrink		shrink = stages->absolute ? whole : fit_shrink(cross);
	double		model[3];
	double		planner[3];
	MlStatus	status = judge(cross, ML_STAGE_PLANNER, nothing, &report->left_out_planner, planner);

	if (status == ML_OK)
		status = judge(cross, ML_STAGE_MODEL_COLD, shrink, &report->left_out_model, model);
	if (status != ML_OK)
		return status;
	report->left_out = cross->nstatements;
	stages->shrink_cold = report->shrink_cold = shrink.seen;
	stages->shrink_new = report->shrink_new = shrink.unseen;
	if (model[0] < MUST_WIN * planner[0] && model[1] <= MAY_LOSE * planner[1] && model[2] <= MAY_LOSE * planner[2])
		stages->cold_source = ML_SOURCE_MODEL;
	return ML_OK;
}

MlStatus
pgaml_ml_stages_cross(MlFit *fit)
{
	Cross		cross = {.fit = fit};
	MlStatus	status = find_statements(&cross);

	cross.stop = (MlStop) {should_stop, &cross};
	fit->stages->cold_source = ML_SOURCE_PLANNER;
	fit->stages->smear[ML_STAGE_MODEL_COLD] = fit->stages->smear[ML_STAGE_PLANNER] = 1.0;
	if (status == ML_OK)
		status = pgaml_ml_stages_ask(fit);
	if (status == ML_OK && cross.nstatements >= MIN_STATEMENTS)
	{
		status = take_rows(&cross);
		for (; cross.fold < FOLDS && status == ML_OK; cross.fold++)
			status = run_fold(&cross);
		if (status == ML_OK)
			status = conclude(&cross);
	}
	cross_free(&cross);
	return status;
}
