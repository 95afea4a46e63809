/*-------------------------------------------------------------------------
 * spec.h
 *		The one definition of the feature vector.
 *
 * A model stores PGAML_FEATURE_VERSION and is refused under another one.
 * Change the version with any change of order, meaning or unit.  Unknown
 * values are NaN, never a made-up constant.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_FEATURES_SPEC_H
#define PGAML_FEATURES_SPEC_H

#include "base/sample.h"
#include "ml/stages.h"

#define PGAML_FEATURE_VERSION	2

typedef enum PgamlFeature
{
	/* the twelve canonical ones */
	PGAML_F_CALLS_PER_HOUR,		/* mean over the newest complete buckets */
	PGAML_F_TABLE_SIZE_MB,		/* mean over the plan's tables */
	PGAML_F_INDEX_COUNT,		/* over the plan's tables */
	PGAML_F_HAS_SEQ_SCAN,		/* 0 or 1 */
	PGAML_F_HAS_NESTED_LOOP,	/* 0 or 1 */
	PGAML_F_SUBQUERY_DEPTH,
	PGAML_F_CONCURRENT_QUERIES, /* mean statements running at its starts, itself included */
	PGAML_F_AVAILABLE_MEMORY,	/* percent of physical memory */
	PGAML_F_STD_DEV_CALLS,		/* of calls per hour between buckets */
	PGAML_F_PEAK_HOUR_CALLS,	/* largest calls per hour of any bucket */
	PGAML_F_TABLE_ROWS,			/* sum over the plan's tables */
	PGAML_F_ROW_WIDTH,			/* bytes, mean over the plan's tables */
	PGAML_F_CANONICAL,
	/* plan facts, in the order of PgamlPlanFact */
	PGAML_F_PLAN = PGAML_F_CANONICAL,
	/* lags: what the statement's own recent runs say; hidden together */
	PGAML_F_LAG_CENTER = PGAML_F_PLAN + PGAML_PF_COUNT, /* median log ms */
	PGAML_F_LAG_SPREAD,			/* robust standard deviation, log */
	PGAML_F_LAG_RUNS,			/* how many runs, 0..32 */
	PGAML_F_LAG_AGE,			/* ln(1 + seconds since the last) */
	PGAML_F_LAG_ROWS,			/* ln(1 + rows per call) */
	PGAML_F_LAG_HIT_RATIO,		/* shared blocks found in cache, 0..1 */
	/* how the plan of one execution differs from those of the recent runs */
	PGAML_F_LAG_COST_DEPARTURE, /* its log cost less their median */
	PGAML_F_LAG_ROWS_DEPARTURE, /* its log estimated rows less their median */
	PGAML_F_LAG_NEAR_DEPARTURE, /* log ms of the runs with the most similar plans less the centre */
	PGAML_F_LAG_LINE_DEPARTURE, /* log ms by the line through cost and time of the runs less the centre */
	PGAML_F_COUNT
} PgamlFeature;

typedef struct PgamlFeatureName
{
	const char *name;
	const char *unit;
	const char *meaning;
	const char *unknown;		/* why the value may be missing */
} PgamlFeatureName;

/* Name, unit, meaning of a feature, 0..PGAML_F_COUNT-1. */
extern PgamlFeatureName pgaml_feature_name(int feature);

/* Where the stages find the features they treat specially. */
extern const MlStageLayout pgaml_feature_layout;

#endif							/* PGAML_FEATURES_SPEC_H */
