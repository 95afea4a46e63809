/*-------------------------------------------------------------------------
 * test_index_size.c
 *		Sizes of indexes that nobody built, against some that PostgreSQL 15
 *		built of the same rows.
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plan/index_size_core.h"

/* An index of one column whose values all have this width and align. */
static PgamlIndexShape
shape_of(double tuples, float width, int align, double distinct)
{
	PgamlIndexShape shape = {.tuples = tuples,.ncolumns = 1,.nkeys = 1,.fillfactor = 90,.block_size = 8192};

	shape.columns[0] = (PgamlIndexColumn) {.nwidths = 1,.widths = {width},.align = align,.distinct = distinct};
	return shape;
}

static void
assert_about(double found, double built, double share)
{
	if (found < built * (1.0 - share) || found > built * (1.0 + share))
		fail_msg("%g pages, the server's index has %g", found, built);
}

/* 200,000 different integers: 551 pages, and two levels above the leaves. */
static void
different_keys_take_what_the_server_takes(void **state)
{
	PgamlIndexShape shape = shape_of(200000, 4, 4, 200000);
	PgamlIndexSize size = pgaml_index_size_btree(&shape);

	(void) state;
	assert_about(size.pages, 551, 0.005);
	assert_int_equal(size.height, 2);
	shape.columns[0].widths[0] = 8;
	shape.columns[0].align = 8;
	assert_about(pgaml_index_size_btree(&shape).pages, 551, 0.005);
	shape.fillfactor = 70;
	assert_about(pgaml_index_size_btree(&shape).pages, 710, 0.005);
	/* md5 as text: 33 bytes, not aligned */
	shape = shape_of(200000, 33, 1, 200000);
	assert_about(pgaml_index_size_btree(&shape).pages, 1444, 0.005);
}

/* 11 keys in 200,000 rows, 1001, and 2 in 60. */
static void
equal_keys_share_entries(void **state)
{
	PgamlIndexGroup group = {11, 200000 / 11.0, 0};
	PgamlIndexShape shape = shape_of(200000, 4, 4, 11);

	(void) state;
	shape.deduplicate = true;
	shape.ngroups = 1;
	shape.groups = &group;
	assert_about(pgaml_index_size_btree(&shape).pages, 171, 0.01);
	group = (PgamlIndexGroup) {1001, 200000 / 1001.0, 0};
	assert_about(pgaml_index_size_btree(&shape).pages, 172, 0.03);
	assert_int_equal(pgaml_index_size_btree(&shape).height, 1);
	shape.deduplicate = false;
	assert_about(pgaml_index_size_btree(&shape).pages, 552, 0.005);
}

/* Nine in ten are null: one key, however many rows. */
static void
nulls_are_one_key(void **state)
{
	PgamlIndexGroup groups[2] = {{1, 180000, 1}, {20000, 1, 0}};
	PgamlIndexShape shape = shape_of(200000, 4, 4, 20000);

	(void) state;
	shape.columns[0].null_frac = 0.9;
	shape.deduplicate = true;
	shape.ngroups = 2;
	shape.groups = groups;
	assert_about(pgaml_index_size_btree(&shape).pages, 209, 0.02);
}

static void
small_ones_have_few_pages(void **state)
{
	PgamlIndexShape shape = shape_of(0, 4, 4, 1);

	(void) state;
	assert_true(pgaml_index_size_btree(&shape).pages == 1.0);
	shape.tuples = 60;
	assert_true(pgaml_index_size_btree(&shape).pages == 2.0);
	assert_int_equal(pgaml_index_size_btree(&shape).height, 0);
	shape.tuples = 1000;
	assert_true(pgaml_index_size_btree(&shape).pages == 5.0);
	assert_int_equal(pgaml_index_size_btree(&shape).height, 1);
	assert_true(pgaml_index_size_gist(&shape, true).pages >= 3.0);
	assert_true(pgaml_index_size_brin(&shape, 6, 128, 2).pages == 3.0);
}

/* 200,000 different values, and 1001. */
static void
hash_buckets_overflow(void **state)
{
	PgamlIndexGroup group = {1001, 200000 / 1001.0, 0};
	PgamlIndexShape shape = shape_of(200000, 4, 4, 200000);

	(void) state;
	shape.fillfactor = 75;
	assert_about(pgaml_index_size_hash(&shape).pages, 822, 0.02);
	shape.columns[0].distinct = 1001;
	shape.ngroups = 1;
	shape.groups = &group;
	assert_about(pgaml_index_size_hash(&shape).pages, 975, 0.03);
	shape.columns[0].null_frac = 1.0;
	assert_true(pgaml_index_size_hash(&shape).pages >= 3.0);
}

/* More rows, wider rows, emptier pages: never smaller; and always a number. */
static void
sizes_grow_with_what_is_in_them(void **state)
{
	double		before = 0.0;

	(void) state;
	for (double tuples = 1; tuples < 1e10; tuples *= 1.7)
	{
		PgamlIndexShape shape = shape_of(tuples, 12, 4, tuples);
		PgamlIndexSize size = pgaml_index_size_btree(&shape);

		assert_true(size.pages >= before * 0.999 && size.pages < 1e9);
		assert_true(size.height >= 0 && size.height < 6);
		before = size.pages;
		assert_true(pgaml_index_size_hash(&shape).pages >= 3.0 || shape.fillfactor == 90);
		assert_true(pgaml_index_size_gist(&shape, false).pages >= 1.0);
	}
	before = 0.0;
	for (float width = 1; width < 2600; width *= 1.5f)
	{
		PgamlIndexShape shape = shape_of(100000, width, 1, 100000);
		double		pages = pgaml_index_size_btree(&shape).pages;

		assert_true(pages >= before);
		before = pages;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(different_keys_take_what_the_server_takes),
		cmocka_unit_test(equal_keys_share_entries),
		cmocka_unit_test(nulls_are_one_key),
		cmocka_unit_test(small_ones_have_few_pages),
		cmocka_unit_test(hash_buckets_overflow),
		cmocka_unit_test(sizes_grow_with_what_is_in_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
