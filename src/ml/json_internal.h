/*-------------------------------------------------------------------------
 * json_internal.h
 *		JSON as a stream of tokens, read and written; decimal numbers.
 *
 * The reader is strict (RFC 8259), never recurses, never allocates and never
 * passes the end; after an error it gives errors.  Beyond the RFC it takes
 * NaN, Infinity and -Infinity as numbers, because XGBoost writes
 * them; it writes numbers of the RFC only.
 * Numbers are converted exactly and without a look at the locale.  Included
 * only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_JSON_INTERNAL_H
#define PGAML_ML_JSON_INTERNAL_H

#include "core_internal.h"

#define ML_JSON_MAX_DEPTH	32	/* nested arrays and objects */
#define ML_FLOAT_TEXT		24	/* room for any float as text, its end included */

typedef enum MlJsonToken
{
	ML_JSON_ERROR,				/* reader->problem says what */
	ML_JSON_END,				/* the value is complete, nothing follows */
	ML_JSON_OBJECT,
	ML_JSON_OBJECT_END,
	ML_JSON_ARRAY,
	ML_JSON_ARRAY_END,
	ML_JSON_KEY,				/* its colon is read with it */
	ML_JSON_STRING,
	ML_JSON_NUMBER,
	ML_JSON_TRUE,
	ML_JSON_FALSE,
	ML_JSON_NULL
} MlJsonToken;

typedef enum MlJsonPlace
{
	ML_JSON_AT_VALUE,			/* a value must follow */
	ML_JSON_AT_FIRST_VALUE,		/* a value, or the end of the array */
	ML_JSON_AT_KEY,				/* a key must follow */
	ML_JSON_AT_FIRST_KEY,		/* a key, or the end of the object */
	ML_JSON_AFTER_VALUE			/* a comma, the end of what is open, or of everything */
} MlJsonPlace;

typedef struct MlJsonReader
{
	const uint8_t *start;
	const uint8_t *at;
	const uint8_t *end;
	MlJsonPlace place;
	int			depth;
	uint32_t	objects;		/* bit d: level d is an object */
	const char *text;			/* of the last key, string (without quotes) or number */
	size_t		length;
	bool		escaped;		/* text has escapes */
	float		number;			/* of the last number */
	const char *problem;		/* NULL, or what is wrong at the byte "at" */
} MlJsonReader;

extern void pgaml_ml_json_start(MlJsonReader *reader, const uint8_t *bytes, size_t length);
extern MlJsonToken pgaml_ml_json_next(MlJsonReader *reader);

/* Is the last key or string this one? */
extern bool pgaml_ml_json_is(const MlJsonReader *reader, const char *what);

/* The last key or string without its escapes; false when it needs more than size (>= 1) bytes or holds a zero. */
extern bool pgaml_ml_json_text(const MlJsonReader *reader, char *out, size_t size);

/* Text that grows as it is written; commas are put where they belong. */
typedef struct MlJsonWriter
{
	const MlAllocator *allocator;
	char	   *buffer;			/* from the allocator; the caller releases it */
	size_t		length;
	size_t		capacity;
	bool		comma;			/* the next value or key needs one before it */
	bool		failed;			/* no memory: the text is useless */
} MlJsonWriter;

extern void pgaml_ml_json_open(MlJsonWriter *writer, char bracket);
extern void pgaml_ml_json_close(MlJsonWriter *writer, char bracket);
extern void pgaml_ml_json_key(MlJsonWriter *writer, const char *key);
extern void pgaml_ml_json_string(MlJsonWriter *writer, const char *value);
extern void pgaml_ml_json_float(MlJsonWriter *writer, float value);
extern void pgaml_ml_json_int(MlJsonWriter *writer, int64_t value);

/*
 * The float nearest to a JSON number, ties to even; what is too large becomes
 * infinite.  False when the text is no number.
 */
extern bool pgaml_ml_float_parse(const char *text, size_t length, float *out);

/* An integer without fraction and exponent; false when the text is none or it does not fit. */
extern bool pgaml_ml_int_parse(const char *text, size_t length, int64_t *out);

/*
 * The fewest digits that read back as the same float ("1.5E0"); returns the
 * length.  JSON has no infinity: it becomes a number that is too large.
 */
extern size_t pgaml_ml_float_print(float value, char out[ML_FLOAT_TEXT]);

#endif							/* PGAML_ML_JSON_INTERNAL_H */
