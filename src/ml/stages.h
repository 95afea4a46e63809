/*-------------------------------------------------------------------------
 * stages.h
 *		What serves a prediction: history, model or cost line, with intervals.
 *
 * Pure C, on top of ml.h.  All times are natural logarithms of ms.
 *
 * A row is warm when the statement's own recent runs are known (its lag
 * features), else cold.  A row can be seen in three ways: cold (what only past
 * runs tell is hidden), ahead (by query identifier: with the plan of the
 * statement's previous run, for its own may depend on parameters that nobody
 * knows) and with its own plan.  One learner is fitted to the departure from
 * the cost line, on rows cold and with their own plan.  What it says of a warm
 * row draws the answer away from the centre of the recent runs, of a cold row
 * away from the cost line, each by the factor that held-out rows ask for; which
 * stage serves which kind of row is decided by held-out error.
 *
 * Cold rows are those of statements never seen.  What serves them, how far it
 * is shrunk and how wrong it is comes from cross-fitting: learners that are
 * fitted without a fifth of the statements predict that fifth.
 *
 * Intervals are split-conformal (Lei et al. 2018) on absolute log error of
 * single executions, divided for warm rows by the statement's own spread
 * (locally weighted, section 5.2 there; from an execution's own plan a spread
 * beyond ML_SPREAD_OWN_MAX says nothing more), in groups (Mondrian): the
 * statement, else the predicted size, else all; cold rows by statements left
 * out.  Those of history adapt to drift (adaptive.c).
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_STAGES_H
#define PGAML_ML_STAGES_H

#include "ml/ml.h"

#define ML_STAGE_MIN_RUNS	3	/* recent runs that make a row warm */
#define ML_STAGE_MAX_FEATURES 256
#define ML_SIZE_GROUPS		3	/* under 1 ms, 1..100 ms, above */
#define ML_STAGE_RECENT		32	/* recent executions that an interval adapts to, at most */

typedef enum MlSource
{
	ML_SOURCE_NONE,
	ML_SOURCE_HISTORY,
	ML_SOURCE_MODEL,
	ML_SOURCE_PLANNER
} MlSource;

/* One way to answer; calibration and held-out error are kept for each. */
typedef enum MlStageKind
{
	ML_STAGE_HISTORY,			/* centre of the recent runs */
	ML_STAGE_MODEL_WARM,		/* between that and what the learner says ahead of the execution */
	ML_STAGE_MODEL_OWN,			/* the same, knowing the plan of the very execution */
	ML_STAGE_MODEL_COLD,		/* cost line plus the learner's departure, lags hidden */
	ML_STAGE_PLANNER,			/* cost line */
	ML_STAGE_COUNT
} MlStageKind;

/* Bits; none of them: a feature that is known of every row. */
typedef enum MlFeatureRole
{
	ML_ROLE_PAST = 1,			/* only known of a statement that has run: hidden from cold rows */
	ML_ROLE_PLAN = 2,			/* of an execution's own plan: ahead of it, only that of the run before is known */
	ML_ROLE_ALL = ML_ROLE_PAST | ML_ROLE_PLAN	/* of the very execution against those before it: hidden ahead of it */
} MlFeatureRole;

/* What a row holds, and where the special features stand in it. */
typedef struct MlStageLayout
{
	uint32_t	feature_version;	/* the caller's: a row of another version means something else */
	int32_t		nfeatures;
	int32_t		lag_center;		/* median log ms of the recent runs */
	int32_t		lag_spread;		/* their robust standard deviation, log */
	int32_t		lag_runs;		/* how many they are */
	int32_t		cost;			/* log cost of the plan */
	uint8_t		roles[ML_STAGE_MAX_FEATURES];	/* bits of MlFeatureRole */
} MlStageLayout;

typedef enum MlPart
{
	ML_PART_TRAIN,
	ML_PART_CALIBRATE,
	ML_PART_TEST
} MlPart;

/* Rows, those of a group together and in time order; the caller owns all arrays, each of nrows entries. */
typedef struct MlStageData
{
	int64_t		nrows;
	const float *const *columns;	/* layout.nfeatures columns, lags as of each row's time */
	const double *target;		/* log ms */
	const int32_t *group;		/* statement, 0..ngroups-1 */
	int32_t		ngroups;
	const int64_t *plan;		/* plan id, 0 = unknown */
	const uint8_t *part;		/* MlPart */
	const uint8_t *single;		/* 1: one execution; 0: a statement-hour (not calibrated on) */
	const int64_t *group_key;	/* ngroups: what MlStageQuery.key says of a statement; NULL: its group */
} MlStageData;

typedef enum MlBaseline
{
	ML_BASE_GLOBAL_MEDIAN,
	ML_BASE_COST_ONLY,
	ML_BASE_STATEMENT_MEDIAN,
	ML_BASE_MOVING_AVERAGE,
	ML_BASE_COUNT
} MlBaseline;

typedef struct MlStageScore
{
	int64_t		n;				/* held-out rows */
	MlMetrics	metrics;
	double		coverage;		/* of the 90 % interval, as replayed in time order; NaN when not calibrated */
	double		width;			/* median ratio of upper to lower bound */
} MlStageScore;

typedef struct MlStageReport
{
	int64_t		rows[3];		/* by MlPart */
	int64_t		calibration[ML_STAGE_COUNT];	/* scores behind the intervals */
	MlSource	warm_source;
	MlSource	own_source;
	MlSource	cold_source;
	double		shrink_warm;	/* 0..1, factor on the learner's departure */
	double		shrink_own;
	double		shrink_cold;
	double		shrink_new;		/* as shrink_cold, for rows unlike anything in training */
	int32_t		left_out;		/* statements left out in turn, see below */
	MlStageScore left_out_model;	/* their rows by learners without them; every statement counts the same */
	MlStageScore left_out_planner;
	MlStageScore stage[ML_STAGE_COUNT];
	MlStageScore serving;		/* as it would be served: warm where lags are known */
	MlStageScore serving_own;	/* as served where the plan of the very execution is known */
	MlStageScore serving_cold;	/* every row with its lags hidden */
	MlStageScore baseline[ML_BASE_COUNT];
	double		oob_rmse;		/* forest; else NaN */
	size_t		model_bytes;
} MlStageReport;

typedef struct MlStages MlStages;

/* What is asked. */
typedef struct MlStageQuery
{
	const float *row;			/* layout.nfeatures values */
	int64_t		key;			/* the statement, as in MlStageData.group_key */
	int64_t		plan;			/* plan id, 0 = unknown */
	bool		own_plan;		/* the row holds the plan of the very execution, not that of an earlier one */
	double		coverage;		/* nominal, 0..1 */
	const float *recent;		/* log ms of its newest single executions, oldest first */
	int32_t		nrecent;		/* 0: intervals do not adapt */
} MlStageQuery;

/* Whose errors an interval was calibrated on. */
typedef enum MlIntervalGroup
{
	ML_INTERVAL_PARAMETRIC,		/* nobody's: too few to promise anything */
	ML_INTERVAL_POOLED,			/* all calibration executions */
	ML_INTERVAL_SIZE,			/* those of about the predicted size */
	ML_INTERVAL_STATEMENT,		/* those of the statement itself */
	ML_INTERVAL_FEW_RUNS,		/* those after one or two runs of any statement */
	ML_INTERVAL_NOVEL			/* those of statements left out */
} MlIntervalGroup;

/* One answer. */
typedef struct MlForecast
{
	MlSource	source;
	double		center;			/* log ms, median of the next execution */
	double		lower;			/* log ms */
	double		upper;
	double		scale;			/* log, one standard deviation for a normal error */
	double		smear;			/* expected time / exp(center) */
	double		confidence;		/* 0..1 */
	double		novelty;		/* 0..1: how little training saw that is like it; lowers confidence */
	MlStageKind stage;			/* that answered */
	MlIntervalGroup group;		/* of the interval */
	bool		calibrated;		/* else the interval is parametric */
	bool		in_range;		/* every known feature within what training saw */
	bool		plan_in_range;	/* those of the plan at least */
	bool		novel;			/* plan id known and not seen in training */
} MlForecast;

/* Name of a source ("history"); of a stage; of a baseline; of a group of intervals. */
extern const char *pgaml_ml_source_name(MlSource source);
extern const char *pgaml_ml_stage_name(MlStageKind kind);
extern const char *pgaml_ml_baseline_name(MlBaseline baseline);
extern const char *pgaml_ml_interval_name(MlIntervalGroup group);

/* Bytes beside the data itself that a fit takes; SIZE_MAX on overflow. */
extern size_t pgaml_ml_stages_memory(const MlParams *params, int64_t nrows, int32_t nfeatures);

/*
 * Fit, choose, calibrate, and measure on held-out rows.  The training part
 * needs at least one row.  On ML_OK *out is the caller's.
 */
extern MlStatus pgaml_ml_stages_fit(const MlStageData *data, const MlStageLayout *layout,
									const MlParams *params, const MlAllocator *allocator,
									const MlStop *stop, MlStages **out,
									MlStageReport *report, MlError *error);

/*
 * Stages around a learner that was fitted elsewhere and whose output is log
 * ms itself.  The training part of the data gives medians, ranges and the
 * cost line, the other parts are used as in a fit.  Without data (NULL) the
 * learner serves cold rows and history warm ones, nothing is clamped, and
 * intervals are not calibrated.  On ML_OK *out is the caller's and owns the
 * learner; else the learner stays the caller's.
 */
extern MlStatus pgaml_ml_stages_adopt(MlModel *model, const MlStageLayout *layout,
									  const MlStageData *data, const MlAllocator *allocator,
									  const MlStop *stop, MlStages **out,
									  MlStageReport *report, MlError *error);

/*
 * How stages from elsewhere do on the test part of these rows, as a fit
 * reports it; their confidence becomes what was found.
 */
extern MlStatus pgaml_ml_stages_judge(MlStages *stages, const MlStageData *data,
									  const MlAllocator *allocator, const MlStop *stop,
									  MlStageReport *report, MlError *error);
extern void pgaml_ml_stages_free(MlStages *stages);

/*
 * Predict one row.  scratch has room for nfeatures floats.  Never fails:
 * source is NONE when nothing is known of the row.
 */
extern void pgaml_ml_stages_predict(const MlStages *stages, const MlStageQuery *query,
									float *scratch, MlForecast *out);

/* What was said of an execution ahead of it, against what happened. */
typedef struct MlStageTruth
{
	MlSource	source;
	double		error;			/* log ms, what happened less what was said; NaN: nothing was said */
	bool		calibrated;		/* the interval promised something; the rest is NaN or false otherwise */
	bool		covered;
	float		score;			/* |error| / half the interval */
	double		winkler;		/* interval score, log (Gneiting and Raftery 2007, section 6.2): the less the better */
	bool		novel;			/* plan id known and not seen in training */
} MlStageTruth;

/*
 * One row of data as it would have been answered by query identifier when it
 * began, coverage being nominal.  recent: log ms of the single executions
 * that had ended by then, oldest first; NULL: those before it in data.
 * scratch has room for 2 * nfeatures floats.
 */
extern void pgaml_ml_stages_truth(const MlStages *stages, const MlStageData *data, int64_t row,
								  const float *recent, int32_t nrecent, double coverage,
								  float *scratch, MlStageTruth *out);

extern const MlStageLayout *pgaml_ml_stages_layout(const MlStages *stages);
extern const MlModel *pgaml_ml_stages_model(const MlStages *stages);

/* Does the learner tell log ms itself, and not a departure from history or cost line? */
extern bool pgaml_ml_stages_absolute(const MlStages *stages);

/* Bytes as documented in FORMAT.md; *bytes is the caller's. */
extern MlStatus pgaml_ml_stages_encode(const MlStages *stages, const MlAllocator *allocator,
									   uint8_t **bytes, size_t *length, MlError *error);
extern MlStatus pgaml_ml_stages_decode(const uint8_t *bytes, size_t length,
									   const MlAllocator *allocator, MlStages **out, MlError *error);

/*
 * Adaptive conformal inference (Gibbs and Candes 2021): the share of misses
 * to aim at after one more interval, which was missed or not.  Outside 0..1
 * the interval is to be infinite (<= 0) or empty (>= 1).  Then over T steps
 * |mean missed - target| <= (max(first, 1 - first) + rate) / (rate T),
 * whatever the data.
 */
extern double pgaml_ml_adaptive_step(double share, double target, double rate, bool missed);

/* Quantile of the standard normal distribution, 0 < p < 1 (Wichura 1988, AS 241, PPND7). */
extern double pgaml_ml_normal_quantile(double p);

#endif							/* PGAML_ML_STAGES_H */
