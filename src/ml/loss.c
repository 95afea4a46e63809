/*-------------------------------------------------------------------------
 * loss.c
 *		The losses of gradient boosting: squared, Huber's, and of a quantile.
 *
 * Friedman 2001, "Greedy function approximation", sections 4.1 to 4.4.  Trees are grown on
 * the negative gradients by least squares with the row's weight as hessian.
 * Squared error then has its leaves already; the two others have no useful
 * second derivative, so each leaf is fitted to the residuals of its rows:
 *
 * - quantile: the weighted quantile of the residuals (TreeBoost for LAD is
 *   its case 0.5);
 * - huber: delta is the huber_delta-quantile of the absolute residuals before
 *   each tree, so it follows the fit and needs no unit.  A leaf is the median
 *   plus the mean of what each residual is beyond it, cut at delta
 *   (algorithm 4, one step towards the minimum).
 *
 * Like any leaf, a refitted one is shrunk by H / (H + l2).
 *-------------------------------------------------------------------------
 */
#include "loss_internal.h"

#include <math.h>

#define BLOCK_ROWS 65536		/* rows between two questions to the stop callback */
#define DELTA_ROWS 8192			/* at least, evenly spread, from which delta is taken when there are more */

/* A loss by its parts; refit and start may be asked with scratch only. */
typedef struct LossRow
{
	const char *name;
	bool		scale_free;		/* gradients do not grow with the target */
	double		(*negative_gradient) (const MlLoss *loss, double residual);
	double		(*of) (const MlLoss *loss, double residual);
	bool		(*refit) (const MlLoss *loss, const MlLossRows *in, double *value);
	bool		(*prepare) (MlLoss *loss, const MlLossRows *in);
} LossRow;

static double
residual_of(const MlLossRows *in, int32_t i)
{
	int32_t		row = in->rows[i];

	return in->target[row] - in->fitted[row];
}

/*
 * Weighted lower quantile of the residuals.
 */
static bool
residual_quantile(const MlLossRows *in, double level, double *out)
{
	for (int32_t i = 0; i < in->count; i++)
		in->scratch[i] = (MlPair) {residual_of(in, i), in->weight[in->rows[i]]};
	return pgaml_ml_select_quantile(in->scratch, in->count, level, in->ticker, out);
}

static double
squared_gradient(const MlLoss *loss, double residual)
{
	(void) loss;
	return residual;
}

static double
squared_loss(const MlLoss *loss, double residual)
{
	(void) loss;
	return residual * residual;
}

static double
clip(double x, double width)
{
	return x > width ? width : x < -width ? -width : x;
}

static double
huber_gradient(const MlLoss *loss, double residual)
{
	return clip(residual, loss->delta);
}

static double
absolute_loss(const MlLoss *loss, double residual)
{
	(void) loss;
	return fabs(residual);
}

/*
 * Where most residuals are exactly 0 their quantile says nothing: then the
 * least one that is not.
 */
static bool
huber_prepare(MlLoss *loss, const MlLossRows *in)
{
	int32_t		step = in->count / DELTA_ROWS > 1 ? in->count / DELTA_ROWS : 1;
	int32_t		n = 0;

	for (int32_t i = 0; i < in->count; i += step)
		in->scratch[n++] = (MlPair) {fabs(residual_of(in, i)), in->weight[in->rows[i]]};
	if (pgaml_ml_select_quantile(in->scratch, n, loss->level, in->ticker, &loss->delta))
		return true;
	if (loss->delta > 0.0)
		return false;
	for (int32_t i = 0; i < in->count; i++)
	{
		double		size = fabs(residual_of(in, i));

		if (size > 0.0 && (loss->delta == 0.0 || size < loss->delta))
			loss->delta = size;
	}
	return pgaml_ml_tick(in->ticker, in->count);
}

static bool
huber_refit(const MlLoss *loss, const MlLossRows *in, double *value)
{
	double		sum = 0.0;
	double		total = 0.0;
	double		median;

	if (residual_quantile(in, 0.5, &median))
		return true;
	for (int32_t i = 0; i < in->count; i++)
	{
		double		w = in->weight[in->rows[i]];

		sum += w * clip(residual_of(in, i) - median, loss->delta);
		total += w;
	}
	*value = (median + sum / total) * (total / (total + loss->l2));
	return false;
}

static double
quantile_gradient(const MlLoss *loss, double residual)
{
	return residual > 0.0 ? loss->level : residual < 0.0 ? loss->level - 1.0 : 0.0;
}

static double
quantile_loss(const MlLoss *loss, double residual)
{
	return residual * (residual > 0.0 ? loss->level : loss->level - 1.0);
}

static bool
quantile_refit(const MlLoss *loss, const MlLossRows *in, double *value)
{
	double		total = 0.0;

	if (residual_quantile(in, loss->level, value))
		return true;
	for (int32_t i = 0; i < in->count; i++)
		total += in->weight[in->rows[i]];
	*value *= total / (total + loss->l2);
	return false;
}

static const LossRow loss_rows[] = {
	[ML_LOSS_SQUARED] = {"squared", false, squared_gradient, squared_loss, NULL, NULL},
	[ML_LOSS_HUBER] = {"huber", false, huber_gradient, absolute_loss, huber_refit, huber_prepare},
	[ML_LOSS_QUANTILE] = {"quantile", true, quantile_gradient, quantile_loss, quantile_refit, NULL},
};

const char *
pgaml_ml_loss_name(MlLossKind kind)
{
	return kind >= 0 && kind < ML_LOSS_COUNT ? loss_rows[kind].name : NULL;
}

bool
pgaml_ml_loss_refits(MlLossKind kind)
{
	return loss_rows[kind].refit != NULL;
}

bool
pgaml_ml_loss_is_scale_free(MlLossKind kind)
{
	return loss_rows[kind].scale_free;
}

/*
 * The weighted mean, median, or quantile.
 */
bool
pgaml_ml_loss_start(const MlLoss *loss, const MlLossRows *in, double *start)
{
	double		sum = 0.0;
	double		total = 0.0;

	if (loss->kind == ML_LOSS_HUBER)
		return residual_quantile(in, 0.5, start);
	if (loss->kind == ML_LOSS_QUANTILE)
		return residual_quantile(in, loss->level, start);
	for (int32_t i = 0; i < in->count; i++)
	{
		sum += in->weight[in->rows[i]] * residual_of(in, i);
		total += in->weight[in->rows[i]];
	}
	*start = sum / total;
	return pgaml_ml_tick(in->ticker, in->count);
}

/*
 * Squared error, the usual one, has a loop without calls.
 */
static void
fill_gradients(const MlLoss *loss, const MlLossRows *in, int32_t begin, int32_t end, MlPair *grad)
{
	const LossRow *kind = &loss_rows[loss->kind];

	if (loss->kind == ML_LOSS_SQUARED)
	{
		for (int32_t i = begin; i < end; i++)
		{
			int32_t		row = in->rows[i];
			double		w = in->weight[row];

			grad[row] = (MlPair) {w * (in->target[row] - in->fitted[row]), w};
		}
		return;
	}
	for (int32_t i = begin; i < end; i++)
	{
		double		w = in->weight[in->rows[i]];

		grad[in->rows[i]] = (MlPair) {w * kind->negative_gradient(loss, residual_of(in, i)), w};
	}
}

bool
pgaml_ml_loss_gradients(MlLoss *loss, const MlLossRows *in, MlPair *grad)
{
	const LossRow *kind = &loss_rows[loss->kind];

	if (kind->prepare != NULL && kind->prepare(loss, in))
		return true;
	for (int32_t begin = 0; begin < in->count; begin += BLOCK_ROWS)
	{
		int32_t		end = in->count - begin < BLOCK_ROWS ? in->count : begin + BLOCK_ROWS;

		fill_gradients(loss, in, begin, end, grad);
		if (pgaml_ml_tick(in->ticker, end - begin))
			return true;
	}
	return false;
}

bool
pgaml_ml_loss_leaf(const MlLoss *loss, const MlLossRows *in, double *value)
{
	return loss_rows[loss->kind].refit(loss, in, value);
}

double
pgaml_ml_loss_mean(const MlLoss *loss, const MlLossRows *in)
{
	double		sum = 0.0;
	double		total = 0.0;

	for (int32_t i = 0; i < in->count; i++)
	{
		double		w = in->weight[in->rows[i]];

		sum += w * loss_rows[loss->kind].of(loss, residual_of(in, i));
		total += w;
	}
	return sum / total;
}
