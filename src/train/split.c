/*-------------------------------------------------------------------------
 * split.c
 *		Divides rows into training, calibration and test.
 *
 * By group and at random a row's part is drawn from a hash of what the row
 * is, never of where it lies: rows that retention takes away, or that come
 * later, do not move the others to another side.  By group each part has its
 * share of the statements, as exactly as their number allows.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/float.h"

#include "base/clock.h"
#include "train/train.h"

#define LOOKBACK_MIN	1		/* days */
#define LOOKBACK_MAX	365

static const double default_fractions[PGAML_SPLIT_PARTS] = {0.6, 0.2, 0.2};

void
pgaml_check_lookback(int lookback_days)
{
	if (lookback_days < LOOKBACK_MIN || lookback_days > LOOKBACK_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lookback_days must be from %d to %d, not %d", LOOKBACK_MIN, LOOKBACK_MAX, lookback_days)));
}

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

/* By time, rows of one moment stay together; at random the shares are the borders. */
void
pgaml_split_set_borders(PgamlSplit *split, double *keys, int64 n)
{
	double		share = 0.0;

	split->has_borders = true;
	qsort(keys, n, sizeof(double), compare_double);
	for (int i = 0; i < PGAML_SPLIT_PARTS - 1; i++)
	{
		share += split->fractions[i];
		split->border[i] = split->strategy == PGAML_SPLIT_RANDOM ? share : keys[Min((int64) (n * share), n - 1)];
	}
	if (split->border[0] <= keys[0] && split->strategy != PGAML_SPLIT_RANDOM)	/* nothing would be left to train on */
		split->border[0] = split->border[1] = get_float8_infinity();
}

double
pgaml_split_key(const PgamlSplit *split, const PgamlSplitRow *row)
{
	uint64		hash;

	if (split->strategy == PGAML_SPLIT_TIME)
		return row->at;
	hash = hash_bytes_extended((const unsigned char *) &row->queryid, sizeof(row->queryid), split->seed);
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
	double		key = pgaml_split_key(split, row);

	return key < split->border[0] ? ML_PART_TRAIN : key < split->border[1] ? ML_PART_CALIBRATE : ML_PART_TEST;
}

static PgamlSplitRow
row_of(const PgamlDataset *dataset, int64 i)
{
	return (PgamlSplitRow) {dataset->at[i], dataset->group_key[dataset->group[i]], dataset->target[i]};
}

static void
find_borders(const PgamlDataset *dataset, PgamlSplit *split)
{
	bool		by_group = split->strategy == PGAML_SPLIT_GROUP;
	int64		n = by_group ? dataset->data.ngroups : dataset->data.nrows;
	double	   *keys = palloc_extended(sizeof(double) * n, MCXT_ALLOC_HUGE);

	for (int64 i = 0; i < n; i++)
	{
		PgamlSplitRow row = by_group ? (PgamlSplitRow) {.queryid = dataset->group_key[i]} : row_of(dataset, i);

		keys[i] = pgaml_split_key(split, &row);
	}
	pgaml_split_set_borders(split, keys, n);
	pfree(keys);
}

void
pgaml_dataset_split(PgamlDataset *dataset, const PgamlSplit *split, uint64 seed)
{
	PgamlSplit	full = *split;

	if (full.until == 0)
	{
		full.seed = seed;
		memcpy(full.fractions, default_fractions, sizeof(default_fractions));
	}
	if (!full.has_borders)
		find_borders(dataset, &full);
	for (int64 i = 0; i < dataset->data.nrows; i++)
	{
		PgamlSplitRow row = row_of(dataset, i);

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
