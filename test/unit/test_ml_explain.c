/*-------------------------------------------------------------------------
 * test_ml_explain.c
 *		Shapley values against their definition: all subsets of the features,
 *		on trees made by hand, at random and by training.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"
#include "ml/explain.h"
#include "ml/model_internal.h"
#include "ml/xgboost.h"

#define GOLDENS	"test/unit/xgboost" /* see goldens_xgboost.py */
#define MAX_FEATURES 12			/* of a model that is explained by brute force */

static const MlModelType all_types[] = {
	ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING
};

/* Weight below a child. */
static double
cover(const MlTree *tree, int32_t child)
{
	if (child < 0)
		return tree->covers[~child];
	return cover(tree, tree->nodes[child].child[0]) + cover(tree, tree->nodes[child].child[1]);
}

/* What a tree says when only the features in known may be looked at. */
static double
expectation(const MlTree *tree, int32_t at, const float *row, uint32_t known)
{
	const MlNode *node;
	double		weight[2];
	double		total;

	if (at < 0)
		return tree->leaves[~at];
	node = &tree->nodes[at];
	if (known >> node->feature & 1)
	{
		float		x = row[node->feature];
		bool		left = isnan(x) ? node->missing_left : x <= node->threshold;

		return expectation(tree, node->child[left], row, known);
	}
	weight[0] = cover(tree, node->child[0]);
	weight[1] = cover(tree, node->child[1]);
	total = weight[0] + weight[1];
	if (total == 0.0)
		weight[0] = weight[1] = 0.5, total = 1.0;
	return weight[0] / total * expectation(tree, node->child[0], row, known) +
		weight[1] / total * expectation(tree, node->child[1], row, known);
}

static double
model_expectation(const MlModel *model, const float *row, uint32_t known)
{
	double		sum = 0.0;

	for (int32_t t = 0; t < model->ntrees; t++)
		sum += expectation(&model->trees[t], model->trees[t].nleaves > 1 ? 0 : ~0, row, known);
	return model->type == ML_GRADIENT_BOOSTING ? model->base + sum : sum / model->ntrees;
}

/* The definition of the Shapley value, with 2^features expectations. */
static void
brute_force(const MlModel *model, const float *row, double *phi)
{
	int			n = model->nfeatures;
	double		worth[1 << MAX_FEATURES];
	double		weight[MAX_FEATURES];	/* k! (n - 1 - k)! / n! by size of the subset */

	weight[0] = 1.0 / n;
	for (int k = 1; k < n; k++)
		weight[k] = weight[k - 1] * k / (n - k);
	for (uint32_t s = 0; s < 1u << n; s++)
		worth[s] = model_expectation(model, row, s);
	for (int i = 0; i < n; i++)
	{
		phi[i] = 0.0;
		for (uint32_t s = 0; s < 1u << n; s++)
			if (!(s >> i & 1))
				phi[i] += weight[__builtin_popcount(s)] * (worth[s | 1u << i] - worth[s]);
	}
}

static double
explained(const MlModel *model, const float *row, double *phi)
{
	double		expected = NAN;
	double		sum;

	assert_int_equal(pgaml_ml_explain(model, row, 1, &plain_heap, NULL, &expected, phi, NULL), ML_OK);
	sum = expected;
	for (int32_t f = 0; f < model->nfeatures; f++)
		sum += phi[f];
	return sum;
}

/* Both ways agree, and everything adds up. */
static void
check_row(const MlModel *model, const float *row, double tolerance)
{
	double		phi[MAX_FEATURES];
	double		truth[MAX_FEATURES];
	double		sum = explained(model, row, phi);

	if (!(fabs(sum - pgaml_ml_predict(model, row)) <= tolerance))
		fail_msg("%.17g does not add up to %.17g", sum, pgaml_ml_predict(model, row));
	brute_force(model, row, truth);
	for (int32_t f = 0; f < model->nfeatures; f++)
		if (!(fabs(phi[f] - truth[f]) <= tolerance))
			fail_msg("feature %d: %.17g, not %.17g", (int) f, phi[f], truth[f]);
}

/* A tree being drawn, node after node in the stored order. */
typedef struct Drawing
{
	MlTree	   *tree;
	MlRng		rng;
	int32_t		nnodes;
	int32_t		nleaves;
	int			nfeatures;
	double		stop;			/* chance that a branch ends */
	double		empty;			/* chance that a leaf has no weight */
} Drawing;

static int32_t
draw(Drawing *d, int depth)
{
	int32_t		at;

	if (depth == 0 || (d->nnodes > 0 && pgaml_ml_rng_uniform(&d->rng) < d->stop))
	{
		at = d->nleaves++;
		d->tree->leaves[at] = pgaml_ml_rng_normal(&d->rng);
		d->tree->covers[at] = pgaml_ml_rng_uniform(&d->rng) < d->empty ? 0.0f :
			(float) (1 + pgaml_ml_rng_below(&d->rng, 50));
		return ~at;
	}
	at = d->nnodes++;
	d->tree->nodes[at].feature = (uint16_t) pgaml_ml_rng_below(&d->rng, (uint64_t) d->nfeatures);
	d->tree->nodes[at].threshold = (float) pgaml_ml_rng_normal(&d->rng);
	d->tree->nodes[at].missing_left = (uint8_t) pgaml_ml_rng_below(&d->rng, 2);
	d->tree->nodes[at].child[1] = draw(d, depth - 1);
	d->tree->nodes[at].child[0] = draw(d, depth - 1);
	return at;
}

static MlModel *
random_trees(MlModelType type, int ntrees, int nfeatures, int depth, double stop, double empty, uint64_t seed)
{
	MlModel    *model = pgaml_ml_model_create(type, nfeatures, ntrees, &plain_heap);
	Drawing		d = {.nfeatures = nfeatures, .stop = stop, .empty = empty};
	MlError		error;

	pgaml_ml_rng_seed(&d.rng, seed);
	model->base = 0.7;
	for (int t = 0; t < ntrees; t++)
	{
		MlTree		room;
		MlTree	   *tree = &model->trees[t];

		assert_true(pgaml_ml_tree_alloc(&room, 1 << depth, &plain_heap));
		d.tree = &room;
		d.nnodes = d.nleaves = 0;
		draw(&d, depth);
		assert_true(pgaml_ml_tree_alloc(tree, d.nleaves, &plain_heap));
		memcpy(tree->leaves, room.leaves, sizeof(double) * (size_t) d.nleaves);
		memcpy(tree->covers, room.covers, sizeof(float) * (size_t) d.nleaves);
		memcpy(tree->nodes, room.nodes, sizeof(MlNode) * (size_t) d.nnodes);
		free(room.leaves);
		model->ntrees++;
	}
	if (pgaml_ml_model_validate(model, &error) != ML_OK)
		fail_msg("%s", error.message);
	return model;
}

static void
random_row(MlRng *rng, int nfeatures, double missing, float *row)
{
	for (int f = 0; f < nfeatures; f++)
		row[f] = pgaml_ml_rng_uniform(rng) < missing ? NAN : (float) pgaml_ml_rng_normal(rng);
}

static void
shapley_values_are_those_of_the_definition(void **state)
{
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 1);
	for (int depth = 1; depth <= 12; depth++)
	{
		/* few features: they come again and again on a path; many: they do not */
		for (int nfeatures = 1; nfeatures <= 10; nfeatures += 3)
		{
			MlModel    *model = random_trees(depth % 2 ? ML_RANDOM_FOREST : ML_GRADIENT_BOOSTING, 2, nfeatures,
											 depth, depth > 6 ? 0.35 : 0.1, 0.0, (uint64_t) (depth * 20 + nfeatures));
			float		row[MAX_FEATURES];

			for (int i = 0; i < 6; i++)
			{
				random_row(&rng, nfeatures, i % 3 * 0.3, row);
				check_row(model, row, 1e-12);
			}
			pgaml_ml_model_free(model);
		}
	}
}

static void
leaves_without_weight_do_no_harm(void **state)
{
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 2);
	for (int i = 0; i < 30; i++)
	{
		MlModel    *model = random_trees(ML_GRADIENT_BOOSTING, 1, 5, 6, 0.1, i < 15 ? 0.5 : 1.0, (uint64_t) i);
		float		row[MAX_FEATURES];

		random_row(&rng, 5, 0.2, row);
		check_row(model, row, 1e-12);
		pgaml_ml_model_free(model);
	}
}

/*
 * f = 3 if a <= 0 and b <= 0, else 0; half of the weight on each side of both
 * nodes.  By hand: expected 0.75, a row with both gets 1.125 from each.
 */
static void
a_tree_by_hand(void **state)
{
	MlModel    *model = pgaml_ml_model_create(ML_DECISION_TREE, 3, 1, &plain_heap);
	MlTree	   *tree = &model->trees[0];
	float		both[] = {-1, -1, 5};
	float		none[] = {1, 1, 5};
	double		phi[3];

	(void) state;
	assert_true(pgaml_ml_tree_alloc(tree, 3, &plain_heap));
	model->ntrees = 1;
	tree->nodes[0] = (MlNode) {.feature = 0, .child = {~2, 1}};
	tree->nodes[1] = (MlNode) {.feature = 1, .child = {~1, ~0}};
	tree->leaves[0] = 3.0;
	tree->covers[0] = tree->covers[1] = 10.0f;
	tree->covers[2] = 20.0f;
	assert_float_equal(explained(model, both, phi), 3.0, 1e-15);
	assert_float_equal(phi[0], 1.125, 1e-15);
	assert_float_equal(phi[1], 1.125, 1e-15);
	assert_float_equal(phi[2], 0.0, 0.0);
	assert_float_equal(explained(model, none, phi), 0.0, 1e-15);
	assert_float_equal(phi[0], -0.375, 1e-15);
	assert_float_equal(phi[1], -0.375, 1e-15);
	pgaml_ml_model_free(model);
}

static char *
read_golden(const char *name, const char *suffix, size_t *length)
{
	char		path[512];
	char	   *bytes = calloc(1, 1 << 20);
	FILE	   *in;

	snprintf(path, sizeof(path), "%s/%s%s", GOLDENS, name, suffix);
	in = fopen(path, "rb");
	if (in == NULL)
		fail_msg("cannot read %s", path);
	*length = fread(bytes, 1, (1 << 20) - 1, in);
	fclose(in);
	return bytes;
}

/* What XGBoost, in floats, says of the last rows of a golden. */
static void
check_golden(const char *name)
{
	size_t		length;
	char	   *rows = read_golden(name, ".rows", &length);
	char	   *shap = read_golden(name, ".shap", &length);
	char	   *json = read_golden(name, ".json", &length);
	char	   *row_at = rows;
	char	   *shap_at = shap;
	MlModel    *model;
	int			n = 0;

	assert_int_equal(pgaml_ml_xgboost_read((uint8_t *) json, length, NULL, 0, NULL, 0, &plain_heap, NULL,
										   &model, NULL), ML_OK);
	for (int skip = 0; skip < 140; skip++)
		row_at = strchr(row_at, '\n') + 1;
	for (; *shap_at != '\0'; n++)
	{
		float		row[4];
		double		phi[4];

		for (int f = 0; f < 4; f++)
			row[f] = strtof(row_at, &row_at);
		row_at = strchr(row_at, '\n') + 1;
		(void) explained(model, row, phi);
		for (int f = 0; f < 4; f++)
		{
			double		want = strtod(shap_at, &shap_at);

			if (!(fabs(phi[f] - want) <= 2e-5))
				fail_msg("%s, row %d, feature %d: %.9g, XGBoost says %.9g", name, n, f, phi[f], want);
		}
		assert_float_equal(model_expectation(model, row, 0), strtod(shap_at, &shap_at), 2e-5);
		shap_at += strspn(shap_at, "\n");
	}
	assert_int_equal(n, 60);
	pgaml_ml_model_free(model);
	free(rows);
	free(shap);
	free(json);
}

static void
contributions_are_those_of_xgboost(void **state)
{
	static const char *const names[] = {
		"depthwise", "lossguide", "parallel", "absolute", "huber", "pruned", "no_trees"
	};

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_golden(names[i]);
}

/* Everything that a real fit gives: weights, gaps, all types, leaves by the hundred. */
static void
contributions_add_up_for_every_type(void **state)
{
	Table		table = table_random(3000, 40, 3);
	float	   *rows = malloc(600 * 40 * sizeof(float));
	double	   *phi = malloc(600 * 40 * sizeof(double));

	(void) state;
	table_set_weights(&table);
	for (int64_t i = 0; i < 3000; i++)
	{
		table.weight[i] = (float) (i % 7);
		table.target[i] *= 5.0;
		table_column(&table, (int32_t) (i % 40))[i] = NAN;
		table_column(&table, 0)[i] = i % 5 ? table_column(&table, 0)[i] : NAN;
	}
	for (int64_t i = 0; i < 600; i++)
		for (int32_t f = 0; f < 40; f++)
			rows[i * 40 + f] = table.columns[f][i];
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = all_types[t] == ML_LINEAR_REGRESSION ? train(&table, all_types[t], NULL) :
			train(&table, all_types[t], "max_leaves", 300.0, "min_samples_leaf", 2.0, NULL);
		double		expected;
		double		moved = 0.0;

		assert_int_equal(pgaml_ml_explain(model, rows, 600, &plain_heap, NULL, &expected, phi, NULL), ML_OK);
		for (int64_t i = 0; i < 600; i++)
		{
			double		sum = expected;

			for (int32_t f = 0; f < 40; f++)
			{
				sum += phi[i * 40 + f];
				moved += fabs(phi[i * 40 + f]);
			}
			if (!(fabs(sum - pgaml_ml_predict(model, rows + i * 40)) <= 1e-9))
				fail_msg("%s: row %lld is off by %g", pgaml_ml_type_name(all_types[t]), (long long) i,
						 sum - pgaml_ml_predict(model, rows + i * 40));
		}
		assert_true(moved > 600.0);
		pgaml_ml_model_free(model);
	}
	free(rows);
	free(phi);
	table_free(&table);
}

/* Rows in one call, more than a block of them, are explained as one by one. */
static void
rows_do_not_touch_each_other(void **state)
{
	MlModel    *model = random_trees(ML_RANDOM_FOREST, 5, 8, 6, 0.1, 0.0, 4);
	float		rows[600 * 8];
	double		phi[600 * 8];
	double		expected;
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 5);
	random_row(&rng, 600 * 8, 0.1, rows);
	assert_int_equal(pgaml_ml_explain(model, rows, 600, &plain_heap, NULL, &expected, phi, NULL), ML_OK);
	for (int i = 0; i < 600; i += 37)
	{
		double		alone[8];

		(void) explained(model, rows + i * 8, alone);
		assert_memory_equal(alone, phi + i * 8, sizeof(alone));
	}
	assert_float_equal(expected, model_expectation(model, rows, 0), 1e-12);
	expected = NAN;
	assert_int_equal(pgaml_ml_explain(model, NULL, 0, &plain_heap, NULL, &expected, NULL, NULL), ML_OK);
	assert_float_equal(expected, model_expectation(model, rows, 0), 1e-12);
	assert_int_equal(pgaml_ml_explain(model, NULL, -1, &plain_heap, NULL, &expected, NULL, NULL), ML_E_ARG);
	pgaml_ml_model_free(model);
}

/* A path of 64 nodes, on 64 features and on 3. */
static void
the_deepest_path_adds_up(void **state)
{
	(void) state;
	for (int nfeatures = 64; nfeatures >= 3; nfeatures -= 61)
	{
		MlModel    *model = pgaml_ml_model_create(ML_DECISION_TREE, nfeatures, 1, &plain_heap);
		MlTree	   *tree = &model->trees[0];
		MlRng		rng;

		assert_true(pgaml_ml_tree_alloc(tree, 65, &plain_heap));
		model->ntrees = 1;
		pgaml_ml_rng_seed(&rng, 6);
		for (int k = 0; k < 64; k++)
		{
			tree->nodes[k] = (MlNode) {
				.feature = (uint16_t) (k % nfeatures), .threshold = 0.1f * (float) (64 - k),
				.child = {~(64 - k), k < 63 ? k + 1 : ~0}
			};
			tree->leaves[k] = pgaml_ml_rng_normal(&rng);
			tree->covers[k] = (float) (1 + pgaml_ml_rng_below(&rng, 9));
		}
		tree->leaves[64] = 1.0;
		tree->covers[64] = 1.0f;
		assert_int_equal(pgaml_ml_model_validate(model, NULL), ML_OK);
		for (int i = 0; i < 200; i++)
		{
			float		row[64];
			double		phi[64];

			for (int f = 0; f < nfeatures; f++)
				row[f] = (float) (7.0 * pgaml_ml_rng_uniform(&rng) * pgaml_ml_rng_uniform(&rng));
			assert_float_equal(explained(model, row, phi), pgaml_ml_predict(model, row), 1e-12);
			if (nfeatures == 3)
				check_row(model, row, 1e-12);
		}
		pgaml_ml_model_free(model);
	}
}

/* Symmetry and dummy: equals get the same, what no tree looks at gets nothing; order of columns is nothing. */
static void
columns_may_be_permuted(void **state)
{
	MlModel    *model = random_trees(ML_GRADIENT_BOOSTING, 4, 6, 5, 0.1, 0.0, 8);
	MlModel    *moved = random_trees(ML_GRADIENT_BOOSTING, 4, 6, 5, 0.1, 0.0, 8);
	float		row[8] = {0.1f, NAN, -0.4f, 1.2f, 0.0f, -2.0f, 9.0f, 9.0f};
	float		moved_row[8] = {9.0f, 9.0f};
	double		phi[8];
	double		moved_phi[8];

	(void) state;
	model->nfeatures = moved->nfeatures = 8;
	for (int f = 0; f < 6; f++)
		moved_row[7 - f] = row[f];
	for (int t = 0; t < 4; t++)
		for (int32_t k = 0; k + 1 < moved->trees[t].nleaves; k++)
			moved->trees[t].nodes[k].feature = (uint16_t) (7 - moved->trees[t].nodes[k].feature);
	(void) explained(model, row, phi);
	(void) explained(moved, moved_row, moved_phi);
	for (int f = 0; f < 8; f++)
		assert_float_equal(phi[f], moved_phi[7 - f], 0.0);
	assert_true(phi[6] == 0.0 && phi[7] == 0.0 && phi[1] != 0.0);
	pgaml_ml_model_free(model);
	pgaml_ml_model_free(moved);
}

static void
models_of_one_leaf_have_nothing_to_explain(void **state)
{
	Table		table = table_random(50, 3, 9);

	(void) state;
	for (int64_t i = 0; i < 50; i++)
		table.target[i] = 2.5;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = train(&table, all_types[t], NULL);
		float		row[3] = {1, NAN, 3};
		double		phi[3];

		assert_float_equal(explained(model, row, phi), 2.5, 1e-12);
		for (int f = 0; f < 3; f++)
			assert_float_equal(phi[f], 0.0, 1e-12);
		pgaml_ml_model_free(model);
	}
	table_free(&table);
}

static void
explaining_survives_any_failed_allocation(void **state)
{
	MlModel    *model = random_trees(ML_GRADIENT_BOOSTING, 3, 6, 5, 0.1, 0.0, 10);
	float		row[6] = {0};
	double		phi[6];
	double		expected;
	int64_t		n = 0;
	MlStatus	status;

	(void) state;
	do
	{
		Counter		counter = {.fail_at = ++n};
		MlAllocator allocator = counting(&counter);

		status = pgaml_ml_explain(model, row, 1, &allocator, NULL, &expected, phi, NULL);
		assert_int_equal(counter.held, 0);
		assert_int_equal(status, counter.calls < n ? ML_OK : ML_E_NOMEM);
	} while (status != ML_OK);
	assert_true(n > 5);
	pgaml_ml_model_free(model);
}

static bool
ask(void *state, double progress)
{
	int		   *questions = state;

	assert_true(progress >= 0.0 && progress <= 1.0);
	return ++*questions == 3;
}

static void
explaining_can_be_stopped(void **state)
{
	MlModel    *model = random_trees(ML_GRADIENT_BOOSTING, 20, 6, 8, 0.0, 0.0, 11);
	float	   *rows = calloc(2000 * 6, sizeof(float));
	double	   *phi = calloc(2000 * 6, sizeof(double));
	int			questions = 0;
	MlStop		stop = {ask, &questions};
	Counter		counter = {0};
	MlAllocator allocator = counting(&counter);
	double		expected;

	(void) state;
	assert_int_equal(pgaml_ml_explain(model, rows, 2000, &allocator, &stop, &expected, phi, NULL), ML_E_STOPPED);
	assert_int_equal(questions, 3);
	assert_int_equal(counter.held, 0);
	free(rows);
	free(phi);
	pgaml_ml_model_free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_by_hand),
		cmocka_unit_test(shapley_values_are_those_of_the_definition),
		cmocka_unit_test(leaves_without_weight_do_no_harm),
		cmocka_unit_test(contributions_are_those_of_xgboost),
		cmocka_unit_test(contributions_add_up_for_every_type),
		cmocka_unit_test(rows_do_not_touch_each_other),
		cmocka_unit_test(the_deepest_path_adds_up),
		cmocka_unit_test(columns_may_be_permuted),
		cmocka_unit_test(models_of_one_leaf_have_nothing_to_explain),
		cmocka_unit_test(explaining_survives_any_failed_allocation),
		cmocka_unit_test(explaining_can_be_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
