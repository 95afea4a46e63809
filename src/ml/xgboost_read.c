/*-------------------------------------------------------------------------
 * xgboost_read.c
 *		Reads the JSON of XGBoost into a model of trees.
 *
 * One pass over the tokens, whatever the order of the keys: trees are kept
 * with the features' numbers in the file and renumbered at the end, when
 * names and parameters are known.  Objects are read by tables of fields;
 * unknown keys are skipped, known ones must not come twice.  What the file
 * may hold but this library cannot represent is refused at the end with the
 * reason.  Memory is at most a small multiple of the bytes.
 *-------------------------------------------------------------------------
 */
#include "ml/xgboost.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json_internal.h"
#include "model_internal.h"
#include "xgboost_internal.h"

#define NAME_BYTES		256		/* longest name of a feature */
#define OLDEST_MAJOR	1		/* of XGBoost whose schema is known */
#define NEWEST_MAJOR	3

/* ------------------------------------------------------------------ trees */

static MlStatus
read_leaf_size(MlXgboostInput *in)
{
	int64_t		size = 0;
	MlStatus	status = pgaml_ml_xgboost_count(in, &size);

	if (size > in->leaf_size)
		in->leaf_size = size;
	return status;
}

static MlStatus
read_tree_param(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {
		{"num_nodes", false, ML_XGBOOST_COUNT, ML_XGBOOST_AT(raw_nodes)},
		{"size_leaf_vector", false, ML_XGBOOST_READ, 0, read_leaf_size}
	};

	return pgaml_ml_xgboost_object(in, "tree_param", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_tree(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {
		{"left_children", true, ML_XGBOOST_INTS, ML_XGBOOST_AT(raw.left)},
		{"right_children", true, ML_XGBOOST_INTS, ML_XGBOOST_AT(raw.right)},
		{"split_indices", true, ML_XGBOOST_INTS, ML_XGBOOST_AT(raw.feature)},
		{"split_conditions", true, ML_XGBOOST_FLOATS, ML_XGBOOST_AT(raw.condition)},
		{"default_left", false, ML_XGBOOST_INTS, ML_XGBOOST_AT(raw.default_left)},
		{"split_type", false, ML_XGBOOST_INTS, ML_XGBOOST_AT(raw.visited)},
		{"sum_hessian", false, ML_XGBOOST_FLOATS, ML_XGBOOST_AT(raw.hessian)},
		{"loss_changes", false, ML_XGBOOST_FLOATS, ML_XGBOOST_AT(raw.gain)},
		{"tree_param", false, ML_XGBOOST_READ, 0, read_tree_param}
	};
	MlXgboostTree *raw = &in->raw;
	MlStatus	status = pgaml_ml_xgboost_grow(in, (void **) &in->trees, in->ntrees, &in->max_trees, sizeof(MlTree),
							  ML_MAX_TREES, "trees");

	raw->default_left.n = raw->hessian.n = raw->gain.n = raw->visited.n = 0;
	in->raw_nodes = -1;
	if (status == ML_OK)
		status = pgaml_ml_xgboost_object(in, "trees", fields, sizeof(fields) / sizeof(fields[0]));
	if (status != ML_OK)
		return status;
	for (int32_t i = 0; i < raw->visited.n; i++)
		in->categorical |= raw->visited.values[i] != 0;
	/* what is refused in the end need not be a tree of ours */
	if (in->categorical || in->leaf_size > 1)
		return ML_OK;
	if (in->raw_nodes >= 0 && in->raw_nodes != raw->left.n)
		return pgaml_ml_fail(in->error, ML_E_FORMAT, "trees", "tree %d has not as many nodes as it says",
							 (int) in->ntrees);
	status = pgaml_ml_xgboost_tree(raw, &in->allocator, &in->trees[in->ntrees], in->error);
	in->ntrees += status == ML_OK;
	return status;
}

static MlStatus
read_trees(MlXgboostInput *in)
{
	MlStatus	status = pgaml_ml_xgboost_expect(in, ML_JSON_ARRAY, "an array is expected");

	while (status == ML_OK)
	{
		MlJsonReader before = in->json;
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token != ML_JSON_OBJECT)
			return pgaml_ml_xgboost_malformed(in, "an object is expected");
		in->json = before;		/* the object's reader begins with its bracket */
		status = read_tree(in);
		in->ticker.progress = (double) (in->json.at - in->json.start) / (double) (in->json.end - in->json.start);
	}
	return status;
}

static MlStatus
read_tree_info(MlXgboostInput *in)
{
	MlStatus	status = pgaml_ml_xgboost_expect(in, ML_JSON_ARRAY, "an array is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token != ML_JSON_NUMBER)
			return pgaml_ml_xgboost_malformed(in, "a number is expected");
		in->several_outputs |= in->json.number != 0.0f;
	}
	return status;
}

static MlStatus
read_gbtree_param(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {{"size_leaf_vector", false, ML_XGBOOST_READ, 0, read_leaf_size}};

	return pgaml_ml_xgboost_object(in, "gbtree_model_param", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_model(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {
		{"trees", false, ML_XGBOOST_READ, 0, read_trees},
		{"tree_info", false, ML_XGBOOST_READ, 0, read_tree_info},
		{"gbtree_model_param", false, ML_XGBOOST_READ, 0, read_gbtree_param}
	};

	return pgaml_ml_xgboost_object(in, "model", fields, sizeof(fields) / sizeof(fields[0]));
}

/* ---------------------------------------------------------------- learner */

static MlStatus
read_booster(MlXgboostInput *in)
{
	/* dart keeps its trees elsewhere, which is why model is not required */
	static const MlXgboostField fields[] = {
		{"model", false, ML_XGBOOST_READ, 0, read_model}, {"name", true, ML_XGBOOST_WORD, ML_XGBOOST_AT(booster)}
	};

	return pgaml_ml_xgboost_object(in, "gradient_booster", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_objective(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {{"name", true, ML_XGBOOST_WORD, ML_XGBOOST_AT(objective)}};

	return pgaml_ml_xgboost_object(in, "objective", fields, sizeof(fields) / sizeof(fields[0]));
}

/* "5E-1"; XGBoost 3 writes "[5E-1]", with a number for each output. */
static MlStatus
read_base_score(MlXgboostInput *in)
{
	MlJsonToken token = pgaml_ml_json_next(&in->json);
	const char *text = in->json.text;
	size_t		length = in->json.length;
	float		value;

	if (token != ML_JSON_STRING && token != ML_JSON_NUMBER)
		return pgaml_ml_xgboost_malformed(in, "a number is expected");
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']')
	{
		text++;
		length -= 2;
		if (memchr(text, ',', length) != NULL)
		{
			in->several_outputs = true;
			return ML_OK;
		}
	}
	if (!pgaml_ml_float_parse(text, length, &value) || !isfinite(value))
		return pgaml_ml_xgboost_malformed(in, "a base score is expected");
	in->base_score = value;
	return ML_OK;
}

static MlStatus
read_learner_param(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {
		{"base_score", true, ML_XGBOOST_READ, 0, read_base_score},
		{"num_feature", true, ML_XGBOOST_COUNT, ML_XGBOOST_AT(num_feature)},
		{"num_class", false, ML_XGBOOST_COUNT, ML_XGBOOST_AT(num_class)},
		{"num_target", false, ML_XGBOOST_COUNT, ML_XGBOOST_AT(num_target)}
	};

	return pgaml_ml_xgboost_object(in, "learner_model_param", fields, sizeof(fields) / sizeof(fields[0]));
}

/* Bytes that any terminal and encoding can show. */
static void
printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

static int32_t
find_name(const MlXgboostInput *in, const char *name)
{
	for (int32_t f = 0; f < in->nfeatures; f++)
		if (strcmp(in->names[f], name) == 0)
			return f;
	return -1;
}

static MlStatus
read_feature_name(MlXgboostInput *in)
{
	char		name[NAME_BYTES];
	int32_t		feature;

	if (!pgaml_ml_json_text(&in->json, name, sizeof(name)))
		return pgaml_ml_xgboost_malformed(in, "a name is too long, or holds a zero");
	feature = in->names != NULL ? find_name(in, name) : in->map.n;
	for (int32_t i = 0; i < in->map.n && feature >= 0; i++)
		if (in->map.values[i] == feature)
			return pgaml_ml_fail(in->error, ML_E_FORMAT, "feature_names", "\"%s\" comes twice", in->names[feature]);
	if (feature < 0)
	{
		size_t		used = strlen(in->unknown);

		printable(name);
		snprintf(in->unknown + used, sizeof(in->unknown) - used, "%s%s", used > 0 ? ", " : "", name);
	}
	return pgaml_ml_xgboost_add_int(in, &in->map, feature, ML_MAX_FEATURES, "feature_names");
}

static MlStatus
read_feature_names(MlXgboostInput *in)
{
	MlStatus	status = pgaml_ml_xgboost_expect(in, ML_JSON_ARRAY, "an array is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token != ML_JSON_STRING)
			return pgaml_ml_xgboost_malformed(in, "text is expected");
		status = read_feature_name(in);
		if (pgaml_ml_tick(&in->ticker, 1000))
			return pgaml_ml_stopped(in->error, "xgboost");
	}
	return status;
}

static MlStatus
read_attributes(MlXgboostInput *in)
{
	MlStatus	status = pgaml_ml_xgboost_expect(in, ML_JSON_OBJECT, "an object is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);
		int32_t		i = 0;

		if (token == ML_JSON_OBJECT_END)
			break;
		if (token != ML_JSON_KEY)
			return pgaml_ml_xgboost_malformed(in, "");
		while (i < in->nattributes && !pgaml_ml_json_is(&in->json, in->attributes[i].name))
			i++;
		if (i == in->nattributes)
			status = pgaml_ml_xgboost_skip(in, pgaml_ml_json_next(&in->json));
		else
			status = pgaml_ml_xgboost_word(in, in->attributes[i].value, sizeof(in->attributes[i].value));
		if (i < in->nattributes)
			printable(in->attributes[i].value);
	}
	return status;
}

static MlStatus
read_learner(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {
		{"attributes", false, ML_XGBOOST_READ, 0, read_attributes},
		{"feature_names", false, ML_XGBOOST_READ, 0, read_feature_names},
		{"gradient_booster", true, ML_XGBOOST_READ, 0, read_booster},
		{"learner_model_param", true, ML_XGBOOST_READ, 0, read_learner_param},
		{"objective", true, ML_XGBOOST_READ, 0, read_objective}
	};

	return pgaml_ml_xgboost_object(in, "learner", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_version(MlXgboostInput *in)
{
	MlXgboostInts version = {0};
	MlStatus	status = pgaml_ml_xgboost_read_ints(in, &version);

	if (status == ML_OK && (version.n < 1 || version.values[0] < OLDEST_MAJOR || version.values[0] > NEWEST_MAJOR))
		status = pgaml_ml_fail(in->error, ML_E_VERSION, "version", "written by XGBoost %d, files of %d to %d are known",
							   version.n > 0 ? (int) version.values[0] : 0, OLDEST_MAJOR, NEWEST_MAJOR);
	pgaml_ml_release(&in->allocator, version.values);
	return status;
}

static MlStatus
read_file(MlXgboostInput *in)
{
	static const MlXgboostField fields[] = {
		{"learner", true, ML_XGBOOST_READ, 0, read_learner}, {"version", true, ML_XGBOOST_READ, 0, read_version}
	};
	MlStatus	status;

	if (in->json.end - in->json.start >= 2 && in->json.start[0] == '{' && in->json.start[1] == 'L')
		return pgaml_ml_fail(in->error, ML_E_FORMAT, "json", "this is UBJSON: use save_model() with a name that ends in .json");
	status = pgaml_ml_xgboost_object(in, "file", fields, sizeof(fields) / sizeof(fields[0]));
	if (status == ML_OK)
		status = pgaml_ml_xgboost_expect(in, ML_JSON_END, "something follows the end");
	return status;
}

/* ------------------------------------------------------------ what it says */

static MlStatus
refuse(MlXgboostInput *in, const char *where, const char *message, const char *word)
{
	return pgaml_ml_fail(in->error, ML_E_VERSION, where, message, word);
}

/* Is it one sum of trees that is the prediction itself? */
static MlStatus
check_kind(MlXgboostInput *in)
{
	static const char *const identity[] = {
		"reg:squarederror", "reg:linear", "reg:pseudohubererror", "reg:absoluteerror"
	};
	bool		known = false;

	printable(in->booster);
	printable(in->objective);
	if (strcmp(in->booster, "gbtree") != 0)
		return refuse(in, "gradient_booster", "booster \"%s\" is not supported, only gbtree is", in->booster);
	for (size_t i = 0; i < sizeof(identity) / sizeof(identity[0]); i++)
		known |= strcmp(in->objective, identity[i]) == 0;
	if (!known)
		return refuse(in, "objective", "objective \"%s\" is not supported, only reg:squarederror, "
					  "reg:pseudohubererror and reg:absoluteerror are", in->objective);
	if (in->num_class > 1 || in->num_target > 1 || in->leaf_size > 1 || in->several_outputs)
		return refuse(in, "learner_model_param", "models of several %s are not supported",
					  in->num_class > 1 ? "classes" : "outputs");
	if (in->categorical)
		return refuse(in, "split_type", "categorical splits are not supported%s", "");
	return ML_OK;
}

/* Which features do its rows have? */
static MlStatus
check_features(MlXgboostInput *in)
{
	if (in->num_feature < 1 || in->num_feature > ML_MAX_FEATURES)
		return pgaml_ml_fail(in->error, ML_E_LIMIT, "num_feature", "%lld features, 1 to %d are possible",
							 (long long) in->num_feature, ML_MAX_FEATURES);
	if (in->map.n > 0 && in->map.n != in->num_feature)
		return pgaml_ml_fail(in->error, ML_E_FORMAT, "feature_names", "%d names of %d features",
							 (int) in->map.n, (int) in->num_feature);
	if (in->unknown[0] != '\0')
		return pgaml_ml_fail(in->error, ML_E_DATA, "feature_names", "unknown features: %s%s", in->unknown,
							 strlen(in->unknown) + 1 == sizeof(in->unknown) ? "..." : "");
	if (in->map.n == 0 && in->names != NULL && in->num_feature != in->nfeatures)
		return pgaml_ml_fail(in->error, ML_E_DATA, "num_feature", "%d features without names, %d are wanted",
							 (int) in->num_feature, (int) in->nfeatures);
	return ML_OK;
}

/* From the features of the file to ours. */
static MlStatus
renumber(MlXgboostInput *in)
{
	for (int32_t t = 0; t < in->ntrees; t++)
		for (int32_t i = 0; i + 1 < in->trees[t].nleaves; i++)
		{
			uint16_t   *feature = &in->trees[t].nodes[i].feature;

			if (*feature >= in->num_feature)
				return pgaml_ml_fail(in->error, ML_E_FORMAT, "split_indices", "feature %d of %d",
									 (int) *feature, (int) in->num_feature);
			if (in->map.n > 0)
				*feature = (uint16_t) in->map.values[*feature];
		}
	return ML_OK;
}

/* Move the trees into a model; none at all is one that adds nothing. */
static MlStatus
make_model(MlXgboostInput *in, MlModel **model)
{
	int32_t		nfeatures = in->names != NULL ? in->nfeatures : (int32_t) in->num_feature;
	MlModel    *made = pgaml_ml_model_create(ML_GRADIENT_BOOSTING, nfeatures,
											 in->ntrees > 0 ? in->ntrees : 1, &in->allocator);
	MlStatus	status;

	if (made == NULL)
		return pgaml_ml_nomem(in->error, "xgboost");
	made->base = in->base_score;
	if (in->ntrees > 0)
		memcpy(made->trees, in->trees, (size_t) in->ntrees * sizeof(MlTree));
	else if (!pgaml_ml_tree_alloc(&made->trees[0], 1, &in->allocator))
	{
		pgaml_ml_model_free(made);
		return pgaml_ml_nomem(in->error, "xgboost");
	}
	made->ntrees = in->ntrees > 0 ? in->ntrees : 1;
	in->ntrees = 0;				/* they are the model's now */
	status = pgaml_ml_model_validate(made, in->error);
	if (status == ML_OK)
		*model = made;
	else
		pgaml_ml_model_free(made);
	return status;
}

static void
input_free(MlXgboostInput *in)
{
	MlXgboostTree *raw = &in->raw;
	void	   *arrays[] = {
		raw->left.values, raw->right.values, raw->feature.values, raw->default_left.values,
		raw->condition.values, raw->hessian.values, raw->gain.values, raw->visited.values,
		in->map.values
	};

	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		pgaml_ml_release(&in->allocator, arrays[i]);
	for (int32_t t = 0; t < in->ntrees; t++)
		pgaml_ml_release(&in->allocator, in->trees[t].leaves);
	pgaml_ml_release(&in->allocator, in->trees);
}

MlStatus
pgaml_ml_xgboost_read(const uint8_t *bytes, size_t length, const char *const *names, int32_t nfeatures,
					  MlXgboostAttribute *attributes, int32_t nattributes,
					  const MlAllocator *allocator, const MlStop *stop, MlModel **model, MlError *error)
{
	MlXgboostInput		in = {
		.allocator = *allocator, .ticker = {.stop = stop}, .error = error, .names = names,
		.nfeatures = nfeatures, .attributes = attributes, .nattributes = nattributes
	};
	MlStatus	status;

	*model = NULL;
	for (int32_t i = 0; i < nattributes; i++)
		attributes[i].value[0] = '\0';
	pgaml_ml_json_start(&in.json, bytes, length);
	status = read_file(&in);
	if (status == ML_OK)
		status = check_kind(&in);
	if (status == ML_OK)
		status = check_features(&in);
	if (status == ML_OK)
		status = renumber(&in);
	if (status == ML_OK)
		status = make_model(&in, model);
	input_free(&in);
	return status;
}
