/*-------------------------------------------------------------------------
 * bytes.c
 *		Fixed-width little-endian bytes, written and read; and their CRC.
 *-------------------------------------------------------------------------
 */
#include "ml/bytes_internal.h"

#include <string.h>

#define CRC32C_REVERSED 0x82F63B78u

void
pgaml_ml_write_bytes(MlWriter *writer, const void *bytes, size_t length)
{
	if (writer->buffer != NULL && length > 0)
		memcpy(writer->buffer + writer->at, bytes, length);
	writer->at += length;
}

void
pgaml_ml_write_u32(MlWriter *writer, uint32_t value)
{
	uint8_t		bytes[4];

	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t) (value >> (8 * i));
	pgaml_ml_write_bytes(writer, bytes, sizeof(bytes));
}

void
pgaml_ml_write_u64(MlWriter *writer, uint64_t value)
{
	pgaml_ml_write_u32(writer, (uint32_t) value);
	pgaml_ml_write_u32(writer, (uint32_t) (value >> 32));
}

void
pgaml_ml_write_f32(MlWriter *writer, float value)
{
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	pgaml_ml_write_u32(writer, bits);
}

void
pgaml_ml_write_f64(MlWriter *writer, double value)
{
	uint64_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	pgaml_ml_write_u64(writer, bits);
}

void
pgaml_ml_read_bytes(MlReader *reader, void *bytes, size_t length)
{
	if (reader->failed || length > reader->length - reader->at)
	{
		reader->failed = true;
		memset(bytes, 0, length);
		return;
	}
	if (length > 0)
		memcpy(bytes, reader->buffer + reader->at, length);
	reader->at += length;
}

uint32_t
pgaml_ml_read_u32(MlReader *reader)
{
	uint8_t		bytes[4];
	uint32_t	value = 0;

	pgaml_ml_read_bytes(reader, bytes, sizeof(bytes));
	for (int i = 0; i < 4; i++)
		value |= (uint32_t) bytes[i] << (8 * i);
	return value;
}

uint64_t
pgaml_ml_read_u64(MlReader *reader)
{
	uint64_t	low = pgaml_ml_read_u32(reader);

	return low | (uint64_t) pgaml_ml_read_u32(reader) << 32;
}

float
pgaml_ml_read_f32(MlReader *reader)
{
	uint32_t	bits = pgaml_ml_read_u32(reader);
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

double
pgaml_ml_read_f64(MlReader *reader)
{
	uint64_t	bits = pgaml_ml_read_u64(reader);
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

uint32_t
pgaml_ml_read_count(MlReader *reader, uint32_t max, size_t size)
{
	uint32_t	count = pgaml_ml_read_u32(reader);

	if (reader->failed || count > max || (size > 0 && count > (reader->length - reader->at) / size))
	{
		reader->failed = true;
		return 0;
	}
	return count;
}

uint32_t
pgaml_ml_crc32c(const uint8_t *bytes, size_t length)
{
	uint32_t	table[256];
	uint32_t	crc = ~0u;

	for (uint32_t i = 0; i < 256; i++)
	{
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] & 1 ? (table[i] >> 1) ^ CRC32C_REVERSED : table[i] >> 1;
	}
	for (size_t i = 0; i < length; i++)
		crc = table[(crc ^ bytes[i]) & 0xFF] ^ (crc >> 8);
	return ~crc;
}
