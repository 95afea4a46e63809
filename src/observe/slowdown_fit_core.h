/*-------------------------------------------------------------------------
 * slowdown_fit_core.h
 *		How an execution's time is made up: between slowdown_fit_core.c and
 *		slowdown_core.c.
 *
 *	ms = exp(base + plan + rows + concurrency + window) + reads * price
 *	     + temporary blocks * price
 *
 * with a term of each kind as below; errors are on the log scale.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SLOWDOWN_FIT_CORE_H
#define PGAML_SLOWDOWN_FIT_CORE_H

#include "observe/slowdown_core.h"

#define SLOW_VOLUMES	3		/* measures of the amount of work */

/* Coefficients, in this order. */
typedef enum SlowTerm
{
	SLOW_BASE,
	SLOW_PLAN,					/* of each plan, beside what is expected of it */
	SLOW_VOLUME = SLOW_PLAN + PGAML_SLOW_PLANS,	/* log ms per log of each measure */
	SLOW_ACTIVE = SLOW_VOLUME + SLOW_VOLUMES,	/* log ms per log of statements running */
	SLOW_WINDOW,				/* log ms that the window after has for no reason known */
	SLOW_READ,					/* log of the ms of a block read */
	SLOW_TEMP,					/* log of the ms of a temporary block */
	SLOW_TERMS
} SlowTerm;

/* One execution as the fit sees it. */
typedef struct SlowRow
{
	double		log_ms;
	double		ms;
	double		weight;			/* mean 1 */
	double		volume[SLOW_VOLUMES];	/* logs: rows, blocks, work; see make_rows() */
	double		log_blocks;		/* less their plan's mean */
	double		log_active;
	double		reads;
	double		io_ms;			/* NaN: not measured */
	double		temp;
	double		expected;		/* log ms of its plan */
	int32_t		plan;
	int32_t		block;			/* span of time, for resampling */
	bool		after;
} SlowRow;

typedef struct SlowFit
{
	double		term[SLOW_TERMS];
	double		root[SLOW_TERMS][SLOW_TERMS];	/* lower Cholesky factor of the inverse of their covariance */
	double		spread;			/* of executions, log */
} SlowFit;

/* Keeps a coefficient within what is physically possible. */
extern double pgaml_slow_bounded(int term, double value);

/* Fit to the rows; never fails. */
extern void pgaml_slow_fit(const SlowRow *rows, int64_t n, const double *plan_spread, int32_t nplans, SlowFit *out);

#endif							/* PGAML_SLOWDOWN_FIT_CORE_H */
