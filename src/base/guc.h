/*-------------------------------------------------------------------------
 * guc.h
 *		Settings of the extension, all named pganalytics_ml.<name>.
 *
 * The ranges stand here as constants; guc.c defines the settings in
 * alphabetical order.  Settings that only exist when the library was
 * preloaded (PGC_POSTMASTER) keep their default otherwise.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_GUC_H
#define PGAML_GUC_H

/* Reached without the indirection that symbols of other libraries need. */
#pragma GCC visibility push(hidden)

#define PGAML_RING_SIZE_MIN			1024	/* records */
#define PGAML_RING_SIZE_MAX			1048576
#define PGAML_WORKERS_MIN			1
#define PGAML_WORKERS_MAX			16
#define PGAML_CONCURRENT_MIN		1
#define PGAML_CONCURRENT_MAX		16
#define PGAML_MIN_TRAINING_SAMPLES	20	/* the least a model may be built on */

typedef enum PgamlRetrainModel
{
	PGAML_RETRAIN_LINEAR,
	PGAML_RETRAIN_TREE,
	PGAML_RETRAIN_FOREST,
	PGAML_RETRAIN_BOOSTING
} PgamlRetrainModel;

typedef enum PgamlGuardMode
{
	PGAML_GUARD_OFF,
	PGAML_GUARD_WARN,
	PGAML_GUARD_CANCEL
} PgamlGuardMode;

extern int	pgaml_bucket_interval;	/* s; divides a day */
extern bool pgaml_capture;
extern double pgaml_capture_node_rate;	/* share of captured executions, 0..1 */
extern double pgaml_capture_rate;	/* 0..1 */
extern int	pgaml_capture_ring_size;	/* records */
extern int	pgaml_collect_interval; /* s */
extern bool pgaml_explain_predicted_time;
extern int	pgaml_guard_mode;	/* PgamlGuardMode */
extern int	pgaml_history_retention;	/* min */
extern int	pgaml_jobs_retention;	/* min */
extern int	pgaml_max_concurrent_training;	/* training workers at once */
extern double pgaml_max_predicted_time; /* ms; 0 = no limit */
extern int	pgaml_max_statements;	/* distinct queryids per database */
extern int	pgaml_max_workers;	/* visiting workers at once */
extern int	pgaml_min_training_samples;
extern int	pgaml_models_retention; /* models kept beside the production one */
extern double pgaml_overhead_budget;	/* share of execution time, 0..1 */
extern int	pgaml_prediction_cache_ttl; /* s; 0 = read again for every statement */
extern double pgaml_prediction_interval;	/* nominal coverage, 0.5..0.99 */
extern double pgaml_prediction_log_rate;	/* share of predictions that is logged, 0..1 */
extern int	pgaml_predictions_max_rows;
extern int	pgaml_predictions_retention;	/* min */
extern int	pgaml_retrain_interval; /* s; 0 = never */
extern int	pgaml_retrain_model_type;	/* PgamlRetrainModel */
extern char *pgaml_retrain_window;	/* as base/daily_core.h reads it */
extern int	pgaml_samples_max_rows;
extern int	pgaml_samples_retention;	/* min */
extern uint32 pgaml_sampling_settings;	/* rises when capture_rate or overhead_budget is set */
extern int	pgaml_text_interval;	/* s */
extern int	pgaml_training_memory;	/* kB */
extern int	pgaml_training_time_limit;	/* s */

extern void pgaml_guc_define(void);

#pragma GCC visibility pop

#endif							/* PGAML_GUC_H */
