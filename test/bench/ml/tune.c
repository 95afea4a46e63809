/*-------------------------------------------------------------------------
 * tune.c
 *		Tuning of gradient boosting on seeded data: does it pay, and how soon?
 *
 * usage: tune [seeds]
 *
 * Per seed: 5,000 rows to tune and train on, 20,000 fresh ones to judge by.
 * Prints mean absolute error on the fresh rows of the default, of 50 random
 * trials, of 25 trials of the Parzen estimator, and of 50 random trials under
 * successive halving, each with the CPU seconds of its search; then how often
 * the bar held: 25 at least as good as 50 random, none worse than the
 * default.  Ranges are bounded so that 5 seeds take about two minutes.
 *-------------------------------------------------------------------------
 */
#include "ml/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_TRAIN		5000
#define N_TEST		20000
#define N_FEATURES	12
#define N_FOLDS		3
#define N_SEARCHES	3

typedef struct Rows
{
	MlDataset	data;
	float	   *columns[N_FEATURES];
	double	   *target;
} Rows;

static const struct
{
	const char *name;
	MlTuneSampler sampler;
	MlTunePruner pruner;
	int32_t		n_trials;
}			searches[N_SEARCHES] = {
	{"random 50", ML_TUNE_RANDOM, ML_TUNE_NO_PRUNER, 50},
	{"tpe 25", ML_TUNE_TPE, ML_TUNE_NO_PRUNER, 25},
	{"halving 50", ML_TUNE_RANDOM, ML_TUNE_HALVING, 50},
};

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

static const MlAllocator heap = {heap_alloc, heap_free, NULL};

static void
must(MlStatus status, const MlError *error)
{
	if (status == ML_OK)
		return;
	fprintf(stderr, "tune: %s: %s\n", error->where, error->message);
	exit(1);
}

static double
cpu_ms(void *state)
{
	struct timespec ts;

	(void) state;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double) ts.tv_sec * 1e3 + (double) ts.tv_nsec * 1e-6;
}

/*
 * Smooth, stepped and joint effects (after Friedman 1991), five features that
 * mean nothing, some values missing, noise with wild points.
 */
static void
make_rows(Rows *rows, int64_t n, MlRng *rng)
{
	rows->target = malloc((size_t) n * sizeof(double));
	for (int f = 0; f < N_FEATURES; f++)
		rows->columns[f] = malloc((size_t) n * sizeof(float));
	for (int64_t i = 0; i < n; i++)
	{
		double		x[N_FEATURES];

		for (int f = 0; f < N_FEATURES; f++)
			x[f] = pgaml_ml_rng_uniform(rng);
		rows->target[i] = 2.0 * sin(M_PI * x[0] * x[1]) + 4.0 * (x[2] - 0.5) * (x[2] - 0.5) + 2.0 * x[3] + x[4] +
			(x[5] > 0.7 ? 1.5 * x[6] : 0.0) + 0.3 * pgaml_ml_rng_normal(rng) *
			(pgaml_ml_rng_uniform(rng) < 0.05 ? 8.0 : 1.0);
		for (int f = 0; f < N_FEATURES; f++)
			rows->columns[f][i] = pgaml_ml_rng_uniform(rng) < 0.03 ? NAN : (float) x[f];
	}
	rows->data = (MlDataset) {
		.nrows = n, .nfeatures = N_FEATURES, .columns = (const float *const *) rows->columns, .target = rows->target
	};
}

static void
free_rows(Rows *rows)
{
	for (int f = 0; f < N_FEATURES; f++)
		free(rows->columns[f]);
	free(rows->target);
}

static double
held_out_error(const Rows *train, const Rows *test, const MlParams *params)
{
	double	   *p = malloc((size_t) test->data.nrows * sizeof(double));
	MlMetrics	metrics;
	MlModel    *model;
	MlError		error;

	must(pgaml_ml_train(&train->data, params, &heap, NULL, &model, &error), &error);
	pgaml_ml_predict_columns(model, test->data.columns, test->data.nrows, p);
	must(pgaml_ml_metrics(test->target, p, NULL, test->data.nrows, &heap, &metrics, &error), &error);
	pgaml_ml_model_free(model);
	free(p);
	return metrics.mae;
}

/* Parameters that a search chose. */
static MlParams
tune(const Rows *train, int search, uint64_t seed)
{
	MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = N_FOLDS, .seed = seed};
	MlTuneWatch watch = {.cpu_ms = cpu_ms};
	MlTuneOptions options;
	MlTuneObjective objective;
	MlTuneSpace space;
	MlTuneData *data;
	MlParams	params;
	MlStudy		study;
	MlError		error;

	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	pgaml_ml_tune_options_default(&options);
	options.sampler = searches[search].sampler;
	options.pruner = searches[search].pruner;
	options.n_trials = searches[search].n_trials;
	options.nsteps = N_FOLDS;
	options.seed = seed;
	pgaml_ml_tune_space_default(params.type, &space);
	for (int32_t d = 0; d < space.ndims; d++)
	{
		if (strcmp(space.dims[d].name, "n_trees") == 0)
			space.dims[d].high = 200;
		if (strcmp(space.dims[d].name, "max_leaves") == 0)
			space.dims[d].high = 63;
	}
	must(pgaml_ml_tune_data_create(&train->data, &spec, 0, &heap, NULL, &data, &error), &error);
	objective = pgaml_ml_tune_data_objective(data);
	must(pgaml_ml_study_create(&options, &space, &params, &heap, &study, &error), &error);
	must(pgaml_ml_tune(&study, &objective, &watch, &heap, NULL, &error), &error);
	params = study.trials[study.best].params;
	pgaml_ml_study_free(&study, &heap);
	pgaml_ml_tune_data_free(data);
	return params;
}

int
main(int argc, char **argv)
{
	uint64_t	seeds = argc > 1 ? (uint64_t) atoi(argv[1]) : 5;
	int			as_good = 0;
	int			worse = 0;

	printf("held-out mean absolute error (CPU seconds of the search)\n%-6s %8s", "seed", "default");
	for (int s = 0; s < N_SEARCHES; s++)
		printf(" %18s", searches[s].name);
	printf("\n");
	for (uint64_t seed = 1; seed <= seeds; seed++)
	{
		Rows		train;
		Rows		test;
		MlRng		rng;
		MlParams	params;
		double		standard;
		double		errors[N_SEARCHES];

		pgaml_ml_rng_seed(&rng, seed);
		make_rows(&train, N_TRAIN, &rng);
		make_rows(&test, N_TEST, &rng);
		pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
		standard = held_out_error(&train, &test, &params);
		printf("%-6d %8.5f", (int) seed, standard);
		for (int s = 0; s < N_SEARCHES; s++)
		{
			double		began = cpu_ms(NULL);

			params = tune(&train, s, seed);
			began = cpu_ms(NULL) - began;
			errors[s] = held_out_error(&train, &test, &params);
			printf(" %9.5f (%5.1f s)", errors[s], began / 1e3);
			worse += errors[s] > standard;
		}
		as_good += errors[1] <= errors[0];
		printf("\n");
		fflush(stdout);
		free_rows(&train);
		free_rows(&test);
	}
	printf("tpe 25 at least as good as random 50 on %d of %d seeds; worse than the default %d times\n",
		   as_good, (int) seeds, worse);
	return 0;
}
