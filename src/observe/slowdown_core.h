/*-------------------------------------------------------------------------
 * slowdown_core.h
 *		Splits the change of a statement's mean time into its causes.
 *
 * Pure C.  The method stands in src/observe/README.md.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SLOWDOWN_CORE_H
#define PGAML_SLOWDOWN_CORE_H

#include "ml/ml.h"

#define PGAML_SLOW_PLANS	8	/* plans told apart; the caller counts rarer ones as one */
#define PGAML_SLOW_LEAST	20	/* executions that either window has to have */
#define PGAML_SLOW_MOST		2000	/* executions of a window that are looked at */
#define PGAML_SLOW_SMALLEST	0.10	/* share of the time before under which nothing is called a change */

typedef enum PgamlCause
{
	PGAML_CAUSE_PLAN,			/* another plan */
	PGAML_CAUSE_ROWS,			/* more to do under the same plan: rows returned, blocks touched */
	PGAML_CAUSE_CACHE,			/* blocks that were not in cache, or came from disk more slowly */
	PGAML_CAUSE_SPILL,			/* sorts and hashes that went to temporary files */
	PGAML_CAUSE_CONCURRENCY,	/* more statements running beside it */
	PGAML_CAUSE_UNEXPLAINED,	/* what none of these accounts for */
	PGAML_CAUSE_COUNT
} PgamlCause;

/* One execution that was completed. */
typedef struct PgamlSlowRun
{
	double		ms;
	double		weight;			/* executions it stands for */
	double		rows;			/* returned or changed */
	double		blocks;			/* shared blocks touched */
	double		work;			/* rows that the plan expected over all nodes and loops */
	double		reads;			/* blocks that were not in cache */
	double		io_ms;			/* time of reading them; NaN: not measured */
	double		temp;			/* temporary blocks read and written */
	double		active;			/* statements running when it started, itself included */
	int32_t		plan;			/* 0..nplans-1 */
	bool		after;			/* else before */
} PgamlSlowRun;

/* What is known of a plan beside its runs. */
typedef struct PgamlSlowPlan
{
	double		expected;		/* log ms that such a plan usually takes; NaN: not known */
	double		spread;			/* how far off that usually is, log */
} PgamlSlowPlan;

typedef struct PgamlSlowPart
{
	double		change_ms;		/* per execution */
	double		lower_ms;		/* 95 % interval */
	double		upper_ms;
} PgamlSlowPart;

typedef struct PgamlSlowMeans
{
	int64_t		n;				/* executions */
	double		ms;				/* means, weighted; the rest is of one execution */
	double		rows;
	double		blocks;
	double		reads;
	double		io_ms;			/* NaN: not measured */
	double		temp;
	double		active;
	double		share[PGAML_SLOW_PLANS];	/* of the plans, 0..1 */
} PgamlSlowMeans;

typedef struct PgamlSlowdown
{
	PgamlSlowMeans window[2];	/* before, after */
	PgamlSlowPart total;
	PgamlSlowPart part[PGAML_CAUSE_COUNT];	/* their changes add up to the total's */
	bool		changed;		/* else the difference is within what noise makes, or small */
	double		read_ms;		/* of a block that was not in cache, as estimated; NaN where it was measured */
	double		temp_ms;		/* of a temporary block, as estimated */
} PgamlSlowdown;

/* Name of a cause ("plan change"). */
extern const char *pgaml_slow_cause_name(PgamlCause cause);

/*
 * Runs of either window in the order of time.  ML_E_DATA when a window has
 * fewer than PGAML_SLOW_LEAST of them, or times that are not above 0.
 */
extern MlStatus pgaml_slowdown(const PgamlSlowRun *runs, int64_t n, const PgamlSlowPlan *plans, int32_t nplans,
							   const MlAllocator *allocator, PgamlSlowdown *out, MlError *error);

#endif							/* PGAML_SLOWDOWN_CORE_H */
