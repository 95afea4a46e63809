/*-------------------------------------------------------------------------
 * linear.c
 *		Ridge regression (Hoerl and Kennard 1970) on standardised features.
 *
 * A missing value counts as the feature's training mean, and features that
 * were missing somewhere get an indicator of their own.  The intercept is not
 * penalised.  Constant columns and columns that depend on others get slope 0.
 * Prediction clamps each input to the range of training: a line must not run
 * away where it has seen nothing.
 *
 * Standard errors are the classical ones for independent errors of equal
 * variance s2 (divided by a row's weight): with G = X'WX and A = G + l2,
 * Var(b) = s2 A^-1 G A^-1 (Hoerl and Kennard 1970, equation 4.4), where s2 is the weighted
 * residual sum of squares over n - tr(A^-1 G) - 1, the effective degrees of
 * freedom (Hastie, Tibshirani and Friedman 2009, equation 3.50).  They tell the spread of the
 * slope around what ridge shrinks it to, not its bias.
 *-------------------------------------------------------------------------
 */
#include "matrix_internal.h"
#include "model_internal.h"

#include <math.h>
#include <string.h>

#define LANES 4					/* partial sums, so that adds need not wait for each other */


/* Standardisation of a feature and its place in the system. */
typedef struct Column
{
	double		mean;
	double		inverse;		/* 1 / standard deviation; 0: constant */
	double		missing_share;	/* weight of missing values, 0..1 */
	double		missing_inverse;	/* 1 / standard deviation of the indicator; 0: none */
	int32_t		missing_at;		/* column of the indicator, or -1 */
} Column;

size_t
pgaml_ml_fit_linear_memory(int32_t nfeatures)
{
	size_t		n = 2 * (size_t) nfeatures + 1;

	return (size_t) nfeatures * (sizeof(Column) + sizeof(MlLinearTerm)) +
		(n * n + 3 * n + n * ML_GRAM_ROWS) * sizeof(double);
}

/*
 * Weighted mean over the values that are there, their range, and the weight
 * that is missing.  Returns the weight that is there.
 */
static double
column_mean(const float *x, const MlPrepared *p, Column *column, MlLinearTerm *term)
{
	double		sums[LANES] = {0};
	double		weights[LANES] = {0};
	double		totals[LANES] = {0};
	double		weight = 0.0;
	double		sum = 0.0;
	double		total = 0.0;
	float		low = INFINITY;
	float		high = -INFINITY;

	for (int32_t i = 0; i < p->nrows; i++)
	{
		float		value = x[p->rows[i]];
		double		w = p->weight[i];
		bool		there = value == value;

		sums[i % LANES] += there ? w * (double) value : 0.0;
		weights[i % LANES] += there ? w : 0.0;
		totals[i % LANES] += w;
		low = value < low ? value : low;
		high = value > high ? value : high;
	}
	for (int lane = 0; lane < LANES; lane++)
	{
		sum += sums[lane];
		weight += weights[lane];
		total += totals[lane];
	}
	term->low = weight > 0.0 ? low : 0.0f;
	term->high = weight > 0.0 ? high : 0.0f;
	column->mean = weight > 0.0 ? sum / weight : 0.0;
	column->missing_share = 1.0 - weight / total;
	return weight / total;
}

static double
column_variance(const float *x, const MlPrepared *p, double mean)
{
	double		sums[LANES] = {0};
	double		totals[LANES] = {0};

	for (int32_t i = 0; i < p->nrows; i++)
	{
		float		value = x[p->rows[i]];
		double		d = value == value ? (double) value - mean : 0.0;

		sums[i % LANES] += p->weight[i] * d * d;
		totals[i % LANES] += p->weight[i];
	}
	return (sums[0] + sums[1] + sums[2] + sums[3]) / (totals[0] + totals[1] + totals[2] + totals[3]);
}

/*
 * Standardise every feature; returns the number of columns of the system.
 */
static int32_t
standardise(const MlDataset *data, const MlPrepared *p, Column *columns, MlLinearTerm *terms,
			MlTicker *ticker, bool *stopped)
{
	int32_t		n = data->nfeatures;

	for (int32_t f = 0; f < data->nfeatures && !*stopped; f++)
	{
		Column	   *column = &columns[f];
		double		there = column_mean(data->columns[f], p, column, &terms[f]);
		double		variance = column_variance(data->columns[f], p, column->mean);

		/* a range of one value is constant whatever rounding says */
		column->inverse = terms[f].high > terms[f].low && variance > 0.0 ? 1.0 / sqrt(variance) : 0.0;
		column->missing_at = -1;
		if (column->missing_share > 0.0 && there > 0.0)
		{
			column->missing_at = n++;
			column->missing_inverse = 1.0 / sqrt(column->missing_share * there);
		}
		*stopped = pgaml_ml_tick(ticker, 4 * (int64_t) p->nrows);
	}
	return n;
}

/*
 * One block of standardised rows, each times the root of its weight; the
 * target is the last of the n columns.  Rows past the end are zero.
 */
static void
fill_block(const MlDataset *data, const MlPrepared *p, const Column *columns,
		   int32_t begin, int32_t count, int32_t n, double *block)
{
	double		root[ML_GRAM_ROWS] = {0};

	if (count < ML_GRAM_ROWS)
		memset(block, 0, (size_t) n * ML_GRAM_ROWS * sizeof(double));
	for (int32_t i = 0; i < count; i++)
		root[i] = sqrt(p->weight[begin + i]);

	for (int32_t f = 0; f < data->nfeatures; f++)
	{
		const Column *column = &columns[f];
		const float *x = data->columns[f];
		const int32_t *rows = p->rows + begin;
		double	   *out = block + (size_t) f * ML_GRAM_ROWS;

		for (int32_t i = 0; i < count; i++)
		{
			float		value = x[rows[i]];
			double		z = ((double) value - column->mean) * column->inverse;

			out[i] = value == value ? root[i] * z : 0.0;
		}
		if (column->missing_at < 0)
			continue;
		out = block + (size_t) column->missing_at * ML_GRAM_ROWS;
		for (int32_t i = 0; i < count; i++)
		{
			double		indicator = isnan(x[rows[i]]) ? 1.0 : 0.0;

			out[i] = root[i] * (indicator - column->missing_share) * column->missing_inverse;
		}
	}
	for (int32_t i = 0; i < count; i++)
		block[(size_t) (n - 1) * ML_GRAM_ROWS + (size_t) i] = root[i] * p->target[begin + i];
}

/*
 * The normal equations: gram (n x n, n counts the target) from all rows.
 */
static bool
accumulate(const MlDataset *data, const MlPrepared *p, const Column *columns, int32_t n,
		   double *block, double *gram, MlTicker *ticker)
{
	for (int32_t begin = 0; begin < p->nrows; begin += ML_GRAM_ROWS)
	{
		int32_t		count = p->nrows - begin < ML_GRAM_ROWS ? p->nrows - begin : ML_GRAM_ROWS;

		fill_block(data, p, columns, begin, count, n, block);
		pgaml_ml_gram_add(block, n, gram);
		ticker->progress = (double) begin / p->nrows;
		if (pgaml_ml_tick(ticker, (int64_t) n * n * (ML_GRAM_ROWS / 8) + 4 * n * ML_GRAM_ROWS))
			return true;
	}
	return false;
}

/*
 * Standard errors of the solution into error; b is scratch for n - 1 values.
 * With G = A - l2: A^-1 G A^-1 = A^-1 - l2 A^-2, and the residual sum of
 * squares is y'y - x'(X'y) - l2 x'x.  True when stopped.
 */
static bool
standard_errors(const double *factor, int32_t n, int32_t nrows, double l2, double target_square,
				const double *solution, double *b, double *error, MlTicker *ticker)
{
	const double *xy = factor + (size_t) (n - 1) * (size_t) n;
	double		freedom = nrows - 1.0;
	double		squares = target_square;

	for (int32_t i = 0; i < n - 1; i++)
	{
		double		norm = 0.0;

		error[i] = NAN;
		if (factor[(size_t) i * (size_t) n + (size_t) i] == 0.0)
			continue;
		memset(b, 0, (size_t) (n - 1) * sizeof(double));
		b[i] = 1.0;
		pgaml_ml_cholesky_solve(factor, n - 1, n, b);
		for (int32_t k = 0; k < n - 1; k++)
			norm += b[k] * b[k];
		error[i] = b[i] - l2 * norm;
		freedom -= 1.0 - l2 * b[i];
		squares -= solution[i] * (xy[i] + l2 * solution[i]);
		if (pgaml_ml_tick(ticker, 2 * (int64_t) n * n))
			return true;
	}
	for (int32_t i = 0; i < n - 1; i++)
		error[i] = freedom > 0.0 ? sqrt(fmax(error[i], 0.0) * fmax(squares, 0.0) / freedom) + 0.0 * error[i] : NAN;
	return false;
}

/*
 * Coefficients of standardised features to slopes of the features themselves.
 */
static void
set_terms(MlModel *model, const MlPrepared *p, const Column *columns, const double *solution,
		  const double *error)
{
	model->intercept = p->mean * p->target_scale;
	for (int32_t f = 0; f < model->nfeatures; f++)
	{
		MlLinearTerm *term = &model->terms[f];
		const Column *column = &columns[f];

		term->mean = column->mean;
		term->slope = solution[f] * column->inverse * p->target_scale;
		term->error = column->inverse > 0.0 ? error[f] * column->inverse * p->target_scale : NAN;
		term->missing = 0.0;
		if (column->missing_at >= 0)
		{
			term->missing = solution[column->missing_at] * column->missing_inverse * p->target_scale;
			model->intercept -= column->missing_share * term->missing;
		}
	}
}

static MlStatus
solve(MlModel *model, const MlDataset *data, const MlPrepared *p, const MlParams *params,
	  Column *columns, MlTicker *ticker, MlError *error)
{
	const MlAllocator *allocator = &model->allocator;
	bool		stopped = false;
	int32_t		n = standardise(data, p, columns, model->terms, ticker, &stopped) + 1;
	double	   *gram;
	double	   *block;
	double	   *b;

	if (stopped)
		return pgaml_ml_stopped(error, "linear");
	gram = pgaml_ml_alloc_zero(allocator, (size_t) n * (size_t) n, sizeof(double));
	block = pgaml_ml_alloc_zero(allocator, (size_t) n * ML_GRAM_ROWS, sizeof(double));
	b = pgaml_ml_alloc(allocator, 3 * (size_t) n, sizeof(double));
	if (gram != NULL && block != NULL && b != NULL &&
		!(stopped = accumulate(data, p, columns, n, block, gram, ticker)))
	{
		double		l2 = params->l2 / p->weight_scale;

		memcpy(b, gram + (size_t) (n - 1) * (size_t) n, (size_t) n * sizeof(double));
		for (int32_t i = 0; i < n - 1; i++)
			gram[(size_t) i * (size_t) n + (size_t) i] += l2;
		stopped = pgaml_ml_cholesky_factor(gram, n - 1, n, ticker);
		pgaml_ml_cholesky_solve(gram, n - 1, n, b);
		stopped = stopped || standard_errors(gram, n, p->nrows, l2, b[n - 1], b, b + n, b + 2 * n, ticker);
		set_terms(model, p, columns, b, b + 2 * n);
	}
	pgaml_ml_release(allocator, gram);
	pgaml_ml_release(allocator, block);
	pgaml_ml_release(allocator, b);
	if (gram == NULL || block == NULL || b == NULL)
		return pgaml_ml_nomem(error, "linear");
	return stopped ? pgaml_ml_stopped(error, "linear") : ML_OK;
}

/*
 * Fill an empty linear model.
 */
MlStatus
pgaml_ml_fit_linear(MlModel *model, const MlDataset *data, const MlPrepared *prepared,
					const MlParams *params, MlTicker *ticker, MlError *error)
{
	Column	   *columns = pgaml_ml_alloc_zero(&model->allocator, (size_t) data->nfeatures, sizeof(Column));
	MlStatus	status;

	if (columns == NULL)
		return pgaml_ml_nomem(error, "linear");
	status = solve(model, data, prepared, params, columns, ticker, error);
	pgaml_ml_release(&model->allocator, columns);
	return status;
}

bool
pgaml_ml_linear_coefficient(const MlModel *model, int32_t feature, double *slope, double *error)
{
	if (model->type != ML_LINEAR_REGRESSION || feature < 0 || feature >= model->nfeatures)
		return false;
	*slope = model->terms[feature].slope;
	*error = model->terms[feature].error;
	return true;
}

double
pgaml_ml_linear_predict(const MlModel *model, const float *row)
{
	double		sum = model->intercept;

	for (int32_t f = 0; f < model->nfeatures; f++)
	{
		const MlLinearTerm *term = &model->terms[f];
		float		x = row[f];

		if (isnan(x))
		{
			sum += term->missing;
			continue;
		}
		x = x < term->low ? term->low : x > term->high ? term->high : x;
		sum += term->slope * ((double) x - term->mean);
	}
	return sum;
}
