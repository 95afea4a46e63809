/*-------------------------------------------------------------------------
 * split.c
 *		Divides rows into training, calibration and test.
 *
 * By group and at random a row's part is drawn from a hash of what the row
 * is, never of where it lies: rows that retention takes away, or that come
 * later, do not move the others to another side.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"

#include "base/clock.h"
#include "train/train.h"

static const double default_fractions[PGAML_SPLIT_PARTS] = {0.6, 0.2, 0.2};

void
pgaml_split_freeze(PgamlSplit *split, int lookback_days, uint64 seed)
{
	split->until = pgaml_clock_now();
	split->from = split->until - lookback_days * USECS_PER_DAY;
	split->seed = seed;
	memcpy(split->fractions, default_fractions, sizeof(default_fractions));
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static TimestampTz
moment(double at)
{
	return (TimestampTz) rint(at * USECS_PER_SEC);
}

/* Oldest rows train, newest test; rows of one moment stay together. */
void
pgaml_split_set_borders(PgamlSplit *split, double *at, int64 n)
{
	double		train = split->fractions[ML_PART_TRAIN];
	double		seen = train + split->fractions[ML_PART_CALIBRATE];

	qsort(at, n, sizeof(double), compare_double);
	split->calibrate_from = moment(at[Min((int64) (n * train), n - 1)]);
	split->test_from = moment(at[Min((int64) (n * seen), n - 1)]);
	if (split->calibrate_from <= moment(at[0]))	/* nothing would be left to train on */
		split->calibrate_from = split->test_from = DT_NOEND;
}

/* A number in [0, 1) that depends on the row and the seed only. */
static double
share_of(const PgamlSplit *split, const PgamlSplitRow *row)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) &row->queryid, sizeof(row->queryid), split->seed);

	if (split->strategy == PGAML_SPLIT_RANDOM)
	{
		hash = hash_bytes_extended((const unsigned char *) &row->at, sizeof(row->at), hash);
		hash = hash_bytes_extended((const unsigned char *) &row->log_ms, sizeof(row->log_ms), hash);
	}
	return (double) (hash >> 11) / (UINT64CONST(1) << 53);
}

MlPart
pgaml_split_part(const PgamlSplit *split, const PgamlSplitRow *row)
{
	double		share;

	if (split->strategy == PGAML_SPLIT_TIME)
	{
		TimestampTz at = moment(row->at);

		return at < split->calibrate_from ? ML_PART_TRAIN : at < split->test_from ? ML_PART_CALIBRATE : ML_PART_TEST;
	}
	share = share_of(split, row);
	if (share < split->fractions[ML_PART_TRAIN])
		return ML_PART_TRAIN;
	return share < split->fractions[ML_PART_TRAIN] + split->fractions[ML_PART_CALIBRATE] ? ML_PART_CALIBRATE : ML_PART_TEST;
}

void
pgaml_dataset_split(PgamlDataset *dataset, const PgamlSplit *split, uint64 seed)
{
	PgamlSplit	full = *split;
	int64		n = dataset->data.nrows;

	if (full.until == 0)
	{
		full.seed = seed;
		memcpy(full.fractions, default_fractions, sizeof(default_fractions));
	}
	if (full.strategy == PGAML_SPLIT_TIME && full.test_from == 0)
	{
		double	   *sorted = palloc_extended(sizeof(double) * n, MCXT_ALLOC_HUGE);

		memcpy(sorted, dataset->at, sizeof(double) * n);
		pgaml_split_set_borders(&full, sorted, n);
		pfree(sorted);
	}
	for (int64 i = 0; i < n; i++)
	{
		PgamlSplitRow row = {dataset->at[i], dataset->group_key[dataset->group[i]], dataset->target[i]};

		dataset->part[i] = pgaml_split_part(&full, &row);
	}
}

char *
pgaml_split_gone(const PgamlSplit *split, int64 rows)
{
	if (rows >= split->rows)
		return NULL;
	return psprintf(INT64_FORMAT " of " INT64_FORMAT " rows of split \"%s\" are gone", split->rows - rows, split->rows,
					split->name);
}
