/*-------------------------------------------------------------------------
 * budget_core.h
 *		How much may be captured, so that capturing stays within its budget?
 *
 * Pure: no server header.  One number comes out, the level: the share of what
 * the settings allow that is captured.  capture/sampling.c turns it into what
 * happens to one execution.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_BUDGET_CORE_H
#define PGAML_BUDGET_CORE_H

#include <stdbool.h>

/* Below this nothing is left to be saved: what remains is paid by every execution. */
#define PGAML_BUDGET_FLOOR	(1.0 / 256)

/* Of a window the controller looks at, at least: CPU time of the backends, in ns. */
#define PGAML_BUDGET_WINDOW_NS	250e6

/* What was spent in a span of time. */
typedef struct PgamlSpending
{
	double		executions;		/* captured or not */
	double		samples;		/* captured ones */
	double		hook_ns;		/* what hooks took for all of them, captured or not */
	double		work_ns;		/* what capturing took on top */
	double		cpu_ns;			/* CPU time of the backends that ran them */
} PgamlSpending;

typedef struct PgamlBudget
{
	double		level;			/* PGAML_BUDGET_FLOOR..1 */
	PgamlSpending recent;		/* of the last windows, older ones with less weight */
} PgamlBudget;

/* Level 1, nothing spent. */
extern void pgaml_budget_init(PgamlBudget *budget);

/* Share of the CPU time that capturing took; 0 when none was used. */
extern double pgaml_budget_share(const PgamlSpending *spent);

/*
 * Book a window and set the level for the next one, so that the share comes
 * to allowed (0..1).  A window with figures that are not finite, negative or
 * without CPU time is ignored.  allowed >= 1: booked, and the level is 1.
 */
extern void pgaml_budget_update(PgamlBudget *budget, const PgamlSpending *window, double allowed);

#endif							/* PGAML_BUDGET_CORE_H */
