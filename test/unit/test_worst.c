/*-------------------------------------------------------------------------
 * test_worst.c
 *		Which node of a plan was estimated worst: ties, ends, counts that say nothing.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture/worst_core.h"

static PgamlWorst worst;
static int32_t next_place;

static int
begin(void **state)
{
	(void) state;
	pgaml_worst_begin(&worst);
	next_place = 0;
	return 0;
}

static void
node(double estimated, double actual, bool cut)
{
	PgamlNodeRows rows = {next_place++, estimated, actual, cut};

	pgaml_worst_consider(&worst, &rows);
}

static void
assert_worst(int32_t place, double q)
{
	assert_int_equal(worst.place, place);
	assert_true(fabs(worst.q / q - 1) < 1e-12);
}

static void
nothing_judged(void **state)
{
	(void) state;
	assert_int_equal(worst.place, -1);
	assert_true(isnan(worst.estimated));
	assert_true(isnan(worst.actual));
}

static void
either_direction(void **state)
{
	(void) state;
	node(100, 50, false);
	assert_worst(0, 2);
	node(10, 30, false);
	assert_worst(1, 3);
	assert_true(worst.estimated == 10 && worst.actual == 30);
	node(29, 10, false);
	assert_worst(1, 3);
}

static void
first_of_equals(void **state)
{
	(void) state;
	node(10, 10, false);
	node(5, 10, false);
	node(10, 5, false);
	assert_worst(1, 2);
}

/* Under a row is a row: no division by zero, and 1 estimated for 0.2 is right. */
static void
less_than_a_row(void **state)
{
	(void) state;
	node(1, 0, false);
	assert_worst(0, 1);
	node(1, 0.2, false);
	node(0, 0, false);
	assert_worst(0, 1);
	node(50, 0, false);
	assert_worst(3, 50);
	node(0, 60, false);
	assert_worst(4, 60);
}

/* What was stopped had at least the rows that were seen. */
static void
stopped_early(void **state)
{
	(void) state;
	node(1000, 3, true);
	assert_int_equal(worst.place, -1);
	node(10, 300, true);
	assert_worst(1, 30);
	node(1000, 3, false);
	assert_worst(2, 1000.0 / 3.0);
}

static void
no_number(void **state)
{
	(void) state;
	node(NAN, 10, false);
	node(10, NAN, false);
	node(INFINITY, 10, false);
	node(10, INFINITY, false);
	assert_int_equal(worst.place, -1);
	node(1e300, 1, false);
	assert_worst(4, 1e300);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_judged, begin),
		cmocka_unit_test_setup(either_direction, begin),
		cmocka_unit_test_setup(first_of_equals, begin),
		cmocka_unit_test_setup(less_than_a_row, begin),
		cmocka_unit_test_setup(stopped_early, begin),
		cmocka_unit_test_setup(no_number, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
