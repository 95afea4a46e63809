/*-------------------------------------------------------------------------
 * budget_core.c
 *		How much may be captured, so that capturing stays within its budget?
 *
 * An integral controller on logarithms: log level moves by GAIN times the
 * distance of log share from log allowed.  The share grows with the level,
 * less than in proportion, because part of it is paid by every execution; so
 * the loop's gain is at most GAIN, and at 1/2 with one window of delay it
 * neither oscillates nor overshoots.  Only the window that has just ended
 * counts, since a smoothed figure would lag.  A move is bounded, downwards
 * less than upwards: too much is mended at once, room is filled slowly.
 *-------------------------------------------------------------------------
 */
#include "base/budget_core.h"

#include <math.h>
#include <string.h>

#define GAIN			0.5
#define MOST_DOWN		0.125	/* of the level, in one window */
#define MOST_UP			2.0
#define KEEP			0.9		/* weight of an older window beside the next one */
#define LEAST_SHARE		1e-6	/* a smaller share is taken for this one */

void
pgaml_budget_init(PgamlBudget *budget)
{
	memset(budget, 0, sizeof(PgamlBudget));
	budget->level = 1.0;
}

double
pgaml_budget_share(const PgamlSpending *spent)
{
	return spent->cpu_ns > 0 ? (spent->hook_ns + spent->work_ns) / spent->cpu_ns : 0.0;
}

static bool
is_amount(double value)
{
	return isfinite(value) && value >= 0;
}

static bool
is_usable(const PgamlSpending *window)
{
	return is_amount(window->executions) && is_amount(window->samples) &&
		is_amount(window->hook_ns) && is_amount(window->work_ns) &&
		isfinite(window->cpu_ns) && window->cpu_ns > 0;
}

static void
book(PgamlSpending *recent, const PgamlSpending *window)
{
	recent->executions = KEEP * recent->executions + window->executions;
	recent->samples = KEEP * recent->samples + window->samples;
	recent->hook_ns = KEEP * recent->hook_ns + window->hook_ns;
	recent->work_ns = KEEP * recent->work_ns + window->work_ns;
	recent->cpu_ns = KEEP * recent->cpu_ns + window->cpu_ns;
}

static double
within(double value, double low, double high)
{
	return value < low ? low : value > high ? high : value;
}

void
pgaml_budget_update(PgamlBudget *budget, const PgamlSpending *window, double allowed)
{
	double		share;
	double		move;

	if (!is_usable(window))
		return;
	book(&budget->recent, window);
	if (!(allowed < 1.0))
	{
		budget->level = 1.0;
		return;
	}
	share = pgaml_budget_share(window);
	move = pow((allowed > 0 ? allowed : 0.0) / (share > LEAST_SHARE ? share : LEAST_SHARE), GAIN);
	budget->level = within(budget->level * within(move, MOST_DOWN, MOST_UP), PGAML_BUDGET_FLOOR, 1.0);
}
