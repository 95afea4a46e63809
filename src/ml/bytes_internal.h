/*-------------------------------------------------------------------------
 * bytes_internal.h
 *		Fixed-width little-endian bytes, written and read; and their CRC.
 *
 * The writer first counts (buffer NULL), then fills a buffer of that size.
 * The reader never passes the end: after a short read it stays failed and
 * gives zeros.  Counts must be checked with pgaml_ml_read_count before
 * memory is asked for.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_BYTES_INTERNAL_H
#define PGAML_ML_BYTES_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct MlWriter
{
	uint8_t    *buffer;			/* NULL: only count */
	size_t		at;
} MlWriter;

typedef struct MlReader
{
	const uint8_t *at;
	size_t		left;			/* bytes that can still be read */
	bool		failed;			/* ran past the end */
} MlReader;

/* The low 1..8 bytes of a value. */
extern void pgaml_ml_write(MlWriter *writer, uint64_t value, int bytes);
extern void pgaml_ml_write_bytes(MlWriter *writer, const void *bytes, size_t length);

/* Every NaN is written as the same bits. */
extern void pgaml_ml_write_f32(MlWriter *writer, float value);
extern void pgaml_ml_write_f64(MlWriter *writer, double value);

extern uint64_t pgaml_ml_read(MlReader *reader, int bytes);
extern float pgaml_ml_read_f32(MlReader *reader);
extern double pgaml_ml_read_f64(MlReader *reader);

/* A count of items of size bytes each that must still follow; fails the reader when they cannot. */
extern uint32_t pgaml_ml_read_count(MlReader *reader, uint32_t max, size_t size);

/* CRC-32C (Castagnoli) of length bytes, as in iSCSI (RFC 3720, appendix B.4). */
extern uint32_t pgaml_ml_crc32c(const uint8_t *bytes, size_t length);

#endif							/* PGAML_ML_BYTES_INTERNAL_H */
