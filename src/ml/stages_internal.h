/*-------------------------------------------------------------------------
 * stages_internal.h
 *		The fitted stages, shared by stages_fit.c, stages_predict.c and
 *		stages_codec.c.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_STAGES_INTERNAL_H
#define PGAML_ML_STAGES_INTERNAL_H

#include "ml/novelty_internal.h"
#include "ml/scores_internal.h"
#include "ml/stages.h"

#define ML_STAGE_WARM_COUNT	ML_STAGE_MODEL_COLD /* stages for warm rows, the first ones */
#define ML_SPREAD_GROUPS	4	/* how steady a statement is: below 0.1, 0.25, 0.6, above */
#define ML_STAGE_MAX_PLANS	65536	/* plan ids kept */
#define ML_SPREAD_OWN_MAX	0.25	/* log; the scale of errors from an execution's own plan grows no further */
#define ML_SPREAD_FLOOR		0.02	/* log; a statement is never thought steadier than this */
#define ML_SMEAR_MAX		3.0 /* log; one absurd residual or spread must not set the mean */
#define ML_CONFIDENCE_CAP	0.95
#define ML_SMALL_TRAINING	100 /* training rows below which confidence is cut */

struct MlStages
{
	MlAllocator allocator;
	MlStageLayout layout;
	bool		absolute;		/* the learner tells log ms itself, not a departure */
	MlSource	warm_source;
	MlSource	own_source;		/* of warm rows whose own plan is known */
	MlSource	cold_source;
	double		shrink_warm[ML_SPREAD_GROUPS];	/* 0: history serves these even where the learner serves others */
	double		shrink_own[ML_SPREAD_GROUPS];
	double		shrink_cold;
	double		shrink_new;		/* the same where the learner saw nothing like the row */
	double		global_median;	/* log ms */
	double		y_min;			/* range of the target in training; NaN: not known */
	double		y_max;
	double		default_spread; /* log; for statements whose own is unknown */
	MlLine		line;			/* log ms over log cost */
	double		smear[ML_STAGE_COUNT];
	double		confidence[ML_STAGE_COUNT][ML_SIZE_GROUPS];
	MlScores	pooled[ML_STAGE_COUNT]; /* absolute errors, see pgaml_ml_stage_scale */
	MlScores	sized[ML_STAGE_COUNT][ML_SIZE_GROUPS];
	MlScores	few;			/* of history after one or two runs */
	MlOwnScores own[ML_STAGE_WARM_COUNT];	/* by statement */
	float	   *feature_min;	/* nfeatures; NaN: never seen */
	float	   *feature_max;
	int32_t		nplans;
	int64_t    *plans;			/* ascending */
	MlModel    *model;
	MlNovelty	novelty;
};

/* Are all positions and roles in their range? */
extern bool pgaml_ml_stage_layout_valid(const MlStageLayout *layout);

/* Is the row warm? */
extern bool pgaml_ml_stage_warm(const MlStageLayout *layout, const float *row);

/* Forget what only past runs tell. */
extern void pgaml_ml_stage_hide(const MlStageLayout *layout, float *row);

/* Is a stage one for rows whose recent runs are known? */
extern bool pgaml_ml_stage_needs_lags(MlStageKind kind);

/* Forget what compares an execution's own plan with the past. */
extern void pgaml_ml_stage_hide_own(const MlStageLayout *layout, float *row);

/*
 * Row i as it is known ahead of its execution by query identifier alone: with
 * the plan of the row before it in its group.  The first row keeps its own.
 * What compares an execution's own plan with the past is NaN.
 */
extern void pgaml_ml_stage_row_ahead(const MlStageLayout *layout, const MlStageData *data, int64_t i, float *row);

/* What an absolute error of this stage is divided by. */
extern double pgaml_ml_stage_scale(const MlStages *stages, MlStageKind kind, const float *row);

/* Which stage answers this row by query identifier; false: none can. */
extern bool pgaml_ml_stage_choose(const MlStages *stages, const float *row, bool own_plan, MlStageKind *kind);

/* How a stage comes to its answer: start + shrink x learner. */
typedef struct MlStageTerms
{
	MlStageKind kind;
	double		start;			/* log ms; 0 where the learner tells log ms itself */
	double		shrink;			/* factor on what the learner says; 0: it is not asked */
	bool		clamped;		/* the answer is kept within the range of training */
} MlStageTerms;

extern MlStageTerms pgaml_ml_stage_terms(const MlStages *stages, MlStageKind kind, const float *row);

/*
 * The row as the learner is asked for it: what the stage must not know is
 * NaN.  Returns row or scratch, which has room for nfeatures values.
 */
extern const float *pgaml_ml_stage_view(const MlStageLayout *layout, MlStageKind kind, const float *row,
										float *scratch);
extern const float *pgaml_ml_stage_row(const MlStages *stages, const MlStageTerms *terms, const float *row,
									   float *scratch);

/*
 * How far a row is outside ranges that were seen: 0 for inside, towards 1
 * with every feature outside and with its distance.
 */
extern double pgaml_ml_stage_outside(const MlStageLayout *layout, const float *low, const float *high,
									 const float *row);

/* Group of the statement's own spread. */
extern int	pgaml_ml_spread_group(const MlStageLayout *layout, const float *row);

/* Answer of one stage, clamped; scratch holds nfeatures values. */
extern double pgaml_ml_stage_center(const MlStages *stages, MlStageKind kind, const float *row,
									float *scratch);

/* Answer of one stage with its interval. */
extern void pgaml_ml_stage_forecast(const MlStages *stages, MlStageKind kind, const MlStageQuery *query,
									float *scratch, MlForecast *out);

/* The cost line, or the median of everything where no plan is known. */
extern double pgaml_ml_line_at(const MlLine *line, double otherwise, float cost);

/* Group of a predicted size. */
extern int	pgaml_ml_size_group(double log_ms);

/* A new MlStages with all pointers NULL; NULL without memory. */
extern MlStages *pgaml_ml_stages_new(const MlAllocator *allocator, const MlStageLayout *layout);

/* Everything a decoded or fitted MlStages must fulfil. */
extern MlStatus pgaml_ml_stages_validate(const MlStages *stages, MlError *error);

#endif							/* PGAML_ML_STAGES_INTERNAL_H */
