/*-------------------------------------------------------------------------
 * worst_core.c
 *		Which node of a plan was estimated worst?
 *
 * The measure is the q-error, the factor between estimated and true rows per
 * execution of the node (Moerkotte, Neumann, Steidl 2009, Preventing bad
 * plans by bounding the impact of cardinality estimation errors).  Counts
 * under one row are one: what is estimated as 1 and is 0.2 on average is not
 * wrong.
 *
 * A node that may have been stopped before its end had at least the rows that
 * were counted: too low an estimate is seen, too high a one is not.
 *-------------------------------------------------------------------------
 */
#include "capture/worst_core.h"

#include <math.h>

void
pgaml_worst_begin(PgamlWorst *worst)
{
	worst->place = -1;
	worst->q = 0.0;
	worst->estimated = NAN;
	worst->actual = NAN;
}

static double
at_least_one(double rows)
{
	return rows > 1.0 ? rows : 1.0;
}

/* The factor between estimate and truth, >= 1; 0 when nothing can be said. */
static double
q_error(const PgamlNodeRows *node)
{
	double		estimated;
	double		actual;

	if (!isfinite(node->estimated) || !isfinite(node->actual))
		return 0.0;
	estimated = at_least_one(node->estimated);
	actual = at_least_one(node->actual);
	if (actual >= estimated)
		return actual / estimated;
	return node->cut ? 0.0 : estimated / actual;
}

void
pgaml_worst_consider(PgamlWorst *worst, const PgamlNodeRows *node)
{
	double		q = q_error(node);

	if (q <= worst->q)
		return;
	worst->place = node->place;
	worst->q = q;
	worst->estimated = node->estimated;
	worst->actual = node->actual;
}
