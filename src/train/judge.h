/*-------------------------------------------------------------------------
 * judge.h
 *		What models say of rows, and whether one says it better.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_JUDGE_H
#define PGAML_TRAIN_JUDGE_H

#include "series/series.h"
#include "train/train.h"

#define PGAML_JUDGE_COVERAGE	0.90	/* nominal, of the intervals judged */
#define PGAML_JUDGE_CONFIDENCE	0.95	/* of the intervals of a difference */
#define PGAML_JUDGE_MAX_ROWS	20000	/* rows that models are compared on */
#define PGAML_JUDGE_MIN_ROWS	50	/* rows under which nothing is said of a difference */
#define PGAML_JUDGE_MIN_BLOCKS	6.0 /* spans of time with rows, likewise */
#define PGAML_JUDGE_MARGIN		0.01	/* a model is better when its error is so much lower, as a share */

/* One model on the rows of a dataset; arrays of its nrows, NaN where not asked. */
typedef struct PgamlJudged
{
	double	   *error;			/* |log error|; NaN also where it has no answer */
	double	   *winkler;		/* interval score, log (Gneiting and Raftery 2007, 6.2); of calibrated intervals */
	int64		rows;
	int64		intervals;		/* rows with a calibrated interval */
	int64		covered;
} PgamlJudged;

/*
 * Ask the stages about the rows that wanted marks (NULL: all), ahead of each
 * execution.  Processes interrupts; memory in the current context.
 */
extern void pgaml_judge(const MlStages *stages, const PgamlDataset *dataset, const uint8 *wanted, PgamlJudged *out);

/*
 * The paired difference of a - b over the rows where both are known; rows of
 * one span of time, least seconds or longer, depend on each other.
 */
extern void pgaml_judge_pair(const double *a, const double *b, const double *at, int64 n, double least,
							 SeriesPaired *out);

/* The two differences for an event, as JSON, palloc'd. */
extern char *pgaml_judge_json(const SeriesPaired *errors, const SeriesPaired *scores);

/* Nothing can be said of a difference: why, palloc'd; NULL when something can. */
extern char *pgaml_judge_missing(const SeriesPaired *errors);

typedef enum PgamlVerdict
{
	PGAML_VERDICT_UNKNOWN,		/* too little to tell */
	PGAML_VERDICT_SAME,			/* not an error differs */
	PGAML_VERDICT_OPEN,			/* neither shown better nor worse */
	PGAML_VERDICT_BETTER,
	PGAML_VERDICT_WORSE
} PgamlVerdict;

/*
 * Is a better than b?  Its mean absolute log error has to be shown lower, and
 * be so by PGAML_JUDGE_MARGIN; or be shown not higher by more than that, with
 * a lower interval score in the same sense.  tail: probability of error on
 * either side of each of the two differences.
 */
extern PgamlVerdict pgaml_judge_verdict(const SeriesPaired *errors, const SeriesPaired *scores, double tail);

#endif							/* PGAML_TRAIN_JUDGE_H */
