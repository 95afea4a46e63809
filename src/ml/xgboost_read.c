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

#define FIRST_CAPACITY	64
#define NAME_BYTES		256		/* longest name of a feature */
#define WORD_BYTES		48		/* longest name of a booster or objective */
#define OLDEST_MAJOR	1		/* of XGBoost whose schema is known */
#define NEWEST_MAJOR	3

typedef struct Input
{
	MlJsonReader json;
	MlAllocator allocator;
	MlTicker	ticker;
	MlError    *error;

	/* what the caller wants to know */
	const char *const *names;	/* [nfeatures], or NULL */
	int32_t		nfeatures;
	MlXgboostAttribute *attributes;
	int32_t		nattributes;

	/* what was found */
	MlXgboostTree raw;			/* of the present tree */
	int64_t		raw_nodes;		/* its number of nodes as declared, -1: not */
	MlTree	   *trees;
	int32_t		ntrees;
	int32_t		max_trees;
	MlXgboostInts map;			/* feature of the file -> feature of ours */
	char		unknown[96];	/* names of the file that we do not have */
	char		booster[WORD_BYTES];
	char		objective[WORD_BYTES];
	double		base_score;
	int64_t		num_feature;
	int64_t		num_class;
	int64_t		num_target;
	int64_t		leaf_size;		/* values in a leaf; 0 and 1 are one */
	bool		several_outputs;
	bool		categorical;
} Input;

typedef enum FieldKind
{
	FIELD_READ,					/* a function reads it */
	FIELD_INTS,					/* MlXgboostInts */
	FIELD_FLOATS,				/* MlXgboostFloats */
	FIELD_COUNT,				/* int64_t */
	FIELD_WORD					/* char[WORD_BYTES] */
} FieldKind;

/* A key that is known, and where its value goes. */
typedef struct Field
{
	const char *name;
	bool		required;
	FieldKind	kind;
	size_t		offset;			/* in Input */
	MlStatus	(*read) (Input *in);
} Field;

#define AT(member) offsetof(Input, member), NULL

static MlStatus
malformed(Input *in, const char *what)
{
	return pgaml_ml_fail(in->error, ML_E_FORMAT, "json", "byte %zu: %s",
						 (size_t) (in->json.at - in->json.start),
						 in->json.problem != NULL ? in->json.problem : what);
}

static MlStatus
no_memory(Input *in)
{
	return pgaml_ml_nomem(in->error, "xgboost");
}

/* The next token must be this one. */
static MlStatus
expect(Input *in, MlJsonToken token, const char *what)
{
	return pgaml_ml_json_next(&in->json) == token ? ML_OK : malformed(in, what);
}

/* Skip what is left of a value whose first token is given. */
static MlStatus
skip(Input *in, MlJsonToken token)
{
	int			depth = in->json.depth - (token == ML_JSON_OBJECT || token == ML_JSON_ARRAY);

	while (token != ML_JSON_ERROR && in->json.depth > depth)
	{
		token = pgaml_ml_json_next(&in->json);
		if (pgaml_ml_tick(&in->ticker, 50))
			return pgaml_ml_stopped(in->error, "xgboost");
	}
	return token == ML_JSON_ERROR ? malformed(in, "") : ML_OK;
}

/* A word that is text; longer ones are cut, they are none that we know. */
static MlStatus
read_word(Input *in, char *out, size_t size)
{
	MlStatus	status = expect(in, ML_JSON_STRING, "text is expected");

	if (status == ML_OK && !pgaml_ml_json_text(&in->json, out, size))
		snprintf(out, size, "?");
	return status;
}

/* XGBoost writes its parameters as text; a plain number is as good. */
static MlStatus
read_count(Input *in, int64_t *out)
{
	MlJsonToken token = pgaml_ml_json_next(&in->json);

	if ((token != ML_JSON_STRING && token != ML_JSON_NUMBER) ||
		!pgaml_ml_int_parse(in->json.text, in->json.length, out))
		return malformed(in, "a whole number is expected");
	return ML_OK;
}

/*
 * Make room for one more of n items of size bytes; *array may move.
 */
static MlStatus
grow(Input *in, void **array, int32_t n, int32_t *capacity, size_t size, int32_t max, const char *what)
{
	int32_t		wanted = *capacity < FIRST_CAPACITY / 2 ? FIRST_CAPACITY : *capacity * 2;
	void	   *grown;

	if (n >= max)
		return pgaml_ml_fail(in->error, ML_E_LIMIT, what, "more than %d", (int) max);
	if (n < *capacity)
		return ML_OK;
	grown = pgaml_ml_alloc(&in->allocator, (size_t) wanted, size);
	if (grown == NULL)
		return no_memory(in);
	if (n > 0)
		memcpy(grown, *array, (size_t) n * size);
	pgaml_ml_release(&in->allocator, *array);
	*array = grown;
	*capacity = wanted;
	return ML_OK;
}

static MlStatus
add_int(Input *in, MlXgboostInts *array, int32_t value, int32_t max, const char *what)
{
	MlStatus	status = grow(in, (void **) &array->values, array->n, &array->capacity, sizeof(int32_t), max, what);

	if (status == ML_OK)
		array->values[array->n++] = value;
	return status;
}

/* An array of integers; truth values count as 0 and 1, as XGBoost 1.0 wrote them. */
static MlStatus
read_ints(Input *in, MlXgboostInts *array)
{
	MlStatus	status = expect(in, ML_JSON_ARRAY, "an array is expected");

	array->n = 0;
	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);
		int64_t		value = token == ML_JSON_TRUE;

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token == ML_JSON_NUMBER ?
			(!pgaml_ml_int_parse(in->json.text, in->json.length, &value) || value != (int32_t) value) :
			(token != ML_JSON_TRUE && token != ML_JSON_FALSE))
			return malformed(in, "a whole number is expected");
		status = add_int(in, array, (int32_t) value, ML_XGBOOST_MAX_NODES, "nodes");
		if (pgaml_ml_tick(&in->ticker, 50))
			return pgaml_ml_stopped(in->error, "xgboost");
	}
	return status;
}

static MlStatus
read_floats(Input *in, MlXgboostFloats *array)
{
	MlStatus	status = expect(in, ML_JSON_ARRAY, "an array is expected");

	array->n = 0;
	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token != ML_JSON_NUMBER)
			return malformed(in, "a number is expected");
		status = grow(in, (void **) &array->values, array->n, &array->capacity, sizeof(float),
					  ML_XGBOOST_MAX_NODES, "nodes");
		if (status == ML_OK)
			array->values[array->n++] = in->json.number;
		if (pgaml_ml_tick(&in->ticker, 50))
			return pgaml_ml_stopped(in->error, "xgboost");
	}
	return status;
}

static MlStatus
read_field(Input *in, const Field *field)
{
	void	   *place = (char *) in + field->offset;

	switch (field->kind)
	{
		case FIELD_INTS:
			return read_ints(in, place);
		case FIELD_FLOATS:
			return read_floats(in, place);
		case FIELD_COUNT:
			return read_count(in, place);
		case FIELD_WORD:
			return read_word(in, place, WORD_BYTES);
		default:
			return field->read(in);
	}
}

/* An object whose keys are in a table. */
static MlStatus
read_object(Input *in, const char *what, const Field *fields, size_t nfields)
{
	uint32_t	seen = 0;
	MlStatus	status = expect(in, ML_JSON_OBJECT, "an object is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);
		size_t		i = 0;

		if (token == ML_JSON_OBJECT_END)
			break;
		if (token != ML_JSON_KEY)
			return malformed(in, "");
		while (i < nfields && !pgaml_ml_json_is(&in->json, fields[i].name))
			i++;
		if (i == nfields)
		{
			status = skip(in, pgaml_ml_json_next(&in->json));
			continue;
		}
		if ((seen >> i & 1) != 0)
			return pgaml_ml_fail(in->error, ML_E_FORMAT, what, "\"%s\" comes twice", fields[i].name);
		seen |= UINT32_C(1) << i;
		status = read_field(in, &fields[i]);
	}
	for (size_t i = 0; i < nfields && status == ML_OK; i++)
		if (fields[i].required && (seen >> i & 1) == 0)
			return pgaml_ml_fail(in->error, ML_E_FORMAT, what, "\"%s\" is not there", fields[i].name);
	return status;
}

/* ------------------------------------------------------------------ trees */

static MlStatus
read_leaf_size(Input *in)
{
	int64_t		size = 0;
	MlStatus	status = read_count(in, &size);

	if (size > in->leaf_size)
		in->leaf_size = size;
	return status;
}

static MlStatus
read_tree_param(Input *in)
{
	static const Field fields[] = {
		{"num_nodes", false, FIELD_COUNT, AT(raw_nodes)},
		{"size_leaf_vector", false, FIELD_READ, 0, read_leaf_size}
	};

	return read_object(in, "tree_param", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_tree(Input *in)
{
	static const Field fields[] = {
		{"left_children", true, FIELD_INTS, AT(raw.left)},
		{"right_children", true, FIELD_INTS, AT(raw.right)},
		{"split_indices", true, FIELD_INTS, AT(raw.feature)},
		{"split_conditions", true, FIELD_FLOATS, AT(raw.condition)},
		{"default_left", false, FIELD_INTS, AT(raw.default_left)},
		{"split_type", false, FIELD_INTS, AT(raw.visited)},
		{"sum_hessian", false, FIELD_FLOATS, AT(raw.hessian)},
		{"loss_changes", false, FIELD_FLOATS, AT(raw.gain)},
		{"tree_param", false, FIELD_READ, 0, read_tree_param}
	};
	MlXgboostTree *raw = &in->raw;
	MlStatus	status = grow(in, (void **) &in->trees, in->ntrees, &in->max_trees, sizeof(MlTree),
							  ML_MAX_TREES, "trees");

	raw->default_left.n = raw->hessian.n = raw->gain.n = raw->visited.n = 0;
	in->raw_nodes = -1;
	if (status == ML_OK)
		status = read_object(in, "trees", fields, sizeof(fields) / sizeof(fields[0]));
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
read_trees(Input *in)
{
	MlStatus	status = expect(in, ML_JSON_ARRAY, "an array is expected");

	while (status == ML_OK)
	{
		MlJsonReader before = in->json;
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token != ML_JSON_OBJECT)
			return malformed(in, "an object is expected");
		in->json = before;		/* the object's reader begins with its bracket */
		status = read_tree(in);
		in->ticker.progress = (double) (in->json.at - in->json.start) / (double) (in->json.end - in->json.start);
	}
	return status;
}

static MlStatus
read_tree_info(Input *in)
{
	MlStatus	status = expect(in, ML_JSON_ARRAY, "an array is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token != ML_JSON_NUMBER)
			return malformed(in, "a number is expected");
		in->several_outputs |= in->json.number != 0.0f;
	}
	return status;
}

static MlStatus
read_gbtree_param(Input *in)
{
	static const Field fields[] = {{"size_leaf_vector", false, FIELD_READ, 0, read_leaf_size}};

	return read_object(in, "gbtree_model_param", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_model(Input *in)
{
	static const Field fields[] = {
		{"trees", false, FIELD_READ, 0, read_trees},
		{"tree_info", false, FIELD_READ, 0, read_tree_info},
		{"gbtree_model_param", false, FIELD_READ, 0, read_gbtree_param}
	};

	return read_object(in, "model", fields, sizeof(fields) / sizeof(fields[0]));
}

/* ---------------------------------------------------------------- learner */

static MlStatus
read_booster(Input *in)
{
	/* dart keeps its trees elsewhere, which is why model is not required */
	static const Field fields[] = {
		{"model", false, FIELD_READ, 0, read_model}, {"name", true, FIELD_WORD, AT(booster)}
	};

	return read_object(in, "gradient_booster", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_objective(Input *in)
{
	static const Field fields[] = {{"name", true, FIELD_WORD, AT(objective)}};

	return read_object(in, "objective", fields, sizeof(fields) / sizeof(fields[0]));
}

/* "5E-1"; XGBoost 3 writes "[5E-1]", with a number for each output. */
static MlStatus
read_base_score(Input *in)
{
	MlJsonToken token = pgaml_ml_json_next(&in->json);
	const char *text = in->json.text;
	size_t		length = in->json.length;
	float		value;

	if (token != ML_JSON_STRING && token != ML_JSON_NUMBER)
		return malformed(in, "a number is expected");
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
		return malformed(in, "a base score is expected");
	in->base_score = value;
	return ML_OK;
}

static MlStatus
read_learner_param(Input *in)
{
	static const Field fields[] = {
		{"base_score", true, FIELD_READ, 0, read_base_score},
		{"num_feature", true, FIELD_COUNT, AT(num_feature)},
		{"num_class", false, FIELD_COUNT, AT(num_class)},
		{"num_target", false, FIELD_COUNT, AT(num_target)}
	};

	return read_object(in, "learner_model_param", fields, sizeof(fields) / sizeof(fields[0]));
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
find_name(const Input *in, const char *name)
{
	for (int32_t f = 0; f < in->nfeatures; f++)
		if (strcmp(in->names[f], name) == 0)
			return f;
	return -1;
}

static MlStatus
read_feature_name(Input *in)
{
	char		name[NAME_BYTES];
	int32_t		feature;

	if (!pgaml_ml_json_text(&in->json, name, sizeof(name)))
		return malformed(in, "a name is too long, or holds a zero");
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
	return add_int(in, &in->map, feature, ML_MAX_FEATURES, "feature_names");
}

static MlStatus
read_feature_names(Input *in)
{
	MlStatus	status = expect(in, ML_JSON_ARRAY, "an array is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		if (token != ML_JSON_STRING)
			return malformed(in, "text is expected");
		status = read_feature_name(in);
		if (pgaml_ml_tick(&in->ticker, 1000))
			return pgaml_ml_stopped(in->error, "xgboost");
	}
	return status;
}

static MlStatus
read_attributes(Input *in)
{
	MlStatus	status = expect(in, ML_JSON_OBJECT, "an object is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);
		int32_t		i = 0;

		if (token == ML_JSON_OBJECT_END)
			break;
		if (token != ML_JSON_KEY)
			return malformed(in, "");
		while (i < in->nattributes && !pgaml_ml_json_is(&in->json, in->attributes[i].name))
			i++;
		if (i == in->nattributes)
			status = skip(in, pgaml_ml_json_next(&in->json));
		else
			status = read_word(in, in->attributes[i].value, sizeof(in->attributes[i].value));
		if (i < in->nattributes)
			printable(in->attributes[i].value);
	}
	return status;
}

static MlStatus
read_learner(Input *in)
{
	static const Field fields[] = {
		{"attributes", false, FIELD_READ, 0, read_attributes},
		{"feature_names", false, FIELD_READ, 0, read_feature_names},
		{"gradient_booster", true, FIELD_READ, 0, read_booster},
		{"learner_model_param", true, FIELD_READ, 0, read_learner_param},
		{"objective", true, FIELD_READ, 0, read_objective}
	};

	return read_object(in, "learner", fields, sizeof(fields) / sizeof(fields[0]));
}

static MlStatus
read_version(Input *in)
{
	MlXgboostInts version = {0};
	MlStatus	status = read_ints(in, &version);

	if (status == ML_OK && (version.n < 1 || version.values[0] < OLDEST_MAJOR || version.values[0] > NEWEST_MAJOR))
		status = pgaml_ml_fail(in->error, ML_E_VERSION, "version", "written by XGBoost %d, files of %d to %d are known",
							   version.n > 0 ? (int) version.values[0] : 0, OLDEST_MAJOR, NEWEST_MAJOR);
	pgaml_ml_release(&in->allocator, version.values);
	return status;
}

static MlStatus
read_file(Input *in)
{
	static const Field fields[] = {
		{"learner", true, FIELD_READ, 0, read_learner}, {"version", true, FIELD_READ, 0, read_version}
	};
	MlStatus	status;

	if (in->json.end - in->json.start >= 2 && in->json.start[0] == '{' && in->json.start[1] == 'L')
		return pgaml_ml_fail(in->error, ML_E_FORMAT, "json", "this is UBJSON: use save_model() with a name that ends in .json");
	status = read_object(in, "file", fields, sizeof(fields) / sizeof(fields[0]));
	if (status == ML_OK)
		status = expect(in, ML_JSON_END, "something follows the end");
	return status;
}

/* ------------------------------------------------------------ what it says */

static MlStatus
refuse(Input *in, const char *where, const char *message, const char *word)
{
	return pgaml_ml_fail(in->error, ML_E_VERSION, where, message, word);
}

/* Is it one sum of trees that is the prediction itself? */
static MlStatus
check_kind(Input *in)
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
check_features(Input *in)
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
renumber(Input *in)
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
make_model(Input *in, MlModel **model)
{
	int32_t		nfeatures = in->names != NULL ? in->nfeatures : (int32_t) in->num_feature;
	MlModel    *made = pgaml_ml_model_create(ML_GRADIENT_BOOSTING, nfeatures,
											 in->ntrees > 0 ? in->ntrees : 1, &in->allocator);
	MlStatus	status;

	if (made == NULL)
		return no_memory(in);
	made->base = in->base_score;
	if (in->ntrees > 0)
		memcpy(made->trees, in->trees, (size_t) in->ntrees * sizeof(MlTree));
	else if (!pgaml_ml_tree_alloc(&made->trees[0], 1, &in->allocator))
	{
		pgaml_ml_model_free(made);
		return no_memory(in);
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
input_free(Input *in)
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
	Input		in = {
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
