/*-------------------------------------------------------------------------
 * run.c
 *		One training run in three phases: read, fit, store.
 *
 * Reading and storing need a transaction and an open bracket; fitting touches
 * neither server nor tables, so a worker holds no snapshot meanwhile.  Whoever
 * trains in a session runs the three within one transaction: a run that ends
 * in an error then leaves no row.  The stop callback only reads flags;
 * interrupts are processed after the library has given everything back.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/procsignal.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/training.h"
#include "features/spec.h"
#include "registry/registry.h"
#include "train/drift_reference.h"
#include "train/promote.h"
#include "train/train.h"

#define PROGRESS_EVERY	(2 * USECS_PER_SEC)
#define FIT_SHARE		0.95	/* of a run's time, roughly; the rest explains the model */

/*
 * CAUTION: a process that takes in no barrier holds up DROP DATABASE and DROP
 * TABLESPACE everywhere in the cluster, so a long fit must do so itself.
 */
bool
pgaml_run_interrupted(void)
{
	if (!InterruptPending)
		return false;
	if (ProcSignalBarrierPending)
		ProcessProcSignalBarrier();
	return QueryCancelPending || ProcDiePending;
}

static bool
should_stop(void *state, double progress)
{
	PgamlTrainRun *run = state;
	TimestampTz now = GetCurrentTimestamp();
	int			trees = run->stages == NULL ? (int) (progress * run->request.params.n_trees) : 0;

	progress = run->from + run->share * progress;
	if (now >= run->next_report)
	{
		char		line[128];

		snprintf(line, sizeof(line), "training %s %d%%", pgaml_ml_type_name(run->request.params.type),
				 (int) (progress * 100.0));
		set_ps_display(line);
		run->next_report = now + PROGRESS_EVERY;
	}
	pgaml_training_progress(run->before + (1.0 - run->before) * progress, run->dataset->seen, trees);
	run->too_late = now >= run->deadline;
	return run->too_late || (run->ask != NULL && run->ask(run->ask_state, progress)) || pgaml_run_interrupted();
}

void
pgaml_run_init(PgamlTrainRun *run, const PgamlTrainRequest *request, Oid userid, MemoryContext context)
{
	memset(run, 0, sizeof(*run));
	run->request = *request;
	run->userid = userid;
	run->context = context;
	run->started_at = pgaml_clock_now();
	run->deadline = GetCurrentTimestamp() + pgaml_training_time_limit * USECS_PER_SEC;
}

void
pgaml_run_read(PgamlTrainRun *run)
{
	run->dataset = pgaml_dataset_read(&run->request, run->context);
	if (run->dataset == NULL)
		return;
	pgaml_dataset_split(run->dataset, &run->request.split, run->request.params.seed);
	pgaml_ml_memory_init(&run->memory, run->context, (Size) pgaml_training_memory * 1024);
}

/* Fit within memory and time; raises what went wrong. */
static void
fit_stages(PgamlTrainRun *run)
{
	MlStop		stop = {should_stop, run};
	MlError		error = {0};
	instr_time	start;
	instr_time	end;
	MlStatus	status;

	run->share = FIT_SHARE;
	INSTR_TIME_SET_CURRENT(start);
	status = pgaml_ml_stages_fit(&run->dataset->data, &pgaml_feature_layout, &run->request.params,
								 &run->memory.allocator, &stop, &run->stages, &run->report, &error);
	CHECK_FOR_INTERRUPTS();
	if (status == ML_E_STOPPED && run->too_late)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("training stopped after pganalytics_ml.training_time_limit (%d s)", pgaml_training_time_limit),
				 errhint("Raise the setting, ask for a shorter lookback_days, or for fewer trees.")));
	if (status == ML_E_NOMEM && run->memory.limit_hit)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("training does not fit into pganalytics_ml.training_memory (%d kB)", pgaml_training_memory),
				 errhint("Raise the setting, or ask for fewer trees or leaves.")));
	if (status == ML_OK)
		status = pgaml_ml_stages_encode(run->stages, &run->memory.allocator, &run->bytes, &run->length, &error);
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not train");
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	run->ms = INSTR_TIME_GET_MILLISEC(end);
}

/* What the model looks at; never a reason to lose it. */
static void
explain(PgamlTrainRun *run)
{
	MlStop		stop = {should_stop, run};

	run->from = FIT_SHARE;
	run->share = 1.0 - FIT_SHARE;
	run->importance = pgaml_train_importance_json(run->stages, &run->dataset->data, run->request.params.seed,
												  &run->memory.allocator, &stop);
	CHECK_FOR_INTERRUPTS();
	run->statistics = pgaml_train_statistics_json(&run->dataset->data, &run->memory.allocator, &stop);
	CHECK_FOR_INTERRUPTS();
	run->drift_reference = pgaml_drift_reference_json(run->stages, run->dataset, &stop);
	CHECK_FOR_INTERRUPTS();
}

void
pgaml_run_fit(PgamlTrainRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(run->context);

	fit_stages(run);
	explain(run);
	MemoryContextSwitchTo(old);
}

static void
store_model(PgamlTrainRun *run)
{
	PgamlNewModel model = {
		.model_type = pgaml_ml_type_name(run->request.params.type),
		.feature_version = PGAML_FEATURE_VERSION,
		.hyperparameters = pgaml_params_json(&run->request.params),
		.window_start = run->dataset->window_start,
		.window_end = run->dataset->window_end,
		.heldout_from = run->heldout_from,
		.training_samples = run->report.rows[ML_PART_TRAIN],
		.calibration_samples = run->report.rows[ML_PART_CALIBRATE],
		.heldout_samples = run->report.rows[ML_PART_TEST],
		.statements = run->dataset->data.ngroups,
		.seed = (int64) run->request.params.seed,
		.metrics = pgaml_report_metrics_json(&run->report, pgaml_ml_stages_model(run->stages)),
		.calibration = pgaml_report_calibration_json(&run->report),
		.importance = run->importance,
		.feature_statistics = run->statistics,
		.training_ms = run->ms,
		.training_bytes = run->memory.peak,
		.created_by = run->userid,
		.features = pgaml_train_feature_names(),
		.nfeatures = PGAML_F_COUNT,
		.bytes = run->bytes,
		.length = run->length
	};

	strlcpy(model.data_hash, run->dataset->hash, sizeof(model.data_hash));
	run->model_id = pgaml_registry_store(&model, &run->version);
	if (run->drift_reference != NULL)
		pgaml_drift_reference_store(run->model_id, run->drift_reference);
}

void
pgaml_run_store(PgamlTrainRun *run)
{
	PgamlPromotion promotion;

	run->heldout_from = pgaml_dataset_heldout_from(run->dataset);
	/* Whoever trains at the same time decides after us, against what we leave in production. */
	pgaml_registry_lock();
	pgaml_promote_decide(run, &promotion);
	store_model(run);
	pgaml_promote_apply(run, &promotion);
}

/* A figure, or null when it could not be measured. */
static void
append_figure(StringInfo out, const char *name, double value, bool measured)
{
	if (measured && isfinite(value))
		appendStringInfo(out, "\"%s\": %.17g, ", name, value);
	else
		appendStringInfo(out, "\"%s\": null, ", name);
}

char *
pgaml_run_result_json(const PgamlTrainRun *run)
{
	const MlStageScore *serving = &run->report.serving;
	bool		measured = serving->n > 0;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	append_figure(&out, "r_squared", serving->metrics.r2, measured);
	append_figure(&out, "rmse", serving->metrics.rmse, measured);
	append_figure(&out, "mae", serving->metrics.mae, measured);
	appendStringInfo(&out, "\"training_samples\": " INT64_FORMAT ", \"message\": ",
					 (int64) run->report.rows[ML_PART_TRAIN]);
	escape_json(&out, run->message);
	appendStringInfoChar(&out, '}');
	return out.data;
}
