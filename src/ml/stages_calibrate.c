/*-------------------------------------------------------------------------
 * stages_calibrate.c
 *		Warm rows of the calibration part: what serves them, and how wrong it is.
 *
 * The learner may help where statements vary and do harm where they are
 * steady, so both its shrinkage and whether it serves are decided by the
 * statement's own spread.  Scores are kept for every statement with enough of
 * them, by predicted size, and pooled.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_fit_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MUST_WIN		0.90	/* a statement's own recent runs are hard to beat, and chance looks like a small win */
#define GROUP_MIN_ROWS	30		/* below which a group of spread follows all rows together */
#define FEW_EACH		2		/* rows of a statement before it is warm */

/* What the learner's departures are worth over some rows. */
typedef struct Verdict
{
	int64_t		n;
	double		shrink;			/* least-squares factor, held within 0..1 */
	bool		wins;
} Verdict;

/*
 * Over one group of spread, or all (-1); departures are those of an unshrunk
 * learner.  It must win in both halves: what it learned under one load is no
 * gain when the load changes, and recent runs follow it by themselves.
 */
static Verdict
judge(const MlHeldOut *held, MlStageKind kind, int group, bool absolute)
{
	const double *start = held->center[ML_STAGE_HISTORY];
	double		above = 0.0;
	double		below = 0.0;
	double		simple[2] = {0.0, 0.0}; /* absolute errors in the earlier and the later half */
	double		with_model[2] = {0.0, 0.0};
	Verdict		out = {0};

	for (int pass = 0; pass < 2; pass++)
	{
		for (int64_t i = 0; i < held->n; i++)
		{
			double		d = held->center[kind][i] - start[i];
			double		y = held->y[i] - start[i];

			if (!isfinite(d) || (group >= 0 && held->spread[i] != group))
				continue;
			if (pass == 0)
			{
				above += d * y;
				below += d * d;
				out.n++;
				continue;
			}
			simple[held->late[i]] += fabs(y);
			with_model[held->late[i]] += fabs(y - out.shrink * d);
		}
		if (pass == 0)
			out.shrink = absolute ? 1.0 : below > 0.0 ? fmin(1.0, fmax(0.0, above / below)) : 0.0;
	}
	out.wins = out.shrink > 0.0 && with_model[0] < MUST_WIN * simple[0] && with_model[1] < MUST_WIN * simple[1];
	return out;
}

/* Decide what serves rows of every spread; returns the overall factor. */
static double
decide(const MlHeldOut *held, MlStageKind kind, bool absolute, double *shrink, MlSource *source)
{
	Verdict		all = judge(held, kind, -1, absolute);

	*source = ML_SOURCE_HISTORY;
	for (int group = 0; group < ML_SPREAD_GROUPS; group++)
	{
		Verdict		own = judge(held, kind, group, absolute);

		if (own.n < GROUP_MIN_ROWS)
			own = all;
		shrink[group] = own.wins ? own.shrink : 0.0;
		if (own.wins)
			*source = ML_SOURCE_MODEL;
	}
	/* where history serves everything, what the learner would have said is still measured */
	for (int group = 0; group < ML_SPREAD_GROUPS && *source == ML_SOURCE_HISTORY; group++)
		shrink[group] = all.shrink;
	return all.shrink;
}

/* Scores of the rows of one stage, pooled and by size. */
static MlStatus
keep_scores(MlFit *fit, MlStageKind kind, const MlHeldOut *held)
{
	MlStages   *stages = fit->stages;
	float	   *scores = pgaml_ml_alloc(fit->allocator, held->n * 2, sizeof(float));
	float	   *sized = scores + held->n;
	double		smear = 0.0;
	int64_t		n = 0;
	MlStatus	status;

	if (scores == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < held->n; i++)
	{
		double		residual = held->y[i] - held->center[kind][i];

		if (!isfinite(residual) || !held->single[i])
			continue;
		smear += exp(fmin(residual, ML_SMEAR_MAX));
		scores[n++] = pgaml_ml_score_of(residual, held->half[kind][i]);
	}
	stages->smear[kind] = n > 0 ? smear / n : 1.0;
	fit->report->calibration[kind] = n;
	status = pgaml_ml_scores_keep(&stages->pooled[kind], scores, n, fit->allocator, fit->error);
	for (int size = 0; size < ML_SIZE_GROUPS && status == ML_OK; size++)
	{
		int64_t		k = 0;

		status = pgaml_ml_stages_ask(fit);
		for (int64_t i = 0; i < held->n && status == ML_OK; i++)
		{
			double		center = held->center[kind][i];

			if (isfinite(center) && held->single[i] && pgaml_ml_size_group(center) == size)
				sized[k++] = pgaml_ml_score_of(held->y[i] - center, held->half[kind][i]);
		}
		if (status == ML_OK)
			status = pgaml_ml_scores_keep(&stages->sized[kind][size], sized, k, fit->allocator, fit->error);
	}
	pgaml_ml_release(fit->allocator, scores);
	return status;
}

/* A statement with scores of its own: which rows of the calibration part are its. */
typedef struct Owner
{
	int64_t		key;
	int64_t		from;			/* in MlHeldOut */
	int64_t		to;
	int64_t		n;				/* single executions that the stage answers */
} Owner;

static int
compare_owner(const void *a, const void *b)
{
	const Owner *x = a;
	const Owner *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->from > y->from) - (x->from < y->from);
}

static bool
scored(const MlHeldOut *held, MlStageKind kind, int64_t i)
{
	return held->single[i] && isfinite(held->center[kind][i]);
}

/* Statements with enough executions, ascending by key; how many. */
static int32_t
find_owners(MlFit *fit, MlStageKind kind, const MlHeldOut *held, Owner *owners)
{
	const int64_t *rows = fit->rows[ML_PART_CALIBRATE];
	int32_t		n = 0;
	int32_t		kept = 0;

	for (int64_t from = 0, to; from < held->n; from = to)
	{
		Owner		owner = {.key = pgaml_ml_key_of(fit->data, rows[from]), .from = from};

		for (to = from; to < held->n && fit->data->group[rows[to]] == fit->data->group[rows[from]]; to++)
			owner.n += scored(held, kind, to);
		owner.to = to;
		if (owner.n >= ML_SCORES_MIN && n < fit->data->ngroups)
			owners[n++] = owner;
	}
	if (n > 1)
		qsort(owners, n, sizeof(Owner), compare_owner);
	for (int32_t i = 0; i < n; i++)
		if (kept == 0 || owners[kept - 1].key != owners[i].key)
			owners[kept++] = owners[i];
	return kept;
}

/* The latest scores of an owner, ascending; how many. */
static int32_t
latest_scores(const MlHeldOut *held, MlStageKind kind, const Owner *owner, int64_t quota, float *out)
{
	int32_t		n = 0;

	for (int64_t i = owner->to - 1; i >= owner->from && n < quota; i--)
		if (scored(held, kind, i))
			out[n++] = pgaml_ml_score_of(held->y[i] - held->center[kind][i], held->half[kind][i]);
	pgaml_ml_sort_floats(out, n);
	return n;
}

/* Scores by statement, within the bound of them all. */
static MlStatus
keep_own_scores(MlFit *fit, MlStageKind kind, const MlHeldOut *held)
{
	MlOwnScores *own = &fit->stages->own[kind];
	Owner	   *owners = pgaml_ml_alloc(fit->allocator, fit->data->ngroups, sizeof(Owner));
	int64_t		quota;
	int32_t		n;
	int32_t		total = 0;

	if (owners == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	n = find_owners(fit, kind, held, owners);
	quota = n > 0 ? ML_SCORES_TOTAL / n : 0;
	quota = quota > ML_SCORES_STATEMENT ? ML_SCORES_STATEMENT : quota < ML_SCORES_MIN ? ML_SCORES_MIN : quota;
	if (n > ML_SCORES_TOTAL / quota)
		n = (int32_t) (ML_SCORES_TOTAL / quota);	/* the others go by size */
	for (int32_t i = 0; i < n; i++)
		total += (int32_t) (owners[i].n < quota ? owners[i].n : quota);
	own->key = pgaml_ml_alloc(fit->allocator, n, sizeof(int64_t));
	own->start = pgaml_ml_alloc_zero(fit->allocator, (size_t) n + 1, sizeof(int32_t));
	own->values = pgaml_ml_alloc(fit->allocator, total, sizeof(float));
	if (own->key != NULL && own->start != NULL && own->values != NULL)
	{
		for (int32_t i = 0; i < n; i++)
		{
			own->key[i] = owners[i].key;
			own->start[i + 1] = own->start[i] +
				latest_scores(held, kind, &owners[i], quota, own->values + own->start[i]);
		}
		own->n = n;
		own->total = total;
	}
	pgaml_ml_release(fit->allocator, owners);
	return own->values && own->start && own->key ? ML_OK : pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
}

/*
 * Scores of history after one or two runs.  Nothing is fitted for it, so
 * training rows are as good as others.
 */
static MlStatus
keep_few(MlFit *fit)
{
	const MlStageData *data = fit->data;
	const MlStageLayout *layout = fit->layout;
	float	   *scores = pgaml_ml_alloc(fit->allocator, 2 * (size_t) data->ngroups, sizeof(float));
	float		row[ML_STAGE_MAX_FEATURES];
	int64_t		n = 0;
	int32_t		of_group = 0;
	MlStatus	status;

	if (scores == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < data->nrows; i++)
	{
		if (i == 0 || data->group[i] != data->group[i - 1])
			of_group = 0;
		if (data->part[i] == ML_PART_TEST || !data->single[i] || !isfinite(data->columns[layout->lag_center][i]) ||
			of_group == FEW_EACH || n == 2 * (int64_t) data->ngroups)
			continue;
		for (int32_t j = 0; j < layout->nfeatures; j++)
			row[j] = data->columns[j][i];
		if (pgaml_ml_stage_warm(layout, row))
			continue;
		scores[n++] = pgaml_ml_score_of(data->target[i] - row[layout->lag_center],
										pgaml_ml_stage_scale(fit->stages, ML_STAGE_HISTORY, row));
		of_group++;
	}
	status = pgaml_ml_scores_keep(&fit->stages->few, scores, n, fit->allocator, fit->error);
	fit->stages->few.each = FEW_EACH;
	pgaml_ml_release(fit->allocator, scores);
	return status;
}

/* Decide from an unshrunk learner what serves. */
static MlStatus
choose_stages(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	MlHeldOut	held;
	MlStatus	status;

	for (int group = 0; group < ML_SPREAD_GROUPS; group++)
		stages->shrink_warm[group] = stages->shrink_own[group] = 1.0;
	stages->warm_source = stages->own_source = ML_SOURCE_MODEL; /* so that it is asked */
	status = pgaml_ml_held_out(fit, ML_PART_CALIBRATE, &held);
	if (status != ML_OK)
		return status;
	fit->report->shrink_warm = decide(&held, ML_STAGE_MODEL_WARM, stages->absolute, stages->shrink_warm,
									  &stages->warm_source);
	fit->report->shrink_own = decide(&held, ML_STAGE_MODEL_OWN, stages->absolute, stages->shrink_own,
									 &stages->own_source);
	pgaml_ml_held_out_free(fit, &held);
	return ML_OK;
}

MlStatus
pgaml_ml_stages_calibrate(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	MlHeldOut	held;
	MlStatus	status = choose_stages(fit);

	if (status == ML_OK)
		status = keep_few(fit);
	if (status == ML_OK)
		status = pgaml_ml_held_out(fit, ML_PART_CALIBRATE, &held);
	if (status != ML_OK)
		return status;
	for (int kind = 0; kind < ML_STAGE_WARM_COUNT && status == ML_OK; kind++)
	{
		bool		serves = kind == ML_STAGE_HISTORY ||
			(kind == ML_STAGE_MODEL_WARM ? stages->warm_source : stages->own_source) == ML_SOURCE_MODEL;

		status = keep_scores(fit, kind, &held);
		if (status == ML_OK && serves)
			status = keep_own_scores(fit, kind, &held);
	}
	pgaml_ml_held_out_free(fit, &held);
	return status;
}
