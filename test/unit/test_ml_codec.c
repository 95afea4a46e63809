/*-------------------------------------------------------------------------
 * test_ml_codec.c
 *		Bytes of a model: round trip, damage, hostile bytes with a good
 *		checksum, and the fuzzer's corpus.
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
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

#define CORPUS "test/fuzz/corpus/model"

typedef struct Bytes
{
	uint8_t    *at;
	size_t		length;
} Bytes;

static Bytes
encode(const MlModel *model)
{
	Bytes		bytes;

	assert_int_equal(pgaml_ml_model_encode(model, &plain_heap, &bytes.at, &bytes.length, NULL), ML_OK);
	return bytes;
}

static MlModel *
small_model(MlModelType type)
{
	Table		table = table_random(60, 3, 5);
	MlModel    *model;

	table_column(&table, 1)[3] = NAN;
	if (type == ML_LINEAR_REGRESSION)
		model = train(&table, type, NULL);
	else if (type == ML_DECISION_TREE)
		model = train(&table, type, "max_leaves", 6.0, NULL);
	else
		model = train(&table, type, "n_trees", 3.0, "max_leaves", 4.0, NULL);
	table_free(&table);
	return model;
}

static const MlModelType all_types[] = {ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING};

static MlStatus
decode_status(const uint8_t *bytes, size_t length)
{
	Counter		counter = {0};
	MlAllocator allocator = counting(&counter);
	MlModel    *model = NULL;
	MlError		error = {0};
	MlStatus	status = pgaml_ml_model_decode(bytes, length, &allocator, &model, &error);

	if (status == ML_OK)
	{
		float		row[8] = {0};

		assert_non_null(model);
		if (pgaml_ml_model_features(model) <= 8)
			assert_false(isnan(pgaml_ml_predict(model, row)));
		pgaml_ml_model_free(model);
	}
	else
	{
		assert_null(model);
		assert_int_equal(error.code, status);
		assert_true(error.message[0] != '\0');
	}
	assert_int_equal(counter.held, 0);
	return status;
}

static void
fix_checksum(uint8_t *bytes, size_t length)
{
	uint32_t	crc = reference_crc32c(bytes, length - 4);

	for (int i = 0; i < 4; i++)
		bytes[length - 4 + i] = (uint8_t) (crc >> (8 * i));
}

static void
round_trip_keeps_everything(void **state)
{
	(void) state;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = small_model(all_types[t]);
		Bytes		bytes = encode(model);
		Table		table = table_random(200, 3, 6);
		MlModel    *again;

		table_column(&table, 1)[7] = NAN;
		table_column(&table, 0)[7] = NAN;
		assert_int_equal(pgaml_ml_model_decode(bytes.at, bytes.length, &plain_heap, &again, NULL), ML_OK);
		assert_same_bytes(model, again);
		assert_int_equal(pgaml_ml_model_type(again), all_types[t]);
		assert_int_equal(pgaml_ml_model_features(again), 3);
		assert_int_equal(pgaml_ml_model_trees(again), pgaml_ml_model_trees(model));
		for (int64_t i = 0; i < 200; i++)
			assert_true(predict_row(model, &table, i) == predict_row(again, &table, i));
		pgaml_ml_model_free(model);
		pgaml_ml_model_free(again);
		table_free(&table);
		free(bytes.at);
	}
}

/* FORMAT.md, read by hand. */
static void
the_layout_is_the_documented_one(void **state)
{
	MlModel    *model = small_model(ML_DECISION_TREE);
	Bytes		bytes = encode(model);
	uint32_t	crc = reference_crc32c(bytes.at, bytes.length - 4);

	(void) state;
	assert_memory_equal(bytes.at, "PGAMLMOD\2\0\2\0\3\0\0\0", 16);
	assert_int_equal(bytes.at[16], bytes.length);
	assert_int_equal(bytes.length, 24 + 8 + 8 + 4 + 4 + 5 * 20 + 6 * 12 + 4);
	assert_memory_equal(bytes.at + 24, "\0\0\0\0\0\0\xf8\x7f\0\0\0\0\0\0\0\0\1\0\0\0\6\0\0\0", 24);
	for (int i = 0; i < 4; i++)
		assert_int_equal(bytes.at[bytes.length - 4 + (size_t) i], (crc >> (8 * i)) & 0xff);
	pgaml_ml_model_free(model);
	free(bytes.at);
}

static void
every_truncation_is_refused(void **state)
{
	(void) state;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = small_model(all_types[t]);
		Bytes		bytes = encode(model);

		for (size_t length = 0; length < bytes.length; length++)
		{
			/* a copy of exactly that size, so that ASan sees a read past it */
			uint8_t    *copy = malloc(length + (length == 0));

			memcpy(copy, bytes.at, length);
			assert_int_not_equal(decode_status(copy, length), ML_OK);

			/* and with a length field and checksum that fit */
			if (length >= 28)
			{
				for (int i = 0; i < 8; i++)
					copy[16 + i] = (uint8_t) ((uint64_t) length >> (8 * i));
				fix_checksum(copy, length);
				assert_int_equal(decode_status(copy, length), ML_E_FORMAT);
			}
			free(copy);
		}
		pgaml_ml_model_free(model);
		free(bytes.at);
	}
}

static void
every_flipped_bit_is_refused(void **state)
{
	(void) state;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = small_model(all_types[t]);
		Bytes		bytes = encode(model);

		for (size_t bit = 0; bit < 8 * bytes.length; bit++)
		{
			MlStatus	status;

			bytes.at[bit / 8] ^= (uint8_t) (1u << (bit % 8));
			status = decode_status(bytes.at, bytes.length);
			assert_true(status == ML_E_FORMAT || status == ML_E_VERSION);
			bytes.at[bit / 8] ^= (uint8_t) (1u << (bit % 8));
		}
		pgaml_ml_model_free(model);
		free(bytes.at);
	}
}

/* What a checksum cannot see is seen by the validation, or does no harm. */
static void
every_flipped_bit_with_a_good_checksum_is_harmless(void **state)
{
	(void) state;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = small_model(all_types[t]);
		Bytes		bytes = encode(model);

		for (size_t bit = 0; bit < 8 * (bytes.length - 4); bit++)
		{
			bytes.at[bit / 8] ^= (uint8_t) (1u << (bit % 8));
			fix_checksum(bytes.at, bytes.length);
			(void) decode_status(bytes.at, bytes.length);
			bytes.at[bit / 8] ^= (uint8_t) (1u << (bit % 8));
		}
		pgaml_ml_model_free(model);
		free(bytes.at);
	}
}

/* Offsets in the bytes of the small decision tree. */
#define TYPE_AT 10
#define FEATURES_AT 12
#define OOB_AT 24
#define BASE_AT 32
#define TREES_AT 40
#define LEAVES_AT 44
#define NODE_AT(i) (48 + 20 * (i))
#define LEAF_AT(i) (48 + 20 * 5 + 12 * (i))

typedef struct Attack
{
	const char *name;
	size_t		at;
	const char *bytes;
	size_t		length;
} Attack;

static const Attack attacks[] = {
	{"type 0", TYPE_AT, "\0\0", 2},
	{"type 5", TYPE_AT, "\5\0", 2},
	{"no features", FEATURES_AT, "\0\0\0\0", 4},
	{"4097 features", FEATURES_AT, "\1\x10\0\0", 4},
	{"2^32 - 1 features", FEATURES_AT, "\xff\xff\xff\xff", 4},
	{"infinite out-of-bag error", OOB_AT, "\0\0\0\0\0\0\xf0\x7f", 8},
	{"negative out-of-bag error", OOB_AT, "\0\0\0\0\0\0\xf0\xbf", 8},
	{"no trees", TREES_AT, "\0\0\0\0", 4},
	{"two trees in a decision tree", TREES_AT, "\2\0\0\0", 4},
	{"2^32 - 1 trees", TREES_AT, "\xff\xff\xff\xff", 4},
	{"no leaves", LEAVES_AT, "\0\0\0\0", 4},
	{"five leaves", LEAVES_AT, "\5\0\0\0", 4},
	{"2^32 - 1 leaves", LEAVES_AT, "\xff\xff\xff\xff", 4},
	{"65536 leaves", LEAVES_AT, "\0\0\1\0", 4},
	{"threshold NaN", NODE_AT(0), "\0\0\xc0\x7f", 4},
	{"threshold infinite", NODE_AT(2), "\0\0\x80\x7f", 4},
	{"feature 3 of 3", NODE_AT(1) + 4, "\3\0", 2},
	{"missing direction 2", NODE_AT(1) + 6, "\2", 1},
	{"reserved byte", NODE_AT(1) + 7, "\1", 1},
	{"cycle to the root", NODE_AT(4) + 8, "\0\0\0\0", 4},
	{"node is its own child", NODE_AT(1) + 12, "\1\0\0\0", 4},
	{"child past the end", NODE_AT(1) + 12, "\5\0\0\0", 4},
	{"child 2^31 - 1", NODE_AT(1) + 12, "\xff\xff\xff\x7f", 4},
	{"leaf past the end", NODE_AT(4) + 12, "\xf9\xff\xff\xff", 4},
	{"leaf -2^31", NODE_AT(4) + 12, "\0\0\0\x80", 4},
	{"leaf NaN", LEAF_AT(0), "\0\0\0\0\0\0\xf8\x7f", 8},
	{"leaf infinite", LEAF_AT(5), "\0\0\0\0\0\0\xf0\xff", 8},
	{"leaf too large", LEAF_AT(5), "\xff\xff\xff\xff\xff\xff\xef\x7f", 8},
	{"base infinite", BASE_AT, "\0\0\0\0\0\0\xf0\x7f", 8},
	{"weight NaN", LEAF_AT(2) + 8, "\0\0\xc0\x7f", 4},
	{"weight infinite", LEAF_AT(2) + 8, "\0\0\x80\x7f", 4},
	{"weight negative", LEAF_AT(2) + 8, "\0\0\x80\xbf", 4},
	{"gain NaN", NODE_AT(3) + 16, "\0\0\xc0\x7f", 4},
	{"gain infinite", NODE_AT(3) + 16, "\0\0\x80\x7f", 4},
	{"gain negative", NODE_AT(3) + 16, "\0\0\x80\xbf", 4},
};

static void
hostile_trees_are_refused(void **state)
{
	MlModel    *model = small_model(ML_DECISION_TREE);
	Bytes		bytes = encode(model);
	uint8_t    *copy = malloc(bytes.length);

	(void) state;
	assert_int_equal(decode_status(bytes.at, bytes.length), ML_OK);
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
	{
		memcpy(copy, bytes.at, bytes.length);
		memcpy(copy + attacks[i].at, attacks[i].bytes, attacks[i].length);
		fix_checksum(copy, bytes.length);
		if (decode_status(copy, bytes.length) != ML_E_FORMAT)
			fail_msg("accepted: %s", attacks[i].name);
	}
	free(copy);
	pgaml_ml_model_free(model);
	free(bytes.at);
}

/* A chain of left children: 64 deep is a tree, 65 is not. */
static void
too_deep_a_tree_is_refused(void **state)
{
	(void) state;
	for (uint32_t depth = 64; depth <= 65; depth++)
	{
		size_t		length = 24 + 8 + 8 + 4 + 4 + 20 * depth + 12 * (depth + 1) + 4;
		uint8_t    *bytes = calloc(1, length);

		memcpy(bytes, "PGAMLMOD\2\0\2\0\1\0\0\0", 16);
		bytes[16] = (uint8_t) length;
		bytes[17] = (uint8_t) (length >> 8);
		bytes[TREES_AT] = 1;
		bytes[LEAVES_AT] = (uint8_t) (depth + 1);
		for (uint32_t i = 0; i < depth; i++)
		{
			int32_t		left = i + 1 < depth ? (int32_t) i + 1 : ~0;
			int32_t		right = ~(int32_t) (depth - i);

			memcpy(bytes + NODE_AT(i) + 8, &left, 4);
			memcpy(bytes + NODE_AT(i) + 12, &right, 4);
		}
		fix_checksum(bytes, length);
		assert_int_equal(decode_status(bytes, length), depth == 64 ? ML_OK : ML_E_FORMAT);
		free(bytes);
	}
}

static void
hostile_lines_are_refused(void **state)
{
	static const char nan_bytes[] = "\0\0\0\0\0\0\xf8\x7f";
	static const char huge_bytes[] = "\xff\xff\xff\xff\xff\xff\xef\x7f";
	MlModel    *model = small_model(ML_LINEAR_REGRESSION);
	Bytes		bytes = encode(model);

	(void) state;
	for (size_t at = 24; at + 12 <= bytes.length; at += 8)
	{
		bool		is_error = at >= 32 && (at - 32) % 40 == 24;
		uint8_t		kept[8];

		memcpy(kept, bytes.at + at, 8);
		memcpy(bytes.at + at, nan_bytes, 8);
		fix_checksum(bytes.at, bytes.length);
		/* a NaN, or a range whose low end is 0 and whose high end is NaN; a standard error may be unknown or large */
		assert_int_equal(decode_status(bytes.at, bytes.length), is_error ? ML_OK : ML_E_FORMAT);
		memcpy(bytes.at + at, huge_bytes, 8);
		fix_checksum(bytes.at, bytes.length);
		assert_int_equal(decode_status(bytes.at, bytes.length), is_error ? ML_OK : ML_E_FORMAT);
		if (is_error)
		{
			bytes.at[at + 7] |= 0x80;	/* negative */
			fix_checksum(bytes.at, bytes.length);
			assert_int_equal(decode_status(bytes.at, bytes.length), ML_E_FORMAT);
			memcpy(bytes.at + at, "\0\0\0\0\0\0\xf0\x7f", 8);
			fix_checksum(bytes.at, bytes.length);
			assert_int_equal(decode_status(bytes.at, bytes.length), ML_E_FORMAT);
		}
		memcpy(bytes.at + at, kept, 8);
	}
	pgaml_ml_model_free(model);
	free(bytes.at);
}

static void
another_version_is_named(void **state)
{
	MlModel    *model = small_model(ML_DECISION_TREE);
	Bytes		bytes = encode(model);

	(void) state;
	bytes.at[8] = 1;
	assert_int_equal(decode_status(bytes.at, bytes.length), ML_E_VERSION);
	pgaml_ml_model_free(model);
	free(bytes.at);
}

/* What the fuzzer starts from and what it ever found. */
static void
the_corpus_is_harmless(void **state)
{
	DIR		   *dir = opendir(CORPUS);
	struct dirent *entry;
	int			files = 0;

	(void) state;
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
	{
		char		path[512];
		FILE	   *in;
		uint8_t    *bytes;
		size_t		length;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", CORPUS, entry->d_name);
		in = fopen(path, "rb");
		assert_non_null(in);
		bytes = malloc(1 << 20);
		length = fread(bytes, 1, 1 << 20, in);
		fclose(in);
		(void) decode_status(bytes, length);
		if (length >= 28)
		{
			fix_checksum(bytes, length);
			(void) decode_status(bytes, length);
		}
		free(bytes);
		files++;
	}
	closedir(dir);
	assert_true(files >= 4);
}

/* `test_ml_codec corpus` writes the seeds of the corpus. */
static int
write_corpus(void)
{
	static const char *const names[] = {"linear", "tree", "forest", "boosting"};

	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = small_model(all_types[t]);
		Bytes		bytes = encode(model);
		char		path[512];
		FILE	   *out;

		snprintf(path, sizeof(path), "%s/%s", CORPUS, names[t]);
		out = fopen(path, "wb");
		if (out == NULL || fwrite(bytes.at, 1, bytes.length, out) != bytes.length || fclose(out) != 0)
			return 1;
		pgaml_ml_model_free(model);
		free(bytes.at);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip_keeps_everything),
		cmocka_unit_test(the_layout_is_the_documented_one),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(every_flipped_bit_with_a_good_checksum_is_harmless),
		cmocka_unit_test(hostile_trees_are_refused),
		cmocka_unit_test(too_deep_a_tree_is_refused),
		cmocka_unit_test(hostile_lines_are_refused),
		cmocka_unit_test(another_version_is_named),
		cmocka_unit_test(the_corpus_is_harmless),
	};

	if (argc > 1 && strcmp(argv[1], "corpus") == 0)
		return write_corpus();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
