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
#include "ml/bytes_internal.h"
#include "ml/stages.h"

enum
{
	F_COST, F_DRIVER, F_NOISE, F_CENTER, F_SPREAD, F_RUNS, NFEATURES
};

static const MlStageLayout layout = {
	.nfeatures = NFEATURES, .nhidden = 3, .hidden = {F_CENTER, F_SPREAD, F_RUNS}, .lag_center = F_CENTER,
	.lag_spread = F_SPREAD, .lag_runs = F_RUNS, .cost = F_COST
};

/* An allocator that fails at the call number fail_at, and counts what is out. */
typedef struct Counting
{
	int64_t		calls;
	int64_t		fail_at;		/* -1: never */
	int64_t		outstanding;
} Counting;

static void *
counting_alloc(void *state, size_t size)
{
	Counting   *counting = state;

	if (counting->calls++ == counting->fail_at)
		return NULL;
	counting->outstanding++;
	return malloc(size);
}

static void
counting_free(void *state, void *ptr)
{
	if (ptr != NULL)
		((Counting *) state)->outstanding--;
	free(ptr);
}

static MlAllocator
allocator_of(Counting *counting)
{
	memset(counting, 0, sizeof(*counting));
	counting->fail_at = -1;
	return (MlAllocator) {counting_alloc, counting_free, counting};
}

/* Statements whose runs scatter around a centre; driver moves single executions by the factor given. */
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
		 double driver_effect, PgamlRuns *runs, MlRng *rng)
{
	PgamlRunsSummary summary;
	double		driver = pgaml_ml_rng_uniform(rng);
	double		y = center + driver_effect * driver + spread * pgaml_ml_rng_normal(rng);
	PgamlRun	run = {.at = j, .log_ms = (float) y, .rows = NAN, .hit_ratio = NAN, .active = NAN, .plan = group + 1};

	pgaml_runs_summary(runs, group + 1, &summary);
	made->columns[F_COST][row] = (float) ((center + 3.0) / 0.9);
	made->columns[F_DRIVER][row] = (float) driver;
	made->columns[F_NOISE][row] = (float) pgaml_ml_rng_uniform(rng);
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
make(Made *made, int groups, int per_group, double driver_effect, uint64_t seed)
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
			make_row(made, (int64_t) g * per_group + j, g, j, per_group, center, spread, driver_effect, &runs, &rng);
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

static MlStages *
fit(const Made *made, const MlParams *params, const MlAllocator *allocator, MlStageReport *report)
{
	MlStages   *stages;
	MlError		error = {0};

	if (pgaml_ml_stages_fit(&made->data, &layout, params, allocator, NULL, &stages, report, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return stages;
}

static void
row_of(const Made *made, int64_t i, float *row)
{
	for (int j = 0; j < NFEATURES; j++)
		row[j] = made->columns[j][i];
}

static void
intervals_cover_what_they_promise(void **state)
{
	static const double promised[] = {0.5, 0.8, 0.9, 0.95};
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	Made		made;

	(void) state;
	make(&made, 50, 400, 0.0, 42);
	stages = fit(&made, &params, &allocator, &report);
	assert_int_equal(report.rows[ML_PART_TEST], 4000);
	assert_int_equal(report.calibration[ML_STAGE_HISTORY], 4000);
	assert_true(report.serving.coverage >= 0.88 && report.serving.coverage <= 0.92);
	assert_true(report.serving_cold.coverage >= 0.86 && report.serving_cold.coverage <= 0.94);
	for (int p = 0; p < 4; p++)
	{
		int			covered = 0;

		for (int64_t i = 0; i < made.data.nrows; i++)
		{
			MlForecast	forecast;
			float		row[NFEATURES];
			float		scratch[NFEATURES];

			if (made.part[i] != ML_PART_TEST)
				continue;
			row_of(&made, i, row);
			pgaml_ml_stages_predict(stages, row, made.plan[i], promised[p], scratch, &forecast);
			assert_true(forecast.calibrated && forecast.lower < forecast.center && forecast.center < forecast.upper);
			covered += made.target[i] >= forecast.lower && made.target[i] <= forecast.upper;
		}
		assert_true(fabs(covered / 4000.0 - promised[p]) < 0.02);
	}
	pgaml_ml_stages_free(stages);
	assert_int_equal(counting.outstanding, 0);
	unmake(&made);
}

static void
history_serves_stable_statements(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	Made		made;

	(void) state;
	make(&made, 40, 200, 0.0, 7);
	stages = fit(&made, &params, &allocator, &report);
	assert_int_equal(report.warm_source, ML_SOURCE_HISTORY);
	/* within 2 % of the statement's median, far better than the others */
	assert_true(report.serving.metrics.mae <= 1.02 * report.baseline[ML_BASE_STATEMENT_MEDIAN].metrics.mae);
	assert_true(report.serving.metrics.mae < 0.6 * report.baseline[ML_BASE_GLOBAL_MEDIAN].metrics.mae);
	assert_true(report.serving_cold.metrics.mae <= 1.02 * report.baseline[ML_BASE_COST_ONLY].metrics.mae);
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
model_serves_what_parameters_decide(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	Made		made;

	(void) state;
	make(&made, 40, 300, 4.0, 11);
	stages = fit(&made, &params, &allocator, &report);
	assert_int_equal(report.warm_source, ML_SOURCE_MODEL);
	assert_int_equal(report.cold_source, ML_SOURCE_MODEL);
	assert_true(report.serving.metrics.mae <= 0.5 * report.stage[ML_STAGE_HISTORY].metrics.mae);
	assert_true(report.serving.coverage >= 0.87 && report.serving.coverage <= 0.93);
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
confidence_stays_within_its_rules(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	MlForecast	forecast;
	Made		made;
	float		row[NFEATURES];
	float		scratch[NFEATURES];
	double		inside;

	(void) state;
	make(&made, 40, 300, 4.0, 11);
	stages = fit(&made, &params, &allocator, &report);
	row_of(&made, 299, row);
	pgaml_ml_stages_predict(stages, row, made.plan[299], 0.9, scratch, &forecast);
	inside = forecast.confidence;
	assert_true(inside > 0.5 && inside <= 0.95);
	assert_true(forecast.in_range && !forecast.novel);
	row[F_DRIVER] = 50;
	pgaml_ml_stages_predict(stages, row, 999999, 0.9, scratch, &forecast);
	assert_false(forecast.in_range);
	assert_true(forecast.novel);
	assert_true(forecast.confidence <= 0.5 * inside);
	/* clamped to what training saw */
	assert_true(forecast.center < 10.0);
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
nothing_known_gives_no_answer(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	MlForecast	forecast;
	Made		made;
	float		row[NFEATURES] = {NAN, NAN, NAN, NAN, NAN, NAN};
	float		scratch[NFEATURES];

	(void) state;
	make(&made, 10, 50, 0.0, 3);
	stages = fit(&made, &params, &allocator, &report);
	pgaml_ml_stages_predict(stages, row, 0, 0.9, scratch, &forecast);
	assert_int_equal(forecast.source, ML_SOURCE_NONE);
	row[F_COST] = 4;
	pgaml_ml_stages_predict(stages, row, 0, 0.9, scratch, &forecast);
	assert_int_not_equal(forecast.source, ML_SOURCE_NONE);
	assert_int_not_equal(forecast.source, ML_SOURCE_HISTORY);
	row[F_CENTER] = 2;
	row[F_RUNS] = 1;
	pgaml_ml_stages_predict(stages, row, 0, 0.9, scratch, &forecast);
	assert_int_equal(forecast.source, ML_SOURCE_HISTORY);
	assert_float_equal(forecast.center, 2.0, 1e-6);
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
few_rows_are_said_to_be_uncalibrated(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	MlForecast	forecast;
	Made		made;
	float		row[NFEATURES];
	float		scratch[NFEATURES];

	(void) state;
	make(&made, 2, 20, 0.0, 5);	/* 8 calibration rows: one too few for 90 % */
	stages = fit(&made, &params, &allocator, &report);
	row_of(&made, 19, row);
	pgaml_ml_stages_predict(stages, row, 1, 0.9, scratch, &forecast);
	assert_false(forecast.calibrated);
	assert_true(forecast.upper > forecast.center && isfinite(forecast.upper));
	assert_true(forecast.confidence <= 0.8 * 0.95);
	pgaml_ml_stages_predict(stages, row, 1, 0.8, scratch, &forecast);
	assert_true(forecast.calibrated);	/* 8 suffice for 80 % */
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
statement_hours_do_not_calibrate_single_executions(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	Made		made;

	(void) state;
	make(&made, 10, 100, 0.0, 5);
	memset(made.single, 0, made.data.nrows);
	stages = fit(&made, &params, &allocator, &report);
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
		assert_int_equal(report.calibration[kind], 0);
	assert_true(isnan(report.serving.coverage));
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
encode(const MlStages *stages, const MlAllocator *allocator, uint8_t **bytes, size_t *length)
{
	MlError		error = {0};

	if (pgaml_ml_stages_encode(stages, allocator, bytes, length, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
}

static void
same_rows_and_seed_give_the_same_bytes(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	uint8_t    *bytes[3];
	size_t		length[3];
	Made		made;

	(void) state;
	make(&made, 10, 100, 1.0, 5);
	for (int i = 0; i < 3; i++)
	{
		MlStages   *stages;

		params.seed = i < 2 ? 1 : 2;
		stages = fit(&made, &params, &allocator, &report);
		encode(stages, &allocator, &bytes[i], &length[i]);
		pgaml_ml_stages_free(stages);
	}
	assert_int_equal(length[0], length[1]);
	assert_memory_equal(bytes[0], bytes[1], length[0]);
	assert_true(length[2] != length[0] || memcmp(bytes[0], bytes[2], length[0]) != 0);
	for (int i = 0; i < 3; i++)
		allocator.free(allocator.state, bytes[i]);
	assert_int_equal(counting.outstanding, 0);
	unmake(&made);
}

static void
decoded_stages_predict_the_same(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	MlStages   *copy;
	uint8_t    *bytes;
	size_t		length;
	Made		made;

	(void) state;
	make(&made, 10, 100, 1.0, 5);
	stages = fit(&made, &params, &allocator, &report);
	encode(stages, &allocator, &bytes, &length);
	assert_int_equal(pgaml_ml_stages_decode(bytes, length, &allocator, &copy, NULL), ML_OK);
	for (int64_t i = 0; i < made.data.nrows; i++)
	{
		MlForecast	a;
		MlForecast	b;
		float		row[NFEATURES];
		float		scratch[NFEATURES];

		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		row_of(&made, i, row);
		pgaml_ml_stages_predict(stages, row, made.plan[i], 0.9, scratch, &a);
		pgaml_ml_stages_predict(copy, row, made.plan[i], 0.9, scratch, &b);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	pgaml_ml_stages_free(stages);
	pgaml_ml_stages_free(copy);
	allocator.free(allocator.state, bytes);
	assert_int_equal(counting.outstanding, 0);
	unmake(&made);
}

/* A small model's bytes: ridge on few rows. */
static void
small_bytes(const MlAllocator *allocator, uint8_t **bytes, size_t *length)
{
	MlParams	params;
	MlStageReport report;
	MlStages   *stages;
	Made		made;

	pgaml_ml_params_default(ML_LINEAR_REGRESSION, &params);
	make(&made, 3, 20, 1.0, 5);
	stages = fit(&made, &params, allocator, &report);
	encode(stages, allocator, bytes, length);
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
damaged_bytes_are_refused(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlStages   *stages;
	MlError		error;
	uint8_t    *bytes;
	size_t		length;

	(void) state;
	small_bytes(&allocator, &bytes, &length);
	for (size_t cut = 0; cut < length; cut++)
	{
		uint8_t    *exact = malloc(cut > 0 ? cut : 1);	/* so that ASan sees a read past the end */

		memcpy(exact, bytes, cut);
		assert_int_not_equal(pgaml_ml_stages_decode(exact, cut, &allocator, &stages, &error), ML_OK);
		assert_null(stages);
		assert_true(error.message[0] != '\0');
		free(exact);
	}
	for (size_t bit = 0; bit < length * 8; bit++)
	{
		bytes[bit / 8] ^= 1 << bit % 8;
		assert_int_not_equal(pgaml_ml_stages_decode(bytes, length, &allocator, &stages, &error), ML_OK);
		bytes[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(pgaml_ml_stages_decode(bytes, length, &allocator, &stages, &error), ML_OK);
	pgaml_ml_stages_free(stages);
	allocator.free(allocator.state, bytes);
	assert_int_equal(counting.outstanding, 0);
}

/* With the checksum made right again a hostile change is either refused or harmless. */
static void
hostile_bytes_with_a_right_checksum_do_no_harm(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	uint8_t    *bytes;
	size_t		length;
	MlRng		rng;

	(void) state;
	small_bytes(&allocator, &bytes, &length);
	pgaml_ml_rng_seed(&rng, 99);
	for (int i = 0; i < 20000; i++)
	{
		uint8_t    *copy = malloc(length);
		MlWriter	tail = {.buffer = copy, .at = length - 4};
		MlStages   *stages;
		MlForecast	forecast;
		float		row[NFEATURES] = {4, 0.5f, 0.5f, 1, 0.1f, 5};
		float		scratch[NFEATURES];

		memcpy(copy, bytes, length);
		for (int k = 0; k < 1 + i % 3; k++)
			copy[20 + pgaml_ml_rng_below(&rng, length - 24)] = (uint8_t) pgaml_ml_rng_next(&rng);
		pgaml_ml_write_u32(&tail, pgaml_ml_crc32c(copy, length - 4));
		if (pgaml_ml_stages_decode(copy, length, &allocator, &stages, NULL) == ML_OK)
		{
			if (pgaml_ml_stages_layout(stages)->nfeatures == NFEATURES)
				pgaml_ml_stages_predict(stages, row, 1, 0.9, scratch, &forecast);
			pgaml_ml_stages_free(stages);
		}
		free(copy);
	}
	allocator.free(allocator.state, bytes);
	assert_int_equal(counting.outstanding, 0);
}

static void
every_allocation_may_fail(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	Made		made;
	int64_t		fail_at = 0;
	bool		done = false;

	(void) state;
	params.n_trees = 2;
	make(&made, 3, 20, 1.0, 5);
	for (; !done; fail_at++)
	{
		MlStageReport report;
		MlStages   *stages = NULL;
		MlStages   *copy = NULL;
		MlError		error = {0};
		uint8_t    *bytes = NULL;
		size_t		length;
		MlStatus	status;

		counting.calls = 0;
		counting.fail_at = fail_at;
		status = pgaml_ml_stages_fit(&made.data, &layout, &params, &allocator, NULL, &stages, &report, &error);
		if (status == ML_OK)
			status = pgaml_ml_stages_encode(stages, &allocator, &bytes, &length, &error);
		if (status == ML_OK)
			status = pgaml_ml_stages_decode(bytes, length, &allocator, &copy, &error);
		done = counting.calls <= fail_at;
		assert_int_equal(status, done ? ML_OK : ML_E_NOMEM);
		pgaml_ml_stages_free(stages);
		pgaml_ml_stages_free(copy);
		allocator.free(allocator.state, bytes);
		assert_int_equal(counting.outstanding, 0);
	}
	assert_true(fail_at > 30);
	unmake(&made);
}

static bool
stop_at_once(void *state, double progress)
{
	(void) progress;
	return *(bool *) state;
}

static void
without_any_plan_the_median_stands_for_the_cost_line(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	MlStageReport report;
	MlStages   *stages;
	MlForecast	forecast;
	Made		made;
	float		row[NFEATURES];
	float		scratch[NFEATURES];

	(void) state;
	make(&made, 10, 100, 0.0, 5);
	for (int64_t i = 0; i < made.data.nrows; i++)
		made.columns[F_COST][i] = NAN;
	stages = fit(&made, &params, &allocator, &report);
	row_of(&made, 99, row);
	pgaml_ml_stages_predict(stages, row, 0, 0.9, scratch, &forecast);
	assert_int_not_equal(forecast.source, ML_SOURCE_NONE);
	assert_true(isfinite(forecast.center) && forecast.calibrated);
	pgaml_ml_stages_free(stages);
	unmake(&made);
}

static void
stopping_leaves_nothing(void **state)
{
	Counting	counting;
	MlAllocator allocator = allocator_of(&counting);
	MlParams	params = small_forest();
	bool		yes = true;
	MlStop		stop = {stop_at_once, &yes};
	MlStageReport report;
	MlStages   *stages;
	MlError		error;
	Made		made;

	(void) state;
	params.n_trees = 2000;
	make(&made, 30, 300, 1.0, 5);
	assert_int_equal(pgaml_ml_stages_fit(&made.data, &layout, &params, &allocator, &stop, &stages, &report, &error),
					 ML_E_STOPPED);
	assert_int_equal(counting.outstanding, 0);
	unmake(&made);
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
		cmocka_unit_test(confidence_stays_within_its_rules),
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
		cmocka_unit_test(normal_quantiles_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
