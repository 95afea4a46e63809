/*-------------------------------------------------------------------------
 * json.c
 *		JSON as a stream of tokens, read and written.
 *
 * What is open is one bit per level, so depth costs no memory and a hostile
 * text no stack.  The reader hands out slices of its input; the bytes above
 * ASCII pass as they are.
 *-------------------------------------------------------------------------
 */
#include "json_internal.h"

#include <stdio.h>
#include <string.h>

#define FIRST_CAPACITY 4096

static MlJsonToken
wrong(MlJsonReader *reader, const char *problem)
{
	if (reader->problem == NULL)
		reader->problem = problem;
	return ML_JSON_ERROR;
}

void
pgaml_ml_json_start(MlJsonReader *reader, const uint8_t *bytes, size_t length)
{
	memset(reader, 0, sizeof(*reader));
	reader->start = reader->at = bytes;
	reader->end = bytes + length;
	reader->place = ML_JSON_AT_VALUE;
}

static void
skip_blanks(MlJsonReader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
										*reader->at == '\n' || *reader->at == '\r'))
		reader->at++;
}

/* The next byte that is no blank, or 0 at the end. */
static int
peek(MlJsonReader *reader)
{
	skip_blanks(reader);
	return reader->at < reader->end ? *reader->at : 0;
}

static bool
in_object(const MlJsonReader *reader)
{
	return reader->depth > 0 && (reader->objects >> (reader->depth - 1) & 1) != 0;
}

static MlJsonToken
open_level(MlJsonReader *reader, bool object)
{
	uint32_t	bit;

	if (reader->depth == ML_JSON_MAX_DEPTH)
		return wrong(reader, "nested too deep");
	bit = UINT32_C(1) << reader->depth++;
	reader->objects = object ? reader->objects | bit : reader->objects & ~bit;
	reader->place = object ? ML_JSON_AT_FIRST_KEY : ML_JSON_AT_FIRST_VALUE;
	reader->at++;
	return object ? ML_JSON_OBJECT : ML_JSON_ARRAY;
}

static MlJsonToken
close_level(MlJsonReader *reader)
{
	bool		object = in_object(reader);

	reader->depth--;
	reader->place = ML_JSON_AFTER_VALUE;
	reader->at++;
	return object ? ML_JSON_OBJECT_END : ML_JSON_ARRAY_END;
}

static int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte after a backslash, and the four after a u. */
static bool
skip_escape(MlJsonReader *reader)
{
	static const char plain[] = "\"\\/bfnrt";

	if (reader->at == reader->end)
		return false;
	if (*reader->at == 'u')
	{
		if (reader->end - reader->at < 5)
			return false;
		for (int i = 1; i <= 4; i++)
			if (hex_value(reader->at[i]) < 0)
				return false;
		reader->at += 5;
		return true;
	}
	return memchr(plain, *reader->at++, sizeof(plain) - 1) != NULL;
}

static bool
fail_string(MlJsonReader *reader, const char *problem)
{
	(void) wrong(reader, problem);
	return false;
}

/* From the quote at the present byte to behind the closing one. */
static bool
take_string(MlJsonReader *reader)
{
	reader->at++;
	reader->text = (const char *) reader->at;
	reader->escaped = false;
	while (reader->at < reader->end && *reader->at != '"')
	{
		if (*reader->at < 0x20)
			return fail_string(reader, "control character in a string");
		if (*reader->at++ == '\\')
		{
			reader->escaped = true;
			if (!skip_escape(reader))
				return fail_string(reader, "unknown escape in a string");
		}
	}
	if (reader->at == reader->end)
		return fail_string(reader, "string without an end");
	reader->length = (size_t) ((const char *) reader->at - reader->text);
	reader->at++;
	return true;
}

static MlJsonToken
take_key(MlJsonReader *reader)
{
	if (peek(reader) != '"')
		return wrong(reader, "a key is expected");
	if (!take_string(reader))
		return ML_JSON_ERROR;
	if (peek(reader) != ':')
		return wrong(reader, "a colon is expected");
	reader->at++;
	reader->place = ML_JSON_AT_VALUE;
	return ML_JSON_KEY;
}

static bool
is_word_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '+' || c == '-' || c == '.';
}

/* A number or a word. */
static MlJsonToken
take_word(MlJsonReader *reader)
{
	static const struct
	{
		const char *text;
		MlJsonToken token;
	}			words[] = {{"true", ML_JSON_TRUE}, {"false", ML_JSON_FALSE}, {"null", ML_JSON_NULL}};
	const uint8_t *from = reader->at;

	while (reader->at < reader->end && is_word_byte(*reader->at))
		reader->at++;
	reader->text = (const char *) from;
	reader->length = (size_t) (reader->at - from);
	reader->escaped = false;
	reader->place = ML_JSON_AFTER_VALUE;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (reader->length == strlen(words[i].text) && memcmp(from, words[i].text, reader->length) == 0)
			return words[i].token;
	if (pgaml_ml_float_parse(reader->text, reader->length, &reader->number))
		return ML_JSON_NUMBER;
	reader->at = from;
	return wrong(reader, reader->at == reader->end ? "unexpected end" : "a value is expected");
}

static MlJsonToken
take_value(MlJsonReader *reader)
{
	switch (peek(reader))
	{
		case '{':
			return open_level(reader, true);
		case '[':
			return open_level(reader, false);
		case '"':
			reader->place = ML_JSON_AFTER_VALUE;
			return take_string(reader) ? ML_JSON_STRING : ML_JSON_ERROR;
		default:
			return take_word(reader);
	}
}

/* A comma and what it announces, or the end of what is open. */
static MlJsonToken
after_value(MlJsonReader *reader)
{
	bool		object = in_object(reader);
	int			c = peek(reader);

	if (reader->depth == 0)
		return reader->at == reader->end ? ML_JSON_END : wrong(reader, "something follows the end");
	if (c == (object ? '}' : ']'))
		return close_level(reader);
	if (c != ',')
		return wrong(reader, reader->at == reader->end ? "unexpected end" : "a comma is expected");
	reader->at++;
	reader->place = object ? ML_JSON_AT_KEY : ML_JSON_AT_VALUE;
	return object ? take_key(reader) : take_value(reader);
}

MlJsonToken
pgaml_ml_json_next(MlJsonReader *reader)
{
	if (reader->problem != NULL)
		return ML_JSON_ERROR;
	switch (reader->place)
	{
		case ML_JSON_AFTER_VALUE:
			return after_value(reader);
		case ML_JSON_AT_FIRST_KEY:
			return peek(reader) == '}' ? close_level(reader) : take_key(reader);
		case ML_JSON_AT_KEY:
			return take_key(reader);
		case ML_JSON_AT_FIRST_VALUE:
			return peek(reader) == ']' ? close_level(reader) : take_value(reader);
		default:
			return take_value(reader);
	}
}

/* UTF-8 of a code unit of UTF-16; halves of a pair become three bytes each, which match no name. */
static size_t
put_unit(char *out, uint32_t unit)
{
	if (unit < 0x80)
	{
		out[0] = (char) unit;
		return 1;
	}
	if (unit < 0x800)
	{
		out[0] = (char) (0xc0 | unit >> 6);
		out[1] = (char) (0x80 | (unit & 0x3f));
		return 2;
	}
	out[0] = (char) (0xe0 | unit >> 12);
	out[1] = (char) (0x80 | (unit >> 6 & 0x3f));
	out[2] = (char) (0x80 | (unit & 0x3f));
	return 3;
}

/* The character that an escape at text[0] = '\\' stands for; returns the bytes read. */
static size_t
read_escape(const char *text, uint32_t *unit)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";

	if (text[1] != 'u')
	{
		*unit = (uint32_t) to[strchr(from, text[1]) - from];
		return 2;
	}
	*unit = 0;
	for (int i = 2; i < 6; i++)
		*unit = *unit << 4 | (uint32_t) hex_value((uint8_t) text[i]);
	return 6;
}

bool
pgaml_ml_json_text(const MlJsonReader *reader, char *out, size_t size)
{
	size_t		used = 0;

	for (size_t i = 0; i < reader->length;)
	{
		uint32_t	unit = (uint8_t) reader->text[i];
		char		bytes[3] = {reader->text[i]};
		size_t		n = 1;

		if (reader->text[i] == '\\')
		{
			i += read_escape(reader->text + i, &unit);
			n = put_unit(bytes, unit);
		}
		else
			i++;
		if (unit == 0 || used + n >= size)
			return false;
		memcpy(out + used, bytes, n);
		used += n;
	}
	out[used] = '\0';
	return true;
}

bool
pgaml_ml_json_is(const MlJsonReader *reader, const char *what)
{
	char		text[256];

	if (!reader->escaped)
		return reader->length == strlen(what) && memcmp(reader->text, what, reader->length) == 0;
	return pgaml_ml_json_text(reader, text, sizeof(text)) && strcmp(text, what) == 0;
}

static void
append(MlJsonWriter *writer, const char *text, size_t length)
{
	size_t		needed = pgaml_ml_size_add(writer->length, length);

	if (!writer->failed && needed > writer->capacity)
	{
		size_t		capacity = pgaml_ml_size_mul(needed > FIRST_CAPACITY ? needed : FIRST_CAPACITY, 2);
		char	   *buffer = pgaml_ml_alloc(writer->allocator, capacity, 1);

		if (buffer == NULL)
			writer->failed = true;
		else
		{
			if (writer->length > 0)
				memcpy(buffer, writer->buffer, writer->length);
			pgaml_ml_release(writer->allocator, writer->buffer);
			writer->buffer = buffer;
			writer->capacity = capacity;
		}
	}
	if (writer->failed)
		return;
	memcpy(writer->buffer + writer->length, text, length);
	writer->length = needed;
}

static void
separate(MlJsonWriter *writer)
{
	if (writer->comma)
		append(writer, ",", 1);
	writer->comma = true;
}

void
pgaml_ml_json_open(MlJsonWriter *writer, char bracket)
{
	separate(writer);
	append(writer, &bracket, 1);
	writer->comma = false;
}

void
pgaml_ml_json_close(MlJsonWriter *writer, char bracket)
{
	append(writer, &bracket, 1);
	writer->comma = true;
}

void
pgaml_ml_json_string(MlJsonWriter *writer, const char *value)
{
	separate(writer);
	append(writer, "\"", 1);
	for (; *value != '\0'; value++)
	{
		char		escape[8];

		if (*value == '"' || *value == '\\')
			append(writer, "\\", 1);
		if ((uint8_t) *value < 0x20)
			append(writer, escape, (size_t) snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) *value));
		else
			append(writer, value, 1);
	}
	append(writer, "\"", 1);
}

void
pgaml_ml_json_key(MlJsonWriter *writer, const char *key)
{
	pgaml_ml_json_string(writer, key);
	append(writer, ":", 1);
	writer->comma = false;
}

void
pgaml_ml_json_float(MlJsonWriter *writer, float value)
{
	char		text[ML_FLOAT_TEXT];

	separate(writer);
	append(writer, text, pgaml_ml_float_print(value, text));
}

void
pgaml_ml_json_int(MlJsonWriter *writer, int64_t value)
{
	char		text[24];

	separate(writer);
	append(writer, text, (size_t) snprintf(text, sizeof(text), "%lld", (long long) value));
}
