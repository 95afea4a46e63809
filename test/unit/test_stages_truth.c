/*
 * What stages would have said of an execution: the same answer that a query
 * by identifier gets, its error, and its interval against the truth.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "helper_ml.h"
#include "helper_world.h"

static const WorldRules rules = {
	.statements = 30, .runs = 100, .sensitive = 0.3, .decades = 4.0, .left_out = 0.2, .seed = 5
};

#define assert_near(a, b, e) assert_true(fabs((a) - (b)) <= (e))

static double
winkler_of(const MlForecast *forecast, double y)
{
	double		width = forecast->upper - forecast->lower;

	if (y < forecast->lower)
		width += 20.0 * (forecast->lower - y);
	if (y > forecast->upper)
		width += 20.0 * (y - forecast->upper);
	return width;
}

static void
same_as_asking(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	float		scratch[2 * W_COUNT];
	int64_t		judged = 0;
	int64_t		covered = 0;
	int64_t		novel = 0;

	(void) state;
	world_make(&world, &rules);
	stages = world_fit(&world, ML_GRADIENT_BOOSTING, 30, &report);
	for (int64_t i = 0; i < world.data.nrows; i++)
	{
		MlForecast	asked;
		MlStageTruth truth;

		if (world.part[i] != ML_PART_TEST)
			continue;
		asked = world_ask(&world, stages, i, WORLD_AHEAD);
		pgaml_ml_stages_truth(stages, &world.data, i, NULL, 0, 0.9, scratch, &truth);
		assert_int_equal(truth.source, asked.source);
		assert_near(truth.error, world.target[i] - asked.center, 1e-12);
		assert_int_equal(truth.calibrated, asked.calibrated);
		assert_int_equal(truth.novel, asked.novel);
		novel += truth.novel;
		if (!truth.calibrated)
			continue;
		judged++;
		covered += truth.covered;
		assert_int_equal(truth.covered, world.target[i] >= asked.lower && world.target[i] <= asked.upper);
		assert_int_equal(truth.covered, truth.score <= 1.0f);
		assert_near(truth.score, 2.0 * fabs(truth.error) / (asked.upper - asked.lower), 1e-5 * truth.score + 1e-7);
		assert_near(truth.winkler, winkler_of(&asked, world.target[i]), 1e-9);
	}
	assert_true(judged > 500 && novel > 0);
	assert_true((double) covered / judged > 0.85 && (double) covered / judged < 0.96);
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

/* Runs that are told by the caller replace those in the data; and a statement-hour tells nothing of an interval. */
static void
runs_of_the_caller(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	float		scratch[2 * W_COUNT];
	float		wild[ML_STAGE_RECENT];
	int64_t		wider = 0;

	(void) state;
	world_make(&world, &rules);
	stages = world_fit(&world, ML_RANDOM_FOREST, 10, &report);
	for (int64_t i = 0; i < world.data.nrows; i++)
	{
		MlStageTruth calm;
		MlStageTruth told;

		if (world.part[i] != ML_PART_TEST || world.columns[W_RUNS][i] < 30)
			continue;
		for (int k = 0; k < ML_STAGE_RECENT; k++)
			wild[k] = (float) world.target[i] + (k < 20 ? 0.01f * k : k % 2 ? 9.0f : -9.0f);
		pgaml_ml_stages_truth(stages, &world.data, i, NULL, 0, 0.9, scratch, &calm);
		pgaml_ml_stages_truth(stages, &world.data, i, wild, ML_STAGE_RECENT, 0.9, scratch, &told);
		assert_near(calm.error, told.error, 0.0);
		assert_true(!(told.score > calm.score));
		wider += told.score < calm.score;

		world.single[i] = 0;
		pgaml_ml_stages_truth(stages, &world.data, i, NULL, 0, 0.9, scratch, &told);
		world.single[i] = 1;
		assert_near(calm.error, told.error, 0.0);
		assert_false(told.calibrated);
		assert_true(isnan(told.score) && isnan(told.winkler));
	}
	assert_true(wider > 0);
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

/* Nothing is known of a statement without runs and plan. */
static void
nothing_said(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	float		scratch[2 * W_COUNT];
	MlStageTruth truth;

	(void) state;
	world_make(&world, &rules);
	stages = world_fit(&world, ML_RANDOM_FOREST, 10, &report);
	for (int j = 0; j < W_COUNT; j++)
		world.columns[j][0] = NAN;
	pgaml_ml_stages_truth(stages, &world.data, 0, NULL, 0, 0.9, scratch, &truth);
	assert_int_equal(truth.source, ML_SOURCE_NONE);
	assert_true(isnan(truth.error) && isnan(truth.score) && isnan(truth.winkler));
	assert_false(truth.calibrated || truth.covered);
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_asking), cmocka_unit_test(runs_of_the_caller), cmocka_unit_test(nothing_said)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
