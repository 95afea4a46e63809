/*-------------------------------------------------------------------------
 * guc.c
 *		Defines every setting, alphabetically, one call each.
 *
 * Contexts: sizes of shared memory POSTMASTER, schedule and retention SIGHUP,
 * tracking SUSET, switches of one session's predictions USERSET.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/guc.h"

#include "base/daily_core.h"
#include "base/fault.h"
#include "base/guc.h"

#define MINUTES_PER_DAY		(24 * 60)
#define RETENTION_MAX_DAYS	3650
#define DAY_SECONDS			86400

int			pgaml_bucket_interval = 3600;
bool		pgaml_capture = true;
double		pgaml_capture_node_rate = 0.01;
double		pgaml_capture_rate = 1.0;
int			pgaml_capture_ring_size = 8192;
int			pgaml_collect_interval = 60;
bool		pgaml_explain_predicted_time = false;
int			pgaml_guard_mode = PGAML_GUARD_OFF;
int			pgaml_history_retention = 400 * MINUTES_PER_DAY;
int			pgaml_jobs_retention = 90 * MINUTES_PER_DAY;
int			pgaml_max_concurrent_training = 1;
double		pgaml_max_predicted_time = 0.0;
int			pgaml_max_statements = 20000;
int			pgaml_max_workers = 2;
int			pgaml_min_training_samples = 100;
int			pgaml_models_retention = 20;
double		pgaml_overhead_budget = 0.01;
int			pgaml_prediction_cache_ttl = 15 * 60;
double		pgaml_prediction_interval = 0.90;
double		pgaml_prediction_log_rate = 1.0;
int			pgaml_predictions_max_rows = 1000000;
int			pgaml_predictions_retention = 90 * MINUTES_PER_DAY;
int			pgaml_retrain_interval = DAY_SECONDS;
int			pgaml_retrain_model_type = PGAML_RETRAIN_BOOSTING;
char	   *pgaml_retrain_window = NULL;
int			pgaml_samples_max_rows = 1000000;
uint32		pgaml_sampling_settings = 0;
int			pgaml_samples_retention = 30 * MINUTES_PER_DAY;
int			pgaml_text_interval = 300;
int			pgaml_training_memory = 512 * 1024;
int			pgaml_training_time_limit = 600;

static const struct config_enum_entry guard_mode_options[] = {
	{"off", PGAML_GUARD_OFF, false},
	{"warn", PGAML_GUARD_WARN, false},
	{"cancel", PGAML_GUARD_CANCEL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry retrain_model_options[] = {
	{"linear_regression", PGAML_RETRAIN_LINEAR, false},
	{"decision_tree", PGAML_RETRAIN_TREE, false},
	{"random_forest", PGAML_RETRAIN_FOREST, false},
	{"gradient_boosting", PGAML_RETRAIN_BOOSTING, false},
	{NULL, 0, false}
};

/* Buckets of different widths must meet at midnight UTC at the latest. */
static bool
check_bucket_interval(int *newval, void **extra, GucSource source)
{
	if (DAY_SECONDS % *newval == 0)
		return true;
	GUC_check_errdetail("\"pganalytics_ml.bucket_interval\" must divide a day without a remainder.");
	GUC_check_errhint("Use for example 5min, 15min, 30min, 1h or 1d.");
	return false;
}

/*
 * Strict: what is not understood is refused here, not at night.  Whoever uses
 * the setting reads it once more, which costs nothing beside a look at a zone.
 */
static bool
check_retrain_window(char **newval, void **extra, GucSource source)
{
	PgamlDaily	daily;
	const char *problem = pgaml_daily_parse(*newval, &daily);

	if (problem == NULL && (daily.zone[0] == '\0' || pg_tzset(daily.zone) != NULL))
		return true;
	if (problem != NULL)
		GUC_check_errdetail("%s", problem);
	else
		GUC_check_errdetail("There is no time zone \"%s\".", daily.zone);
	GUC_check_errhint("Write for example '01:00-05:00', or '22:00-04:00 Europe/Berlin' with a zone out of pg_timezone_names; '' is always.");
	return false;
}

static void
define_int(const char *name, const char *what, int *var, int min, int max,
		   GucContext context, int flags, GucIntCheckHook check)
{
	DefineCustomIntVariable(name, what, NULL, var, *var, min, max, context,
							flags, check, NULL, NULL);
}

static void
define_real(const char *name, const char *what, double *var, double min,
			double max, GucContext context)
{
	DefineCustomRealVariable(name, what, NULL, var, *var, min, max, context,
							 0, NULL, NULL, NULL);
}

/* What was drawn with the old values is drawn anew. */
static void
assign_sampling(double newval, void *extra)
{
	pgaml_sampling_settings++;
}

/* Settings that fix the size of shared memory exist only with the preload. */
static void
define_postmaster_settings(void)
{
	define_int("pganalytics_ml.capture_ring_size",
			   "Number of captured executions that wait in shared memory for a worker.",
			   &pgaml_capture_ring_size, PGAML_RING_SIZE_MIN, PGAML_RING_SIZE_MAX,
			   PGC_POSTMASTER, 0, NULL);
	define_int("pganalytics_ml.max_concurrent_training",
			   "Number of training jobs that may run at the same time, all databases together.",
			   &pgaml_max_concurrent_training, PGAML_CONCURRENT_MIN, PGAML_CONCURRENT_MAX,
			   PGC_POSTMASTER, 0, NULL);
	define_int("pganalytics_ml.max_workers",
			   "Number of workers that may visit databases at the same time.",
			   &pgaml_max_workers, PGAML_WORKERS_MIN, PGAML_WORKERS_MAX,
			   PGC_POSTMASTER, 0, NULL);
}

static void
define_sighup_settings(void)
{
	define_int("pganalytics_ml.bucket_interval",
			   "Width of a bucket of history; a change takes effect at the next border of both widths.",
			   &pgaml_bucket_interval, 1, DAY_SECONDS, PGC_SIGHUP, GUC_UNIT_S,
			   check_bucket_interval);
	define_int("pganalytics_ml.collect_interval",
			   "Time between two readings of pg_stat_statements.",
			   &pgaml_collect_interval, 1, DAY_SECONDS, PGC_SIGHUP, GUC_UNIT_S, NULL);
	define_int("pganalytics_ml.history_retention",
			   "Age at which history is deleted.",
			   &pgaml_history_retention, 60, RETENTION_MAX_DAYS * MINUTES_PER_DAY,
			   PGC_SIGHUP, GUC_UNIT_MIN, NULL);
	define_int("pganalytics_ml.jobs_retention",
			   "Age at which finished training jobs are deleted.",
			   &pgaml_jobs_retention, 60, RETENTION_MAX_DAYS * MINUTES_PER_DAY,
			   PGC_SIGHUP, GUC_UNIT_MIN, NULL);
	define_int("pganalytics_ml.max_statements",
			   "Number of distinct query identifiers kept per database; the rest is summed under 0.",
			   &pgaml_max_statements, 100, 1000000, PGC_SIGHUP, 0, NULL);
	define_int("pganalytics_ml.min_training_samples",
			   "Number of samples below which training refuses to start.",
			   &pgaml_min_training_samples, PGAML_MIN_TRAINING_SAMPLES, INT_MAX,
			   PGC_SIGHUP, 0, NULL);
	define_int("pganalytics_ml.models_retention",
			   "Number of models kept beside the production model.",
			   &pgaml_models_retention, 1, 10000, PGC_SIGHUP, 0, NULL);
	define_int("pganalytics_ml.predictions_max_rows",
			   "Number of logged predictions kept per database.",
			   &pgaml_predictions_max_rows, 1000, INT_MAX, PGC_SIGHUP, 0, NULL);
	define_int("pganalytics_ml.predictions_retention",
			   "Age at which logged predictions are deleted.",
			   &pgaml_predictions_retention, 60, RETENTION_MAX_DAYS * MINUTES_PER_DAY,
			   PGC_SIGHUP, GUC_UNIT_MIN, NULL);
	define_int("pganalytics_ml.retrain_interval",
			   "Time from one training to the next, which is then started by itself; 0: never.",
			   &pgaml_retrain_interval, 0, RETENTION_MAX_DAYS * DAY_SECONDS, PGC_SIGHUP, GUC_UNIT_S, NULL);
	DefineCustomEnumVariable("pganalytics_ml.retrain_model_type",
							 "Model type that training uses when none is named.",
							 NULL, &pgaml_retrain_model_type, PGAML_RETRAIN_BOOSTING,
							 retrain_model_options, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pganalytics_ml.retrain_window",
							   "Time of day at which training starts by itself; empty: any.",
							   "HH:MM-HH:MM, with an optional time zone behind it; without one it is that of log_timezone.",
							   &pgaml_retrain_window, "", PGC_SIGHUP, 0, check_retrain_window, NULL, NULL);
	define_int("pganalytics_ml.samples_max_rows",
			   "Number of captured executions kept per database.",
			   &pgaml_samples_max_rows, 1000, INT_MAX, PGC_SIGHUP, 0, NULL);
	define_int("pganalytics_ml.samples_retention",
			   "Age at which captured executions are deleted.",
			   &pgaml_samples_retention, 60, RETENTION_MAX_DAYS * MINUTES_PER_DAY,
			   PGC_SIGHUP, GUC_UNIT_MIN, NULL);
	define_int("pganalytics_ml.text_interval",
			   "Least time between two readings of the statement texts.",
			   &pgaml_text_interval, 0, DAY_SECONDS, PGC_SIGHUP, GUC_UNIT_S, NULL);
	define_int("pganalytics_ml.training_memory",
			   "Memory that one training run may use.",
			   &pgaml_training_memory, 8 * 1024, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, NULL);
	define_int("pganalytics_ml.training_time_limit",
			   "Time after which a training run is stopped.",
			   &pgaml_training_time_limit, 1, DAY_SECONDS, PGC_SIGHUP, GUC_UNIT_S, NULL);
}

/* Called once per process from _PG_init. */
void
pgaml_guc_define(void)
{
	if (process_shared_preload_libraries_in_progress)
		define_postmaster_settings();
	define_sighup_settings();

	DefineCustomBoolVariable("pganalytics_ml.capture",
							 "Captures plan facts and sampled executions.",
							 NULL, &pgaml_capture, true, PGC_SUSET, 0, NULL, NULL, NULL);
	define_real("pganalytics_ml.capture_node_rate",
				"Share of captured executions in which the rows of every plan node are counted.",
				&pgaml_capture_node_rate, 0.0, 1.0, PGC_SUSET);
	DefineCustomRealVariable("pganalytics_ml.capture_rate",
							 "Highest share of executions that is captured.",
							 NULL, &pgaml_capture_rate, 1.0, 0.0, 1.0, PGC_SUSET,
							 0, NULL, assign_sampling, NULL);
	DefineCustomBoolVariable("pganalytics_ml.explain_predicted_time",
							 "Shows the predicted time in the output of EXPLAIN.",
							 NULL, &pgaml_explain_predicted_time, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pganalytics_ml.guard_mode",
							 "What happens when a statement that is about to run is predicted to take longer than max_predicted_time.",
							 NULL, &pgaml_guard_mode, PGAML_GUARD_OFF, guard_mode_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("pganalytics_ml.max_predicted_time",
							 "Predicted time beyond which guard_mode acts; 0: no limit.",
							 NULL, &pgaml_max_predicted_time, 0.0, 0.0, 1e12, PGC_SUSET,
							 GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomRealVariable("pganalytics_ml.overhead_budget",
							 "Share of the CPU time of statements that capturing may cost; 1 captures without thinning.",
							 NULL, &pgaml_overhead_budget, 0.01, 0.0, 1.0, PGC_SUSET,
							 0, NULL, assign_sampling, NULL);
	define_int("pganalytics_ml.prediction_cache_ttl",
			   "Time for which a session keeps the features of statements it predicts.",
			   &pgaml_prediction_cache_ttl, 0, DAY_SECONDS, PGC_USERSET, GUC_UNIT_S, NULL);
	define_real("pganalytics_ml.prediction_interval",
				"Nominal coverage of prediction intervals.",
				&pgaml_prediction_interval, 0.5, 0.99, PGC_USERSET);
	define_real("pganalytics_ml.prediction_log_rate",
				"Share of predictions that is logged and compared with what happens.",
				&pgaml_prediction_log_rate, 0.0, 1.0, PGC_USERSET);

	pgaml_fault_define();
	MarkGUCPrefixReserved("pganalytics_ml");
}
