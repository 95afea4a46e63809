/*-------------------------------------------------------------------------
 * test_stages_corpus.c
 *		The corpus of fuzz_stages.c, replayed; `test_stages_corpus write` makes
 *		its seeds.
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
#include "ml/stages.h"

#define CORPUS "test/fuzz/corpus/stages"
#define NROWS	60
#define NFEATURES 5

static const MlStageLayout layout = {
	.feature_version = 1, .nfeatures = NFEATURES, .lag_center = 1, .lag_spread = 2, .lag_runs = 3, .cost = 4,
	.roles = {0, ML_ROLE_PAST, ML_ROLE_PAST, ML_ROLE_PAST, ML_ROLE_PLAN}
};

static void
replay(const uint8_t *bytes, size_t length)
{
	MlStages   *stages;

	if (pgaml_ml_stages_decode(bytes, length, &plain_heap, &stages, NULL) == ML_OK)
	{
		float		row[ML_STAGE_MAX_FEATURES] = {0};
		float		scratch[2 * ML_STAGE_MAX_FEATURES];
		MlStageQuery query = {.row = row, .key = 1, .plan = 1, .coverage = 0.9, .recent = row, .nrecent = 24};
		MlForecast	forecast;

		pgaml_ml_stages_predict(stages, &query, scratch, &forecast);
		if (forecast.source != ML_SOURCE_NONE)
			assert_true(forecast.lower <= forecast.center && forecast.center <= forecast.upper);
		pgaml_ml_stages_free(stages);
	}
}

/* Length and checksum made right, as the fuzzer does. */
static void
repair(uint8_t *bytes, size_t length)
{
	uint32_t	crc;

	for (int i = 0; i < 8; i++)
		bytes[12 + i] = (uint8_t) ((uint64_t) length >> (8 * i));
	crc = reference_crc32c(bytes, length - 4);
	for (int i = 0; i < 4; i++)
		bytes[length - 4 + (size_t) i] = (uint8_t) (crc >> (8 * i));
}

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
		replay(bytes, length);
		if (length >= 32)
		{
			repair(bytes, length);
			replay(bytes, length);
		}
		free(bytes);
		files++;
	}
	closedir(dir);
	assert_true(files >= 3);
}

static int
write_seed(const char *name, MlStages *stages)
{
	char		path[512];
	uint8_t    *bytes;
	size_t		length;
	FILE	   *out;
	int			failed = 1;

	snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
	if (pgaml_ml_stages_encode(stages, &plain_heap, &bytes, &length, NULL) == ML_OK)
	{
		out = fopen(path, "wb");
		failed = out == NULL || fwrite(bytes, 1, length, out) != length || fclose(out) != 0;
		free(bytes);
	}
	pgaml_ml_stages_free(stages);
	return failed;
}

static int
write_corpus(void)
{
	Table		table = table_random(NROWS, NFEATURES, 3);
	int32_t		group[NROWS];
	int64_t		plan[NROWS];
	uint8_t		part[NROWS];
	uint8_t		single[NROWS];
	MlStageData data = {
		.nrows = NROWS, .columns = table.columns, .target = table.target, .group = group, .ngroups = 6,
		.plan = plan, .part = part, .single = single
	};
	MlStageReport report;
	MlStages   *stages;
	MlParams	params;
	MlModel    *model = train(&table, ML_DECISION_TREE, "max_leaves", 4.0, NULL);
	int			failed = 0;

	for (int i = 0; i < NROWS; i++)
	{
		group[i] = i / 10;
		plan[i] = 1 + i / 20;
		part[i] = (uint8_t) (i % 10 < 6 ? ML_PART_TRAIN : i % 10 < 8 ? ML_PART_CALIBRATE : ML_PART_TEST);
		single[i] = 1;
		table_column(&table, 3)[i] = (float) (i % 10);
	}
	failed |= pgaml_ml_stages_adopt(model, &layout, NULL, &plain_heap, NULL, &stages, &report, NULL) != ML_OK ||
		write_seed("adopted", stages);
	pgaml_ml_params_default(ML_LINEAR_REGRESSION, &params);
	failed |= pgaml_ml_stages_fit(&data, &layout, &params, &plain_heap, NULL, &stages, &report, NULL) != ML_OK ||
		write_seed("linear", stages);
	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	params.n_trees = 3;
	params.max_leaves = 3;
	params.min_samples_leaf = 2;
	failed |= pgaml_ml_stages_fit(&data, &layout, &params, &plain_heap, NULL, &stages, &report, NULL) != ML_OK ||
		write_seed("boosting", stages);
	table_free(&table);
	return failed;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_corpus_is_harmless),
	};

	if (argc > 1 && strcmp(argv[1], "write") == 0)
		return write_corpus();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
