/*-------------------------------------------------------------------------
 * shap.c
 *		Exact Shapley values of a prediction, for models of every type.
 *
 * In a tree, a feature that is not known sends a row both ways, by the
 * weight of the training rows (path-dependent expectation).  Then a leaf is
 * worth value x prod_j f_j, over the distinct features j of its path, where
 * f_j is o_j in {0, 1} when j is known (does the row pass all nodes of j?)
 * and z_j, a product of shares of weight, when it is not.  The Shapley weight
 * of a coalition of k among n - 1 others is the integral of
 * t^k (1 - t)^(n-1-k) over 0..1, so that the sum over all coalitions
 * collapses into
 *
 *		phi_i = value * (o_i - z_i) * integral of prod_{j != i} F_j(t) dt,
 *		F_j(t) = z_j + t (o_j - z_j)
 *
 * a polynomial, which Gauss-Legendre quadrature with enough points gives
 * exactly: the idea of Linear TreeSHAP (Yu et al. 2022), with positive weights
 * in place of an inverse of polynomials, so nothing cancels.  As everything is
 * linear in the values of the leaves, their products are summed over subtrees
 * and every edge is visited twice per row, once each way:
 *
 * 1. Down: E[edge] = E[edge above] x F of this edge's feature.  Where the
 *	  feature stood on the path before, F of the earlier edge is divided out.
 * 2. Up: E[edge] becomes the sum over the leaves below, and the feature gets
 *	  sum_q w_q (o - z) / F(t_q) E[edge](t_q), minus the same term of the
 *	  earlier edge of that feature, whose share those leaves were given too.
 *
 * Factors depend on the row through o only, so they are tabled per edge for
 * its three cases; nothing is divided while rows pass, and a share of zero is
 * no trouble: each quotient is reduced before it is tabled.
 *
 * Work per row is leaves x points.  One tree is tabled at a time, so memory is
 * that of the largest tree whatever the number of trees and rows.
 *-------------------------------------------------------------------------
 */
#include "ml/explain.h"

#include <math.h>
#include <string.h>

#include "model_internal.h"

#define BLOCK_ROWS	256			/* rows that pass a tree before the next one is tabled */
#define MAX_PAIRS	(ML_MAX_DEPTH / 4)	/* pairs of points; they suffice for 4 features each */

/* What stands in the table of an edge. */
typedef enum EdgeCase
{
	CASE_OFF,					/* the row fails here first, as to this feature */
	CASE_ON,					/* the row passes this and all earlier nodes of the feature */
	CASE_DEAD,					/* it failed at an earlier node of the feature */
	CASE_COUNT
} EdgeCase;

/* One tree, ready for rows.  Edge 2 * node + side; sides as in MlNode.child. */
typedef struct Plan
{
	const MlTree *tree;
	int32_t		nnodes;
	int			npairs;			/* pairs of quadrature points */
	double		expected;		/* of the tree */
	MlPair		points[MAX_PAIRS];
	MlPair		weights[MAX_PAIRS];

	int32_t    *above;			/* [nnodes] edge that leads to a node; 2 * nnodes: none, the root */
	int32_t    *earlier;		/* [nnodes] last edge above with the node's feature; 2 * nnodes: none */
	double	   *share;			/* [2 * nnodes] of the node's weight that goes along the edge */
	double	   *z;				/* [2 * nnodes] product of the shares of the feature down to here */
	MlPair	   *table;			/* [2 * nnodes][CASE_COUNT][2][npairs] factor down, term up */

	/* of the row at hand, plus one for edge 2 * nnodes */
	MlPair	   *product;		/* [2 * nnodes + 1][npairs] */
	uint8_t    *passed;			/* [2 * nnodes + 1] 1: passes all nodes of the feature so far */
	uint8_t    *kind;			/* [2 * nnodes] EdgeCase */
} Plan;

/*
 * Nodes and weights of the rule with n points on 0..1, exact up to degree
 * 2n - 1: Newton's method on the Legendre polynomial from Tricomi's guess.
 */
static void
quadrature(int n, double *points, double *weights)
{
	for (int i = 0; i < n; i++)
	{
		double		x = cos(3.14159265358979323846 * (i + 0.75) / (n + 0.5));
		double		slope = 1.0;

		for (int step = 0; step < 10; step++)
		{
			double		before = 1.0;
			double		value = x;

			for (int k = 2; k <= n; k++)
			{
				double		next = ((2 * k - 1) * x * value - (k - 1) * before) / k;

				before = value;
				value = next;
			}
			slope = n * (x * value - before) / (x * x - 1.0);
			x -= value / slope;
		}
		points[i] = 0.5 * (1.0 + x);
		weights[i] = 1.0 / ((1.0 - x * x) * slope * slope);
	}
}

static void
set_points(Plan *plan, int npairs)
{
	double		points[2 * MAX_PAIRS];
	double		weights[2 * MAX_PAIRS];

	plan->npairs = npairs;
	quadrature(2 * npairs, points, weights);
	for (int q = 0; q < npairs; q++)
	{
		plan->points[q] = (MlPair) {points[2 * q], points[2 * q + 1]};
		plan->weights[q] = (MlPair) {weights[2 * q], weights[2 * q + 1]};
	}
}

/*
 * Weights below each edge, as shares of the node's, from the leaves up.  In
 * a node without weight both ways count the same.
 */
static void
set_shares(Plan *plan)
{
	const MlTree *tree = plan->tree;
	double	   *below = plan->z;	/* borrowed until set_paths fills it */

	for (int32_t k = plan->nnodes - 1; k >= 0; k--)
	{
		double		total;

		for (int side = 0; side < 2; side++)
		{
			int32_t		child = tree->nodes[k].child[side];

			below[2 * k + side] = child < 0 ? (double) tree->covers[~child] :
				below[2 * child] + below[2 * child + 1];
		}
		total = below[2 * k] + below[2 * k + 1];
		for (int side = 0; side < 2; side++)
			plan->share[2 * k + side] = total > 0.0 ? below[2 * k + side] / total : 0.5;
	}
}

/*
 * How edges and features follow each other.  Returns the largest number of
 * distinct features on a path.
 */
static int
set_paths(Plan *plan)
{
	const MlTree *tree = plan->tree;
	int32_t		none = 2 * plan->nnodes;
	int			longest = 0;
	uint8_t    *distinct = plan->kind;	/* borrowed: per edge, features on the path */

	plan->above[0] = none;
	for (int32_t k = 0; k < plan->nnodes; k++)
	{
		const MlNode *node = &tree->nodes[k];
		int32_t		edge = plan->above[k];
		int			count = edge == none ? 0 : distinct[edge];

		while (edge != none && tree->nodes[edge / 2].feature != node->feature)
			edge = plan->above[edge / 2];
		plan->earlier[k] = edge;
		count += edge == none;
		longest = count > longest ? count : longest;
		for (int side = 0; side < 2; side++)
		{
			int32_t		down = 2 * k + side;

			plan->z[down] = plan->share[down] * (edge == none ? 1.0 : plan->z[edge]);
			distinct[down] = (uint8_t) count;
			if (node->child[side] >= 0)
				plan->above[node->child[side]] = down;
		}
	}
	return longest;
}

/*
 * The table of one edge.  The value of a leaf is part of the factors of the
 * edge to it.
 */
static void
table_edge(Plan *plan, int32_t edge, double value)
{
	int			n = plan->npairs;
	int32_t		earlier = plan->earlier[edge / 2];
	MlPair	   *table = plan->table + (size_t) edge * CASE_COUNT * 2 * n;
	MlPair		one = {1.0, 1.0};
	double		z = plan->z[edge];

	for (int q = 0; q < n; q++)
	{
		MlPair		t = plan->points[q];
		MlPair		w = plan->weights[q];
		MlPair		on = z + t * (1.0 - z);
		MlPair		before = one;	/* F of the earlier edge when the row passed it */
		MlPair		term = {0.0, 0.0};	/* what it gave its feature for leaves below here */

		if (earlier != 2 * plan->nnodes)
		{
			before = plan->z[earlier] + t * (1.0 - plan->z[earlier]);
			term = w * (1.0 - plan->z[earlier]) / before;
		}
		table[(2 * CASE_OFF) * n + q] = value * z * (one - t) / before;
		table[(2 * CASE_OFF + 1) * n + q] = -w / (one - t) - term;
		table[(2 * CASE_ON) * n + q] = value * on / before;
		table[(2 * CASE_ON + 1) * n + q] = w * (1.0 - z) / on - term;
		table[(2 * CASE_DEAD) * n + q] = value * plan->share[edge] * one;
		table[(2 * CASE_DEAD + 1) * n + q] = 0.0 * one;
	}
}

static void
table_tree(Plan *plan)
{
	const MlTree *tree = plan->tree;

	for (int32_t edge = 0; edge < 2 * plan->nnodes; edge++)
	{
		int32_t		child = tree->nodes[edge / 2].child[edge % 2];

		table_edge(plan, edge, child < 0 ? tree->leaves[~child] : 1.0);
	}
}

/*
 * Mean of the leaves by the same shares, in the sums of the product.
 */
static double
expected_of(const Plan *plan)
{
	const MlTree *tree = plan->tree;
	double	   *mean = plan->z;	/* borrowed: what an edge leads to */

	for (int32_t edge = 2 * plan->nnodes - 1; edge >= 0; edge--)
	{
		int32_t		child = tree->nodes[edge / 2].child[edge % 2];

		mean[edge] = plan->share[edge] *
			(child < 0 ? tree->leaves[~child] : mean[2 * child] + mean[2 * child + 1]);
	}
	return mean[0] + mean[1];
}

/* Prepare everything of a tree but its tables; returns distinct features on its longest path. */
static int
plan_tree(Plan *plan, const MlTree *tree)
{
	plan->tree = tree;
	plan->nnodes = tree->nleaves - 1;
	if (plan->nnodes == 0)
	{
		plan->expected = tree->leaves[0];
		return 0;
	}
	set_shares(plan);
	plan->expected = expected_of(plan);
	return set_paths(plan);
}

/*
 * Step 1 for one row.
 */
static inline __attribute__((always_inline)) void
pass_down(const Plan *plan, const float *row, int n)
{
	for (int32_t k = 0; k < plan->nnodes; k++)
	{
		const MlNode *node = &plan->tree->nodes[k];
		const MlPair *in = plan->product + (size_t) plan->above[k] * n;
		float		x = row[node->feature];
		int			left = (x <= node->threshold) | ((x != x) & node->missing_left);
		int			alive = plan->passed[plan->earlier[k]];

		for (int side = 0; side < 2; side++)
		{
			int32_t		edge = 2 * k + side;
			int			on = alive & (left == side);
			int			kind = alive ? on : CASE_DEAD;
			const MlPair *factor = plan->table + ((size_t) edge * CASE_COUNT + kind) * 2 * n;

			plan->passed[edge] = (uint8_t) on;
			plan->kind[edge] = (uint8_t) kind;
			for (int q = 0; q < n; q++)
				plan->product[(size_t) edge * n + q] = in[q] * factor[q];
		}
	}
}

/*
 * Step 2; phi has two partial sums for every feature.
 */
static inline __attribute__((always_inline)) void
pass_up(const Plan *plan, MlPair *phi, int n)
{
	for (int32_t k = plan->nnodes - 1; k >= 0; k--)
	{
		const MlPair *right = plan->product + (size_t) (2 * k) * n;
		const MlPair *left = right + n;
		const MlPair *right_term = plan->table + ((size_t) (2 * k) * CASE_COUNT + plan->kind[2 * k]) * 2 * n + n;
		const MlPair *left_term = plan->table + ((size_t) (2 * k + 1) * CASE_COUNT + plan->kind[2 * k + 1]) * 2 * n + n;
		MlPair	   *out = plan->product + (size_t) plan->above[k] * n;
		MlPair		sum = {0.0, 0.0};

		for (int q = 0; q < n; q++)
		{
			MlPair		a = right[q];
			MlPair		b = left[q];

			sum += a * right_term[q] + b * left_term[q];
			out[q] = a + b;
		}
		phi[plan->tree->nodes[k].feature] += sum;
	}
}

static inline __attribute__((always_inline)) void
pass_row(const Plan *plan, const float *row, MlPair *phi, int n)
{
	int32_t		none = 2 * plan->nnodes;

	plan->passed[none] = 1;
	for (int q = 0; q < n; q++)
		plan->product[(size_t) none * n + q] = (MlPair) {1.0, 1.0};
	pass_down(plan, row, n);
	pass_up(plan, phi, n);
}

/*
 * With the usual numbers of points known to the compiler.
 */
static void
explain_row(const Plan *plan, const float *row, MlPair *phi)
{
	switch (plan->npairs)
	{
		case 1:
			pass_row(plan, row, phi, 1);
			break;
		case 2:
			pass_row(plan, row, phi, 2);
			break;
		case 3:
			pass_row(plan, row, phi, 3);
			break;
		default:
			pass_row(plan, row, phi, plan->npairs);
	}
}

static int
pairs_for(int features)
{
	return features > 4 ? (features + 3) / 4 : 1;
}

/*
 * Memory for any tree of the model.
 */
static bool
plan_alloc(Plan *plan, const MlModel *model, const MlAllocator *allocator)
{
	size_t		nodes = 0;
	size_t		edge_pairs = 0; /* largest product of edges and pairs */

	for (int32_t t = 0; t < model->ntrees; t++)
		nodes = (size_t) model->trees[t].nleaves > nodes ? (size_t) model->trees[t].nleaves : nodes;
	plan->above = pgaml_ml_alloc(allocator, nodes, sizeof(int32_t));
	plan->earlier = pgaml_ml_alloc(allocator, nodes, sizeof(int32_t));
	plan->share = pgaml_ml_alloc(allocator, 2 * nodes, sizeof(double));
	plan->z = pgaml_ml_alloc(allocator, 2 * nodes, sizeof(double));
	plan->passed = pgaml_ml_alloc(allocator, 2 * nodes + 1, 1);
	plan->kind = pgaml_ml_alloc(allocator, 2 * nodes, 1);
	if (plan->above == NULL || plan->earlier == NULL || plan->share == NULL || plan->z == NULL ||
		plan->passed == NULL || plan->kind == NULL)
		return false;
	for (int32_t t = 0; t < model->ntrees; t++)
	{
		size_t		pairs = (size_t) pairs_for(plan_tree(plan, &model->trees[t]));
		size_t		product = (size_t) (2 * plan->nnodes + 1) * pairs;

		edge_pairs = product > edge_pairs ? product : edge_pairs;
	}
	plan->product = pgaml_ml_alloc(allocator, edge_pairs, sizeof(MlPair));
	plan->table = pgaml_ml_alloc(allocator, edge_pairs, CASE_COUNT * 2 * sizeof(MlPair));
	return plan->product != NULL && plan->table != NULL;
}

static void
plan_free(Plan *plan, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, plan->table);
	pgaml_ml_release(allocator, plan->product);
	pgaml_ml_release(allocator, plan->kind);
	pgaml_ml_release(allocator, plan->passed);
	pgaml_ml_release(allocator, plan->z);
	pgaml_ml_release(allocator, plan->share);
	pgaml_ml_release(allocator, plan->earlier);
	pgaml_ml_release(allocator, plan->above);
}

/*
 * Some rows through all trees; *expected is the sum over the trees.
 */
static bool
explain_block(Plan *plan, const MlModel *model, const float *rows, int64_t nrows, MlPair *phi,
			  MlTicker *ticker, double *expected)
{
	*expected = 0.0;
	for (int32_t t = 0; t < model->ntrees; t++)
	{
		int			npairs = pairs_for(plan_tree(plan, &model->trees[t]));

		*expected += plan->expected;
		if (plan->nnodes == 0 || nrows == 0)
			continue;
		if (npairs != plan->npairs)
			set_points(plan, npairs);
		table_tree(plan);
		for (int64_t i = 0; i < nrows; i++)
		{
			explain_row(plan, rows + i * model->nfeatures, phi + i * model->nfeatures);
			if (pgaml_ml_tick(ticker, (int64_t) plan->nnodes * (4 + 2 * npairs)))
				return true;
		}
	}
	return false;
}

/*
 * Everything in blocks; *expected is set even without rows.
 */
static MlStatus
explain_blocks(Plan *plan, const MlModel *model, const float *rows, int64_t nrows, MlPair *phi,
			   MlTicker *ticker, double share, double *expected, double *contributions, MlError *error)
{
	double		factor = model->type == ML_GRADIENT_BOOSTING ? 1.0 : 1.0 / model->ntrees;
	double		before = ticker->progress;
	int64_t		done = 0;

	do
	{
		int64_t		count = nrows - done < BLOCK_ROWS ? nrows - done : BLOCK_ROWS;
		size_t		cells = (size_t) count * (size_t) model->nfeatures;
		double	   *out = contributions + done * model->nfeatures;

		memset(phi, 0, cells * sizeof(MlPair));
		if (explain_block(plan, model, rows + done * model->nfeatures, count, phi, ticker, expected))
			return pgaml_ml_stopped(error, "explain");
		for (size_t i = 0; i < cells; i++)
			out[i] = factor * (phi[i][0] + phi[i][1]);
		done += count;
		ticker->progress = fmin(1.0, before + (nrows > 0 ? share * (double) done / (double) nrows : share));
	} while (done < nrows);
	*expected *= factor;
	if (model->type == ML_GRADIENT_BOOSTING)
		*expected += model->base;
	return ML_OK;
}

static MlStatus
explain_trees(const MlModel *model, const float *rows, int64_t nrows, const MlAllocator *allocator,
			  MlTicker *ticker, double share, double *expected, double *contributions, MlError *error)
{
	size_t		block = (size_t) (nrows < BLOCK_ROWS ? nrows : BLOCK_ROWS);
	MlPair	   *phi = pgaml_ml_alloc(allocator, block * (size_t) model->nfeatures, sizeof(MlPair));
	Plan		plan = {0};
	MlStatus	status;

	if (phi != NULL && plan_alloc(&plan, model, allocator))
		status = explain_blocks(&plan, model, rows, nrows, phi, ticker, share, expected, contributions, error);
	else
		status = pgaml_ml_nomem(error, "explain");
	plan_free(&plan, allocator);
	pgaml_ml_release(allocator, phi);
	return status;
}

/*
 * The terms of pgaml_ml_linear_predict.
 */
static void
explain_linear(const MlModel *model, const float *rows, int64_t nrows, double *contributions)
{
	for (int64_t i = 0; i < nrows * model->nfeatures; i++)
	{
		const MlLinearTerm *term = &model->terms[i % model->nfeatures];
		float		x = rows[i];

		x = x < term->low ? term->low : x > term->high ? term->high : x;
		contributions[i] = isnan(x) ? term->missing : term->slope * ((double) x - term->mean);
	}
}

MlStatus
pgaml_ml_explain_part(const MlModel *model, const float *rows, int64_t nrows,
					  const MlAllocator *allocator, MlTicker *ticker, double share,
					  double *expected, double *contributions, MlError *error)
{
	if (nrows < 0 || nrows > ML_MAX_ROWS)
		return pgaml_ml_fail(error, ML_E_ARG, "nrows", "%lld rows", (long long) nrows);
	if (model->type != ML_LINEAR_REGRESSION)
		return explain_trees(model, rows, nrows, allocator, ticker, share, expected, contributions, error);
	*expected = model->intercept;
	explain_linear(model, rows, nrows, contributions);
	return ML_OK;
}

MlStatus
pgaml_ml_explain(const MlModel *model, const float *rows, int64_t nrows,
				 const MlAllocator *allocator, const MlStop *stop,
				 double *expected, double *contributions, MlError *error)
{
	MlTicker	ticker = {.stop = stop};

	return pgaml_ml_explain_part(model, rows, nrows, allocator, &ticker, 1.0, expected, contributions, error);
}
