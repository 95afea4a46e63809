/*-------------------------------------------------------------------------
 * stages.c
 *		Serves dumped rows as the extension would, for learn.py to judge.
 *
 * usage: stages cold ROWS FOLDS OUT	fit without each fold of whole statements,
 *										answer its rows as those of statements never seen
 *		  stages live ROWS OUT			fit on the oldest 60 %, calibrate on the next 20 %,
 *										answer the newest: by query identifier, and
 *										from each execution's own plan
 *
 * Further arguments are hyper-parameters, parameter=number.
 *
 * ROWS: int64 rows and features, the features column by column as float32, the
 * target as float64, then per row: statement as int32, plan as int64, start in
 * s as float64, whether it is a single execution as uint8.  FOLDS: int32 seeds
 * and folds, then per seed and statement its fold as int32.  OUT: one Answer per
 * seed and row.  All in the machine's byte order.
 *
 * The layout of the features is that of src/features/spec.c, which is linked.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAIN_SHARE		0.6		/* as src/train/split.c divides */
#define CALIBRATE_SHARE	0.2
#define DEFAULT_LEAVES	512		/* these two as src/train/fit.c */
#define DEFAULT_FEATURES 0.5
#define COVERAGE		0.9

/* Of features/spec.h, which needs the server's headers. */
extern const MlStageLayout pgaml_feature_layout;

typedef struct Rows
{
	int64_t		n;
	int64_t		nfeatures;
	float	   *values;
	const float **columns;
	double	   *target;
	int32_t    *group;
	int32_t		ngroups;
	int64_t    *plan;
	double	   *at;
	uint8_t    *single;
} Rows;

/* What is written for a row; NaN where nothing is answered. */
typedef struct Answer
{
	double		center;
	double		lower;
	double		upper;
	double		source;			/* MlSource */
	double		novel;			/* 0 or 1 */
} Answer;

static void *
heap_alloc(void *state, size_t size)
{
	(void) state;
	return malloc(size);
}

static void
heap_free(void *state, void *ptr)
{
	(void) state;
	free(ptr);
}

static MlParams params;

static const MlAllocator heap = {heap_alloc, heap_free, NULL};

static void
die(const char *what, const MlError *error)
{
	fprintf(stderr, "stages: %s%s%s\n", what, error ? ": " : "", error ? error->message : "");
	exit(1);
}

static void *
room(int64_t n, size_t size)
{
	void	   *p = calloc(n > 0 ? (size_t) n : 1, size);

	if (p == NULL)
		die("out of memory", NULL);
	return p;
}

/* n values of this size, newly allocated. */
static void *
take(FILE *in, int64_t n, size_t size)
{
	void	   *p = room(n, size);

	if (fread(p, size, (size_t) n, in) != (size_t) n)
		die("file too short", NULL);
	return p;
}

static void
read_rows(const char *path, Rows *rows)
{
	FILE	   *in = fopen(path, "rb");
	int64_t		shape[2];

	if (in == NULL || fread(shape, sizeof(shape), 1, in) != 1)
		die(path, NULL);
	rows->n = shape[0];
	rows->nfeatures = shape[1];
	if (rows->nfeatures != pgaml_feature_layout.nfeatures)
		die("rows of another feature version", NULL);
	rows->values = take(in, rows->n * rows->nfeatures, sizeof(float));
	rows->target = take(in, rows->n, sizeof(double));
	rows->group = take(in, rows->n, sizeof(int32_t));
	rows->plan = take(in, rows->n, sizeof(int64_t));
	rows->at = take(in, rows->n, sizeof(double));
	rows->single = take(in, rows->n, 1);
	fclose(in);
	rows->columns = room(rows->nfeatures, sizeof(float *));
	for (int64_t f = 0; f < rows->nfeatures; f++)
		rows->columns[f] = rows->values + f * rows->n;
	for (int64_t i = 0; i < rows->n; i++)
		if (rows->group[i] >= rows->ngroups)
			rows->ngroups = rows->group[i] + 1;
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Parts by time, as training divides. */
static uint8_t *
parts_of(const double *at, int64_t n)
{
	double	   *sorted = room(n, sizeof(double));
	uint8_t    *part = room(n, 1);
	double		calibrate_from;
	double		test_from;

	memcpy(sorted, at, sizeof(double) * (size_t) n);
	qsort(sorted, (size_t) n, sizeof(double), compare_double);
	calibrate_from = sorted[(int64_t) ((double) n * TRAIN_SHARE)];
	test_from = sorted[(int64_t) ((double) n * (TRAIN_SHARE + CALIBRATE_SHARE))];
	for (int64_t i = 0; i < n; i++)
		part[i] = at[i] < calibrate_from ? ML_PART_TRAIN : at[i] < test_from ? ML_PART_CALIBRATE : ML_PART_TEST;
	free(sorted);
	return part;
}

static MlStages *
fit(const Rows *rows, const uint8_t *part)
{
	MlStageData data = {
		.nrows = rows->n, .columns = rows->columns, .target = rows->target, .group = rows->group,
		.ngroups = rows->ngroups, .plan = rows->plan, .part = part, .single = rows->single
	};
	MlStageReport report;
	MlStages   *stages;
	MlError		error;

	if (pgaml_ml_stages_fit(&data, &pgaml_feature_layout, &params, &heap, NULL, &stages, &report, &error) != ML_OK)
		die("fit", &error);
	return stages;
}

static Answer
ask(const MlStages *stages, const float *row, const Rows *rows, int64_t i, bool own_plan)
{
	float		recent[ML_STAGE_RECENT];
	MlStageQuery query = {
		.row = row, .key = rows->group[i], .plan = rows->plan[i], .own_plan = own_plan, .coverage = COVERAGE,
		.recent = recent
	};
	float		scratch[ML_STAGE_MAX_FEATURES];
	MlForecast	forecast;

	for (int64_t k = i - 1; k >= 0 && query.nrecent < row[pgaml_feature_layout.lag_runs] &&
		 rows->group[k] == rows->group[i] && rows->single[k]; k--)
		query.nrecent++;
	for (int32_t k = 0; k < query.nrecent; k++)
		recent[k] = (float) rows->target[i - query.nrecent + k];
	pgaml_ml_stages_predict(stages, &query, scratch, &forecast);
	return (Answer) {forecast.center, forecast.lower, forecast.upper, forecast.source, forecast.novel};
}

/* The rows whose mark is as wanted, in order. */
static Rows
pick(const Rows *all, const uint8_t *mark, uint8_t wanted)
{
	Rows		some = {.nfeatures = all->nfeatures, .ngroups = all->ngroups};
	int64_t		n = 0;

	for (int64_t i = 0; i < all->n; i++)
		some.n += mark[i] == wanted;
	some.values = room(some.n * all->nfeatures, sizeof(float));
	some.columns = room(all->nfeatures, sizeof(float *));
	some.target = room(some.n, sizeof(double));
	some.group = room(some.n, sizeof(int32_t));
	some.plan = room(some.n, sizeof(int64_t));
	some.at = room(some.n, sizeof(double));
	some.single = room(some.n, 1);
	for (int64_t i = 0; i < all->n; i++)
	{
		if (mark[i] != wanted)
			continue;
		for (int64_t f = 0; f < all->nfeatures; f++)
			some.values[f * some.n + n] = all->columns[f][i];
		some.target[n] = all->target[i];
		some.group[n] = all->group[i];
		some.plan[n] = all->plan[i];
		some.at[n] = all->at[i];
		some.single[n++] = all->single[i];
	}
	for (int64_t f = 0; f < all->nfeatures; f++)
		some.columns[f] = some.values + f * some.n;
	return some;
}

static void
free_rows(Rows *rows)
{
	free(rows->values);
	free(rows->columns);
	free(rows->target);
	free(rows->group);
	free(rows->plan);
	free(rows->at);
	free(rows->single);
}

/* Answer the rows of held-out statements from all others. */
static void
cold_fold(const Rows *all, const uint8_t *held_out, Answer *answers)
{
	Rows		known = pick(all, held_out, 0);
	uint8_t    *part = parts_of(known.at, known.n);
	MlStages   *stages = fit(&known, part);
	float		row[ML_STAGE_MAX_FEATURES];

	for (int64_t i = 0; i < all->n; i++)
	{
		if (!held_out[i])
			continue;
		for (int64_t f = 0; f < all->nfeatures; f++)
			row[f] = all->columns[f][i];
		pgaml_ml_stage_hide(&pgaml_feature_layout, row);
		answers[i] = ask(stages, row, all, i, false);
	}
	pgaml_ml_stages_free(stages);
	free(part);
	free_rows(&known);
}

static void
cold(const Rows *rows, const char *path, FILE *out)
{
	FILE	   *in = fopen(path, "rb");
	int32_t		shape[2];
	uint8_t    *held_out = room(rows->n, 1);
	Answer	   *answers = room(rows->n, sizeof(Answer));

	if (in == NULL || fread(shape, sizeof(shape), 1, in) != 1)
		die(path, NULL);
	for (int32_t seed = 0; seed < shape[0]; seed++)
	{
		int32_t    *fold_of = take(in, rows->ngroups, sizeof(int32_t));

		for (int32_t fold = 0; fold < shape[1]; fold++)
		{
			for (int64_t i = 0; i < rows->n; i++)
				held_out[i] = fold_of[rows->group[i]] == fold;
			cold_fold(rows, held_out, answers);
		}
		fwrite(answers, sizeof(Answer), (size_t) rows->n, out);
		free(fold_of);
	}
	fclose(in);
	free(answers);
	free(held_out);
}

/* Two answers per row of the test part: ahead of the execution, and from its own plan. */
static void
live(const Rows *rows, FILE *out)
{
	uint8_t    *part = parts_of(rows->at, rows->n);
	MlStages   *stages = fit(rows, part);
	MlStageData data = {
		.nrows = rows->n, .columns = rows->columns, .group = rows->group, .plan = rows->plan
	};
	float		row[ML_STAGE_MAX_FEATURES];

	for (int64_t i = 0; i < rows->n; i++)
	{
		Answer		two[2] = {{NAN, NAN, NAN, NAN, NAN}, {NAN, NAN, NAN, NAN, NAN}};

		if (part[i] == ML_PART_TEST)
		{
			pgaml_ml_stage_row_ahead(&pgaml_feature_layout, &data, i, row);
			two[0] = ask(stages, row, rows, i, false);
			for (int64_t f = 0; f < rows->nfeatures; f++)
				row[f] = rows->columns[f][i];
			two[1] = ask(stages, row, rows, i, true);
		}
		fwrite(two, sizeof(Answer), 2, out);
	}
	pgaml_ml_stages_free(stages);
	free(part);
}

static void
set_params(char **arguments)
{
	MlError		error;

	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	params.seed = 1;
	if (params.max_leaves > DEFAULT_LEAVES)
		params.max_leaves = DEFAULT_LEAVES;
	params.feature_fraction = DEFAULT_FEATURES;
	for (; *arguments != NULL; arguments++)
	{
		char	   *equals = strchr(*arguments, '=');

		if (equals == NULL)
			die(*arguments, NULL);
		*equals = '\0';
		if (pgaml_ml_params_set(&params, *arguments, atof(equals + 1), &error) != ML_OK)
			die(*arguments, &error);
	}
}

int
main(int argc, char **argv)
{
	Rows		rows = {0};
	FILE	   *out;
	bool		is_cold = argc >= 5 && strcmp(argv[1], "cold") == 0;

	if (!is_cold && !(argc >= 4 && strcmp(argv[1], "live") == 0))
		die("usage: stages cold ROWS FOLDS OUT | stages live ROWS OUT [parameter=value ...]", NULL);
	set_params(argv + (is_cold ? 5 : 4));
	read_rows(argv[2], &rows);
	out = fopen(argv[is_cold ? 4 : 3], "wb");
	if (out == NULL)
		die(argv[is_cold ? 4 : 3], NULL);
	if (is_cold)
		cold(&rows, argv[3], out);
	else
		live(&rows, out);
	if (fclose(out) != 0)
		die("cannot write", NULL);
	free_rows(&rows);
	return 0;
}
