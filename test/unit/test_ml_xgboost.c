/*-------------------------------------------------------------------------
 * test_ml_xgboost.c
 *		Models from XGBoost predict here what they predict there (files made by
 *		goldens_xgboost.py); ours survive the way there and back; what is
 *		hostile or cannot be represented is refused with its reason.
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
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
#include "ml/model_internal.h"
#include "ml/xgboost.h"

#define GOLDENS "test/unit/xgboost"
#define CORPUS "test/fuzz/corpus/xgboost"

/* One split on feature 1 at 2.5, leaves 1 and 3, base 0.5. */
static const char small[] =
	"{\"learner\":{\"attributes\":{\"mine\":\"yes\"},\"feature_names\":[],\"feature_types\":[],"
	"\"gradient_booster\":{\"model\":{\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"1\","
	"\"size_leaf_vector\":\"0\"},\"tree_info\":[0],\"trees\":[{\"default_left\":[1,0,0],\"id\":0,"
	"\"left_children\":[1,-1,-1],\"loss_changes\":[7E0,0E0,0E0],\"right_children\":[2,-1,-1],"
	"\"split_conditions\":[2.5E0,1E0,3E0],\"split_indices\":[1,0,0],\"split_type\":[0,0,0],"
	"\"sum_hessian\":[5E0,2E0,3E0],\"tree_param\":{\"num_nodes\":\"3\",\"size_leaf_vector\":\"0\"}}]},\"name\":\"gbtree\"},"
	"\"learner_model_param\":{\"base_score\":\"5E-1\",\"num_class\":\"0\",\"num_feature\":\"2\",\"num_target\":\"1\"},"
	"\"objective\":{\"name\":\"reg:squarederror\"}},\"version\":[1,7,4]}";

static const char *const two_names[] = {"a", "b"};

static char *
read_whole(const char *directory, const char *name, const char *suffix, size_t *length)
{
	char		path[512];
	FILE	   *in;
	char	   *bytes = malloc(1 << 20);

	snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
	in = fopen(path, "rb");
	if (in == NULL)
		fail_msg("cannot read %s", path);
	*length = fread(bytes, 1, (1 << 20) - 1, in);
	bytes[*length] = '\0';
	fclose(in);
	return bytes;
}

static MlModel *
read_text(const char *text)
{
	MlModel    *model;
	MlError		error = {0};

	if (pgaml_ml_xgboost_read((const uint8_t *) text, strlen(text), NULL, 0, NULL, 0, &plain_heap, NULL,
							  &model, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return model;
}

/* text with the first a replaced by b. */
static char *
replaced(const char *text, const char *a, const char *b)
{
	const char *at = strstr(text, a);
	char	   *out = malloc(strlen(text) + strlen(b) + 1);

	if (at == NULL)
		fail_msg("no %s", a);
	memcpy(out, text, (size_t) (at - text));
	strcpy(out + (at - text), b);
	strcat(out, at + strlen(a));
	return out;
}

static void
write_model(const MlModel *model, uint8_t **bytes, size_t *length)
{
	MlError		error = {0};

	if (pgaml_ml_xgboost_write(model, NULL, NULL, 0, &plain_heap, NULL, bytes, length, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
}

static double
predict_two(const MlModel *model, float a, float b)
{
	float		row[] = {a, b};

	return pgaml_ml_predict(model, row);
}

/* XGBoost adds floats: its own sums are not better than 1e-6 of the largest. */
static void
golden(const char *name)
{
	size_t		length;
	char	   *text = read_whole(GOLDENS, name, ".json", &length);
	char	   *rows = read_whole(GOLDENS, name, ".rows", &length);
	char	   *at = rows;
	MlModel    *model = read_text(text);
	MlModel    *again;
	uint8_t    *bytes;
	int			n = 0;

	write_model(model, &bytes, &length);
	assert_int_equal(pgaml_ml_xgboost_read(bytes, length, NULL, 0, NULL, 0, &plain_heap, NULL, &again, NULL), ML_OK);
	assert_same_bytes(model, again);
	while (*at != '\0')
	{
		float		row[4];
		double		want;
		double		got;

		for (int f = 0; f < 4; f++)
			row[f] = strtof(at, &at);
		want = strtod(at, &at);
		at += strspn(at, "\n");
		got = pgaml_ml_predict(model, row);
		if (!(fabs(got - want) <= 2e-6 * fmax(fabs(want), 1.0)))
			fail_msg("%s, row %d: %.9g, XGBoost says %.9g", name, n, got, want);
		n++;
	}
	assert_int_equal(n, 200);
	pgaml_ml_model_free(model);
	pgaml_ml_model_free(again);
	free(bytes);
	free(text);
	free(rows);
}

static void
predictions_are_those_of_xgboost(void **state)
{
	static const char *const names[] = {
		"depthwise", "lossguide", "parallel", "absolute", "huber", "pruned", "no_trees"
	};

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		golden(names[i]);
}

/* Below, at and above a threshold, and missing. */
static void
assert_split(const char *condition, const float *left, size_t nleft, const float *right, size_t nright)
{
	char	   *text = replaced(small, "2.5E0", condition);
	MlModel    *model = read_text(text);
	MlModel    *again;
	uint8_t    *bytes;
	size_t		length;

	write_model(model, &bytes, &length);
	assert_int_equal(pgaml_ml_xgboost_read(bytes, length, NULL, 0, NULL, 0, &plain_heap, NULL, &again, NULL), ML_OK);
	for (size_t i = 0; i < nleft + nright; i++)
	{
		float		x = i < nleft ? left[i] : right[i - nleft];
		double		want = i < nleft ? 1.5 : 3.5;

		if (predict_two(model, 0.0f, x) != want || predict_two(again, 0.0f, x) != want)
			fail_msg("%a against %s: %g", x, condition, predict_two(model, 0.0f, x));
	}
	assert_true(predict_two(model, 0.0f, NAN) == 1.5);
	assert_true(predict_two(again, 0.0f, NAN) == 1.5);
	pgaml_ml_model_free(model);
	pgaml_ml_model_free(again);
	free(bytes);
	free(text);
}

static void
ties_go_where_xgboost_sends_them(void **state)
{
	const float tiny = nextafterf(0.0f, 1.0f);
	const float below_max = nextafterf(FLT_MAX, 0.0f);

	(void) state;
#define SPLIT(condition, left, right) \
	assert_split(condition, (const float[]) left, sizeof((const float[]) left) / sizeof(float), \
				 (const float[]) right, sizeof((const float[]) right) / sizeof(float))
#define SET(...) {__VA_ARGS__}
	SPLIT("2.5E0", SET(-1.0f, nextafterf(2.5f, 0.0f)), SET(2.5f, 3.0f));
	SPLIT("0E0", SET(-1.0f, -tiny), SET(0.0f, -0.0f, tiny));
	SPLIT("-0E0", SET(-1.0f, -tiny), SET(0.0f, -0.0f, tiny));
	SPLIT("1E-45", SET(-1.0f, -tiny, 0.0f, -0.0f), SET(tiny, 1.0f));
	SPLIT("-1E-45", SET(-1.0f, -2.0f * tiny), SET(-tiny, 0.0f, -0.0f));
	SPLIT("1.1754944E-38", SET(0.0f, nextafterf(FLT_MIN, 0.0f)), SET(FLT_MIN, 1.0f));
	SPLIT("3.4028235E38", SET(0.0f, below_max), SET(FLT_MAX));
	SPLIT("Infinity", SET(-FLT_MAX, 0.0f, FLT_MAX), SET(INFINITY));
	SPLIT("1E39", SET(-FLT_MAX, 0.0f, FLT_MAX), SET(INFINITY));
	SPLIT("-3.4028233E38", SET(-FLT_MAX), SET(-below_max, 0.0f));
#undef SPLIT
}

/* Nothing finite is below the least float: the children change places. */
static void
a_threshold_that_nothing_is_below(void **state)
{
	static const char *const conditions[] = {"-3.4028235E38", "-Infinity"};

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		char	   *text = replaced(small, "2.5E0", conditions[i]);
		MlModel    *model = read_text(text);

		assert_true(predict_two(model, 0.0f, -FLT_MAX) == 3.5);
		assert_true(predict_two(model, 0.0f, FLT_MAX) == 3.5);
		assert_true(predict_two(model, 0.0f, NAN) == 1.5);
		pgaml_ml_model_free(model);
		free(text);
	}
}

/* Weights and gains come along, and the least-used of the formats. */
static void
everything_that_counts_is_read(void **state)
{
	char	   *newer = replaced(small, "\"5E-1\"", "\"[5E-1]\"");
	char	   *older = replaced(small, "[1,0,0]", "[true,false,false]");
	MlXgboostAttribute attributes[] = {{.name = "mine"}, {.name = "absent", .value = "x"}};
	MlModel    *model;
	MlModel    *same;

	(void) state;
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) small, strlen(small), NULL, 0, attributes, 2,
										   &plain_heap, NULL, &model, NULL), ML_OK);
	assert_string_equal(attributes[0].value, "yes");
	assert_string_equal(attributes[1].value, "");
	assert_int_equal(pgaml_ml_model_type(model), ML_GRADIENT_BOOSTING);
	assert_int_equal(pgaml_ml_model_features(model), 2);
	assert_true(model->trees[0].covers[0] == 2.0f && model->trees[0].covers[1] == 3.0f);
	assert_true(model->trees[0].gains[0] == 7.0f);
	same = read_text(newer);
	assert_same_bytes(model, same);
	pgaml_ml_model_free(same);
	same = read_text(older);
	assert_same_bytes(model, same);
	pgaml_ml_model_free(same);
	pgaml_ml_model_free(model);
	free(newer);
	free(older);
}

static void
features_are_matched_by_name(void **state)
{
	static const char *const ours[] = {"x", "b", "y", "a"};
	char	   *named = replaced(small, "\"feature_names\":[]", "\"feature_names\":[\"a\",\"\\u0062\"]");
	char	   *unknown = replaced(small, "\"feature_names\":[]", "\"feature_names\":[\"zebra\",\"a\"]");
	char	   *twice = replaced(small, "\"feature_names\":[]", "\"feature_names\":[\"a\",\"a\"]");
	float		row[] = {0.0f, 9.0f, 0.0f, 0.0f};
	MlModel    *model;
	MlError		error;

	(void) state;
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) named, strlen(named), ours, 4, NULL, 0,
										   &plain_heap, NULL, &model, NULL), ML_OK);
	assert_int_equal(pgaml_ml_model_features(model), 4);
	assert_true(pgaml_ml_predict(model, row) == 3.5);
	row[1] = 0.0f;
	row[0] = row[2] = row[3] = 9.0f;
	assert_true(pgaml_ml_predict(model, row) == 1.5);
	pgaml_ml_model_free(model);

	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) unknown, strlen(unknown), ours, 4, NULL, 0,
										   &plain_heap, NULL, &model, &error), ML_E_DATA);
	assert_non_null(strstr(error.message, "zebra"));
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) twice, strlen(twice), ours, 4, NULL, 0,
										   &plain_heap, NULL, &model, &error), ML_E_FORMAT);
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) small, strlen(small), ours, 4, NULL, 0,
										   &plain_heap, NULL, &model, &error), ML_E_DATA);
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) small, strlen(small), two_names, 2, NULL, 0,
										   &plain_heap, NULL, &model, NULL), ML_OK);
	pgaml_ml_model_free(model);
	free(named);
	free(unknown);
	free(twice);
}

/* What is wrong, how it is called, and a word of the reason. */
static const struct
{
	const char *from;
	const char *to;
	MlStatus	status;
	const char *reason;
}			refusals[] = {
	{"reg:squarederror", "binary:logistic", ML_E_VERSION, "binary:logistic"},
	{"reg:squarederror", "reg:gamma", ML_E_VERSION, "reg:gamma"},
	{"reg:squarederror", "count:poisson", ML_E_VERSION, "count:poisson"},
	{"reg:squarederror", "reg:logistic", ML_E_VERSION, "reg:logistic"},
	{"reg:squarederror", "reg:squaredlogerror", ML_E_VERSION, "reg:squaredlogerror"},
	{"reg:squarederror", "\\u00e9\\u001b", ML_E_VERSION, "??"},
	{"\"gbtree\"}", "\"gblinear\"}", ML_E_VERSION, "gblinear"},
	{"\"gbtree\"}", "\"dart\"}", ML_E_VERSION, "dart"},
	{"\"num_class\":\"0\"", "\"num_class\":\"3\"", ML_E_VERSION, "several classes"},
	{"\"num_target\":\"1\"", "\"num_target\":\"2\"", ML_E_VERSION, "several outputs"},
	{"\"tree_info\":[0]", "\"tree_info\":[1]", ML_E_VERSION, "several outputs"},
	{"\"5E-1\"", "\"[5E-1,1E0]\"", ML_E_VERSION, "several outputs"},
	{"\"num_nodes\":\"3\",\"size_leaf_vector\":\"0\"", "\"size_leaf_vector\":\"2\"", ML_E_VERSION, "several outputs"},
	{"\"split_type\":[0,0,0]", "\"split_type\":[1,0,0]", ML_E_VERSION, "categorical"},
	{"[1,7,4]", "[0,90,0]", ML_E_VERSION, "XGBoost 0"},
	{"[1,7,4]", "[4,0,0]", ML_E_VERSION, "XGBoost 4"},
	{"[1,7,4]", "[]", ML_E_VERSION, "XGBoost 0"},
	{"[1,7,4]", "\"1.7\"", ML_E_FORMAT, "array is expected"},
	{"[1,7,4]", "[1,7,4],\"version\":[1,7,4]", ML_E_FORMAT, "comes twice"},
	{",\"version\":[1,7,4]", "", ML_E_FORMAT, "not there"},
	{"[1,7,4]}", "[1,7,4]}x", ML_E_FORMAT, "something follows"},
	{"{\"learner\"", "{\"Learner\"", ML_E_FORMAT, "not there"},
	{"{\"learner\"", "[\"learner\"", ML_E_FORMAT, "object is expected"},
	{"\"base_score\":\"5E-1\"", "\"base_score\":\"NaN\"", ML_E_FORMAT, "base score"},
	{"\"base_score\":\"5E-1\"", "\"base_score\":\"1E99\"", ML_E_FORMAT, "base score"},
	{"\"base_score\":\"5E-1\"", "\"base_score\":[]", ML_E_FORMAT, "number is expected"},
	{"\"num_feature\":\"2\"", "\"num_feature\":\"1\"", ML_E_FORMAT, "feature 1 of 1"},
	{"\"num_feature\":\"2\"", "\"num_feature\":\"0\"", ML_E_LIMIT, "0 features"},
	{"\"num_feature\":\"2\"", "\"num_feature\":\"5000\"", ML_E_LIMIT, "5000 features"},
	{"\"num_feature\":\"2\"", "\"num_feature\":\"two\"", ML_E_FORMAT, "whole number"},
	{"\"feature_names\":[]", "\"feature_names\":[\"a\"]", ML_E_FORMAT, "1 names of 2"},
	{"\"feature_names\":[]", "\"feature_names\":[1]", ML_E_FORMAT, "text is expected"},
	{"\"feature_names\":[]", "\"feature_names\":[\"\\u0000\"]", ML_E_FORMAT, "zero"},
	{"\"split_indices\":[1,", "\"split_indices\":[-1,", ML_E_FORMAT, "feature -1"},
	{"\"split_indices\":[1,", "\"split_indices\":[2147483647,", ML_E_FORMAT, "feature 2147483647"},
	{"\"split_indices\":[1,", "\"split_indices\":[2147483648,", ML_E_FORMAT, "whole number"},
	{"\"split_indices\":[1,", "\"split_indices\":[1.5,", ML_E_FORMAT, "whole number"},
	{"\"left_children\":[1,-1,-1]", "\"left_children\":[0,-1,-1]", ML_E_FORMAT, "more than one parent"},
	{"\"left_children\":[1,-1,-1]", "\"left_children\":[2,-1,-1]", ML_E_FORMAT, "more than one parent"},
	{"\"left_children\":[1,-1,-1]", "\"left_children\":[3,-1,-1]", ML_E_FORMAT, "not in the tree"},
	{"\"left_children\":[1,-1,-1]", "\"left_children\":[-2,-1,-1]", ML_E_FORMAT, "not in the tree"},
	{"\"left_children\":[1,-1,-1]", "\"left_children\":[1,2,-1]", ML_E_FORMAT, "not in the tree"},
	{"\"right_children\":[2,-1,-1]", "\"right_children\":[2,-1]", ML_E_FORMAT, "differ in length"},
	{"\"sum_hessian\":[5E0,2E0,3E0]", "\"sum_hessian\":[5E0]", ML_E_FORMAT, "differ in length"},
	{"\"default_left\":[1,0,0]", "\"default_left\":[\"1\",0,0]", ML_E_FORMAT, "whole number"},
	{"\"split_conditions\":[2.5E0,", "\"split_conditions\":[NaN,", ML_E_FORMAT, "NaN"},
	{"\"split_conditions\":[2.5E0,1E0", "\"split_conditions\":[2.5E0,1E39", ML_E_FORMAT, "not finite"},
	{"\"split_conditions\":[2.5E0,1E0", "\"split_conditions\":[2.5E0,null", ML_E_FORMAT, "number is expected"},
	{"\"num_nodes\":\"3\"", "\"num_nodes\":\"5\"", ML_E_FORMAT, "as many nodes"},
	{"\"trees\":[{", "\"trees\":[1,{", ML_E_FORMAT, "object is expected"},
	{"\"id\":0", "\"left_children\":[]", ML_E_FORMAT, "comes twice"},
	{"\"mine\":\"yes\"", "\"mine\":[[[[", ML_E_FORMAT, "value is expected"},
	{"\"id\":0", "\"id\":{\"a\":[1,{}],\"b\":}", ML_E_FORMAT, "value is expected"},
};

static void
others_are_refused_with_the_reason(void **state)
{
	static const char ubj[] = "{L\x00\x00";
	MlModel    *model;
	MlError		error;

	(void) state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
	{
		char	   *text = replaced(small, refusals[i].from, refusals[i].to);
		MlStatus	status = pgaml_ml_xgboost_read((const uint8_t *) text, strlen(text), NULL, 0, NULL, 0,
												   &plain_heap, NULL, &model, &error);

		if (status != refusals[i].status || strstr(error.message, refusals[i].reason) == NULL)
			fail_msg("%s: %d, %s: %s", refusals[i].to, status, error.where, error.message);
		assert_null(model);
		free(text);
	}
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) ubj, 4, NULL, 0, NULL, 0, &plain_heap, NULL, &model, &error),
					 ML_E_FORMAT);
	assert_non_null(strstr(error.message, "UBJSON"));
}

static void
every_truncation_is_refused(void **state)
{
	MlModel    *model;

	(void) state;
	for (size_t n = 0; n < strlen(small); n++)
	{
		uint8_t    *copy = malloc(n + 1);

		memcpy(copy, small, n);
		copy = realloc(copy, n > 0 ? n : 1);
		assert_int_equal(pgaml_ml_xgboost_read(copy, n, NULL, 0, NULL, 0, &plain_heap, NULL, &model, NULL), ML_E_FORMAT);
		free(copy);
	}
}

/* A chain of n splits: node 2i has the leaf 2i + 1 and goes on at 2i + 2. */
static char *
chain(int n)
{
	char	   *text = malloc(4096 + (size_t) n * 128);
	char	   *at = text;

	at += sprintf(at, "{\"version\":[2,0,3],\"learner\":{\"objective\":{\"name\":\"reg:linear\"},\"learner_model_param\":"
				  "{\"num_feature\":1,\"base_score\":\"0E0\"},\"gradient_booster\":{\"name\":\"gbtree\",\"model\":{\"trees\":[{");
	at += sprintf(at, "\"left_children\":[");
	for (int i = 0; i < n; i++)
		at += sprintf(at, "%d,-1,", 2 * i + 1);
	at += sprintf(at, "-1],\"right_children\":[");
	for (int i = 0; i < n; i++)
		at += sprintf(at, "%d,-1,", 2 * i + 2);
	at += sprintf(at, "-1],\"split_indices\":[");
	for (int i = 0; i < n; i++)
		at += sprintf(at, "0,0,");
	at += sprintf(at, "0],\"split_conditions\":[");
	for (int i = 0; i < n; i++)
		at += sprintf(at, "%d,%d,", i, i);
	sprintf(at, "%d]}]}}}}", n);
	return text;
}

static void
depth_and_size_are_limited(void **state)
{
	char	   *text = chain(ML_MAX_DEPTH);
	MlModel    *model = read_text(text);
	MlError		error;
	float		row = 30.0f;

	(void) state;
	assert_true(pgaml_ml_predict(model, &row) == 31.0);
	pgaml_ml_model_free(model);
	free(text);
	text = chain(ML_MAX_DEPTH + 1);
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) text, strlen(text), NULL, 0, NULL, 0, &plain_heap, NULL,
										   &model, &error), ML_E_LIMIT);
	assert_non_null(strstr(error.message, "deeper than 64"));
	free(text);
	text = chain(140000);
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) text, strlen(text), NULL, 0, NULL, 0, &plain_heap, NULL,
										   &model, &error), ML_E_LIMIT);
	assert_string_equal(error.where, "nodes");
	free(text);
}

/* Memory stays a small multiple of the text. */
static void
too_many_trees_are_refused(void **state)
{
	static const char tree[] = "{\"left_children\":[-1],\"right_children\":[-1],\"split_indices\":[0],\"split_conditions\":[0]},";
	char	   *text = malloc(strlen(small) + (ML_MAX_TREES + 1) * sizeof(tree));
	const char *list = strstr(small, "\"trees\":[") + strlen("\"trees\":[");
	Counter		counter = {0};
	MlAllocator allocator = counting(&counter);
	size_t		at = (size_t) (list - small);
	MlModel    *model;
	MlError		error;

	(void) state;
	memcpy(text, small, at);
	for (int i = 0; i < ML_MAX_TREES; i++)
		at += (size_t) sprintf(text + at, "%s", tree);
	strcpy(text + at, list);
	assert_int_equal(pgaml_ml_xgboost_read((const uint8_t *) text, strlen(text), NULL, 0, NULL, 0, &allocator, NULL,
										   &model, &error), ML_E_LIMIT);
	assert_string_equal(error.where, "trees");
	assert_int_equal(counter.held, 0);
	assert_true(counter.peak < 4 * strlen(text));
	free(text);
}

/* A model of each type, there and back. */
static void
ours_survive_the_way_there_and_back(void **state)
{
	static const MlModelType types[] = {ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING};
	Table		table = table_random(900, 4, 5);

	(void) state;
	for (int64_t i = 0; i < 900; i += 7)
		table_column(&table, 1)[i] = NAN;
	for (int t = 0; t < 3; t++)
	{
		MlModel    *model = types[t] == ML_DECISION_TREE ? train(&table, types[t], NULL) :
			train(&table, types[t], "n_trees", 40.0, NULL);
		MlModel    *again;
		uint8_t    *bytes;
		size_t		length;
		double		covers[2] = {0};

		write_model(model, &bytes, &length);
		assert_int_equal(pgaml_ml_xgboost_read(bytes, length, NULL, 0, NULL, 0, &plain_heap, NULL, &again, NULL), ML_OK);
		assert_int_equal(pgaml_ml_model_trees(again), pgaml_ml_model_trees(model));
		for (int64_t i = 0; i < 900; i++)
		{
			double		want = predict_row(model, &table, i);

			assert_true(fabs(predict_row(again, &table, i) - want) <= 1e-6 * fmax(1.0, fabs(want)));
		}
		for (int32_t i = 0; i < model->trees[0].nleaves; i++)
		{
			covers[0] += model->trees[0].covers[i];
			covers[1] += again->trees[0].covers[i];
		}
		assert_true(covers[0] == covers[1] && covers[0] > 0.0);
		pgaml_ml_model_free(model);
		pgaml_ml_model_free(again);
		free(bytes);
	}
	table_free(&table);
}

static void
what_does_not_fit_is_not_written(void **state)
{
	Table		table = table_random(50, 2, 5);
	MlModel    *line = train(&table, ML_LINEAR_REGRESSION, NULL);
	MlModel    *tree = train(&table, ML_GRADIENT_BOOSTING, "n_trees", 3.0, NULL);
	MlError		error;
	uint8_t    *bytes;
	size_t		length;

	(void) state;
	assert_int_equal(pgaml_ml_xgboost_write(line, NULL, NULL, 0, &plain_heap, NULL, &bytes, &length, &error), ML_E_ARG);
	assert_null(bytes);
	tree->trees[1].leaves[0] = 1e39;
	assert_int_equal(pgaml_ml_xgboost_write(tree, NULL, NULL, 0, &plain_heap, NULL, &bytes, &length, &error), ML_E_LIMIT);
	tree->trees[1].leaves[0] = 0.0;
	tree->base = -1e39;
	assert_int_equal(pgaml_ml_xgboost_write(tree, NULL, NULL, 0, &plain_heap, NULL, &bytes, &length, &error), ML_E_LIMIT);
	pgaml_ml_model_free(line);
	pgaml_ml_model_free(tree);
	table_free(&table);
}

static void
every_allocation_may_fail(void **state)
{
	size_t		length;
	char	   *text = read_whole(GOLDENS, "parallel", ".json", &length);
	MlModel    *model = read_text(text);
	int64_t		failures = 0;

	(void) state;
	for (int64_t n = 1; failures == n - 1; n++)
	{
		Counter		counter = {.fail_at = n};
		MlAllocator allocator = counting(&counter);
		MlModel    *got;
		MlStatus	status = pgaml_ml_xgboost_read((const uint8_t *) text, length, NULL, 0, NULL, 0, &allocator, NULL,
												   &got, NULL);

		failures += status == ML_E_NOMEM;
		pgaml_ml_model_free(got);
		assert_int_equal(counter.held, 0);
	}
	assert_true(failures > 10);
	failures = 0;
	for (int64_t n = 1; failures == n - 1; n++)
	{
		Counter		counter = {.fail_at = n};
		MlAllocator allocator = counting(&counter);
		uint8_t    *bytes;
		size_t		written;
		MlStatus	status = pgaml_ml_xgboost_write(model, NULL, NULL, 0, &allocator, NULL, &bytes, &written, NULL);

		failures += status == ML_E_NOMEM;
		allocator.free(allocator.state, bytes);
		assert_int_equal(counter.held, 0);
	}
	assert_true(failures > 2);
	pgaml_ml_model_free(model);
	free(text);
}

static bool
stop_now(void *state, double progress)
{
	int		   *calls = state;

	assert_true(progress >= 0.0 && progress <= 1.0);
	return ++*calls == 1;
}

static void
both_ways_can_be_stopped(void **state)
{
	size_t		length;
	char	   *text = read_whole(GOLDENS, "depthwise", ".json", &length);
	MlModel    *model = read_text(text);
	int			calls = 0;
	const MlStop stop = {stop_now, &calls};
	char	   *longer = malloc(length * 200);
	size_t		at = 0;
	uint8_t    *bytes;
	MlModel    *got;

	(void) state;
	/* one attribute that is a long list */
	at += (size_t) sprintf(longer, "{\"x\":[");
	while (at < length * 150)
		at += (size_t) sprintf(longer + at, "[1,2,{\"a\":3}],");
	at += (size_t) sprintf(longer + at, "1]}");
	assert_int_equal(pgaml_ml_xgboost_read((uint8_t *) longer, at, NULL, 0, NULL, 0, &plain_heap, &stop, &got, NULL),
					 ML_E_STOPPED);
	calls = 0;
	for (int i = 0; i < 12; i++)
		assert_true(model->trees[i].nleaves > 1);
	while (pgaml_ml_xgboost_write(model, NULL, NULL, 0, &plain_heap, &stop, &bytes, &at, NULL) == ML_OK)
	{
		/* the same trees again and again, until there is work enough for a question */
		MlTree	   *more = calloc((size_t) model->ntrees * 2, sizeof(MlTree));

		free(bytes);
		for (int32_t t = 0; t < 2 * model->ntrees; t++)
		{
			const MlTree *tree = &model->trees[t / 2];

			assert_true(pgaml_ml_tree_alloc(&more[t], tree->nleaves, &plain_heap));
			memcpy(more[t].leaves, tree->leaves, pgaml_ml_tree_memory(tree->nleaves));
		}
		for (int32_t t = 0; t < model->ntrees; t++)
			free(model->trees[t].leaves);
		free(model->trees);
		model->trees = more;
		model->ntrees *= 2;
		assert_true(model->ntrees < ML_MAX_TREES);
	}
	assert_int_equal(calls, 1);
	assert_null(bytes);
	pgaml_ml_model_free(model);
	free(longer);
	free(text);
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
		size_t		length;
		char	   *text;
		MlModel    *model;

		if (entry->d_name[0] == '.')
			continue;
		text = read_whole(CORPUS, entry->d_name, "", &length);
		if (pgaml_ml_xgboost_read((const uint8_t *) text, length, NULL, 0, NULL, 0, &plain_heap, NULL, &model, NULL) == ML_OK)
			assert_int_equal(pgaml_ml_model_validate(model, NULL), ML_OK);
		pgaml_ml_model_free(model);
		free(text);
		files++;
	}
	closedir(dir);
	assert_true(files >= 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(predictions_are_those_of_xgboost),
		cmocka_unit_test(ties_go_where_xgboost_sends_them),
		cmocka_unit_test(a_threshold_that_nothing_is_below),
		cmocka_unit_test(everything_that_counts_is_read),
		cmocka_unit_test(features_are_matched_by_name),
		cmocka_unit_test(others_are_refused_with_the_reason),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(depth_and_size_are_limited),
		cmocka_unit_test(too_many_trees_are_refused),
		cmocka_unit_test(ours_survive_the_way_there_and_back),
		cmocka_unit_test(what_does_not_fit_is_not_written),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(both_ways_can_be_stopped),
		cmocka_unit_test(the_corpus_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
