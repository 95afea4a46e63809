/*-------------------------------------------------------------------------
 * xgboost_fields.c
 *		Values, arrays and objects of the JSON of XGBoost.
 *
 * What the files of XGBoost are made of, wherever it stands: objects whose
 * keys are in a table of fields, growing arrays, numbers written as text.
 * xgboost_read.c says which keys there are and what they mean.
 *-------------------------------------------------------------------------
 */
#include "xgboost_internal.h"

#include <stdio.h>
#include <string.h>

#define FIRST_CAPACITY	64

MlStatus
pgaml_ml_xgboost_malformed(MlXgboostInput *in, const char *what)
{
	return pgaml_ml_fail(in->error, ML_E_FORMAT, "json", "byte %zu: %s",
						 (size_t) (in->json.at - in->json.start),
						 in->json.problem != NULL ? in->json.problem : what);
}

MlStatus
pgaml_ml_xgboost_expect(MlXgboostInput *in, MlJsonToken token, const char *what)
{
	return pgaml_ml_json_next(&in->json) == token ? ML_OK : pgaml_ml_xgboost_malformed(in, what);
}

MlStatus
pgaml_ml_xgboost_skip(MlXgboostInput *in, MlJsonToken token)
{
	int			depth = in->json.depth - (token == ML_JSON_OBJECT || token == ML_JSON_ARRAY);

	while (token != ML_JSON_ERROR && in->json.depth > depth)
	{
		token = pgaml_ml_json_next(&in->json);
		if (pgaml_ml_tick(&in->ticker, 50))
			return pgaml_ml_stopped(in->error, "xgboost");
	}
	return token == ML_JSON_ERROR ? pgaml_ml_xgboost_malformed(in, "") : ML_OK;
}

MlStatus
pgaml_ml_xgboost_word(MlXgboostInput *in, char *out, size_t size)
{
	MlStatus	status = pgaml_ml_xgboost_expect(in, ML_JSON_STRING, "text is expected");

	if (status == ML_OK && !pgaml_ml_json_text(&in->json, out, size))
		snprintf(out, size, "?");
	return status;
}

MlStatus
pgaml_ml_xgboost_count(MlXgboostInput *in, int64_t *out)
{
	MlJsonToken token = pgaml_ml_json_next(&in->json);

	if ((token != ML_JSON_STRING && token != ML_JSON_NUMBER) ||
		!pgaml_ml_int_parse(in->json.text, in->json.length, out))
		return pgaml_ml_xgboost_malformed(in, "a whole number is expected");
	return ML_OK;
}

MlStatus
pgaml_ml_xgboost_grow(MlXgboostInput *in, void **array, int32_t n, int32_t *capacity, size_t size, int32_t max, const char *what)
{
	int32_t		wanted = *capacity < FIRST_CAPACITY / 2 ? FIRST_CAPACITY : *capacity * 2;
	void	   *grown;

	if (n >= max)
		return pgaml_ml_fail(in->error, ML_E_LIMIT, what, "more than %d", (int) max);
	if (n < *capacity)
		return ML_OK;
	grown = pgaml_ml_alloc(&in->allocator, (size_t) wanted, size);
	if (grown == NULL)
		return pgaml_ml_nomem(in->error, "xgboost");
	if (n > 0)
		memcpy(grown, *array, (size_t) n * size);
	pgaml_ml_release(&in->allocator, *array);
	*array = grown;
	*capacity = wanted;
	return ML_OK;
}

MlStatus
pgaml_ml_xgboost_add_int(MlXgboostInput *in, MlXgboostInts *array, int32_t value, int32_t max, const char *what)
{
	MlStatus	status = pgaml_ml_xgboost_grow(in, (void **) &array->values, array->n, &array->capacity, sizeof(int32_t), max, what);

	if (status == ML_OK)
		array->values[array->n++] = value;
	return status;
}

/* The present token as an integer; truth values count as 0 and 1, as XGBoost 1.0 wrote them. */
static MlStatus
take_int(MlXgboostInput *in, MlJsonToken token, void *array)
{
	int64_t		value = token == ML_JSON_TRUE;

	if (token == ML_JSON_NUMBER ?
		(!pgaml_ml_int_parse(in->json.text, in->json.length, &value) || value != (int32_t) value) :
		(token != ML_JSON_TRUE && token != ML_JSON_FALSE))
		return pgaml_ml_xgboost_malformed(in, "a whole number is expected");
	return pgaml_ml_xgboost_add_int(in, array, (int32_t) value, ML_XGBOOST_MAX_NODES, "nodes");
}

static MlStatus
take_float(MlXgboostInput *in, MlJsonToken token, void *place)
{
	MlXgboostFloats *array = place;
	MlStatus	status;

	if (token != ML_JSON_NUMBER)
		return pgaml_ml_xgboost_malformed(in, "a number is expected");
	status = pgaml_ml_xgboost_grow(in, (void **) &array->values, array->n, &array->capacity, sizeof(float),
								   ML_XGBOOST_MAX_NODES, "nodes");
	if (status == ML_OK)
		array->values[array->n++] = in->json.number;
	return status;
}

static MlStatus
read_array(MlXgboostInput *in, MlStatus (*take) (MlXgboostInput *, MlJsonToken, void *), void *array)
{
	MlStatus	status = pgaml_ml_xgboost_expect(in, ML_JSON_ARRAY, "an array is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);

		if (token == ML_JSON_ARRAY_END)
			break;
		status = take(in, token, array);
		if (pgaml_ml_tick(&in->ticker, 50))
			return pgaml_ml_stopped(in->error, "xgboost");
	}
	return status;
}

MlStatus
pgaml_ml_xgboost_read_ints(MlXgboostInput *in, MlXgboostInts *array)
{
	array->n = 0;
	return read_array(in, take_int, array);
}

static MlStatus
read_floats(MlXgboostInput *in, MlXgboostFloats *array)
{
	array->n = 0;
	return read_array(in, take_float, array);
}

static MlStatus
read_field(MlXgboostInput *in, const MlXgboostField *field)
{
	void	   *place = (char *) in + field->offset;

	switch (field->kind)
	{
		case ML_XGBOOST_INTS:
			return pgaml_ml_xgboost_read_ints(in, place);
		case ML_XGBOOST_FLOATS:
			return read_floats(in, place);
		case ML_XGBOOST_COUNT:
			return pgaml_ml_xgboost_count(in, place);
		case ML_XGBOOST_WORD:
			return pgaml_ml_xgboost_word(in, place, ML_XGBOOST_WORD_BYTES);
		default:
			return field->read(in);
	}
}

MlStatus
pgaml_ml_xgboost_object(MlXgboostInput *in, const char *what, const MlXgboostField *fields, size_t nfields)
{
	uint32_t	seen = 0;
	MlStatus	status = pgaml_ml_xgboost_expect(in, ML_JSON_OBJECT, "an object is expected");

	while (status == ML_OK)
	{
		MlJsonToken token = pgaml_ml_json_next(&in->json);
		size_t		i = 0;

		if (token == ML_JSON_OBJECT_END)
			break;
		if (token != ML_JSON_KEY)
			return pgaml_ml_xgboost_malformed(in, "");
		while (i < nfields && !pgaml_ml_json_is(&in->json, fields[i].name))
			i++;
		if (i == nfields)
		{
			status = pgaml_ml_xgboost_skip(in, pgaml_ml_json_next(&in->json));
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
