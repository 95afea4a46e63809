/*-------------------------------------------------------------------------
 * state_core.h
 *		What the recent past says of one statement, as of any moment.
 *
 * Pure C.  Training replays history through the same state that prediction
 * fills from its newest part, so a feature means the same in both.  An
 * all-zero state is empty.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_FEATURES_STATE_CORE_H
#define PGAML_FEATURES_STATE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#define PGAML_RECENT_RUNS		32	/* as kept in statement_recent */
#define PGAML_RECENT_BUCKETS	24
#define PGAML_SAME_PLAN_RUNS	5	/* runs since a change of plan that let the present one speak alone */

/* The newest runs. */
typedef struct PgamlRuns
{
	int			n;				/* used, at most PGAML_RECENT_RUNS */
	int			next;			/* where the next one goes */
	double		at[PGAML_RECENT_RUNS];	/* s, any epoch */
	float		log_ms[PGAML_RECENT_RUNS];
	float		sigma[PGAML_RECENT_RUNS];	/* log; spread within what the run stands for */
	int64_t		plan[PGAML_RECENT_RUNS];	/* 0 = unknown */
	float		rows[PGAML_RECENT_RUNS];	/* rows per call; NaN */
	float		hit_ratio[PGAML_RECENT_RUNS];	/* NaN */
	float		active[PGAML_RECENT_RUNS];	/* statements running; NaN */
	float		cost[PGAML_RECENT_RUNS];	/* log cost of its plan; NaN */
	float		plan_rows[PGAML_RECENT_RUNS];	/* log rows that its plan expected; NaN */
} PgamlRuns;

typedef struct PgamlRun
{
	double		at;				/* s */
	float		log_ms;			/* of one execution, or the median of a bucket */
	float		sigma;			/* log; 0 for one execution, spread within the bucket else */
	float		rows;
	float		hit_ratio;
	float		active;
	float		cost;			/* log; NaN */
	float		plan_rows;		/* log; NaN */
	int64_t		plan;
} PgamlRun;

typedef struct PgamlRunsSummary
{
	int			runs;			/* runs that the rest speaks of */
	float		center;			/* median log ms; NaN without runs */
	float		spread;			/* robust standard deviation of single executions, log; NaN when unknown */
	float		mean_ratio;		/* mean ms / exp(center) */
	float		rows;			/* means over all known runs; NaN */
	float		hit_ratio;
	float		active;
} PgamlRunsSummary;

/* How the plan of one execution differs from those of the recent runs; all NaN when too few of them are known. */
typedef struct PgamlDeparture
{
	float		cost;			/* log cost less its median */
	float		rows;			/* log rows expected less their median; NaN */
	float		near;			/* median log ms of the runs with the most similar plans less the centre */
	float		line;			/* log ms at this cost on the runs' own line less the centre */
} PgamlDeparture;

/* The newest buckets with calls, ascending. */
typedef struct PgamlCalls
{
	int			n;
	int			next;
	int64_t		first;			/* number of the bucket it is known since */
	bool		dated;			/* first is set */
	int64_t		bucket[PGAML_RECENT_BUCKETS];	/* start / width */
	double		calls[PGAML_RECENT_BUCKETS];
} PgamlCalls;

typedef struct PgamlCallsSummary
{
	int			buckets;		/* complete buckets looked at, empty ones included */
	double		mean;			/* calls per hour; all three NaN without buckets */
	double		std_dev;		/* population */
	double		peak;
} PgamlCallsSummary;

extern void pgaml_runs_push(PgamlRuns *runs, const PgamlRun *run);

/* Forget the runs before a moment. */
extern void pgaml_runs_forget(PgamlRuns *runs, double before);

/* Time of the newest run, NaN without one; and its plan, 0 without one. */
extern double pgaml_runs_newest_at(const PgamlRuns *runs);
extern int64_t pgaml_runs_newest_plan(const PgamlRuns *runs);

/* As of now, for a statement whose present plan is plan (0 = unknown). */
extern void pgaml_runs_summary(const PgamlRuns *runs, int64_t plan, PgamlRunsSummary *out);

/* Of a plan with this log cost and log rows, against the runs that a summary speaks of. */
extern void pgaml_runs_departure(const PgamlRuns *runs, const PgamlRunsSummary *summary,
								 float cost, float plan_rows, PgamlDeparture *out);

/* Log ms of the single executions that a summary speaks of, oldest first, into log_ms[PGAML_RECENT_RUNS]; how many. */
extern int	pgaml_runs_recent(const PgamlRuns *runs, const PgamlRunsSummary *summary, float *log_ms);

/* It is known since this bucket, or since an earlier one; buckets without calls count from then on. */
extern void pgaml_calls_since(PgamlCalls *calls, int64_t bucket);

/* Calls of a bucket; the same bucket again adds up; older ones than the newest are ignored. */
extern void pgaml_calls_push(PgamlCalls *calls, int64_t bucket, double ncalls);

/* Nothing is known of the buckets before this one. */
extern void pgaml_calls_restart(PgamlCalls *calls, int64_t bucket);

/* Over the complete buckets before bucket as_of, at most PGAML_RECENT_BUCKETS of them. */
extern void pgaml_calls_summary(const PgamlCalls *calls, int64_t as_of, double per_hour,
								PgamlCallsSummary *out);

/*
 * A log-normal variable with this mean and coefficient of variation: the log
 * of its median, and its standard deviation on the log scale.
 */
extern double pgaml_log_median(double mean, double cv);
extern double pgaml_log_sigma(double cv);

#endif							/* PGAML_FEATURES_STATE_CORE_H */
