/*-------------------------------------------------------------------------
 * test_ml_json.c
 *		JSON tokens and the conversion of decimals, against the C library in
 *		the C locale.
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"
#include "ml/json_internal.h"

/* Tokens of a text as letters, ending with . for the end or ! for an error. */
static void
tokens(const char *text, size_t length, char *out)
{
	static const char letters[] = "!.{}[]ksntf0";
	uint8_t    *copy = malloc(length + 1);	/* so that the sanitizer sees a read past the end */
	MlJsonReader reader;
	MlJsonToken token;
	size_t		n = 0;

	memcpy(copy, text, length);
	copy = realloc(copy, length > 0 ? length : 1);
	pgaml_ml_json_start(&reader, copy, length);
	do
	{
		token = pgaml_ml_json_next(&reader);
		out[n++] = letters[token];
	}
	while (token != ML_JSON_ERROR && token != ML_JSON_END);
	out[n] = '\0';
	if (token == ML_JSON_ERROR)
	{
		assert_non_null(reader.problem);
		assert_int_equal(pgaml_ml_json_next(&reader), ML_JSON_ERROR);
	}
	free(copy);
}

static void
assert_tokens(const char *text, const char *want)
{
	char		got[256];

	tokens(text, strlen(text), got);
	if (strcmp(got, want) != 0)
		fail_msg("%s: %s, want %s", text, got, want);
}

static void
texts_become_tokens(void **state)
{
	(void) state;
	assert_tokens("1", "n.");
	assert_tokens(" \t\r\n{ } ", "{}.");
	assert_tokens("[]", "[].");
	assert_tokens("[1,-2.5e3 ,\"x\",true,false,null]", "[nnstf0].");
	assert_tokens("{\"a\":1,\"b\":{\"c\":[{},[]]},\"d\":\"\"}", "{knk{k[{}[]]}ks}.");
	assert_tokens("[NaN,Infinity,-Infinity]", "[nnn].");
	assert_tokens("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "s.");
}

static void
what_is_no_json_is_refused(void **state)
{
	static const char *const texts[] = {
		"", " ", "{", "[", "}", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "1 2", "{\"a\"}", "{\"a\":}",
		"{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "[1}", "{\"a\":1]", "\"", "\"a", "\"\\x\"",
		"\"\\u12\"", "\"\\u12g4\"", "\"\\", "\"a\nb\"", "tru", "truex", "nan", "inf", "-inf", "+1", "01", "-", "1.", ".5", "1e",
		"1e+", "--1", "0x10", "1f", "1,2", "'a'", "[1,2", "Infinit", "-NaN", "\x01", "/* */1"
	};
	char		got[64];

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		tokens(texts[i], strlen(texts[i]), got);
		if (got[strlen(got) - 1] != '!')
			fail_msg("%s: %s", texts[i], got);
	}
	tokens("1\0", 2, got);
	assert_string_equal(got, "n!");
}

static void
depth_is_limited(void **state)
{
	char		text[2 * ML_JSON_MAX_DEPTH + 3];
	char		got[2 * ML_JSON_MAX_DEPTH + 4];

	(void) state;
	memset(text, '[', ML_JSON_MAX_DEPTH);
	memset(text + ML_JSON_MAX_DEPTH, ']', ML_JSON_MAX_DEPTH);
	tokens(text, 2 * ML_JSON_MAX_DEPTH, got);
	assert_int_equal(got[2 * ML_JSON_MAX_DEPTH], '.');
	memset(text, '[', ML_JSON_MAX_DEPTH + 1);
	tokens(text, ML_JSON_MAX_DEPTH + 1, got);
	assert_int_equal(got[ML_JSON_MAX_DEPTH], '!');
}

static void
escapes_are_read(void **state)
{
	static const char text[] = "\"a\\u0041\\u00e9\\u20AC\\n\\\"\"";
	static const char nul[] = "\"a\\u0000\"";
	MlJsonReader reader;
	char		out[16];

	(void) state;
	pgaml_ml_json_start(&reader, (const uint8_t *) text, strlen(text));
	assert_int_equal(pgaml_ml_json_next(&reader), ML_JSON_STRING);
	assert_true(pgaml_ml_json_text(&reader, out, sizeof(out)));
	assert_string_equal(out, "aA\xc3\xa9\xe2\x82\xac\n\"");
	assert_true(pgaml_ml_json_is(&reader, out));
	assert_false(pgaml_ml_json_is(&reader, "aA"));
	assert_true(pgaml_ml_json_text(&reader, out, 10));
	assert_false(pgaml_ml_json_text(&reader, out, 9));
	pgaml_ml_json_start(&reader, (const uint8_t *) nul, strlen(nul));
	assert_int_equal(pgaml_ml_json_next(&reader), ML_JSON_STRING);
	assert_false(pgaml_ml_json_text(&reader, out, sizeof(out)));
}

static void
assert_parses(const char *text)
{
	float		want = strtof(text, NULL);
	float		got;

	assert_true(pgaml_ml_float_parse(text, strlen(text), &got));
	if (memcmp(&got, &want, sizeof(got)) != 0)
		fail_msg("%s: %a, want %a", text, got, want);
}

/* The middle of two floats, written in full, and one digit beside it. */
static void
assert_middle_parses(float low)
{
	double		middle = ((double) low + nextafterf(low, INFINITY)) / 2.0;
	char		text[256];
	char	   *last;

	snprintf(text, sizeof(text), "%.160e", middle);
	assert_parses(text);
	last = strchr(text, 'e') - 1;
	*last = '1';
	assert_parses(text);
	/* far behind the digits that are kept */
	snprintf(text, sizeof(text), "%.0f.%0150d1", 16777217.0, 0);
	assert_parses(text);
}

static void
decimals_become_the_nearest_float(void **state)
{
	static const char *const texts[] = {
		"0", "-0", "0.0", "0e5", "0e99999999999999999999", "1", "-1.5", "0.1", "3.4028235E38", "3.4028236e38",
		"3.4028235677973366e38", "3.40282356779733661637539395458142568448e38", "3.40282356779733661637539395458142568447e38",
		"1e39", "-1e400", "1e99999999999999999999", "1e-99999999999999999999", "1.4e-45", "7.0064923216240853546186479164495e-46",
		"7.0064923216240853546186479164496e-46", "7.0064923216240861e-46", "1.17549435e-38", "1.1754942e-38", "16777217", "16777219",
		"16777217.0000000000000000000000001", "123456789012345678901234567890", "0.000000000000000000000000000000000000000000001",
		"1000000000000000000000000000000000000000e-39", "9007199791611905", "33554435"
	};
	MlRng		rng;
	char		text[64];

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_parses(texts[i]);
	pgaml_ml_rng_seed(&rng, 7);
	for (int i = 0; i < 100000; i++)
	{
		snprintf(text, sizeof(text), "%s%llu%c%lluE%d", i & 1 ? "-" : "", (unsigned long long) pgaml_ml_rng_below(&rng, 1000000),
				 '.', (unsigned long long) pgaml_ml_rng_next(&rng), (int) pgaml_ml_rng_below(&rng, 100) - 55);
		assert_parses(text);
	}
	for (int i = 0; i < 20000; i++)
	{
		uint32_t	bits = (uint32_t) pgaml_ml_rng_below(&rng, 0x7f7fffff);
		float		low;

		memcpy(&low, &bits, sizeof(low));
		assert_middle_parses(low);
	}
	assert_middle_parses(0.0f);
	assert_middle_parses(nextafterf(FLT_MIN, 0.0f));
}

static void
integers_are_whole(void **state)
{
	static const char *const bad[] = {"", "-", "01", "1.0", "1e3", "1000000000000000000", "+1", "1a", "NaN"};
	int64_t		value;

	(void) state;
	assert_true(pgaml_ml_int_parse("0", 1, &value) && value == 0);
	assert_true(pgaml_ml_int_parse("-17", 3, &value) && value == -17);
	assert_true(pgaml_ml_int_parse("999999999999999999", 18, &value) && value == INT64_C(999999999999999999));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(pgaml_ml_int_parse(bad[i], strlen(bad[i]), &value));
}

/* Fewest digits of %e that read back. */
static int
fewest_digits(float value)
{
	char		text[64];

	for (int n = 1; n < 9; n++)
	{
		snprintf(text, sizeof(text), "%.*e", n - 1, value);
		if (strtof(text, NULL) == value)
			return n;
	}
	return 9;
}

static void
assert_prints(float value)
{
	char		text[ML_FLOAT_TEXT];
	size_t		length = pgaml_ml_float_print(value, text);
	float		back;
	int			digits = 0;

	assert_int_equal(length, strlen(text));
	back = strtof(text, NULL);
	if (memcmp(&back, &value, sizeof(value)) != 0)
		fail_msg("%a is printed as %s", value, text);
	for (const char *at = text; *at != 'E'; at++)
		digits += *at >= '0' && *at <= '9';
	if (value != 0.0f && digits > fewest_digits(value))
		fail_msg("%s has more digits than needed", text);
}

static void
floats_are_printed_short_and_exact(void **state)
{
	static const float values[] = {
		0.0f, -0.0f, 1.0f, -1.5f, 0.1f, 9.5f, 9.9999995e9f, 999999.94f, 1e10f, 1e-10f, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f,
		16777216.0f, 33554432.0f, 8.589973e9f, 9.8e-45f, 1.1754942e-38f
	};
	char		text[ML_FLOAT_TEXT];
	MlRng		rng;

	(void) state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_prints(values[i]);
	for (int exponent = -44; exponent <= 38; exponent++)
	{
		float		power = strtof((snprintf(text, sizeof(text), "1e%d", exponent), text), NULL);

		assert_prints(power);
		assert_prints(nextafterf(power, 0.0f));
		assert_prints(nextafterf(power, INFINITY));
	}
	pgaml_ml_rng_seed(&rng, 11);
	for (int i = 0; i < 200000; i++)
	{
		uint32_t	bits = (uint32_t) pgaml_ml_rng_next(&rng);
		float		value;

		memcpy(&value, &bits, sizeof(value));
		if (isfinite(value))
			assert_prints(value);
	}
	(void) pgaml_ml_float_print(-1.5f, text);
	assert_string_equal(text, "-1.5E0");
	(void) pgaml_ml_float_print(NAN, text);
	assert_string_equal(text, "NaN");
	(void) pgaml_ml_float_print(-INFINITY, text);
	assert_string_equal(text, "-1E40");
}

static void
writing_puts_commas_and_escapes(void **state)
{
	Counter		counter = {0};
	MlAllocator allocator = counting(&counter);
	MlJsonWriter writer = {.allocator = &allocator};

	(void) state;
	pgaml_ml_json_open(&writer, '{');
	pgaml_ml_json_key(&writer, "a\"\\\n");
	pgaml_ml_json_open(&writer, '[');
	pgaml_ml_json_int(&writer, -5);
	pgaml_ml_json_float(&writer, 0.5f);
	pgaml_ml_json_open(&writer, '[');
	pgaml_ml_json_close(&writer, ']');
	pgaml_ml_json_string(&writer, "x");
	pgaml_ml_json_close(&writer, ']');
	pgaml_ml_json_key(&writer, "b");
	pgaml_ml_json_int(&writer, 1);
	pgaml_ml_json_close(&writer, '}');
	assert_false(writer.failed);
	assert_int_equal(writer.length, strlen("{\"a\\\"\\\\\\u000a\":[-5,5E-1,[],\"x\"],\"b\":1}"));
	assert_memory_equal(writer.buffer, "{\"a\\\"\\\\\\u000a\":[-5,5E-1,[],\"x\"],\"b\":1}", writer.length);
	allocator.free(allocator.state, writer.buffer);
	assert_int_equal(counter.held, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_become_tokens),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(escapes_are_read),
		cmocka_unit_test(decimals_become_the_nearest_float),
		cmocka_unit_test(integers_are_whole),
		cmocka_unit_test(floats_are_printed_short_and_exact),
		cmocka_unit_test(writing_puts_commas_and_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
