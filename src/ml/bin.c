/*-------------------------------------------------------------------------
 * bin.c
 *		Cuts each feature into at most 255 bins of about equal weight.
 *
 * A feature with few distinct values gets one bin per value; the threshold
 * between two bins lies midway between the values beside it and is kept, so a
 * model works on real values and never sees a bin.  Quantiles are taken from
 * at most SAMPLE_ROWS rows, evenly spread.  Features that do not vary are left
 * out.  The bins are kept twice: by column, where a node's rows are parted, and
 * by row, where histograms are built.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define SAMPLE_ROWS 262144		/* rows that the quantiles are read from */
#define BLOCK_ROWS 65536		/* rows between two questions to the stop callback */
#define TILE_ROWS 256			/* rows turned from columns at a time: they stay in the nearest cache */
#define RADIX_BITS 11
#define LANES 16					/* rows whose bin is searched at a time */

/* A value of the sample: its order-preserving key above, its index in rows below. */
typedef uint64_t SortItem;

/* Distinct values in ascending order, with their weight. */
typedef struct Cutter
{
	SortItem   *items;			/* [sample] */
	SortItem   *scratch;		/* [sample] */
} Cutter;

/*
 * Order-preserving map of a float to 32 bits and back; -0 counts as 0.
 */
static inline uint32_t
key_of(float x)
{
	uint32_t	bits;

	x += 0.0f;
	memcpy(&bits, &x, sizeof(bits));
	return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static inline float
value_of(SortItem item)
{
	uint32_t	bits = (uint32_t) (item >> 32);
	float		x;

	bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
	memcpy(&x, &bits, sizeof(x));
	return x;
}

/*
 * Ascending by key; three counting passes over 11 bits each.
 */
static void
radix_sort(SortItem *items, SortItem *scratch, int32_t n)
{
	SortItem   *from = items;
	SortItem   *to = scratch;

	for (int shift = 32; shift < 64; shift += RADIX_BITS)
	{
		uint32_t	start[1 << RADIX_BITS] = {0};
		uint32_t	sum = 0;
		SortItem   *swap = from;

		for (int32_t i = 0; i < n; i++)
			start[(from[i] >> shift) & ((1 << RADIX_BITS) - 1)]++;
		for (int b = 0; b < (1 << RADIX_BITS); b++)
		{
			uint32_t	count = start[b];

			start[b] = sum;
			sum += count;
		}
		for (int32_t i = 0; i < n; i++)
			to[start[(from[i] >> shift) & ((1 << RADIX_BITS) - 1)]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, (size_t) n * sizeof(SortItem));
}

/*
 * The threshold between neighbours a < b: a <= t < b also where no float lies
 * between them.
 */
static float
midpoint(float a, float b)
{
	float		t = (float) (((double) a + (double) b) / 2.0);

	return t < b ? t : a;
}

/*
 * Thresholds of sorted items: one between each two distinct values when they
 * fit, else greedily so that each bin gets its share of the weight that is
 * left.  Returns the number of bins.
 */
static int32_t
cut(const SortItem *items, int32_t n, const float *weight, const int32_t *rows,
	int32_t max_bins, float *thresholds)
{
	int32_t		ndistinct = n > 0;
	double		left = 0.0;		/* weight that is not in a bin yet */
	double		filled = 0.0;	/* weight in the open bin */
	int32_t		nbins = 1;

	for (int32_t i = 0; i < n; i++)
	{
		ndistinct += i > 0 && items[i] >> 32 != items[i - 1] >> 32;
		left += weight != NULL ? weight[rows[(uint32_t) items[i]]] : 1.0;
	}
	for (int32_t i = 0; i + 1 < n && nbins < max_bins; i++)
	{
		filled += weight != NULL ? weight[rows[(uint32_t) items[i]]] : 1.0;
		if (items[i] >> 32 == items[i + 1] >> 32)
			continue;
		if (ndistinct > max_bins && filled * (max_bins - nbins + 1) < left)
			continue;
		thresholds[nbins - 1] = midpoint(value_of(items[i]), value_of(items[i + 1]));
		nbins++;
		left -= filled;
		filled = 0.0;
	}
	return nbins;
}

/*
 * Bin of each row: the number of thresholds below the value, by a search
 * whose steps do not depend on the data.  A step waits for the one before, so
 * several rows are searched side by side.
 */
static void
assign(uint8_t *bins, const float *column, const int32_t *rows, int32_t count,
	   const float *thresholds, int32_t nbins)
{
	uint32_t	keys[256];		/* of the thresholds, filled up to a power of two */
	uint32_t	half = 1;

	while (half < (uint32_t) nbins)
		half *= 2;
	for (uint32_t i = 0; i < half; i++)
		keys[i] = i + 1 < (uint32_t) nbins ? key_of(thresholds[i]) : UINT32_MAX;

	for (int32_t begin = 0; begin < count; begin += LANES)
	{
		int32_t		lanes = count - begin < LANES ? count - begin : LANES;
		bool		missing[LANES];
		uint32_t	key[LANES];
		uint32_t	bin[LANES] = {0};

		for (int32_t j = 0; j < LANES; j++)
		{
			float		x = column[rows[begin + (j < lanes ? j : 0)]];

			missing[j] = isnan(x);
			key[j] = key_of(x);
		}
		for (uint32_t step = half / 2; step > 0; step /= 2)
			for (int32_t j = 0; j < LANES; j++)
				bin[j] += step & -(uint32_t) (keys[bin[j] + step - 1] < key[j]);
		for (int32_t j = 0; j < lanes; j++)
			bins[begin + j] = (uint8_t) (missing[j] ? (uint32_t) nbins : bin[j]);
	}
}

/*
 * The same where the sample is the whole column: its order is known already.
 */
static void
assign_sorted(uint8_t *bins, int32_t nrows, const SortItem *items, int32_t n,
			  const float *thresholds, int32_t nbins)
{
	int32_t		bin = 0;

	if (n < nrows)
		memset(bins, nbins, (size_t) nrows);
	for (int32_t i = 0; i < n; i++)
	{
		while (bin < nbins - 1 && value_of(items[i]) > thresholds[bin])
			bin++;
		bins[(uint32_t) items[i]] = (uint8_t) bin;
	}
}

/*
 * Sort the sample of one column; returns how many of its values are there.
 */
static int32_t
sort_sample(const Cutter *cutter, const float *column, const int32_t *rows, int32_t nrows)
{
	int32_t		sample = nrows < SAMPLE_ROWS ? nrows : SAMPLE_ROWS;
	int32_t		n = 0;

	for (int32_t i = 0; i < sample; i++)
	{
		uint32_t	at = (uint32_t) ((int64_t) i * nrows / sample);
		float		x = column[rows[at]];

		if (!isnan(x))
			cutter->items[n++] = (SortItem) key_of(x) << 32 | at;
	}
	radix_sort(cutter->items, cutter->scratch, n);
	return n;
}

size_t
pgaml_ml_bins_memory(int64_t nrows, int32_t nfeatures, int32_t max_bins)
{
	size_t		per_feature = 2 * sizeof(int32_t) + (size_t) max_bins * sizeof(float);
	size_t		sample = nrows < SAMPLE_ROWS ? (size_t) nrows : SAMPLE_ROWS;
	size_t		cells = pgaml_ml_size_mul((size_t) nrows, (size_t) nfeatures);
	size_t		size = pgaml_ml_size_mul(cells, 2);

	size = pgaml_ml_size_add(size, (size_t) nfeatures * per_feature);
	return pgaml_ml_size_add(size, 2 * sample * sizeof(SortItem));
}

/*
 * Bin one feature as the next one of bins; it counts only when it varies.
 */
static MlStatus
add_feature(MlBins *bins, const Cutter *cutter, const MlDataset *data, const int32_t *rows,
			int32_t feature, MlTicker *ticker, MlError *error)
{
	const float *column = data->columns[feature];
	uint8_t    *out = bins->by_column + (size_t) bins->nfeatures * (size_t) bins->nrows;
	float	   *thresholds = bins->thresholds + (size_t) bins->nfeatures * (size_t) bins->max_bins;
	int32_t		n = sort_sample(cutter, column, rows, bins->nrows);
	int32_t		nbins = cut(cutter->items, n, data->weight, rows, bins->max_bins, thresholds);
	bool		varies = nbins > 1;

	if (pgaml_ml_tick(ticker, 8 * (int64_t) (bins->nrows < SAMPLE_ROWS ? bins->nrows : SAMPLE_ROWS)))
		return pgaml_ml_stopped(error, "bins");
	if (bins->nrows <= SAMPLE_ROWS)
		assign_sorted(out, bins->nrows, cutter->items, n, thresholds, nbins);
	for (int32_t begin = 0; bins->nrows > SAMPLE_ROWS && begin < bins->nrows; begin += BLOCK_ROWS)
	{
		int32_t		count = bins->nrows - begin < BLOCK_ROWS ? bins->nrows - begin : BLOCK_ROWS;

		assign(out + begin, column, rows + begin, count, thresholds, nbins);
		if (pgaml_ml_tick(ticker, 4 * (int64_t) count))
			return pgaml_ml_stopped(error, "bins");
	}

	/* a constant feature has one bin, filled either with values or with NaN */
	for (int32_t i = 1; i < bins->nrows && !varies; i++)
		varies = out[i] != out[0];
	bins->feature[bins->nfeatures] = feature;
	bins->nbins[bins->nfeatures] = nbins;
	bins->nfeatures += varies;
	return ML_OK;
}

/*
 * by_row from by_column; true when stopped.
 */
static bool
turn(MlBins *bins, MlTicker *ticker)
{
	size_t		stride = (size_t) bins->nfeatures;

	for (int32_t begin = 0; begin < bins->nrows; begin += TILE_ROWS)
	{
		int32_t		count = bins->nrows - begin < TILE_ROWS ? bins->nrows - begin : TILE_ROWS;

		for (size_t f = 0; f < stride; f++)
		{
			const uint8_t *from = bins->by_column + f * (size_t) bins->nrows + begin;
			uint8_t    *to = bins->by_row + (size_t) begin * stride + f;

			for (int32_t i = 0; i < count; i++)
				to[(size_t) i * stride] = from[i];
		}
		if (pgaml_ml_tick(ticker, (int64_t) count * bins->nfeatures))
			return true;
	}
	return false;
}

static MlStatus
fill(MlBins *bins, const Cutter *cutter, const MlDataset *data, const int32_t *rows,
	 const MlAllocator *allocator, MlTicker *ticker, MlError *error)
{
	for (int32_t f = 0; f < data->nfeatures; f++)
	{
		MlStatus	status = add_feature(bins, cutter, data, rows, f, ticker, error);

		if (status != ML_OK)
			return status;
	}
	bins->by_row = pgaml_ml_alloc(allocator, (size_t) bins->nrows, (size_t) bins->nfeatures);
	if (bins->by_row == NULL)
		return pgaml_ml_nomem(error, "bins");
	return turn(bins, ticker) ? pgaml_ml_stopped(error, "bins") : ML_OK;
}

/*
 * Bin the given rows of a dataset whose values were checked already.  On
 * success the caller frees bins; on failure nothing is left.
 */
MlStatus
pgaml_ml_bins_build(MlBins *bins, const MlDataset *data, const int32_t *rows, int32_t nrows,
					int32_t max_bins, const MlAllocator *allocator, MlTicker *ticker,
					MlError *error)
{
	size_t		nfeatures = (size_t) data->nfeatures;
	size_t		sample = nrows < SAMPLE_ROWS ? (size_t) nrows : SAMPLE_ROWS;
	Cutter		cutter;
	MlStatus	status;

	memset(bins, 0, sizeof(*bins));
	bins->nrows = nrows;
	bins->max_bins = max_bins;
	bins->feature = pgaml_ml_alloc(allocator, nfeatures, sizeof(int32_t));
	bins->nbins = pgaml_ml_alloc(allocator, nfeatures, sizeof(int32_t));
	bins->thresholds = pgaml_ml_alloc(allocator, nfeatures * (size_t) max_bins, sizeof(float));
	bins->by_column = pgaml_ml_alloc(allocator, (size_t) nrows, nfeatures);
	cutter.items = pgaml_ml_alloc(allocator, sample, sizeof(SortItem));
	cutter.scratch = pgaml_ml_alloc(allocator, sample, sizeof(SortItem));

	if (bins->feature == NULL || bins->nbins == NULL || bins->thresholds == NULL ||
		bins->by_column == NULL || cutter.items == NULL || cutter.scratch == NULL)
		status = pgaml_ml_nomem(error, "bins");
	else
		status = fill(bins, &cutter, data, rows, allocator, ticker, error);

	pgaml_ml_release(allocator, cutter.items);
	pgaml_ml_release(allocator, cutter.scratch);
	if (status != ML_OK)
		pgaml_ml_bins_free(bins, allocator);
	return status;
}

void
pgaml_ml_bins_free(MlBins *bins, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, bins->feature);
	pgaml_ml_release(allocator, bins->nbins);
	pgaml_ml_release(allocator, bins->thresholds);
	pgaml_ml_release(allocator, bins->by_column);
	pgaml_ml_release(allocator, bins->by_row);
	memset(bins, 0, sizeof(*bins));
}

float
pgaml_ml_bins_threshold(const MlBins *bins, int32_t feature, int32_t bin)
{
	if (bin >= bins->nbins[feature] - 1)
		return FLT_MAX;
	return bins->thresholds[(size_t) feature * (size_t) bins->max_bins + (size_t) bin];
}
