/*-------------------------------------------------------------------------
 * tune.c
 *		The job that runs an experiment.
 *
 * One transaction reads the rows and the trials that are there already.  Then
 * the study (ml/tune.h) goes on without a transaction, but for a short one
 * each time that a trial begins or ends: whatever happens, the trials are
 * there, and the next job goes on from them.  Only the training part of the
 * split is searched on; the parameters that win are fitted to the whole split
 * like any model, measured on its test part, and stored as a candidate.
 *
 * Memory: a trial whose parameters could not be fitted in full within
 * training_memory is not measured either.
 */
#include "postgres.h"

#include <math.h>
#include <sys/resource.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/fault.h"
#include "base/guc.h"
#include "features/spec.h"
#include "ml/stages_tune.h"
#include "train/experiment.h"
#include "train/job.h"

#define SEARCH_SHARE	0.9		/* of the progress of a job; the rest is the fit at the end */

typedef struct Tuning
{
	PgamlJob   *job;
	PgamlExperiment experiment;
	PgamlTrainRun run;
	MlStudy		study;
	MlTuneObjective learner;	/* of ml/stages_tune.h */
	instr_time	began;
	bool		other_rows;		/* they are no longer those that it began with */
	int64		same_id;		/* the winner is what this model in production is already; 0: it is not */
	char	   *message;
} Tuning;

static double
wall_ms(void *state)
{
	Tuning	   *tuning = state;
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, tuning->began);
	return INSTR_TIME_GET_MILLISEC(now);
}

static double
cpu_ms(void *state)
{
	struct rusage usage;

	(void) getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000.0 +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000.0;
}

/*
 * A failure is raised through the library, which holds nothing but memory of
 * the job.
 */
static MlStatus
record(void *state, const MlTrial *trial, MlError *error)
{
	Tuning	   *tuning = state;
	PgamlSpi	spi;

	pgaml_job_open(tuning->job, &spi, "pganalytics_ml: recording a trial");
	pgaml_experiment_record(tuning->experiment.id, trial, tuning->experiment.ran_ms + wall_ms(tuning));
	pgaml_job_close(tuning->job, &spi);
	pgstat_report_activity(STATE_RUNNING, "pganalytics_ml: tuning a model");
	PGAML_FAULT(trial->state == ML_TRIAL_RUNNING ? "trial_begun" : "trial_ended");
	return ML_OK;
}

static bool
should_stop(void *state, double progress)
{
	Tuning	   *tuning = state;

	return pgaml_job_ask(tuning->job, SEARCH_SHARE * progress);
}

static MlStatus
measure(void *state, const MlParams *params, const MlTuneStep *step, const MlStop *stop, double *value, MlError *error)
{
	Tuning	   *tuning = state;
	Size		needed = pgaml_dataset_bytes(params, tuning->run.dataset->data.nrows);

	if (needed > (Size) pgaml_training_memory * 1024)
	{
		error->code = ML_E_LIMIT;
		snprintf(error->message, sizeof(error->message),
				 "a fit would take %zu kB, pganalytics_ml.training_memory allows %d kB", needed / 1024, pgaml_training_memory);
		return ML_E_LIMIT;
	}
	return tuning->learner.measure(tuning->learner.state, params, step, stop, value, error);
}

static int64
experiment_of(Jsonb *arguments)
{
	JsonbValue *value = pgaml_request_member(arguments, "experiment_id");

	if (value == NULL || value->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the arguments of the job have no \"%s\"", "experiment_id")));
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

/* Experiment, rows, and a study with the trials so far. */
static void
read_all(Tuning *tuning)
{
	PgamlExperiment *experiment = &tuning->experiment;
	int64		id = experiment_of(tuning->job->arguments);
	MlTuneSpace space;
	MlError		error = {0};
	PgamlSpi	spi;
	MlStatus	status;

	pgaml_job_open(tuning->job, &spi, "pganalytics_ml: reading rows to tune on");
	if (pgaml_experiment_read(id, experiment) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("experiment " INT64_FORMAT " does not exist", id)));
	pgaml_run_init(&tuning->run, &experiment->request, tuning->job->requested_by, tuning->job->context);
	pgaml_run_read(&tuning->run);
	tuning->other_rows = experiment->data_hash != NULL && strcmp(experiment->data_hash, tuning->run.dataset->hash) != 0;
	pgaml_experiment_start(experiment, tuning->run.dataset);

	pgaml_ml_tune_space_default(experiment->request.params.type, &space);
	experiment->options.time_limit_ms = Max(experiment->time_limit / 1000.0 - experiment->ran_ms, 1.0);
	status = pgaml_ml_study_create(&experiment->options, &space, &experiment->request.params,
								   &tuning->run.memory.allocator, &tuning->study, &error);
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not tune");
	pgaml_experiment_restore(experiment, &tuning->study);
	pgaml_job_close(tuning->job, &spi);
	pgaml_job_show(tuning->run.dataset->seen, 0);
}

/* The learner's rows with folds after the split's own rule. */
static MlStageTune *
make_learner(Tuning *tuning, const MlStop *stop)
{
	static const MlStageFolds folds[PGAML_SPLIT_STRATEGIES] = {
		[PGAML_SPLIT_TIME] = ML_STAGE_FOLDS_TIME,
		[PGAML_SPLIT_GROUP] = ML_STAGE_FOLDS_STATEMENT,
		[PGAML_SPLIT_RANDOM] = ML_STAGE_FOLDS_ROW
	};
	const PgamlDataset *dataset = tuning->run.dataset;
	MlStageTuneSpec spec = {
		.folds = folds[tuning->experiment.request.split.strategy], .nfolds = tuning->experiment.options.nsteps,
		.seed = tuning->experiment.options.seed
	};
	int64	   *times = palloc_extended(sizeof(int64) * dataset->data.nrows, MCXT_ALLOC_HUGE);
	MlStageTune *learner;
	MlError		error = {0};
	MlStatus	status;

	for (int64 i = 0; i < dataset->data.nrows; i++)
		times[i] = (int64) rint(dataset->at[i] * USECS_PER_SEC);
	spec.times = times;
	status = pgaml_ml_stages_tune_create(&dataset->data, &pgaml_feature_layout, &tuning->study.base, &spec,
										 &tuning->run.memory.allocator, stop, &learner, &error);
	CHECK_FOR_INTERRUPTS();
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not tune");
	pfree(times);
	return learner;
}

/* Measure what is left to be measured, and choose. */
static void
search(Tuning *tuning)
{
	MlStop		stop = {should_stop, tuning};
	MlTuneObjective objective = {measure, tuning};
	MlTuneWatch watch = {wall_ms, cpu_ms, record, tuning};
	MlStageTune *learner = make_learner(tuning, &stop);
	MlError		error = {0};
	MlStatus	status;

	tuning->learner = pgaml_ml_stages_tune_objective(learner);
	status = pgaml_ml_tune(&tuning->study, &objective, &watch, &tuning->run.memory.allocator, &stop, &error);
	CHECK_FOR_INTERRUPTS();
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not tune");
	pgaml_ml_stages_tune_free(learner);
}

/* The model in production, when it is of these very parameters; else 0. */
static int64
production_like(const MlParams *params)
{
	static const char sql[] =
		"SELECT model_id FROM pganalytics.models "
		" WHERE stage = 'production' AND model_type = $1 AND hyperparameters = $2::jsonb";
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(pgaml_ml_type_name(params->type)), CStringGetTextDatum(pgaml_params_json(params))};

	if (pgaml_spi_exec(sql, 2, types, values, NULL, false) == 0)
		return 0;
	return pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}

static double
mean(const double *values, int n)
{
	double		sum = 0.0;

	for (int i = 0; i < n; i++)
		sum += values[i] / n;
	return sum;
}

/* Which trial won, and by how much. */
static char *
describe(const Tuning *tuning)
{
	const MlStudy *study = &tuning->study;
	const MlTrial *first = &study->trials[0];
	const MlTrial *best = &study->trials[study->best];
	int			nsteps = study->options.nsteps;
	int			done = study->ntrials - (study->trials[study->ntrials - 1].state == ML_TRIAL_RUNNING ? 1 : 0);
	StringInfoData out;

	initStringInfo(&out);
	if (study->best > 0)
	{
		appendStringInfo(&out, "trial %d of %d is the best", study->best, done);
		if (first->state == ML_TRIAL_COMPLETE)
			appendStringInfo(&out, ": mean absolute log error %.4f against %.4f of the default", best->value, first->value);
		if (best->nconfirm == nsteps && first->nconfirm == nsteps)
			appendStringInfo(&out, ", on other folds %.4f against %.4f", mean(best->confirm, nsteps), mean(first->confirm, nsteps));
	}
	else if (first->state != ML_TRIAL_COMPLETE)
		appendStringInfoString(&out, "there was no time to measure even the default");
	else
		appendStringInfo(&out, "none of %d trials is surely better than the default: mean absolute log error %.4f", done, first->value);
	if (study->end == ML_STUDY_TIME)
		appendStringInfoString(&out, "; the time ran out, resume_tuning() goes on");
	if (study->end == ML_STUDY_GRID_DONE)
		appendStringInfo(&out, "; the grid has no further cell");
	if (tuning->other_rows)
		appendStringInfoString(&out, "; the rows are no longer those of the first trials");
	return out.data;
}

static char *
message_json(const char *message)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"message\": ");
	escape_json(&out, message);
	appendStringInfoChar(&out, '}');
	return out.data;
}

static void
store(PgamlJob *job, PgamlSpi *spi, void *state, PgamlJobResult *result)
{
	Tuning	   *tuning = state;
	PgamlTrainRun *run = &tuning->run;
	bool		late = tuning->study.end == ML_STUDY_TIME;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "%s; ", describe(tuning));
	result->rows_read = run->dataset->seen;
	if (tuning->same_id != 0)
	{
		appendStringInfo(&out, "model " INT64_FORMAT " in production has these parameters already", tuning->same_id);
		result->json = message_json(out.data);
	}
	else
	{
		run->candidate_only = true;
		pgaml_run_store(run);
		appendStringInfoString(&out, run->message);
		result->model_id = run->model_id;
		result->trees_grown = pgaml_ml_model_trees(pgaml_ml_stages_model(run->stages));
		result->json = pgaml_run_result_json(run);
	}
	pgaml_experiment_finish(tuning->experiment.id, late ? "out_of_time" : "completed", tuning->study.best,
							result->model_id, out.data);
}

void
pgaml_tune_job(PgamlJob *job)
{
	Tuning	   *tuning = palloc0(sizeof(Tuning));
	PgamlTrainRun *run = &tuning->run;
	PgamlSpi	spi;

	tuning->job = job;
	INSTR_TIME_SET_CURRENT(tuning->began);
	read_all(tuning);
	search(tuning);

	run->request.params = tuning->study.trials[tuning->study.best].params;
	pgaml_job_open(job, &spi, "pganalytics_ml: looking at the model in production");
	tuning->same_id = tuning->study.best == 0 ? production_like(&run->request.params) : 0;
	pgaml_job_close(job, &spi);
	if (tuning->same_id == 0)
	{
		run->deadline = GetCurrentTimestamp() + pgaml_training_time_limit * USECS_PER_SEC;
		run->before = SEARCH_SHARE;
		pgstat_report_activity(STATE_RUNNING, "pganalytics_ml: fitting the best parameters");
		pgaml_run_fit(run);
	}
	pgaml_job_store(job, store, tuning);
}

/* CAUTION: never an error, or the job could not even fail, and would stand before all others. */
int64
pgaml_tune_time_limit(Jsonb *arguments)
{
	JsonbValue *value = pgaml_request_member(arguments, "time_limit_s");
	double		seconds = 0.0;

	if (value != NULL && value->type == jbvNumeric)
		seconds = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
	return (int64) Min(Max(seconds, 0.0), (double) SECS_PER_DAY) + pgaml_training_time_limit;
}
