/*
 * The bars of the stages on simulated servers: what they promise of intervals,
 * of parameter-sensitive statements, of statements never seen, of novelty;
 * and that no answer is worse than the simple one it replaces.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"
#include "helper_world.h"
#include "ml/stages_internal.h"

#define MOST	60000			/* rows of any world here */

static double ours[MOST];
static double theirs[MOST];

/* Whatever misses an adversary picks, their mean stays near the target. */
static void
adaptive_inference_keeps_its_bound(void **state)
{
	static const double targets[] = {0.05, 0.1, 0.5};
	static const double rates[] = {0.005, 0.03, 0.3};
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 3);
	for (int c = 0; c < 9 * 5; c++)
	{
		double		target = targets[c % 3];
		double		rate = rates[c / 3 % 3];
		double		share = target;
		int			missed = 0;

		for (int t = 1; t <= 2000; t++)
		{
			/* an infinite interval cannot be missed, an empty one cannot be hit */
			bool		miss = share >= 1.0 || (share > 0.0 && (c / 9 == 0 || (c / 9 == 1 && t % 100 < 50) ||
																 (c / 9 == 2 && t > 1000) || (c / 9 > 2 && pgaml_ml_rng_uniform(&rng) < 0.4)));

			missed += miss;
			share = pgaml_ml_adaptive_step(share, target, rate, miss);
			assert_true(fabs((double) missed / t - target) <= (fmax(target, 1.0 - target) + rate) / (rate * t) + 1e-12);
		}
	}
}

/* Thinning may widen what is promised, never narrow it. */
static void
thinned_scores_promise_no_less(void **state)
{
	static float all[9000];
	static float sorted[9000];
	static const int sizes[] = {1, 9, 4095, 4096, 4097, 5000, 9000};
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 5);
	for (int s = 0; s < 7; s++)
	{
		MlScores	kept = {0};
		MlScores	full = {sizes[s], 1, sorted};

		for (int i = 0; i < sizes[s]; i++)
			all[i] = sorted[i] = (float) pgaml_ml_rng_uniform(&rng);
		pgaml_ml_sort_floats(sorted, sizes[s]);
		assert_int_equal(pgaml_ml_scores_keep(&kept, all, sizes[s], &plain_heap, NULL), ML_OK);
		assert_true(kept.n <= ML_SCORES_MAX);
		for (double p = 0.01; p < 0.999; p += 0.001)
		{
			double		a;
			double		b;

			if (!pgaml_ml_scores_quantile(&kept, p, &a))
				continue;
			assert_true(pgaml_ml_scores_quantile(&full, p, &b));
			assert_true(a >= b && a <= b + 0.01);
		}
		free(kept.values);
	}
}

/* 88..92 % overall, and every group as its numbers allow. */
static void
intervals_hold_in_every_group(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	int			hit[ML_INTERVAL_NOVEL + 1][ML_SIZE_GROUPS] = {{0}};
	int			asked[ML_INTERVAL_NOVEL + 1][ML_SIZE_GROUPS] = {{0}};
	int			all = 0;
	int			covered = 0;
	int			by_statement = 0;

	(void) state;
	world_make(&world, &(WorldRules) {.statements = 150, .runs = 300, .uneven = true, .seed = 21});
	stages = world_fit(&world, ML_GRADIENT_BOOSTING, 20, &report);
	assert_true(report.rows[ML_PART_CALIBRATE] >= 4000 && report.rows[ML_PART_TEST] >= 3000);
	for (int64_t i = 0; i < world.data.nrows; i++)
	{
		MlForecast	f;
		int			size;

		if (!world_tests(&world, i, false))
			continue;
		f = world_ask(&world, stages, i, WORLD_AHEAD);
		size = pgaml_ml_size_group(f.center);
		assert_true(f.calibrated);
		asked[f.group][size]++;
		hit[f.group][size] += world.target[i] >= f.lower && world.target[i] <= f.upper;
	}
	for (int group = 0; group <= ML_INTERVAL_NOVEL; group++)
		for (int size = 0; size < ML_SIZE_GROUPS; size++)
		{
			int			n = asked[group][size];

			all += n;
			covered += hit[group][size];
			by_statement += group == ML_INTERVAL_STATEMENT ? n : 0;
			if (n > 0)
			{
				print_message("# %s, size %d: %d of %d\n", pgaml_ml_interval_name(group), size, hit[group][size], n);
				assert_true((double) hit[group][size] / n >= 0.9 - 4.0 * sqrt(0.09 / ML_SCORES_MIN / 3 + 0.09 / n));
			}
		}
	print_message("# overall %.4f of %d, in the report %.4f\n", (double) covered / all, all, report.serving.coverage);
	assert_true((double) covered / all >= 0.88 && (double) covered / all <= 0.92);
	assert_true(fabs(report.serving.coverage - (double) covered / all) < 0.01);
	assert_true(by_statement > 500 && by_statement < all);
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

/* Over 200 servers the promise holds on average, and no server is far off. */
static void
coverage_stays_within_bounds_over_200_seeds(void **state)
{
	double		sum = 0.0;
	double		cold = 0.0;
	int			cold_n = 0;

	(void) state;
	for (int seed = 0; seed < 200; seed++)
	{
		World		world;
		MlStageReport report;
		MlStages   *stages;

		world_make(&world, &(WorldRules) {.statements = 25, .runs = 100, .left_out = 0.2, .seed = 1000 + seed});
		stages = world_fit(&world, ML_LINEAR_REGRESSION, 1, &report);
		assert_true(report.stage[ML_STAGE_HISTORY].coverage > 0.75);
		sum += report.stage[ML_STAGE_HISTORY].coverage;
		for (int64_t i = 0; i < world.data.nrows; i += 7)
		{
			MlForecast	f;

			if (!world_tests(&world, i, true))
				continue;
			f = world_ask(&world, stages, i, WORLD_COLD);
			assert_true(f.calibrated && f.group == ML_INTERVAL_NOVEL);
			cold += world.target[i] >= f.lower && world.target[i] <= f.upper;
			cold_n++;
		}
		pgaml_ml_stages_free(stages);
		world_free(&world);
	}
	print_message("# warm %.4f, never seen %.4f of %d\n", sum / 200, cold / cold_n, cold_n);
	assert_true(sum / 200 >= 0.88 && sum / 200 <= 0.92);
	assert_true(cold / cold_n >= 0.85);
}

/* Everything takes 1.3 times as long from some moment on. */
static void
intervals_recover_from_a_shift(void **state)
{
	int			hit = 0;
	int			n = 0;

	(void) state;
	for (int seed = 0; seed < 200; seed++)
	{
		static World world;
		MlStageReport report;
		static MlStages *stages;
		MlRng		rng;
		PgamlRuns	runs = {0};
		double		center;
		double		spread;

		if (seed % 20 == 0)		/* a server serves twenty of them */
		{
			world_make(&world, &(WorldRules) {.statements = 20, .runs = 150, .seed = 7000 + seed});
			stages = world_fit(&world, ML_LINEAR_REGRESSION, 1, &report);
		}
		pgaml_ml_rng_seed(&rng, seed);
		center = 4.0 * pgaml_ml_rng_uniform(&rng);
		spread = 0.05 + 0.2 * pgaml_ml_rng_uniform(&rng);
		for (int j = 0; j < 340; j++)
		{
			double		y = center + (j >= 40 ? log(1.3) : 0.0) + spread * pgaml_ml_rng_normal(&rng);
			PgamlRun	run = {.at = j, .log_ms = (float) y, .plan = 1, .cost = NAN, .plan_rows = NAN};
			PgamlRunsSummary summary;
			float		row[W_COUNT] = {5, 5, 0, 0};
			float		scratch[W_COUNT];
			float		recent[PGAML_RECENT_RUNS];
			MlStageQuery query = {.row = row, .key = 123456, .coverage = 0.9, .recent = recent};
			MlForecast	f;

			pgaml_runs_summary(&runs, 1, &summary);
			query.nrecent = pgaml_runs_recent(&runs, &summary, recent);
			row[W_CENTER] = summary.center;
			row[W_SPREAD] = summary.spread;
			row[W_RUNS] = summary.runs;
			for (int k = W_COST_DEPARTURE; k < W_COUNT; k++)
				row[k] = NAN;
			if (j >= 40 + 100 && j < 40 + 300)
			{
				pgaml_ml_stages_predict(stages, &query, scratch, &f);
				hit += y >= f.lower && y <= f.upper;
				n++;
			}
			pgaml_runs_push(&runs, &run);
		}
		if (seed % 20 == 19)
		{
			pgaml_ml_stages_free(stages);
			world_free(&world);
		}
	}
	print_message("# runs 101..300 after the shift: %.4f of %d\n", (double) hit / n, n);
	assert_true((double) hit / n >= 0.88 && (double) hit / n <= 0.92);
}

/* While misses pile up, the interval widens. */
static void
misses_widen_the_next_interval(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	float		row[W_COUNT] = {5, 5, 0, 0, 1, 0.1f, 32, NAN, NAN, NAN, NAN};
	float		scratch[W_COUNT];
	float		recent[40];
	MlStageQuery query = {.row = row, .key = 5, .coverage = 0.9, .recent = recent};
	MlForecast	still;
	MlForecast	calm;
	MlForecast	upset;

	(void) state;
	world_make(&world, &(WorldRules) {.statements = 20, .runs = 100, .seed = 3});
	stages = world_fit(&world, ML_LINEAR_REGRESSION, 1, &report);
	pgaml_ml_stages_predict(stages, &query, scratch, &still);
	for (int i = 0; i < 40; i++)
		recent[i] = 1.0f + 0.1f * (i % 3 - 1);
	query.nrecent = 40;
	pgaml_ml_stages_predict(stages, &query, scratch, &calm);
	for (int i = 20; i < 40; i++)
		recent[i] = i < 28 ? 1.0f + 0.1f * (i % 3 - 1) : 1.0f + (i - 27) * (i - 27);
	pgaml_ml_stages_predict(stages, &query, scratch, &upset);
	assert_true(still.calibrated && calm.calibrated && upset.calibrated);
	assert_true(calm.upper <= still.upper);
	assert_true(upset.upper > still.upper + 0.01 && isfinite(upset.upper));
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

/* Parameter-sensitive statements: the bars with the own plan, and without it. */
static void
the_own_plan_tells_what_parameters_do(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	double		own_error = 0.0;
	double		median_error = 0.0;
	double		ahead_error = 0.0;
	int			covered = 0;
	int			own_covered = 0;
	int64_t		n = 0;

	(void) state;
	world_make(&world, &(WorldRules) {.statements = 80, .runs = 120, .sensitive = 0.5, .decades = 3.8, .seed = 8});
	stages = world_fit(&world, ML_GRADIENT_BOOSTING, 60, &report);
	assert_int_equal(report.own_source, ML_SOURCE_MODEL);
	for (int64_t i = 0; i < world.data.nrows; i++)
	{
		MlForecast	own;
		MlForecast	ahead;

		if (!world_tests(&world, i, false) || !world.sensitive[world.group[i]])
			continue;
		own = world_ask(&world, stages, i, WORLD_OWN);
		ahead = world_ask(&world, stages, i, WORLD_AHEAD);
		own_error += fabs(world.target[i] - own.center);
		ahead_error += fabs(world.target[i] - ahead.center);
		median_error += fabs(world.target[i] - world.columns[W_CENTER][i]);
		covered += world.target[i] >= ahead.lower && world.target[i] <= ahead.upper;
		own_covered += world.target[i] >= own.lower && world.target[i] <= own.upper;
		ours[n++] = exp(fabs(world.target[i] - own.center));
	}
	print_message("# own %.3f, ahead %.3f, median %.3f; p90 q-error %.2f; coverage own %.3f ahead %.3f of %ld\n", own_error / n,
				  ahead_error / n, median_error / n, world_quantile(ours, n, 0.9), (double) own_covered / n, (double) covered / n, (long) n);
	assert_true(own_error <= 0.5 * median_error);
	assert_true(world_quantile(ours, n, 0.9) <= 2.0);
	assert_true(ahead_error <= 1.0 * median_error + 1e-9);
	assert_true((double) covered / n >= 0.87 && (double) own_covered / n >= 0.87);
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

/* Where parameters decide elsewhere, steady statements keep what their median gives. */
static void
stable_statements_are_as_good_as_their_median(void **state)
{
	static const double sensitive[] = {0.0, 0.5};

	(void) state;
	for (int w = 0; w < 2; w++)
	{
		World		world;
		MlStageReport report;
		MlStages   *stages;

		world_make(&world, &(WorldRules) {.statements = 80, .runs = 120, .sensitive = sensitive[w], .decades = 3.8, .seed = 8});
		stages = world_fit(&world, ML_GRADIENT_BOOSTING, 60, &report);
		for (int view = WORLD_AHEAD; view <= WORLD_OWN; view++)
		{
			int64_t		n = 0;

			for (int64_t i = 0; i < world.data.nrows; i++)
			{
				if (!world_tests(&world, i, false) || world.sensitive[world.group[i]])
					continue;
				ours[n] = exp(fabs(world.target[i] - world_ask(&world, stages, i, view).center));
				theirs[n++] = exp(fabs(world.target[i] - world.columns[W_CENTER][i]));
			}
			print_message("# %s: p50 %.4f against %.4f, p90 %.4f against %.4f\n", view == WORLD_AHEAD ? "ahead" : "own",
						  world_quantile(ours, n, 0.5), world_quantile(theirs, n, 0.5), world_quantile(ours, n, 0.9), world_quantile(theirs, n, 0.9));
			assert_true(world_quantile(ours, n, 0.5) <= 1.02 * world_quantile(theirs, n, 0.5));
			assert_true(world_quantile(ours, n, 0.9) <= 1.02 * world_quantile(theirs, n, 0.9));
		}
		pgaml_ml_stages_free(stages);
		world_free(&world);
	}
}

/* Statements never seen, pooled over five servers; of shapes seen and of new ones. */
static void
left_out_statements_are_as_good_as_their_cost(void **state)
{
	(void) state;
	for (int new_kinds = 0; new_kinds <= 3; new_kinds += 3)
	{
		int64_t		n = 0;

		for (int seed = 0; seed < 5; seed++)
		{
			World		world;
			MlStageReport report;
			MlStages   *stages;

			world_make(&world, &(WorldRules) {
					.statements = 150, .runs = 40, .left_out = 0.3, .uneven = true, .new_kinds = new_kinds, .seed = 50 + seed
					});
			stages = world_fit(&world, ML_GRADIENT_BOOSTING, 60, &report);
			for (int64_t i = 0; i < world.data.nrows; i++)
			{
				if (!world_tests(&world, i, true))
					continue;
				ours[n] = exp(fabs(world.target[i] - world_ask(&world, stages, i, WORLD_COLD).center));
				theirs[n++] = exp(fabs(world.target[i] - pgaml_ml_line_at(&stages->line, 0.0, world.columns[W_COST][i])));
			}
			pgaml_ml_stages_free(stages);
			world_free(&world);
		}
		print_message("# %s shapes: p50 %.3f against %.3f, p90 %.3f against %.3f\n", new_kinds ? "new" : "seen",
					  world_quantile(ours, n, 0.5), world_quantile(theirs, n, 0.5), world_quantile(ours, n, 0.9), world_quantile(theirs, n, 0.9));
		assert_true(world_quantile(ours, n, 0.5) <= 1.02 * world_quantile(theirs, n, 0.5));
		assert_true(world_quantile(ours, n, 0.9) <= 1.02 * world_quantile(theirs, n, 0.9));
		if (new_kinds == 0)
			assert_true(world_quantile(ours, n, 0.9) <= 0.67 * world_quantile(theirs, n, 0.9));
	}
}

/* Shapes that training never saw are more novel, and trusted less. */
static void
new_shapes_are_novel(void **state)
{
	static const MlModelType types[] = {ML_GRADIENT_BOOSTING, ML_RANDOM_FOREST};

	(void) state;
	for (int t = 0; t < 2; t++)
	{
		World		world;
		MlStageReport report;
		MlStages   *stages;
		double		novelty[2] = {0};
		double		confidence[2] = {0};
		int			n[2] = {0};

		world_make(&world, &(WorldRules) {.statements = 120, .runs = 60, .left_out = 0.3, .new_kinds = 3, .seed = 4});
		stages = world_fit(&world, types[t], 40, &report);
		for (int64_t i = 0; i < world.data.nrows; i++)
		{
			int			left_out = world.left_out[world.group[i]];
			MlForecast	f;

			if (world.part[i] != ML_PART_TEST)
				continue;
			f = world_ask(&world, stages, i, WORLD_COLD);
			assert_true(f.novelty >= 0.0 && f.novelty <= 1.0 && f.confidence <= 0.95 * (1.0 - f.novelty) + 1e-12);
			novelty[left_out] += f.novelty;
			confidence[left_out] += f.confidence;
			n[left_out]++;
		}
		print_message("# %s: novelty of seen %.3f, of new %.3f; confidence %.3f, %.3f; usual %.2f\n", pgaml_ml_type_name(types[t]),
					  novelty[0] / n[0], novelty[1] / n[1], confidence[0] / n[0], confidence[1] / n[1], stages->novelty.usual);
		assert_true(novelty[1] / n[1] > novelty[0] / n[0] + 0.3);
		assert_true(confidence[1] / n[1] < 0.7 * confidence[0] / n[0]);
		pgaml_ml_stages_free(stages);
		world_free(&world);
	}
}

/* One or two runs answer, with less confidence than three and an interval of their own. */
static void
few_runs_are_trusted_less(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	double		confidence[5] = {0};
	double		width[5] = {0};

	(void) state;
	world_make(&world, &(WorldRules) {.statements = 60, .runs = 40, .seed = 9});
	stages = world_fit(&world, ML_GRADIENT_BOOSTING, 20, &report);
	for (int64_t i = 0; i < world.data.nrows; i++)
	{
		int			runs = (int) (i % 40);
		MlForecast	f;

		if (runs > 4)
			continue;
		f = world_ask(&world, stages, i, runs > 0 ? WORLD_AHEAD : WORLD_COLD);
		assert_true((f.source == ML_SOURCE_HISTORY) == (runs > 0));
		assert_true(runs == 0 || (f.group == ML_INTERVAL_FEW_RUNS) == (runs < 3));
		confidence[runs] += f.confidence / 60;
		width[runs] += (f.upper - f.lower) / 60;
	}
	print_message("# confidence by runs %.3f %.3f %.3f %.3f\n", confidence[1], confidence[2], confidence[3], confidence[4]);
	assert_true(confidence[1] < confidence[2] && confidence[2] < 0.8 * confidence[3]);
	assert_true(width[1] > 0.0 && width[2] > 0.0);
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

/*
 * Times that repeat to the digit: every error is the same rounding, and an
 * interval that is narrower by the last bit of a float misses them all.
 */
static void
intervals_hold_times_that_repeat(void **state)
{
	World		world;
	MlStageReport report;
	MlStages   *stages;
	int64_t		n = 0;
	int64_t		covered = 0;

	(void) state;
	world_make(&world, &(WorldRules) {.statements = 10, .runs = 400, .seed = 5});
	for (int64_t i = 0; i < world.data.nrows; i++)
	{
		world.target[i] = log(0.37 + world.group[i]);
		world.columns[W_CENTER][i] = isnan(world.columns[W_CENTER][i]) ? NAN : (float) world.target[i];
		world.columns[W_SPREAD][i] = isnan(world.columns[W_SPREAD][i]) ? NAN : 0.0f;
	}
	stages = world_fit(&world, ML_GRADIENT_BOOSTING, 10, &report);
	for (int64_t i = 0; i < world.data.nrows; i++)
	{
		MlForecast	forecast = world_ask(&world, stages, i, WORLD_AHEAD);

		if (!world_tests(&world, i, false))
			continue;
		assert_true(forecast.calibrated);
		covered += world.target[i] >= forecast.lower && world.target[i] <= forecast.upper;
		n++;
	}
	assert_true(n > 500);
	assert_int_equal(covered, n);
	pgaml_ml_stages_free(stages);
	world_free(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adaptive_inference_keeps_its_bound),
		cmocka_unit_test(thinned_scores_promise_no_less),
		cmocka_unit_test(intervals_hold_in_every_group),
		cmocka_unit_test(coverage_stays_within_bounds_over_200_seeds),
		cmocka_unit_test(intervals_recover_from_a_shift),
		cmocka_unit_test(misses_widen_the_next_interval),
		cmocka_unit_test(the_own_plan_tells_what_parameters_do),
		cmocka_unit_test(stable_statements_are_as_good_as_their_median),
		cmocka_unit_test(left_out_statements_are_as_good_as_their_cost),
		cmocka_unit_test(new_shapes_are_novel),
		cmocka_unit_test(few_runs_are_trusted_less),
		cmocka_unit_test(intervals_hold_times_that_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
