/*
 * Stages: which of them serves, honest intervals on seeded data, bytes that
 * are refused when damaged, every allocation failing in turn.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/state_core.h"
#include "helper_ml.h"
#include "ml/bytes_internal.h"
#include "ml/stages.h"

enum
{
	F_COST, F_DRIVER, F_OWN_PLAN, F_CENTER, F_SPREAD, F_RUNS, NFEATURES
};

static const MlStageLayout layout = {
	.feature_version = 7, .nfeatures = NFEATURES, .lag_center = F_CENTER, .lag_spread = F_SPREAD, .lag_runs = F_RUNS, .cost = F_COST,
	.roles = {
		[F_COST] = ML_ROLE_PLAN, [F_OWN_PLAN] = ML_ROLE_PLAN, [F_CENTER] = ML_ROLE_PAST,
		[F_SPREAD] = ML_ROLE_PAST, [F_RUNS] = ML_ROLE_PAST
	}
};

/* Statements whose runs scatter around a centre; driver and the own plan move single executions by the factors given. */
typedef struct Made
{
	MlStageData data;
	float	   *columns[NFEATURES];
	double	   *target;
	int32_t    *group;
	int64_t    *plan;
	uint8_t    *part;
	uint8_t    *single;
} Made;

static void
make_row(Made *made, int64_t row, int group, int j, int per_group, double center, double spread,
		 double driver_effect, double plan_effect, PgamlRuns *runs, MlRng *rng)
{
	PgamlRunsSummary summary;
	double		driver = pgaml_ml_rng_uniform(rng);
	double		own_plan = pgaml_ml_rng_uniform(rng);
	double		y = center + driver_effect * driver + plan_effect * own_plan + spread * pgaml_ml_rng_normal(rng);
	PgamlRun	run = {.at = j, .log_ms = (float) y, .rows = NAN, .hit_ratio = NAN, .active = NAN, .plan = group + 1};

	pgaml_runs_summary(runs, group + 1, &summary);
	made->columns[F_COST][row] = (float) ((center + 3.0) / 0.9);
	made->columns[F_DRIVER][row] = (float) driver;
	made->columns[F_OWN_PLAN][row] = (float) own_plan;
	made->columns[F_CENTER][row] = summary.center;
	made->columns[F_SPREAD][row] = summary.spread;
	made->columns[F_RUNS][row] = summary.runs > 0 ? (float) summary.runs : NAN;
	made->target[row] = y;
	made->group[row] = group;
	made->plan[row] = group + 1;
	made->single[row] = 1;
	made->part[row] = j < per_group * 6 / 10 ? ML_PART_TRAIN : j < per_group * 8 / 10 ? ML_PART_CALIBRATE : ML_PART_TEST;
	pgaml_runs_push(runs, &run);
}

static void
make(Made *made, int groups, int per_group, double driver_effect, double plan_effect, uint64_t seed)
{
	int64_t		n = (int64_t) groups * per_group;
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, seed);
	for (int i = 0; i < NFEATURES; i++)
		made->columns[i] = malloc(sizeof(float) * n);
	made->target = malloc(sizeof(double) * n);
	made->group = malloc(sizeof(int32_t) * n);
	made->plan = malloc(sizeof(int64_t) * n);
	made->part = malloc(n);
	made->single = malloc(n);
	for (int g = 0; g < groups; g++)
	{
		double		center = 6.0 * pgaml_ml_rng_uniform(&rng) - 2.0;
		double		spread = 0.05 + 0.4 * pgaml_ml_rng_uniform(&rng);
		PgamlRuns	runs = {0};

		for (int j = 0; j < per_group; j++)
			make_row(made, (int64_t) g * per_group + j, g, j, per_group, center, spread, driver_effect, plan_effect,
					 &runs, &rng);
	}
	made->data = (MlStageData) {
		.nrows = n, .columns = (const float *const *) made->columns, .target = made->target,
		.group = made->group, .ngroups = groups, .plan = made->plan, .part = made->part, .single = made->single
	};
}

static void
unmake(Made *made)
{
	for (int i = 0; i < NFEATURES; i++)
		free(made->columns[i]);
	free(made->target);
	free(made->group);
	free(made->plan);
	free(made->part);
	free(made->single);
}

static MlParams
small_forest(void)
{
	MlParams	params;

	pgaml_ml_params_default(ML_RANDOM_FOREST, &params);
	params.n_trees = 20;
	params.seed = 1;
	return params;
}

/* Data, the stages fitted to it, and an allocator that counts. */
typedef struct Fixture
{
	Counter		counter;
	MlAllocator allocator;
	MlParams	params;
	MlStageReport report;
	MlStages   *stages;
	Made		made;
	float		row[NFEATURES];
	float		scratch[NFEATURES];
} Fixture;

static void
prepare(Fixture *f, int groups, int per_group, double driver_effect, double plan_effect, uint64_t seed)
{
	memset(f, 0, sizeof(*f));
	f->allocator = counting(&f->counter);
	f->params = small_forest();
	make(&f->made, groups, per_group, driver_effect, plan_effect, seed);
}

static void
fit(Fixture *f)
{
	MlError		error = {0};

	if (pgaml_ml_stages_fit(&f->made.data, &layout, &f->params, &f->allocator, NULL, &f->stages,
							&f->report, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
}

/* Everything is given back. */
static void
finish(Fixture *f)
{
	pgaml_ml_stages_free(f->stages);
	assert_int_equal(f->counter.held, 0);
	unmake(&f->made);
}

static MlForecast
forecast_row(Fixture *f, int64_t plan, double coverage)
{
	MlStageQuery query = {.row = f->row, .key = plan, .plan = plan, .coverage = coverage};
	MlForecast	forecast;

	memset(&forecast, 0, sizeof(forecast));
	pgaml_ml_stages_predict(f->stages, &query, f->scratch, &forecast);
	return forecast;
}

static void
take_row(Fixture *f, int64_t i)
{
	for (int j = 0; j < NFEATURES; j++)
		f->row[j] = f->made.columns[j][i];
}

static MlForecast
forecast_of(Fixture *f, int64_t i, double coverage)
{
	take_row(f, i);
	return forecast_row(f, f->made.plan[i], coverage);
}

static void
intervals_cover_what_they_promise(void **state)
{
	static const double promised[] = {0.5, 0.8, 0.9, 0.95};
	Fixture		f;

	(void) state;
	prepare(&f, 50, 400, 0.0, 0.0, 42);
	fit(&f);
	assert_int_equal(f.report.rows[ML_PART_TEST], 4000);
	assert_int_equal(f.report.calibration[ML_STAGE_HISTORY], 4000);
	assert_true(f.report.serving.coverage >= 0.88 && f.report.serving.coverage <= 0.92);
	assert_true(f.report.serving_cold.coverage >= 0.86 && f.report.serving_cold.coverage <= 0.94);
	for (int p = 0; p < 4; p++)
	{
		int			covered = 0;

		for (int64_t i = 0; i < f.made.data.nrows; i++)
		{
			MlForecast	forecast;

			if (f.made.part[i] != ML_PART_TEST)
				continue;
			forecast = forecast_of(&f, i, promised[p]);
			assert_true(forecast.calibrated && forecast.lower < forecast.center && forecast.center < forecast.upper);
			covered += f.made.target[i] >= forecast.lower && f.made.target[i] <= forecast.upper;
		}
		assert_true(fabs(covered / 4000.0 - promised[p]) < 0.02);
	}
	finish(&f);
}

static void
history_serves_stable_statements(void **state)
{
	Fixture		f;

	(void) state;
	prepare(&f, 40, 200, 0.0, 0.0, 7);
	fit(&f);
	assert_int_equal(f.report.warm_source, ML_SOURCE_HISTORY);
	/* within 2 % of the statement's median, far better than the others */
	assert_true(f.report.serving.metrics.mae <= 1.02 * f.report.baseline[ML_BASE_STATEMENT_MEDIAN].metrics.mae);
	assert_true(f.report.serving.metrics.mae < 0.6 * f.report.baseline[ML_BASE_GLOBAL_MEDIAN].metrics.mae);
	assert_true(f.report.serving_cold.metrics.mae <= 1.02 * f.report.baseline[ML_BASE_COST_ONLY].metrics.mae);
	finish(&f);
}

static void
model_serves_what_parameters_decide(void **state)
{
	Fixture		f;

	(void) state;
	prepare(&f, 40, 300, 4.0, 0.0, 11);
	fit(&f);
	assert_int_equal(f.report.warm_source, ML_SOURCE_MODEL);
	assert_int_equal(f.report.cold_source, ML_SOURCE_MODEL);
	assert_true(f.report.serving.metrics.mae <= 0.5 * f.report.stage[ML_STAGE_HISTORY].metrics.mae);
	assert_true(f.report.serving.coverage >= 0.87 && f.report.serving.coverage <= 0.93);
	finish(&f);
}

/* What only the own plan of each execution tells is not known by query identifier. */
static void
history_serves_where_only_the_own_plan_would_tell(void **state)
{
	Fixture		f;

	(void) state;
	prepare(&f, 40, 300, 0.0, 4.0, 11);
	fit(&f);
	assert_int_equal(f.report.warm_source, ML_SOURCE_HISTORY);
	assert_true(f.report.serving.coverage >= 0.87 && f.report.serving.coverage <= 0.93);
	assert_true(f.report.stage[ML_STAGE_MODEL_COLD].metrics.mae < 0.5 * f.report.serving.metrics.mae);
	finish(&f);
}

static void
confidence_stays_within_its_rules(void **state)
{
	Fixture		f;
	MlForecast	forecast;
	double		inside;

	(void) state;
	prepare(&f, 40, 300, 4.0, 0.0, 11);
	fit(&f);
	forecast = forecast_of(&f, 299, 0.9);
	inside = forecast.confidence;
	assert_true(inside > 0.5 && inside <= 0.95);
	assert_true(forecast.in_range && !forecast.novel);
	f.row[F_DRIVER] = 50;
	forecast = forecast_row(&f, 999999, 0.9);
	assert_false(forecast.in_range);
	assert_true(forecast.novel);
	assert_true(forecast.confidence <= 0.5 * inside);
	/* clamped to what training saw */
	assert_true(forecast.center < 10.0);
	finish(&f);
}

/* Asked for, what the learner adds never falls as cost rises. */
static void
time_does_not_fall_as_cost_rises(void **state)
{
	(void) state;
	for (int constrained = 0; constrained < 2; constrained++)
	{
		Fixture		f;
		int			falls = 0;

		prepare(&f, 40, 60, 4.0, 0.0, 12);
		pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &f.params);
		f.params.n_trees = 20;
		f.params.monotone = constrained;
		/* the dearer, the faster */
		for (int64_t i = 0; i < f.made.data.nrows; i++)
			f.made.target[i] -= sin(3.0 * f.made.data.columns[F_COST][i]);
		fit(&f);
		for (int64_t i = 0; i < 50; i++)
		{
			float		row[NFEATURES];
			double		before = -INFINITY;

			for (int j = 0; j < NFEATURES; j++)
				row[j] = f.made.data.columns[j][i * 7];
			for (int step = 0; step < 60; step++)
			{
				double		p;

				row[F_COST] = (float) step / 4.0f;
				p = pgaml_ml_predict(pgaml_ml_stages_model(f.stages), row);
				falls += p < before;
				before = p;
			}
		}
		assert_true(constrained ? falls == 0 : falls > 50);
		finish(&f);
	}
}

/* A line over the features that tells log ms itself, as one fitted elsewhere would. */
static MlModel *
learner_from_elsewhere(const Made *made, const MlAllocator *allocator)
{
	MlDataset	rows = {.nrows = made->data.nrows, .nfeatures = NFEATURES, .columns = made->data.columns, .target = made->target};
	MlParams	params;
	MlModel    *model;

	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	assert_int_equal(pgaml_ml_train(&rows, &params, allocator, NULL, &model, NULL), ML_OK);
	return model;
}

static void
adopt(Fixture *f, const MlStageData *data)
{
	MlModel    *model = learner_from_elsewhere(&f->made, &f->allocator);
	MlError		error = {0};

	if (pgaml_ml_stages_adopt(model, &layout, data, &f->allocator, NULL, &f->stages, &f->report, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	assert_true(pgaml_ml_stages_absolute(f->stages));
	assert_ptr_equal(pgaml_ml_stages_model(f->stages), model);
}

static void
an_adopted_learner_is_measured_before_it_serves(void **state)
{
	Fixture		f;
	MlForecast	forecast;

	(void) state;
	prepare(&f, 40, 100, 4.0, 0.0, 11);
	adopt(&f, &f.made.data);
	assert_int_equal(f.report.warm_source, ML_SOURCE_MODEL);
	assert_int_equal(f.report.calibration[ML_STAGE_MODEL_WARM], 800);
	forecast = forecast_of(&f, 99, 0.9);
	assert_true(forecast.calibrated && forecast.in_range);
	assert_float_equal(forecast.center, pgaml_ml_predict(pgaml_ml_stages_model(f.stages), f.row), 1e-12);
	f.row[F_CENTER] = f.row[F_SPREAD] = f.row[F_RUNS] = NAN;
	assert_float_equal(forecast_row(&f, 1, 0.9).center, pgaml_ml_predict(pgaml_ml_stages_model(f.stages), f.row), 1e-12);
	finish(&f);
}

static void
an_adopted_learner_without_data_promises_nothing(void **state)
{
	Fixture		f;
	MlStages   *decoded;
	uint8_t    *bytes;
	size_t		length;
	MlForecast	forecast;

	(void) state;
	prepare(&f, 10, 100, 4.0, 0.0, 11);
	adopt(&f, NULL);
	assert_int_equal(forecast_of(&f, 99, 0.9).source, ML_SOURCE_HISTORY);
	f.row[F_CENTER] = f.row[F_SPREAD] = f.row[F_RUNS] = NAN;
	forecast = forecast_row(&f, 1, 0.9);
	assert_int_equal(forecast.source, ML_SOURCE_MODEL);
	assert_false(forecast.calibrated);
	assert_true(forecast.confidence == 0.0 && forecast.upper > forecast.center + 1.0);
	assert_float_equal(forecast.center, pgaml_ml_predict(pgaml_ml_stages_model(f.stages), f.row), 1e-12);
	assert_int_equal(pgaml_ml_stages_encode(f.stages, &f.allocator, &bytes, &length, NULL), ML_OK);
	assert_int_equal(pgaml_ml_stages_decode(bytes, length, &f.allocator, &decoded, NULL), ML_OK);
	assert_true(pgaml_ml_stages_absolute(decoded));
	assert_int_equal(pgaml_ml_stages_layout(decoded)->feature_version, 7);
	pgaml_ml_stages_free(decoded);
	f.allocator.free(f.allocator.state, bytes);
	finish(&f);
}

static void
a_learner_that_cannot_be_adopted_stays_the_callers(void **state)
{
	Fixture		f;
	MlStageLayout other = layout;
	MlModel    *model;
	MlError		error = {0};
	bool		done = false;

	(void) state;
	prepare(&f, 3, 20, 1.0, 0.0, 5);
	model = learner_from_elsewhere(&f.made, &f.allocator);
	other.nfeatures--;
	assert_int_equal(pgaml_ml_stages_adopt(model, &other, NULL, &f.allocator, NULL, &f.stages, &f.report, &error), ML_E_ARG);
	assert_null(f.stages);
	for (int with_data = 0; with_data < 2; with_data++)
		for (f.counter.fail_at = 0, done = false; !done;)
		{
			f.counter.calls = 0;
			f.counter.fail_at++;
			if (pgaml_ml_stages_adopt(model, &layout, with_data ? &f.made.data : NULL, &f.allocator, NULL,
									  &f.stages, &f.report, &error) == ML_OK)
			{
				done = true;
				pgaml_ml_stages_free(f.stages);
				f.counter.fail_at = 0;
				model = learner_from_elsewhere(&f.made, &f.allocator);
			}
			else
				assert_int_equal(error.code, ML_E_NOMEM);
		}
	pgaml_ml_model_free(model);
	f.stages = NULL;
	finish(&f);
}

static void
nothing_known_gives_no_answer(void **state)
{
	Fixture		f;

	(void) state;
	prepare(&f, 10, 50, 0.0, 0.0, 3);
	fit(&f);
	for (int j = 0; j < NFEATURES; j++)
		f.row[j] = NAN;
	assert_int_equal(forecast_row(&f, 0, 0.9).source, ML_SOURCE_NONE);
	f.row[F_COST] = 4;
	assert_int_not_equal(forecast_row(&f, 0, 0.9).source, ML_SOURCE_NONE);
	assert_int_not_equal(forecast_row(&f, 0, 0.9).source, ML_SOURCE_HISTORY);
	f.row[F_CENTER] = 2;
	f.row[F_RUNS] = 1;
	assert_int_equal(forecast_row(&f, 0, 0.9).source, ML_SOURCE_HISTORY);
	assert_float_equal(forecast_row(&f, 0, 0.9).center, 2.0, 1e-6);
	finish(&f);
}

static void
few_rows_are_said_to_be_uncalibrated(void **state)
{
	Fixture		f;
	MlForecast	forecast;

	(void) state;
	prepare(&f, 2, 20, 0.0, 0.0, 5); /* 8 calibration rows: one too few for 90 % */
	fit(&f);
	forecast = forecast_of(&f, 19, 0.9);
	assert_false(forecast.calibrated);
	assert_true(forecast.upper > forecast.center && isfinite(forecast.upper));
	assert_true(forecast.confidence <= 0.8 * 0.95);
	assert_true(forecast_of(&f, 19, 0.8).calibrated);	/* 8 suffice for 80 % */
	finish(&f);
}

static void
statement_hours_do_not_calibrate_single_executions(void **state)
{
	Fixture		f;

	(void) state;
	prepare(&f, 10, 100, 0.0, 0.0, 5);
	memset(f.made.single, 0, f.made.data.nrows);
	fit(&f);
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
		assert_int_equal(f.report.calibration[kind], 0);
	assert_true(isnan(f.report.serving.coverage));
	finish(&f);
}

static void
encode(Fixture *f, uint8_t **bytes, size_t *length)
{
	MlError		error = {0};

	if (pgaml_ml_stages_encode(f->stages, &f->allocator, bytes, length, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
}

static void
same_rows_and_seed_give_the_same_bytes(void **state)
{
	Fixture		f;
	uint8_t    *bytes[3];
	size_t		length[3];

	(void) state;
	prepare(&f, 10, 100, 1.0, 0.0, 5);
	for (int i = 0; i < 3; i++)
	{
		f.params.seed = i < 2 ? 1 : 2;
		fit(&f);
		encode(&f, &bytes[i], &length[i]);
		pgaml_ml_stages_free(f.stages);
		f.stages = NULL;
	}
	assert_int_equal(length[0], length[1]);
	assert_memory_equal(bytes[0], bytes[1], length[0]);
	assert_true(length[2] != length[0] || memcmp(bytes[0], bytes[2], length[0]) != 0);
	for (int i = 0; i < 3; i++)
		f.allocator.free(f.allocator.state, bytes[i]);
	finish(&f);
}

static void
decoded_stages_predict_the_same(void **state)
{
	Fixture		f;
	MlStages   *fitted;
	MlStages   *decoded;
	uint8_t    *bytes;
	size_t		length;

	(void) state;
	prepare(&f, 10, 100, 1.0, 0.0, 5);
	fit(&f);
	fitted = f.stages;
	encode(&f, &bytes, &length);
	assert_int_equal(pgaml_ml_stages_decode(bytes, length, &f.allocator, &decoded, NULL), ML_OK);
	for (int64_t i = 0; i < f.made.data.nrows; i++)
	{
		MlForecast	a = forecast_of(&f, i, 0.9);
		MlForecast	b;

		f.stages = decoded;
		b = forecast_of(&f, i, 0.9);
		f.stages = fitted;
		assert_memory_equal(&a, &b, sizeof(a));
	}
	pgaml_ml_stages_free(decoded);
	f.allocator.free(f.allocator.state, bytes);
	finish(&f);
}

/* A small model's bytes: ridge on few rows. */
static void
small_bytes(Fixture *f, uint8_t **bytes, size_t *length)
{
	prepare(f, 3, 20, 1.0, 0.0, 5);
	pgaml_ml_params_default(ML_LINEAR_REGRESSION, &f->params);
	fit(f);
	encode(f, bytes, length);
}

static void
damaged_bytes_are_refused(void **state)
{
	Fixture		f;
	MlStages   *stages;
	MlError		error;
	uint8_t    *bytes;
	size_t		length;

	(void) state;
	small_bytes(&f, &bytes, &length);
	for (size_t cut = 0; cut < length; cut++)
	{
		uint8_t    *exact = malloc(cut > 0 ? cut : 1);	/* so that ASan sees a read past the end */

		memcpy(exact, bytes, cut);
		assert_int_not_equal(pgaml_ml_stages_decode(exact, cut, &f.allocator, &stages, &error), ML_OK);
		assert_null(stages);
		assert_true(error.message[0] != '\0');
		free(exact);
	}
	for (size_t bit = 0; bit < length * 8; bit++)
	{
		bytes[bit / 8] ^= 1 << bit % 8;
		assert_int_not_equal(pgaml_ml_stages_decode(bytes, length, &f.allocator, &stages, &error), ML_OK);
		bytes[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(pgaml_ml_stages_decode(bytes, length, &f.allocator, &stages, &error), ML_OK);
	pgaml_ml_stages_free(stages);
	f.allocator.free(f.allocator.state, bytes);
	finish(&f);
}

/* With the checksum made right again a hostile change is either refused or harmless. */
static void
hostile_bytes_with_a_right_checksum_do_no_harm(void **state)
{
	static const float row[NFEATURES] = {4, 0.5f, 0.5f, 1, 0.1f, 5};
	Fixture		f;
	uint8_t    *bytes;
	size_t		length;
	MlRng		rng;

	(void) state;
	small_bytes(&f, &bytes, &length);
	pgaml_ml_rng_seed(&rng, 99);
	for (int i = 0; i < 20000; i++)
	{
		uint8_t    *copy = malloc(length);
		MlWriter	tail = {.buffer = copy, .at = length - 4};
		MlStageQuery query = {.row = row, .key = 1, .plan = 1, .own_plan = i % 2, .coverage = 0.9};
		MlStages   *stages;
		MlForecast	forecast;

		memcpy(copy, bytes, length);
		for (int k = 0; k < 1 + i % 3; k++)
			copy[20 + pgaml_ml_rng_below(&rng, length - 24)] = (uint8_t) pgaml_ml_rng_next(&rng);
		pgaml_ml_write(&tail, pgaml_ml_crc32c(copy, length - 4), 4);
		if (pgaml_ml_stages_decode(copy, length, &f.allocator, &stages, NULL) == ML_OK)
		{
			if (pgaml_ml_stages_layout(stages)->nfeatures == NFEATURES)
				pgaml_ml_stages_predict(stages, &query, f.scratch, &forecast);
			pgaml_ml_stages_free(stages);
		}
		free(copy);
	}
	f.allocator.free(f.allocator.state, bytes);
	finish(&f);
}

static void
every_allocation_may_fail(void **state)
{
	Fixture		f;
	bool		done = false;

	(void) state;
	prepare(&f, 3, 20, 1.0, 0.0, 5);
	f.params.n_trees = 2;
	while (!done)
	{
		MlStages   *copy = NULL;
		uint8_t    *bytes = NULL;
		size_t		length;
		MlStatus	status;

		f.counter.calls = 0;
		f.counter.fail_at++;
		status = pgaml_ml_stages_fit(&f.made.data, &layout, &f.params, &f.allocator, NULL, &f.stages, &f.report, NULL);
		if (status == ML_OK)
			status = pgaml_ml_stages_encode(f.stages, &f.allocator, &bytes, &length, NULL);
		if (status == ML_OK)
			status = pgaml_ml_stages_decode(bytes, length, &f.allocator, &copy, NULL);
		done = f.counter.calls < f.counter.fail_at;
		assert_int_equal(status, done ? ML_OK : ML_E_NOMEM);
		pgaml_ml_stages_free(copy);
		f.allocator.free(f.allocator.state, bytes);
		pgaml_ml_stages_free(f.stages);
		f.stages = NULL;
		assert_int_equal(f.counter.held, 0);
	}
	assert_true(f.counter.fail_at > 30);
	finish(&f);
}

static void
without_any_plan_the_median_stands_for_the_cost_line(void **state)
{
	Fixture		f;
	MlForecast	forecast;

	(void) state;
	prepare(&f, 10, 100, 0.0, 0.0, 5);
	for (int64_t i = 0; i < f.made.data.nrows; i++)
		f.made.columns[F_COST][i] = NAN;
	fit(&f);
	forecast = forecast_of(&f, 99, 0.9);
	assert_int_not_equal(forecast.source, ML_SOURCE_NONE);
	assert_true(isfinite(forecast.center) && forecast.calibrated);
	finish(&f);
}

static bool
stop_at_once(void *state, double progress)
{
	(void) state;
	(void) progress;
	return true;
}

static void
stopping_leaves_nothing(void **state)
{
	Fixture		f;
	MlStop		stop = {stop_at_once, NULL};
	MlError		error;

	(void) state;
	prepare(&f, 30, 300, 1.0, 0.0, 5);
	f.params.n_trees = 2000;
	assert_int_equal(pgaml_ml_stages_fit(&f.made.data, &layout, &f.params, &f.allocator, &stop, &f.stages,
										 &f.report, &error), ML_E_STOPPED);
	assert_null(f.stages);
	finish(&f);
}

/* Counts down; the question at 0 is the only one that is answered with yes. */
static bool
stop_once(void *state, double progress)
{
	(void) progress;
	return (*(int *) state)-- == 0;
}

static void
every_question_may_be_the_last(void **state)
{
	Fixture		f;
	int			questions = 0;

	(void) state;
	prepare(&f, 30, 300, 1.0, 0.0, 5);
	f.params.n_trees = 3;
	for (MlStatus status = ML_E_STOPPED; status == ML_E_STOPPED; questions++)
	{
		int			left = questions;
		MlStop		stop = {stop_once, &left};
		MlError		error;

		status = pgaml_ml_stages_fit(&f.made.data, &layout, &f.params, &f.allocator, &stop, &f.stages, &f.report, &error);
		assert_int_equal(status, left < 0 ? ML_E_STOPPED : ML_OK);
	}
	/* also between the steps over all rows, which millions of rows make long */
	assert_true(questions > 100);
	finish(&f);
}

static void
normal_quantiles_are_right(void **state)
{
	(void) state;
	assert_float_equal(pgaml_ml_normal_quantile(0.5), 0.0, 1e-7);
	assert_float_equal(pgaml_ml_normal_quantile(0.95), 1.6448536, 1e-6);
	assert_float_equal(pgaml_ml_normal_quantile(0.975), 1.9599640, 1e-6);
	assert_float_equal(pgaml_ml_normal_quantile(0.001), -3.0902323, 1e-6);
	assert_float_equal(pgaml_ml_normal_quantile(1e-12), -7.0344838, 1e-5);
	assert_true(isnan(pgaml_ml_normal_quantile(0.0)) && isnan(pgaml_ml_normal_quantile(1.0)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals_cover_what_they_promise),
		cmocka_unit_test(history_serves_stable_statements),
		cmocka_unit_test(model_serves_what_parameters_decide),
		cmocka_unit_test(history_serves_where_only_the_own_plan_would_tell),
		cmocka_unit_test(confidence_stays_within_its_rules),
		cmocka_unit_test(time_does_not_fall_as_cost_rises),
		cmocka_unit_test(an_adopted_learner_is_measured_before_it_serves),
		cmocka_unit_test(an_adopted_learner_without_data_promises_nothing),
		cmocka_unit_test(a_learner_that_cannot_be_adopted_stays_the_callers),
		cmocka_unit_test(nothing_known_gives_no_answer),
		cmocka_unit_test(few_rows_are_said_to_be_uncalibrated),
		cmocka_unit_test(statement_hours_do_not_calibrate_single_executions),
		cmocka_unit_test(same_rows_and_seed_give_the_same_bytes),
		cmocka_unit_test(decoded_stages_predict_the_same),
		cmocka_unit_test(damaged_bytes_are_refused),
		cmocka_unit_test(hostile_bytes_with_a_right_checksum_do_no_harm),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(without_any_plan_the_median_stands_for_the_cost_line),
		cmocka_unit_test(stopping_leaves_nothing),
		cmocka_unit_test(every_question_may_be_the_last),
		cmocka_unit_test(normal_quantiles_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
