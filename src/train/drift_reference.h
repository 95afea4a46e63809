/*-------------------------------------------------------------------------
 * drift_reference.h
 *		What was usual when a model was trained: the measure of drift.
 *
 * Stored with the model (query_performance_models.drift_reference).  Blocks
 * are days, or quarters of a day when the data cover little.  usual is what
 * the block that differed most came to, against the other blocks; NaN when
 * there were too few of them.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_DRIFT_REFERENCE_H
#define PGAML_TRAIN_DRIFT_REFERENCE_H

#include "series/drift.h"
#include "train/train.h"

#define PGAML_DRIFT_BLOCK_ROWS	50	/* that a block needs to count */
#define PGAML_DRIFT_QUARTER_ROWS 10	/* likewise a quarter of a day */
#define PGAML_DRIFT_MEDIAN_ROWS 5	/* that the level of a statement needs */
#define PGAML_DRIFT_QUARTER_S	(6 * 3600.0)

typedef struct PgamlDriftFeature
{
	int			feature;		/* PgamlFeature */
	PgamlBins	bins;
	double		counts[PGAML_BINS + 1]; /* rows; the last one: not known */
	double		usual;			/* stability index */
} PgamlDriftFeature;

typedef struct PgamlDriftStatement
{
	int64		queryid;
	double		center;			/* median log ms */
	double		spread;			/* robust standard deviation, log */
	double		usual;			/* departure of a block's median from center */
} PgamlDriftStatement;

typedef struct PgamlDriftReference
{
	double		hours;			/* that the data cover */
	double		block_s;		/* length of a block; 0: the data cover too little */
	int			nfeatures;		/* that the learner uses */
	PgamlDriftFeature *features;
	int			nstatements;	/* with the most executions */
	PgamlDriftStatement *statements;
	/* on held-out rows */
	int			nscores;
	float	   *scores;			/* quantiles of |log error| / half the interval, ascending */
	double		usual_ks;
	double		error;			/* mean absolute log error; NaN without rows */
	double		usual_error;	/* of a block, over that of the others */
	int			nquarters;
	double	   *quarters;		/* mean absolute log error, in time order */
	double		usual_coverage; /* the lowest of a block */
	double		usual_novelty;	/* share of executions of new statements or plans */
} PgamlDriftReference;

/* Of a model just fitted, as JSON, palloc'd; NULL when the work was stopped. */
extern char *pgaml_drift_reference_json(const MlStages *stages, const PgamlDataset *dataset, const MlStop *stop);

/* Inside an open SPI bracket: keep it with the model. */
extern void pgaml_drift_reference_store(int64 model_id, const char *json);

/* Inside an open SPI bracket: that of a model, palloc'd; NULL when it has none. */
extern PgamlDriftReference *pgaml_drift_reference_read(int64 model_id);

/* Median of values, which the call sorts; NaN of none. */
extern double pgaml_drift_median(double *values, int64 n);

#endif							/* PGAML_TRAIN_DRIFT_REFERENCE_H */
