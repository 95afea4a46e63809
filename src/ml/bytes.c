/*-------------------------------------------------------------------------
 * bytes.c
 *		Fixed-width little-endian bytes, written and read; and their CRC.
 *-------------------------------------------------------------------------
 */
#include "ml/bytes_internal.h"

#include <math.h>
#include <string.h>

#define NAN_F32 UINT32_C(0x7fc00000)
#define NAN_F64 UINT64_C(0x7ff8000000000000)

void
pgaml_ml_write(MlWriter *writer, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes && writer->buffer != NULL; i++)
		writer->buffer[writer->at + i] = (uint8_t) (value >> (8 * i));
	writer->at += (size_t) bytes;
}

void
pgaml_ml_write_bytes(MlWriter *writer, const void *bytes, size_t length)
{
	if (writer->buffer != NULL && length > 0)
		memcpy(writer->buffer + writer->at, bytes, length);
	writer->at += length;
}

void
pgaml_ml_write_f32(MlWriter *writer, float value)
{
	uint32_t	bits = NAN_F32;

	if (!isnan(value))
		memcpy(&bits, &value, sizeof(bits));
	pgaml_ml_write(writer, bits, 4);
}

void
pgaml_ml_write_f64(MlWriter *writer, double value)
{
	uint64_t	bits = NAN_F64;

	if (!isnan(value))
		memcpy(&bits, &value, sizeof(bits));
	pgaml_ml_write(writer, bits, 8);
}

uint64_t
pgaml_ml_read(MlReader *reader, int bytes)
{
	uint64_t	value = 0;

	if (reader->failed || (size_t) bytes > reader->left)
	{
		reader->failed = true;
		return 0;
	}
	for (int i = 0; i < bytes; i++)
		value |= (uint64_t) reader->at[i] << (8 * i);
	reader->at += bytes;
	reader->left -= (size_t) bytes;
	return value;
}

float
pgaml_ml_read_f32(MlReader *reader)
{
	uint32_t	bits = (uint32_t) pgaml_ml_read(reader, 4);
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

double
pgaml_ml_read_f64(MlReader *reader)
{
	uint64_t	bits = pgaml_ml_read(reader, 8);
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

uint32_t
pgaml_ml_read_count(MlReader *reader, uint32_t max, size_t size)
{
	uint32_t	count = (uint32_t) pgaml_ml_read(reader, 4);

	if (reader->failed || count > max || (size > 0 && count > reader->left / size))
	{
		reader->failed = true;
		return 0;
	}
	return count;
}

/* Reflected, four bits at a time from a 16-entry table. */
uint32_t
pgaml_ml_crc32c(const uint8_t *bytes, size_t length)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	uint32_t	crc = 0xffffffff;

	for (size_t i = 0; i < length; i++)
	{
		crc ^= bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}
