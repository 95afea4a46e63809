/*-------------------------------------------------------------------------
 * drift_truth.c
 *		How right each model was, day by day, on executions new to it.
 *
 * A day (of UTC) is written anew as long as more of it is known than before,
 * so it stays as it was when its executions are no longer read.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "watch/drift_truth.h"

#define SECONDS_PER_DAY 86400.0

/* What is known of one day, n rows of errors. */
typedef struct Day
{
	int			day;			/* since the PostgreSQL epoch */
	double	   *errors;
	int64		n;
	int64		judged;
	int64		covered;
} Day;

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
write_day(int64 model_id, Day *day)
{
	static const char sql[] =
		"INSERT INTO pganalytics.model_truth AS t (model_id, day, executions, mean_abs_log_error, q_error_p50, "
		"                                          q_error_p90, judged, covered) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
		"ON CONFLICT (model_id, day) DO UPDATE SET executions = excluded.executions, "
		"  mean_abs_log_error = excluded.mean_abs_log_error, q_error_p50 = excluded.q_error_p50, "
		"  q_error_p90 = excluded.q_error_p90, judged = excluded.judged, covered = excluded.covered "
		" WHERE t.executions <= excluded.executions";
	Oid			types[] = {INT8OID, DATEOID, INT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, INT8OID, INT8OID};
	double		sum = 0.0;
	Datum		values[8];

	for (int64 i = 0; i < day->n; i++)
		sum += day->errors[i];
	qsort(day->errors, day->n, sizeof(double), compare_double);
	values[0] = Int64GetDatum(model_id);
	values[1] = DateADTGetDatum(day->day);
	values[2] = Int64GetDatum(day->n);
	values[3] = Float8GetDatum(sum / day->n);
	values[4] = Float8GetDatum(exp(day->errors[(day->n - 1) / 2]));
	values[5] = Float8GetDatum(exp(day->errors[(int64) (0.9 * (day->n - 1))]));
	values[6] = Int64GetDatum(day->judged);
	values[7] = Int64GetDatum(day->covered);
	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}

static void
write_model(const PgamlLive *live, const PgamlLiveModel *model)
{
	const PgamlDataset *rows = live->rows;
	int			first = (int) floor((double) live->from / USECS_PER_DAY);
	int			last = (int) floor((double) live->until / USECS_PER_DAY);
	Day			day = {.errors = palloc(sizeof(double) * rows->data.nrows)};

	for (day.day = first; day.day <= last; day.day++)
	{
		day.n = day.judged = day.covered = 0;
		for (int64 i = 0; i < rows->data.nrows; i++)
		{
			if (floor(rows->at[i] / SECONDS_PER_DAY) != day.day || isnan(model->error[i]))
				continue;
			day.errors[day.n++] = model->error[i];
			day.judged += model->covered[i] != PGAML_NOT_JUDGED;
			day.covered += model->covered[i] == PGAML_COVERED;
		}
		if (day.n > 0)
			write_day(model->model_id, &day);
	}
	pfree(day.errors);
}

void
pgaml_drift_write_truth(const PgamlLive *live)
{
	static const char old[] = "DELETE FROM pganalytics.model_truth WHERE day < $1";
	Oid			types[] = {DATEOID};
	Datum		values[1];

	for (int i = 0; i < live->nmodels; i++)
		write_model(live, &live->models[i]);
	values[0] = DateADTGetDatum((DateADT) ((live->until - pgaml_history_retention * USECS_PER_MINUTE) / USECS_PER_DAY));
	pgaml_spi_exec(old, 1, types, values, NULL, false);
}
