/*-------------------------------------------------------------------------
 * experiment.c
 *		Experiments and trials in their tables.
 *
 * A trial comes back as it was written, to the last bit: parameters have few
 * digits by design (src/ml/tune_space.c), errors are stored as doubles.  So a
 * search that goes on after a crash tries what it would have tried.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/clock.h"
#include "base/spi_run.h"
#include "train/experiment.h"

void
pgaml_experiment_create(PgamlExperiment *experiment, Oid userid)
{
	static const char sql[] =
		"INSERT INTO pganalytics.experiments (request, split, sampler, pruner, n_trials, folds, n_confirm, seed, "
		"  time_limit, requested_by, requested_at) "
		"VALUES ($1::jsonb, $2, $3, $4, $5, $6, $7, $8, $9 * interval '1 microsecond', $10, $11) RETURNING experiment_id";
	const MlTuneOptions *options = &experiment->options;
	Oid			types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT4OID, INT8OID, INT8OID, OIDOID, TIMESTAMPTZOID};
	Datum		values[] = {
		CStringGetTextDatum(pgaml_request_json(&experiment->request)), CStringGetTextDatum(experiment->split),
		CStringGetTextDatum(pgaml_ml_sampler_name(options->sampler)), CStringGetTextDatum(pgaml_ml_pruner_name(options->pruner)),
		Int32GetDatum(options->n_trials), Int32GetDatum(options->nsteps), Int32GetDatum(options->n_confirm),
		Int64GetDatum((int64) options->seed), Int64GetDatum(experiment->time_limit), ObjectIdGetDatum(userid),
		TimestampTzGetDatum(pgaml_clock_now())
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
	experiment->id = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}

void
pgaml_experiment_queue(int64 id, int64 job_id)
{
	static const char sql[] =
		"UPDATE pganalytics.experiments SET job_id = $2, ran_ms = 0, outcome = NULL, message = NULL, finished_at = NULL "
		" WHERE experiment_id = $1";
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(id), Int64GetDatum(job_id)};

	pgaml_spi_exec(sql, 2, types, values, NULL, false);
}

static Datum
column(int number, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, isnull);
}

static char *
text_column(int number)
{
	bool		isnull;
	Datum		value = column(number, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int64
number_column(int number)
{
	return pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, 0);
}

char *
pgaml_experiment_read(int64 id, PgamlExperiment *experiment)
{
	static const char lock_sql[] = "SELECT FROM pganalytics.experiments WHERE experiment_id = $1 FOR UPDATE";
	static const char sql[] =
		"SELECT e.request, e.split, e.sampler, e.pruner, e.n_trials::int8, e.folds::int8, e.n_confirm::int8, e.seed, "
		"       (extract(epoch FROM e.time_limit) * 1000000)::int8, e.ran_ms, e.data_hash, s.status "
		"  FROM pganalytics.experiments e JOIN pganalytics.experiment_states s ON s.experiment_id = e.experiment_id "
		" WHERE e.experiment_id = $1";
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(id)};
	MlTuneOptions *options = &experiment->options;
	Jsonb	   *request;
	bool		isnull;
	char	   *status;

	memset(experiment, 0, sizeof(*experiment));
	if (pgaml_spi_exec(lock_sql, 1, types, values, NULL, false) == 0 ||
		pgaml_spi_exec(sql, 1, types, values, NULL, false) == 0)
		return NULL;
	experiment->id = id;
	experiment->split = text_column(2);
	pgaml_ml_tune_options_default(options);
	if (!pgaml_ml_sampler_from_name(text_column(3), &options->sampler) ||
		!pgaml_ml_pruner_from_name(text_column(4), &options->pruner))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("experiment " INT64_FORMAT " has an unknown sampler or pruner", id)));
	options->n_trials = (int32) number_column(5);
	options->nsteps = (int32) number_column(6);
	options->n_confirm = (int32) number_column(7);
	options->seed = (uint64) number_column(8);
	experiment->time_limit = number_column(9);
	experiment->ran_ms = pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 10);
	experiment->data_hash = text_column(11);
	status = text_column(12);
	request = DatumGetJsonbPCopy(column(1, &isnull));
	pgaml_request_parse(&experiment->request, request);
	return status;
}

void
pgaml_experiment_start(const PgamlExperiment *experiment, const PgamlDataset *dataset)
{
	static const char sql[] =
		"UPDATE pganalytics.experiments SET started_at = coalesce(started_at, $2), data_hash = coalesce(data_hash, $3), "
		"       rows_read = $4 WHERE experiment_id = $1";
	Oid			types[] = {INT8OID, TIMESTAMPTZOID, TEXTOID, INT8OID};
	Datum		values[] = {
		Int64GetDatum(experiment->id), TimestampTzGetDatum(pgaml_clock_now()), CStringGetTextDatum(dataset->hash),
		Int64GetDatum(dataset->seen)
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}

static Datum
numbers_datum(const double *numbers, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elements[i] = Float8GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(elements, n, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Numbers of an array column into room for most; how many, or -1: too many. */
static int
take_numbers(HeapTuple tuple, TupleDesc desc, int number, double *numbers, int most)
{
	void	   *elements;
	int			n = pgaml_row_array(tuple, desc, number, FLOAT8OID, &elements);

	if (n > most)
		return -1;
	if (n > 0)
		memcpy(numbers, elements, sizeof(double) * n);
	return n;
}

typedef struct Restoring
{
	const PgamlExperiment *experiment;
	MlStudy    *study;
} Restoring;

/* Columns: number, state, hyperparameters, fold_values, value, confirm_values, cpu_ms, message */
static bool
restore_trial(HeapTuple tuple, TupleDesc desc, void *state)
{
	const Restoring *restoring = state;
	MlTrial		trial = {.number = (int32) pgaml_row_int8(tuple, desc, 1, -1)};
	char	   *name = SPI_getvalue(tuple, desc, 2);
	char	   *message = SPI_getvalue(tuple, desc, 8);
	PgamlTrainRequest request;
	MlError		error = {0};
	MlStatus	status = ML_OK;
	bool		isnull;

	while (trial.state <= ML_TRIAL_FAILED && strcmp(name, pgaml_ml_trial_state_name(trial.state)) != 0)
		trial.state++;
	pgaml_request_fill(&request, pgaml_ml_type_name(restoring->study->base.type), 1,
					   DatumGetJsonbP(SPI_getbinval(tuple, desc, 3, &isnull)), pgaml_split_strategy_name(PGAML_SPLIT_TIME));
	trial.params = request.params;
	trial.nvalues = take_numbers(tuple, desc, 4, trial.values, ML_TUNE_MAX_VALUES);
	trial.value = pgaml_row_float8(tuple, desc, 5);
	trial.nconfirm = take_numbers(tuple, desc, 6, trial.confirm, ML_TUNE_MAX_STEPS);
	trial.cpu_ms = pgaml_row_float8(tuple, desc, 7);
	if (message != NULL)
		strlcpy(trial.message, message, sizeof(trial.message));
	status = pgaml_ml_study_restore(restoring->study, &trial, &error);
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, psprintf("could not go on with experiment " INT64_FORMAT, restoring->experiment->id));
	return true;
}

void
pgaml_experiment_restore(const PgamlExperiment *experiment, MlStudy *study)
{
	static const char sql[] =
		"SELECT number::int8, state, hyperparameters, fold_values, value, confirm_values, cpu_ms, message "
		"  FROM pganalytics.trials WHERE experiment_id = $1 ORDER BY number";
	Restoring	restoring = {experiment, study};
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(experiment->id)};

	pgaml_spi_each(sql, 1, types, values, NULL, false, restore_trial, &restoring);
}

void
pgaml_experiment_record(int64 id, const MlTrial *trial, double ran_ms)
{
	static const char sql[] =
		"INSERT INTO pganalytics.trials AS t (experiment_id, number, state, hyperparameters, fold_values, value, "
		"  confirm_values, cpu_ms, message, started_at, finished_at) "
		"VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, nullif($9, ''), $10, CASE WHEN $3 <> 'running' THEN $10 END) "
		"ON CONFLICT (experiment_id, number) DO UPDATE SET state = excluded.state, fold_values = excluded.fold_values, "
		"  value = excluded.value, confirm_values = excluded.confirm_values, cpu_ms = excluded.cpu_ms, "
		"  message = excluded.message, finished_at = coalesce(t.finished_at, excluded.finished_at)";
	static const char ran_sql[] = "UPDATE pganalytics.experiments SET ran_ms = $2 WHERE experiment_id = $1";
	Oid			types[] = {INT8OID, INT4OID, TEXTOID, TEXTOID, FLOAT8ARRAYOID, FLOAT8OID, FLOAT8ARRAYOID, FLOAT8OID, TEXTOID, TIMESTAMPTZOID};
	Oid			ran_types[] = {INT8OID, FLOAT8OID};
	Datum		values[] = {
		Int64GetDatum(id), Int32GetDatum(trial->number), CStringGetTextDatum(pgaml_ml_trial_state_name(trial->state)),
		CStringGetTextDatum(pgaml_params_json(&trial->params)), numbers_datum(trial->values, trial->nvalues),
		Float8GetDatum(trial->value), numbers_datum(trial->confirm, trial->nconfirm), Float8GetDatum(trial->cpu_ms),
		CStringGetTextDatum(trial->message), TimestampTzGetDatum(pgaml_clock_now())
	};
	Datum		ran_values[] = {Int64GetDatum(id), Float8GetDatum(ran_ms)};
	char		nulls[] = "          ";

	nulls[5] = isfinite(trial->value) ? ' ' : 'n';
	pgaml_spi_exec(sql, lengthof(types), types, values, nulls, false);
	pgaml_spi_exec(ran_sql, lengthof(ran_types), ran_types, ran_values, NULL, false);
}

void
pgaml_experiment_finish(int64 id, const char *outcome, int best_trial, int64 model_id, const char *message)
{
	static const char sql[] =
		"UPDATE pganalytics.experiments SET outcome = $2, best_trial = $3, model_id = nullif($4, 0), message = $5, "
		"       finished_at = $6 WHERE experiment_id = $1";
	Oid			types[] = {INT8OID, TEXTOID, INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[] = {
		Int64GetDatum(id), CStringGetTextDatum(outcome), Int32GetDatum(best_trial), Int64GetDatum(model_id),
		CStringGetTextDatum(message), TimestampTzGetDatum(pgaml_clock_now())
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}
