/*-------------------------------------------------------------------------
 * index_size_core.c
 *		How large an index would be that is built now.
 *
 * Follows how the server builds.  A btree is packed from sorted entries, page
 * by page up to the fillfactor, equal keys in posting lists: some thousand
 * entries are laid out as the server would, and all others taken to be like
 * them.  A hash index starts with the buckets that its rows call for, and
 * overflows where they are uneven.  GiST pages are taken to be as full as
 * splitting leaves them.
 *-------------------------------------------------------------------------
 */
#include "plan/index_size_core.h"

#include <math.h>
#include <stddef.h>

#define PAGE_HEADER			24.0	/* bytes before the line pointers */
#define PAGE_SPECIAL		16.0	/* at the end, of btree, hash and GiST pages */
#define LINE_POINTER		4.0
#define TUPLE_HEADER		8.0
#define TUPLE_HEADER_NULLS	16.0	/* with the bitmap of nulls, aligned */
#define HEAP_POINTER		6.0		/* of one row in a posting list */
#define UPPER_FILLFACTOR	70.0	/* of btree pages above the leaves */
#define POSTING_SHARE		0.10	/* of a block that one posting list may take */
#define HASH_TUPLE			20.0	/* entry with its line pointer: all hash keys are 4 bytes */
#define HASH_FIRST_PHASES	10		/* groups of buckets that are allocated at once */
#define GIST_FILL_SORTED	0.66	/* of a page: sorted entries are split by four pages each */
#define GIST_FILL_INSERTED	0.55	/* split one by one */
#define LAID_OUT			3000	/* entries that are laid out one by one */
#define FEW_ROWS			30.0	/* of a key: more are as good as their mean */
#define MAX_LEVELS			32
#define GOLDEN				0.6180339887498949	/* multiples of it are spread evenly over 0..1 */

static double
up8(double bytes)
{
	return ceil(bytes / 8.0) * 8.0;
}

/* n-th number of a sequence that is spread evenly over 0..1. */
static double
spread(double n)
{
	return fmod((n + 0.5) * GOLDEN, 1.0);
}

/* ---------------------------------------------------------------------
 * Entries
 * ---------------------------------------------------------------------
 */

/*
 * Bytes of the n-th entry of the first ncolumns columns, without any posting
 * list.  group: says what is null; NULL: as often as the columns have nulls.
 */
static double
entry_size(const PgamlIndexShape *shape, int ncolumns, int n, const PgamlIndexGroup *group)
{
	double		length = 0.0;
	bool		nulls = false;

	for (int i = 0; i < ncolumns; i++)
	{
		const PgamlIndexColumn *column = &shape->columns[i];
		bool		null = spread((double) n * (2 * i + 1) + 7.0 * i) < column->null_frac;

		if (group != NULL)
			null = group->nulls >> i & 1;
		nulls = nulls || null;
		if (null)
			continue;
		length = ceil(length / column->align) * column->align;
		length += column->widths[(n * (2 * i + 1)) % column->nwidths];
	}
	return up8(length + (nulls ? TUPLE_HEADER_NULLS : TUPLE_HEADER));
}

static double
mean_entry(const PgamlIndexShape *shape, int ncolumns)
{
	double		sum = 0.0;

	for (int n = 0; n < PGAML_INDEX_WIDTHS; n++)
		sum += entry_size(shape, ncolumns, n, NULL);
	return sum / PGAML_INDEX_WIDTHS;
}

/* ---------------------------------------------------------------------
 * btree
 * ---------------------------------------------------------------------
 */

/* Pages of one level as they fill up. */
typedef struct Level
{
	double		room;			/* bytes of a page for entries, the high key's pointer taken off */
	double		rest;			/* free bytes under which a page is full */
	double		used;			/* bytes of the page at hand */
	double		on_page;		/* entries on it */
	double		saved;			/* bytes of the last entry that a high key does without */
	double		last;			/* bytes of the last entry */
	double		entries;		/* in all */
	double		pages;			/* full ones */
} Level;

static void
level_begin(Level *level, const PgamlIndexShape *shape, double fillfactor)
{
	*level = (Level) {0};
	level->room = shape->block_size - PAGE_HEADER - PAGE_SPECIAL - LINE_POINTER;
	level->rest = floor(shape->block_size * (100.0 - fillfactor) / 100.0);
}

/*
 * Add an entry of this size, posting of it being a posting list.  A page is
 * full when less than the rest is free, or the entry does not fit; its last
 * entry then goes to the next page, and its key stays as the high key.
 */
static void
level_add(Level *level, double size, double posting)
{
	double		left = level->room - level->used - LINE_POINTER;

	if (level->on_page > 1.0 && (left < size + 8.0 || left + level->saved < level->rest))
	{
		level->pages += 1.0;
		level->used = level->last + LINE_POINTER;
		level->on_page = 1.0;
	}
	level->used += size + LINE_POINTER;
	level->on_page += 1.0;
	level->entries += 1.0;
	level->saved = posting;
	level->last = size;
}

/* Pages that so many entries fill of which those that were added are the first. */
static double
level_pages(const Level *level, double entries)
{
	double		last = level->used / (level->room - level->rest);

	if (level->entries <= 0.0)
		return 0.0;
	return (level->pages + fmin(last, 1.0)) * fmax(entries / level->entries, 1.0);
}

/* Rate of a Poisson variable that has this mean where it is not zero. */
static double
rate_of(double mean)
{
	double		rate = mean;

	for (int i = 0; i < 60; i++)
		rate = mean * (1.0 - exp(-rate));
	return rate;
}

/* Rows of the n-th of keys with this mean: as if rows had been drawn at random while they are few. */
static double
rows_of_key(double mean, double rate, double n)
{
	double		left = spread(n);
	double		share = rate * exp(-rate) / (1.0 - exp(-rate));

	if (mean <= 1.0)
		return 1.0;
	if (mean > FEW_ROWS)
		return floor(mean + left);
	for (double rows = 1.0; rows < 4.0 * FEW_ROWS; rows += 1.0)
	{
		left -= share;
		if (left <= 0.0)
			return rows;
		share *= rate / (rows + 1.0);
	}
	return 4.0 * FEW_ROWS;
}

/*
 * Lay out one key: its rows share entries of at most a tenth of a page.
 * Returns how many rows were laid out before the level had enough entries.
 */
static double
add_key(const PgamlIndexShape *shape, Level *level, double size, double rows, double enough)
{
	double		largest = floor((shape->block_size * POSTING_SHARE - LINE_POINTER) / 8.0) * 8.0;
	double		most = fmax(floor((largest - size) / HEAP_POINTER), 1.0);
	double		laid_out = 0.0;

	while (laid_out < rows && level->entries < enough)
	{
		double		here = fmin(rows - laid_out, most);

		if (here < 2.0)
			level_add(level, size, 0.0);
		else
			level_add(level, up8(size + here * HEAP_POINTER), here * HEAP_POINTER);
		laid_out += here;
	}
	return laid_out;
}

/* Pages of the leaves, and how many entries are in them. */
static double
leaf_pages(const PgamlIndexShape *shape, double *entries)
{
	double		enough = fmax(10.0 * LAID_OUT / fmax(shape->ngroups, 10.0), 100.0);
	double		pages = 0.0;
	Level		level;

	*entries = 0.0;
	if (!shape->deduplicate || shape->ngroups == 0)
	{
		level_begin(&level, shape, shape->fillfactor);
		for (int n = 0; n < LAID_OUT && n < shape->tuples; n++)
			level_add(&level, entry_size(shape, shape->ncolumns, n, NULL), 0.0);
		*entries = shape->tuples;
		return level_pages(&level, shape->tuples);
	}
	for (int i = 0; i < shape->ngroups; i++)
	{
		const PgamlIndexGroup *group = &shape->groups[i];
		double		all = group->keys * group->rows;
		double		rate = rate_of(group->rows);
		double		laid_out = 0.0;

		level_begin(&level, shape, shape->fillfactor);
		for (int n = 0; laid_out < all && level.entries < enough; n++)
		{
			double		rows = fmax(fmin(rows_of_key(group->rows, rate, n), all - laid_out), 1.0);

			laid_out += add_key(shape, &level, entry_size(shape, shape->ncolumns, n, group), rows, enough);
		}
		*entries += level.entries * all / laid_out;
		pages += level_pages(&level, level.entries * all / laid_out);
	}
	return pages;
}

/* Bytes of a key that tells two pages apart: only as many columns as that takes, and the row's place if all do not. */
static double
pivot_size(const PgamlIndexShape *shape, double entries)
{
	double		enough = 0.0;	/* probability that the columns so far tell neighbours apart */
	double		size = 0.0;
	double		key = TUPLE_HEADER;

	for (int i = 0; i < shape->nkeys; i++)
	{
		double		tells = fmax(fmin(shape->columns[i].distinct / fmax(entries, 1.0), 1.0), enough);

		key = mean_entry(shape, i + 1);
		size += (tells - enough) * key;
		enough = tells;
	}
	return size + (1.0 - enough) * (key + 8.0);
}

PgamlIndexSize
pgaml_index_size_btree(const PgamlIndexShape *shape)
{
	PgamlIndexSize size = {1.0, 0};
	double		entries;
	double		pages;
	double		pivot;

	if (shape->tuples < 1.0)
		return size;
	pages = fmax(ceil(leaf_pages(shape, &entries) - 1e-9), 1.0);
	pivot = pivot_size(shape, entries);
	size.pages += pages;
	while (pages > 1.0 && size.height < MAX_LEVELS)
	{
		Level		level;

		level_begin(&level, shape, UPPER_FILLFACTOR);
		for (int n = 0; n < LAID_OUT && n < pages; n++)
			level_add(&level, pivot, 0.0);
		pages = fmax(ceil(level_pages(&level, pages) - 1e-9), 1.0);
		if (level.pages == 0.0)
			pages = 1.0;
		size.pages += pages;
		size.height++;
	}
	return size;
}

/* ---------------------------------------------------------------------
 * hash, GiST, BRIN
 * ---------------------------------------------------------------------
 */

/* Buckets are allocated in powers of two, later in quarters of them. */
static double
hash_buckets(double wanted)
{
	double		group;
	double		below;

	if (wanted <= 2.0)
		return 2.0;
	group = ceil(log2(wanted) - 1e-12);
	below = pow(2.0, group - 1.0);
	if (group < HASH_FIRST_PHASES)
		return 2.0 * below;
	return below + ceil((wanted - below) / (below / 4.0) - 1e-9) * below / 4.0;
}

/* What the keys of a hash index do to its buckets. */
typedef struct Lumps
{
	double		mean;			/* rows of the key that a row has, on average over rows */
	double		chained;		/* overflow pages of keys that fill whole pages by themselves */
	double		rows;			/* in those pages */
} Lumps;

static Lumps
find_lumps(const PgamlIndexShape *shape, double per_page)
{
	Lumps		lumps = {1.0, 0.0, 0.0};
	double		squares = 0.0;
	double		rows = 0.0;

	for (int i = 0; i < shape->ngroups; i++)
	{
		const PgamlIndexGroup *group = &shape->groups[i];
		double		full = floor(group->rows / per_page);
		double		left = group->rows - full * per_page;

		if (group->nulls != 0)
			continue;
		lumps.chained += group->keys * full;
		lumps.rows += group->keys * full * per_page;
		squares += group->keys * left * left;
		rows += group->keys * left;
	}
	if (squares > rows)
		lumps.mean = squares / rows;
	return lumps;
}

/* Overflow pages of a number of buckets with a mean number of entries each, that come in lumps. */
static double
overflow(double buckets, double entries, double per_page, double lump)
{
	double		deviation = sqrt(fmax(entries * lump, 1.0));
	double		pages = 0.0;

	/* Each further page is there with the probability that so many entries are in the bucket. */
	for (int i = 1; i <= 16; i++)
		pages += 0.5 * erfc((i * per_page + 0.5 - entries) / (deviation * sqrt(2.0)));
	if (entries > 8.0 * per_page)
		pages = ceil(entries / per_page) - 1.0;
	return buckets * pages;
}

PgamlIndexSize
pgaml_index_size_hash(const PgamlIndexShape *shape)
{
	PgamlIndexSize size = {1.0, -1};
	double		room = shape->block_size - PAGE_HEADER - PAGE_SPECIAL;
	double		per_page = floor(room / HASH_TUPLE);
	double		per_bucket = fmax(floor(shape->block_size * shape->fillfactor / 100.0 / HASH_TUPLE), 10.0);
	double		tuples = shape->tuples * (1.0 - shape->columns[0].null_frac);	/* nulls are left out */
	double		buckets = hash_buckets(shape->tuples / per_bucket);
	double		distinct = fmax(fmin(shape->columns[0].distinct, tuples), 1.0);
	Lumps		lumps = find_lumps(shape, per_page);
	double		half = pow(2.0, floor(log2(buckets)));
	double		split = buckets - half; /* of the lower half, so many were split in two */
	double		used = buckets * (1.0 - exp(-distinct / buckets));
	double		more;

	tuples = fmax(tuples - lumps.rows, 0.0);
	/* With few different values most buckets are empty. */
	if (used < 0.7 * buckets)
		more = overflow(used, tuples / used, per_page, 1.0);
	else
		more = overflow(2.0 * split, tuples / (2.0 * half), per_page, lumps.mean) +
			overflow(half - split, tuples / half, per_page, lumps.mean);
	more += lumps.chained;
	/* The first page, buckets, what they overflow to, a map of that. */
	size.pages = 1.0 + buckets + ceil(more) + 1.0 + floor(more / (shape->block_size * 4.0));
	return size;
}

PgamlIndexSize
pgaml_index_size_gist(const PgamlIndexShape *shape, bool sorted)
{
	PgamlIndexSize size = {1.0, -1};
	double		room = shape->block_size - PAGE_HEADER - PAGE_SPECIAL;
	double		entry = mean_entry(shape, shape->ncolumns) + LINE_POINTER;
	double		upper = mean_entry(shape, shape->nkeys) + LINE_POINTER;
	double		fill = (sorted ? GIST_FILL_SORTED : GIST_FILL_INSERTED) * shape->fillfactor / 90.0;
	double		per_page = fmax(floor(room * fill / upper), 2.0);
	double		pages;

	if (shape->tuples * entry <= room)
		return size;
	pages = ceil(shape->tuples / fmax(floor(room * fill / entry), 1.0));
	size.pages = pages;
	while (pages > 1.0)
	{
		pages = ceil(pages / per_page);
		size.pages += pages;
	}
	return size;
}

PgamlIndexSize
pgaml_index_size_brin(const PgamlIndexShape *shape, double table_pages, double pages_per_range, double values)
{
	PgamlIndexSize size = {1.0, -1};
	double		ranges = fmax(ceil(table_pages / pages_per_range), 1.0);
	double		places = floor((shape->block_size - PAGE_HEADER - 8.0 - 8.0) / HEAP_POINTER);	/* of ranges in a page of the map */
	double		room = shape->block_size - PAGE_HEADER - 8.0;
	double		sum = 0.0;
	double		entry;

	for (int n = 0; n < PGAML_INDEX_WIDTHS; n++)
	{
		double		length = 8.0;	/* number of the range, bits of null */

		for (int i = 0; i < shape->ncolumns; i++)
			for (int v = 0; v < (int) values; v++)
			{
				const PgamlIndexColumn *column = &shape->columns[i];

				length = ceil(length / column->align) * column->align + column->widths[n % column->nwidths];
			}
		sum += up8(length);
	}
	entry = sum / PGAML_INDEX_WIDTHS + LINE_POINTER;
	/* The first page, the map, the summaries. */
	size.pages = 1.0 + ceil(ranges / places) + ceil(ranges / fmax(floor(room / entry), 1.0));
	return size;
}
