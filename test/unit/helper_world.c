/*-------------------------------------------------------------------------
 * helper_world.c
 *		A simulated server for tests of the stages; see helper_world.h.
 *-------------------------------------------------------------------------
 */
#include "helper_world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"

const MlStageLayout world_layout = {
	.feature_version = 1, .nfeatures = W_COUNT, .lag_center = W_CENTER, .lag_spread = W_SPREAD, .lag_runs = W_RUNS,
	.cost = W_COST,
	.roles = {
		[W_COST] = ML_ROLE_PLAN, [W_ROWS] = ML_ROLE_PLAN, [W_KIND] = ML_ROLE_PLAN, [W_JOINS] = ML_ROLE_PLAN,
		[W_CENTER ... W_RUNS] = ML_ROLE_PAST,
		[W_COST_DEPARTURE ... W_LINE_DEPARTURE] = ML_ROLE_PAST | ML_ROLE_PLAN
	}
};

/* What decides the times of one statement. */
typedef struct Statement
{
	int			kind;
	int			joins;
	double		cost;			/* log, middle */
	double		offset;			/* log ms off its kind's line */
	double		spread;			/* of single executions */
	bool		sensitive;
} Statement;

static double
kind_time(int kind, double cost)
{
	static const double intercept[WORLD_KINDS] = {-4.0, -1.0, -6.0, -2.5, -3.0};
	static const double slope[WORLD_KINDS] = {0.9, 0.7, 1.1, 0.5, 0.8};

	return intercept[kind] + slope[kind] * cost;
}

static Statement
make_statement(const WorldRules *rules, bool left_out, MlRng *rng)
{
	Statement	s;

	s.kind = (int) pgaml_ml_rng_below(rng, WORLD_KINDS);
	if (rules->new_kinds > 0)
		s.kind = left_out ? rules->new_kinds + s.kind % (WORLD_KINDS - rules->new_kinds) : s.kind % rules->new_kinds;
	s.joins = (int) pgaml_ml_rng_below(rng, 4);
	s.cost = 2.0 + 8.0 * pgaml_ml_rng_uniform(rng);
	s.offset = 0.3 * pgaml_ml_rng_normal(rng);
	s.spread = 0.05 + 0.2 * pgaml_ml_rng_uniform(rng);
	s.sensitive = pgaml_ml_rng_uniform(rng) < rules->sensitive;
	return s;
}

static void
make_row(World *world, int64_t row, int group, int j, int n, const Statement *s, const WorldRules *rules, PgamlRuns *runs,
		 MlRng *rng)
{
	double		moved = s->sensitive ? rules->decades * (pgaml_ml_rng_uniform(rng) - 0.5) : 0.0;
	double		cost = s->cost + moved;
	double		rows = 1.0 + 0.8 * cost + 0.1 * s->kind;
	double		y = kind_time(s->kind, s->cost) + 1.1 * moved + 0.4 * s->joins + s->offset + s->spread * pgaml_ml_rng_normal(rng);
	PgamlRun	run = {.at = j, .log_ms = (float) y, .cost = (float) cost, .plan_rows = (float) rows, .plan = group + 1,
	.rows = NAN, .hit_ratio = NAN, .active = NAN};
	PgamlRunsSummary summary;
	PgamlDeparture departure;
	float		values[W_COUNT] = {(float) cost, (float) rows, (float) s->kind, (float) s->joins};

	pgaml_runs_summary(runs, group + 1, &summary);
	pgaml_runs_departure(runs, &summary, (float) cost, (float) rows, &departure);
	values[W_CENTER] = summary.center;
	values[W_SPREAD] = summary.spread;
	values[W_RUNS] = summary.runs > 0 ? (float) summary.runs : NAN;
	values[W_COST_DEPARTURE] = departure.cost;
	values[W_ROWS_DEPARTURE] = departure.rows;
	values[W_NEAR_DEPARTURE] = departure.near;
	values[W_LINE_DEPARTURE] = departure.line;
	for (int k = 0; k < W_COUNT; k++)
		world->columns[k][row] = values[k];
	world->target[row] = y;
	world->group[row] = group;
	world->plan[row] = group + 1;
	world->single[row] = 1;
	world->part[row] = world->left_out[group] || j >= n * 8 / 10 ? ML_PART_TEST :
		j < n * 5 / 10 ? ML_PART_TRAIN : ML_PART_CALIBRATE;
	pgaml_runs_push(runs, &run);
}

void
world_make(World *world, const WorldRules *rules)
{
	int64_t		room = (int64_t) rules->statements * rules->runs;
	int64_t		n = 0;
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, rules->seed);
	for (int k = 0; k < W_COUNT; k++)
		world->columns[k] = malloc(sizeof(float) * room);
	world->target = malloc(sizeof(double) * room);
	world->group = malloc(sizeof(int32_t) * room);
	world->plan = malloc(sizeof(int64_t) * room);
	world->part = malloc(room);
	world->single = malloc(room);
	world->key = malloc(sizeof(int64_t) * rules->statements);
	world->sensitive = malloc(rules->statements);
	world->left_out = malloc(rules->statements);
	for (int g = 0; g < rules->statements; g++)
	{
		Statement	s;
		PgamlRuns	runs = {0};
		int			mine = rules->runs;

		world->left_out[g] = pgaml_ml_rng_uniform(&rng) < rules->left_out;
		s = make_statement(rules, world->left_out[g], &rng);
		world->sensitive[g] = s.sensitive;
		world->key[g] = g % 2 ? 1000 - g : g - 1000;	/* not ascending */
		if (rules->uneven)
			mine = (int) (mine * pow(0.1, pgaml_ml_rng_uniform(&rng)));
		for (int j = 0; j < mine; j++)
			make_row(world, n++, g, j, mine, &s, rules, &runs, &rng);
	}
	world->data = (MlStageData) {
		.nrows = n, .columns = (const float *const *) world->columns, .target = world->target,
		.group = world->group, .ngroups = rules->statements, .plan = world->plan, .part = world->part,
		.single = world->single, .group_key = world->key
	};
}

void
world_free(World *world)
{
	for (int k = 0; k < W_COUNT; k++)
		free(world->columns[k]);
	free(world->target);
	free(world->group);
	free(world->plan);
	free(world->key);
	free(world->part);
	free(world->single);
	free(world->sensitive);
	free(world->left_out);
}

MlForecast
world_ask(const World *world, const MlStages *stages, int64_t i, WorldView view)
{
	float		row[W_COUNT];
	float		scratch[W_COUNT];
	float		recent[ML_STAGE_RECENT];
	int64_t		runs = world->columns[W_RUNS][i] >= 1.0f ? (int64_t) world->columns[W_RUNS][i] : 0;
	bool		first = i == 0 || world->group[i - 1] != world->group[i];
	MlStageQuery query = {
		.row = row, .key = world->key[world->group[i]], .plan = world->plan[i], .own_plan = view == WORLD_OWN,
		.coverage = 0.9, .recent = recent, .nrecent = (int32_t) runs
	};
	MlForecast	forecast;

	for (int64_t k = 0; k < runs; k++)
		recent[k] = (float) world->target[i - runs + k];
	for (int k = 0; k < W_COUNT; k++)
	{
		row[k] = world->columns[k][view == WORLD_AHEAD && !first && (world_layout.roles[k] & ML_ROLE_PLAN) ? i - 1 : i];
		if (view == WORLD_COLD && (world_layout.roles[k] & ML_ROLE_PAST))
			row[k] = NAN;
	}
	if (view == WORLD_COLD)
		query.nrecent = 0;
	pgaml_ml_stages_predict(stages, &query, scratch, &forecast);
	return forecast;
}

MlStages *
world_fit(const World *world, MlModelType type, int n_trees, MlStageReport *report)
{
	MlParams	params;
	MlStages   *stages = NULL;
	MlError		error = {0};

	pgaml_ml_params_default(type, &params);
	params.n_trees = n_trees;
	params.max_leaves = 15;
	params.seed = 1;
	if (pgaml_ml_stages_fit(&world->data, &world_layout, &params, &plain_heap, NULL, &stages, report, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return stages;
}

bool
world_tests(const World *world, int64_t i, bool left_out)
{
	return world->part[i] == ML_PART_TEST && world->left_out[world->group[i]] == left_out;
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

double
world_quantile(double *values, int64_t n, double q)
{
	assert_true(n > 0);
	qsort(values, n, sizeof(double), compare_double);
	return values[(int64_t) (q * (n - 1) + 0.5)];
}
