/*-------------------------------------------------------------------------
 * index_size_core.c
 *		How large an index would be that is built now.
 *
 * Follows how the server builds: a btree from sorted entries, page by page up
 * to the fillfactor, equal keys in posting lists; a hash index with the number
 * of buckets that its build starts with.  Where rows differ in size, averages
 * stand for them.
 *-------------------------------------------------------------------------
 */
#include "plan/index_size_core.h"

#include <math.h>

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
#define GIST_INSERTED_FILL	0.66	/* of a page, when pages were split at random */
#define MAX_LEVELS			32

static double
up8(double bytes)
{
	return ceil(bytes / 8.0) * 8.0;
}

/* Where a value may begin after a given length.  Unknown lengths are padded by the mean. */
static double
aligned(double length, int align, bool known)
{
	if (known)
		return ceil(length / align) * align;
	return length + (align - 1) / 2.0;
}

/* Mean bytes of an entry of the first n columns, each there with its probability. */
static double
entry_size(const PgamlIndexShape *shape, int n, double header, const double *there)
{
	double		length = header;
	bool		known = true;

	for (int i = 0; i < n; i++)
	{
		const PgamlIndexColumn *column = &shape->columns[i];

		if (there[i] < 1.0 && there[i] > 0.0)
			known = false;
		if (there[i] <= 0.0)
			continue;
		length = aligned(length, column->align, known) + there[i] * column->width;
		known = known && !column->varying;
	}
	return known ? up8(length) : length + 3.5;
}

/* Mean bytes of an entry of the first n columns, rows with and without nulls together. */
static double
mean_entry(const PgamlIndexShape *shape, int n)
{
	double		there[PGAML_INDEX_MAX_COLUMNS] = {0};
	double		none = 1.0;		/* share of rows without any null */
	double		full;

	for (int i = 0; i < n; i++)
	{
		none *= 1.0 - shape->columns[i].null_frac;
		there[i] = 1.0;
	}
	full = entry_size(shape, n, TUPLE_HEADER, there);
	if (none >= 1.0)
		return full;
	for (int i = 0; i < n; i++)
		there[i] = 1.0 - fmin(shape->columns[i].null_frac / (1.0 - none), 1.0);
	return none * full + (1.0 - none) * entry_size(shape, n, TUPLE_HEADER_NULLS, there);
}

/* Entries of one level: how many, and what they take with their line pointers. */
typedef struct Entries
{
	double		count;
	double		bytes;
	double		posting;		/* bytes of posting lists therein */
	bool		exact;			/* all have the same size */
} Entries;

/*
 * Of keys with a mean number of rows, the share that has a single one: as if
 * rows had been drawn at random (Poisson without zero).
 */
static double
single_share(double rows)
{
	double		rate = rows;

	if (rows <= 1.0)
		return 1.0;
	if (rows > 30.0)
		return 0.0;
	for (int i = 0; i < 40; i++)
		rate = rows * (1.0 - exp(-rate));
	return rate * exp(-rate) / (1.0 - exp(-rate));
}

/* Equal keys share entries: each of at most a tenth of a page. */
static void
add_shared(const PgamlIndexShape *shape, const PgamlIndexGroup *group, double size, Entries *out)
{
	double		largest = floor(shape->block_size * POSTING_SHARE / 8.0) * 8.0 - LINE_POINTER;
	double		most = fmax(floor((largest - size) / HEAP_POINTER), 2.0);
	double		alone = single_share(group->rows);
	double		rows = alone < 1.0 ? (group->rows - alone) / (1.0 - alone) : 0.0;	/* of keys that have several */
	double		full = floor(rows / most);
	double		left = rows - full * most;
	double		per_key = full * (up8(size + most * HEAP_POINTER) + LINE_POINTER);
	double		posting = rows * HEAP_POINTER;

	if (left > 0.0)
		per_key += size + (left > 1.0 ? left * HEAP_POINTER + 3.5 : 0.0) + LINE_POINTER;
	out->count += group->keys * (alone + (1.0 - alone) * (full + (left > 0.0 ? 1.0 : 0.0)));
	out->bytes += group->keys * (alone * (size + LINE_POINTER) + (1.0 - alone) * per_key);
	out->posting += group->keys * (1.0 - alone) * posting;
}

static Entries
leaf_entries(const PgamlIndexShape *shape)
{
	double		size = mean_entry(shape, shape->ncolumns);
	double		there[PGAML_INDEX_MAX_COLUMNS] = {0};
	Entries		out = {0};

	out.exact = fabs(size - up8(size)) < 1e-6;
	if (!shape->deduplicate || shape->ngroups == 0)
	{
		out.count = shape->tuples;
		out.bytes = shape->tuples * (size + LINE_POINTER);
		return out;
	}
	/* With a single column, null is a key of its own. */
	for (int i = 0; i < shape->ncolumns; i++)
		there[i] = 1.0;
	if (shape->ncolumns == 1)
		size = entry_size(shape, 1, TUPLE_HEADER, there);
	for (int i = 0; i < shape->ngroups; i++)
	{
		out.exact = out.exact && shape->groups[i].rows <= 1.0;
		add_shared(shape, &shape->groups[i], shape->groups[i].nulls ? TUPLE_HEADER_NULLS : size, &out);
	}
	return out;
}

/*
 * Pages of one level of a btree.  A page is full when less than the rest that
 * fillfactor leaves is free, or the next entry does not fit; its last entry
 * then goes to the next page, and what remains of it is the high key.
 */
static double
level_pages(const PgamlIndexShape *shape, const Entries *entries, double fillfactor)
{
	double		room = shape->block_size - PAGE_HEADER - PAGE_SPECIAL - LINE_POINTER;
	double		rest = floor(shape->block_size * (100.0 - fillfactor) / 100.0);
	double		size = entries->bytes / entries->count;
	double		posting = entries->posting / entries->count;
	double		ratio = (room - fmax(rest - posting, size + 8.0 - LINE_POINTER)) / size;
	double		per_page = fmax(entries->exact ? ceil(ratio) - 1.0 : ratio - 0.5, 1.0);

	/* The rightmost page has no high key and takes what is left. */
	return fmax(ceil(entries->count / per_page - 1e-9), 1.0);
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
	Entries		entries;
	double		pages;
	double		pivot;

	if (shape->tuples < 1.0)
		return size;
	entries = leaf_entries(shape);
	pivot = pivot_size(shape, entries.count) + LINE_POINTER;
	pages = level_pages(shape, &entries, shape->fillfactor);
	size.pages += pages;
	while (pages > 1.0 && size.height < MAX_LEVELS)
	{
		Entries		upper = {pages, pages * pivot, 0.0, false};

		pages = level_pages(shape, &upper, UPPER_FILLFACTOR);
		size.pages += pages;
		size.height++;
	}
	return size;
}

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

/* Overflow pages of a number of buckets with a mean number of entries each. */
static double
overflow(double buckets, double entries, double per_page)
{
	double		spread = sqrt(fmax(entries, 1.0));
	double		pages = 0.0;

	/* Each further page is there with the probability that so many entries are in the bucket. */
	for (int i = 1; i <= 8; i++)
		pages += 0.5 * erfc((i * per_page + 0.5 - entries) / (spread * sqrt(2.0)));
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
	double		half = pow(2.0, floor(log2(buckets)));
	double		split = buckets - half; /* of the lower half, so many were split in two */
	double		used;
	double		more;

	/* With few different values most buckets are empty. */
	used = buckets * (1.0 - exp(-distinct / buckets));
	if (used < 0.9 * buckets)
		more = overflow(used, tuples / used, per_page);
	else
		more = overflow(2.0 * split, tuples / (2.0 * half), per_page) +
			overflow(half - split, tuples / half, per_page);
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
	double		fill = sorted ? shape->fillfactor / 100.0 : GIST_INSERTED_FILL;
	double		pages = ceil(shape->tuples / fmax(floor(room * fill / entry), 1.0));
	double		per_page = fmax(floor(room * fill / upper), 2.0);

	if (shape->tuples * entry <= room)
		return size;
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
	double		entry = 8.0;	/* number of the range, bits of null */

	for (int i = 0; i < shape->ncolumns; i++)
	{
		bool		known = !shape->columns[i].varying;

		for (int v = 0; v < (int) values; v++)
			entry = aligned(entry, shape->columns[i].align, known) + shape->columns[i].width;
	}
	entry = up8(entry) + LINE_POINTER;
	size.pages = 1.0 + ceil(ranges / places) + ceil(ranges / fmax(floor(room / entry), 1.0));
	return size;
}
