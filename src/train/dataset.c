/*-------------------------------------------------------------------------
 * dataset.c
 *		The rows that training uses, as columns in memory.
 *
 * Size is computed and compared with training_memory before anything is read;
 * rows beyond it are thinned evenly.  What the rows are: replay.c.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "features/features.h"
#include "train/train.h"

/* CAUTION: reading through SPI leaves another context current. */
static void
allocate(PgamlDataset *dataset, int64 capacity, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	dataset->capacity = capacity;
	dataset->group_room = 1024;
	dataset->group_key = palloc(sizeof(int64) * dataset->group_room);
	dataset->columns = palloc(sizeof(float *) * PGAML_F_COUNT);
	for (int i = 0; i < PGAML_F_COUNT; i++)
		dataset->columns[i] = palloc_extended(sizeof(float) * capacity, MCXT_ALLOC_HUGE);
	dataset->target = palloc_extended(sizeof(double) * capacity, MCXT_ALLOC_HUGE);
	dataset->at = palloc_extended(sizeof(double) * capacity, MCXT_ALLOC_HUGE);
	dataset->group = palloc_extended(sizeof(int32) * capacity, MCXT_ALLOC_HUGE);
	dataset->plan = palloc_extended(sizeof(int64) * capacity, MCXT_ALLOC_HUGE);
	dataset->part = palloc_extended(capacity, MCXT_ALLOC_HUGE);
	dataset->single = palloc_extended(capacity, MCXT_ALLOC_HUGE);
	MemoryContextSwitchTo(old);
}

Size
pgaml_dataset_bytes(const MlParams *params, int64 nrows)
{
	Size		fit = pgaml_ml_stages_memory(params, nrows, PGAML_F_COUNT);
	Size		row = sizeof(float) * PGAML_F_COUNT + 2 * sizeof(double) + sizeof(int32) + sizeof(int64) + 2;

	if (fit == SIZE_MAX || (Size) nrows > (SIZE_MAX - fit) / row)
		return SIZE_MAX;
	return fit + row * (Size) nrows;
}

static void
take_row(const PgamlTrainingRow *row, void *state)
{
	PgamlDataset *dataset = state;
	int64		n = dataset->data.nrows;

	if (n >= dataset->capacity)
		return;					/* written since they were counted */
	if (row->group >= dataset->group_room)
	{
		dataset->group_room = 2 * row->group;
		dataset->group_key = repalloc_huge(dataset->group_key, sizeof(int64) * dataset->group_room);
	}
	dataset->group_key[row->group] = row->queryid;
	for (int i = 0; i < PGAML_F_COUNT; i++)
		dataset->columns[i][n] = row->features[i];
	dataset->target[n] = row->log_ms;
	dataset->at[n] = row->at;
	dataset->group[n] = row->group;
	dataset->plan[n] = row->plan;
	dataset->single[n] = row->single;
	if (dataset->recent != NULL)
	{
		memcpy(dataset->recent + n * PGAML_RECENT_RUNS, row->recent, sizeof(float) * row->nrecent);
		dataset->nrecent[n] = row->nrecent;
	}
	dataset->data.nrows++;
}

/* When there will be as many rows as are needed, told from those there are and those that wait for a text. */
static const char *
when_enough(int64 have, TimestampTz first, int64 waiting, TimestampTz first_waiting)
{
	int64		all = have + waiting;
	TimestampTz since = have == 0 || (waiting > 0 && first_waiting < first) ? first_waiting : first;
	double		hours = all > 0 ? (double) (pgaml_clock_now() - since) / USECS_PER_HOUR : 0.0;
	const char *texts = "";

	if (waiting > 0)
		texts = psprintf(INT64_FORMAT " more wait until the texts of their statements are read (pganalytics_ml.text_interval)",
						 waiting);
	if (all >= pgaml_min_training_samples)
		return psprintf("%s: then there will be enough", texts);
	if (!(hours > 0.0))
		return "Nothing has been recorded yet";
	return psprintf("%s%st the present rate there will be enough in about %.1f hours", texts, waiting > 0 ? "; a" : "A",
					hours * (pgaml_min_training_samples - all) / all);
}

/* Say how many rows there are, how many are needed, and when. */
static void
too_few(int bucket_width, const PgamlWindow *window, int64 have, TimestampTz first)
{
	TimestampTz first_waiting;
	int64		waiting = pgaml_replay_waiting(window, bucket_width, true, &first_waiting);
	const char *when = when_enough(have, first, waiting, first_waiting);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("not enough samples to train on: " INT64_FORMAT " of %d", have, pgaml_min_training_samples),
			 errdetail("%s.", when),
			 errhint("Let the workload run, call collect_statements(), ask for more lookback_days, "
					 "or lower pganalytics_ml.min_training_samples (at least %d).",
					 PGAML_MIN_TRAINING_SAMPLES)));
}

int
pgaml_dataset_thinning(const MlParams *params, int64 nrows)
{
	Size		limit = (Size) pgaml_training_memory * 1024;
	int			keep_every = 1;

	while (pgaml_dataset_bytes(params, nrows / keep_every + 1) > limit)
	{
		keep_every++;
		if (nrows / keep_every < pgaml_min_training_samples)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("training does not fit into pganalytics_ml.training_memory"),
					 errdetail("%d rows need %zu kB, the setting allows %d kB.", pgaml_min_training_samples,
							   pgaml_dataset_bytes(params, pgaml_min_training_samples) / 1024, pgaml_training_memory),
					 errhint("Raise pganalytics_ml.training_memory, or ask for fewer trees or leaves.")));
	}
	if (keep_every > 1)
		ereport(NOTICE,
				(errmsg("training on one in %d of " INT64_FORMAT " samples to stay within pganalytics_ml.training_memory",
						keep_every, nrows)));
	return keep_every;
}

static void
hash_rows(PgamlDataset *dataset)
{
	uint64		a = 0;
	uint64		b = 1;
	Size		n = dataset->data.nrows;

	for (int i = 0; i < PGAML_F_COUNT; i++)
	{
		/* In pieces: the server's hash takes an int length. */
		for (Size from = 0; from < n; from += 1 << 20)
		{
			int			length = sizeof(float) * Min(n - from, 1 << 20);

			a = hash_bytes_extended((unsigned char *) (dataset->columns[i] + from), length, a);
			b = hash_bytes_extended((unsigned char *) (dataset->columns[i] + from), length, b);
		}
	}
	for (Size i = 0; i < n; i++)
	{
		a = hash_combine64(a, hash_bytes_extended((unsigned char *) &dataset->target[i], sizeof(double), a));
		b = hash_combine64(b, hash_bytes_extended((unsigned char *) &dataset->at[i], sizeof(double), b));
	}
	snprintf(dataset->hash, sizeof(dataset->hash), "%016llx%016llx",
			 (unsigned long long) a, (unsigned long long) b);
}

static void
finish(PgamlDataset *dataset)
{
	double		low = INFINITY;
	double		high = -INFINITY;

	for (int64 i = 0; i < dataset->data.nrows; i++)
	{
		low = Min(low, dataset->at[i]);
		high = Max(high, dataset->at[i]);
	}
	dataset->window_start = (TimestampTz) (low * USECS_PER_SEC);
	dataset->window_end = (TimestampTz) (high * USECS_PER_SEC);
	dataset->data.columns = (const float *const *) dataset->columns;
	dataset->data.target = dataset->target;
	dataset->data.group = dataset->group;
	dataset->data.plan = dataset->plan;
	dataset->data.part = dataset->part;
	dataset->data.single = dataset->single;
	dataset->data.group_key = dataset->group_key;
	hash_rows(dataset);
}

/* ERROR that says how many rows there are, and what to do about it. */
static void
refuse(const PgamlTrainRequest *request, int bucket_width, const PgamlWindow *window, int64 have, TimestampTz first)
{
	if (request->split.name[0] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("not enough samples to train on: " INT64_FORMAT " of %d", have, pgaml_min_training_samples),
				 errdetail("The split \"%s\" had " INT64_FORMAT " when it was created.", request->split.name, request->split.rows),
				 errhint("Create a split over newer executions, or lower pganalytics_ml.min_training_samples (at least %d).",
						 PGAML_MIN_TRAINING_SAMPLES)));
	too_few(bucket_width, window, have, first);
}

/* There are too few rows: NULL where that is an answer, else ERROR. */
static PgamlDataset *
none(const PgamlTrainRequest *request, PgamlStatementSet *set, const PgamlWindow *window, int64 have, TimestampTz first,
	 MemoryContext caller)
{
	if (!request->optional)
		refuse(request, set->bucket_width, window, have, first);
	pgaml_statements_free(set);
	MemoryContextSwitchTo(caller);
	return NULL;
}

void
pgaml_dataset_require(const PgamlTrainRequest *request)
{
	PgamlWindow window = pgaml_request_window(request);
	int			bucket_width = pgaml_features_bucket_width(false);
	TimestampTz first;
	int64		nrows = pgaml_replay_count(&window, bucket_width, false, &first);

	if (nrows < pgaml_min_training_samples)
		refuse(request, bucket_width, &window, nrows, first);
}

PgamlDataset *
pgaml_dataset_read(const PgamlTrainRequest *request, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	PgamlDataset *dataset = palloc0(sizeof(PgamlDataset));
	PgamlStatementSet *set;
	PgamlWindow window = pgaml_request_window(request);
	TimestampTz first;
	int64		nrows;

	set = pgaml_statements_load(context, false);
	nrows = pgaml_replay_count(&window, set->bucket_width, false, &first);
	if (nrows < pgaml_min_training_samples)
		return none(request, set, &window, nrows, first, old);
	dataset->keep_every = pgaml_dataset_thinning(&request->params, nrows);
	allocate(dataset, nrows / dataset->keep_every + 1, context);
	dataset->seen = pgaml_replay(set, &window, dataset->keep_every, false, take_row, dataset, &dataset->data.ngroups);
	if (dataset->seen < pgaml_min_training_samples)
		return none(request, set, &window, dataset->seen, first, old);
	finish(dataset);
	pgaml_statements_free(set);
	MemoryContextSwitchTo(old);
	return dataset;
}

PgamlDataset *
pgaml_dataset_read_window(const PgamlWindow *window, int64 max_rows, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	PgamlDataset *dataset = palloc0(sizeof(PgamlDataset));
	PgamlStatementSet *set = pgaml_statements_load(context, true);
	TimestampTz first;
	int64		nrows = pgaml_replay_count(window, set->bucket_width, true, &first);

	dataset->keep_every = (nrows + max_rows - 1) / Max(max_rows, 1);
	dataset->keep_every = Max(dataset->keep_every, 1);
	allocate(dataset, nrows / dataset->keep_every + 1, context);
	dataset->recent = palloc_extended(sizeof(float) * PGAML_RECENT_RUNS * dataset->capacity, MCXT_ALLOC_HUGE);
	dataset->nrecent = palloc_extended(dataset->capacity, MCXT_ALLOC_HUGE);
	dataset->seen = pgaml_replay(set, window, dataset->keep_every, true, take_row, dataset, &dataset->data.ngroups);
	pgaml_statements_free(set);
	MemoryContextSwitchTo(old);
	if (dataset->data.nrows == 0)
		return NULL;
	finish(dataset);
	return dataset;
}

TimestampTz
pgaml_dataset_heldout_from(const PgamlDataset *dataset)
{
	double		last = -INFINITY;

	for (int64 i = 0; i < dataset->data.nrows; i++)
		if (dataset->part[i] != ML_PART_TEST)
			last = Max(last, dataset->at[i]);
	return isfinite(last) ? (TimestampTz) floor(last * USECS_PER_SEC) + 1 : dataset->window_start;
}
