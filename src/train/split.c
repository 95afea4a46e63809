/*-------------------------------------------------------------------------
 * split.c
 *		Divides rows into training, calibration and test.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "train/train.h"

#define TRAIN_SHARE		0.6
#define CALIBRATE_SHARE 0.2

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static uint8
part_of(double share)
{
	if (share < TRAIN_SHARE)
		return ML_PART_TRAIN;
	return share < TRAIN_SHARE + CALIBRATE_SHARE ? ML_PART_CALIBRATE : ML_PART_TEST;
}

/* Oldest rows train, newest test; rows of one moment stay together. */
static void
split_by_time(PgamlDataset *dataset)
{
	int64		n = dataset->data.nrows;
	double	   *sorted = palloc_extended(sizeof(double) * n, MCXT_ALLOC_HUGE);
	double		calibrate_from;
	double		test_from;

	memcpy(sorted, dataset->at, sizeof(double) * n);
	qsort(sorted, n, sizeof(double), compare_double);
	calibrate_from = sorted[(int64) (n * TRAIN_SHARE)];
	test_from = sorted[(int64) (n * (TRAIN_SHARE + CALIBRATE_SHARE))];
	for (int64 i = 0; i < n; i++)
		dataset->part[i] = dataset->at[i] < calibrate_from || calibrate_from <= sorted[0] ? ML_PART_TRAIN :
			dataset->at[i] < test_from ? ML_PART_CALIBRATE : ML_PART_TEST;
	pfree(sorted);
}

/* A number in [0, 1) that depends on the key and the seed only. */
static double
share_of(uint64 key, uint64 seed)
{
	return (double) (hash_bytes_extended((unsigned char *) &key, sizeof(key), seed) >> 11) / (UINT64CONST(1) << 53);
}

void
pgaml_dataset_split(PgamlDataset *dataset, PgamlSplit split, uint64 seed)
{
	if (split == PGAML_SPLIT_TIME)
	{
		split_by_time(dataset);
		return;
	}
	for (int64 i = 0; i < dataset->data.nrows; i++)
		dataset->part[i] = part_of(share_of(split == PGAML_SPLIT_GROUP ? (uint64) dataset->group[i] : (uint64) i, seed));
}
