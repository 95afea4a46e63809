/*-------------------------------------------------------------------------
 * codec.c
 *		A model as bytes and back.  The layout is FORMAT.md's.
 *
 * The reader trusts nothing: the checksum covers every byte, every count is
 * compared with the bytes that are left before memory is asked for, and the
 * finished model passes the same validation as a trained one.
 *-------------------------------------------------------------------------
 */
#include "model_internal.h"

#include <math.h>
#include <string.h>

#define MAGIC "PGAMLMOD"
#define FORMAT_VERSION 1
#define HEADER_BYTES 24
#define CRC_BYTES 4
#define TERM_BYTES 32
#define NODE_BYTES 16
#define LEAF_BYTES 8
#define TREE_HEADER_BYTES 4

typedef struct Writer
{
	uint8_t    *at;
} Writer;

typedef struct Reader
{
	const uint8_t *at;
	size_t		left;			/* bytes that can still be read */
} Reader;

/*
 * CRC-32C (Castagnoli), reflected, four bits at a time from a 16-entry table.
 */
static uint32_t
crc32c(const uint8_t *bytes, size_t length)
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

static void
put(Writer *writer, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*writer->at++ = (uint8_t) (value >> (8 * i));
}

static void
put_float(Writer *writer, float value)
{
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	put(writer, bits, 4);
}

/* Every NaN is written as the same bits. */
static void
put_double(Writer *writer, double value)
{
	uint64_t	bits = UINT64_C(0x7ff8000000000000);

	if (!isnan(value))
		memcpy(&bits, &value, sizeof(bits));
	put(writer, bits, 8);
}

/* The caller has checked that the bytes are there. */
static uint64_t
get(Reader *reader, int bytes)
{
	uint64_t	value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t) reader->at[i] << (8 * i);
	reader->at += bytes;
	reader->left -= (size_t) bytes;
	return value;
}

static float
get_float(Reader *reader)
{
	uint32_t	bits = (uint32_t) get(reader, 4);
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static double
get_double(Reader *reader)
{
	uint64_t	bits = get(reader, 8);
	double		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static size_t
encoded_length(const MlModel *model)
{
	size_t		length = HEADER_BYTES + CRC_BYTES;

	if (model->type == ML_LINEAR_REGRESSION)
		return length + 8 + (size_t) model->nfeatures * TERM_BYTES;
	length += 8 + 4;
	for (int32_t t = 0; t < model->ntrees; t++)
		length += TREE_HEADER_BYTES + (size_t) (model->trees[t].nleaves - 1) * NODE_BYTES +
			(size_t) model->trees[t].nleaves * LEAF_BYTES;
	return length;
}

static void
write_tree(Writer *writer, const MlTree *tree)
{
	put(writer, (uint32_t) tree->nleaves, 4);
	for (int32_t i = 0; i < tree->nleaves - 1; i++)
	{
		const MlNode *node = &tree->nodes[i];

		put_float(writer, node->threshold);
		put(writer, node->feature, 2);
		put(writer, node->missing_left, 1);
		put(writer, node->reserved, 1);
		put(writer, (uint32_t) node->child[1], 4);
		put(writer, (uint32_t) node->child[0], 4);
	}
	for (int32_t i = 0; i < tree->nleaves; i++)
		put_double(writer, tree->leaves[i]);
}

static void
write_terms(Writer *writer, const MlModel *model)
{
	put_double(writer, model->intercept);
	for (int32_t f = 0; f < model->nfeatures; f++)
	{
		const MlLinearTerm *term = &model->terms[f];

		put_double(writer, term->mean);
		put_double(writer, term->slope);
		put_double(writer, term->missing);
		put_float(writer, term->low);
		put_float(writer, term->high);
	}
}

MlStatus
pgaml_ml_model_encode(const MlModel *model, const MlAllocator *allocator,
					  uint8_t **bytes, size_t *length, MlError *error)
{
	size_t		total = encoded_length(model);
	uint8_t    *out = pgaml_ml_alloc(allocator, total, 1);
	Writer		writer = {out};

	*bytes = NULL;
	*length = 0;
	if (out == NULL)
		return pgaml_ml_nomem(error, "encode");
	memcpy(writer.at, MAGIC, 8);
	writer.at += 8;
	put(&writer, FORMAT_VERSION, 2);
	put(&writer, (uint64_t) model->type, 2);
	put(&writer, (uint32_t) model->nfeatures, 4);
	put(&writer, total, 8);
	if (model->type == ML_LINEAR_REGRESSION)
		write_terms(&writer, model);
	else
	{
		put_double(&writer, model->oob_rmse);
		put(&writer, (uint32_t) model->ntrees, 4);
		for (int32_t t = 0; t < model->ntrees; t++)
			write_tree(&writer, &model->trees[t]);
	}
	put(&writer, crc32c(out, total - CRC_BYTES), CRC_BYTES);
	*bytes = out;
	*length = total;
	return ML_OK;
}

static MlStatus
truncated(MlError *error)
{
	return pgaml_ml_fail(error, ML_E_FORMAT, "length", "a count says more than there are bytes");
}

static MlStatus
read_terms(Reader *reader, MlModel *model, MlError *error)
{
	if (reader->left != 8 + (size_t) model->nfeatures * TERM_BYTES)
		return truncated(error);
	model->intercept = get_double(reader);
	for (int32_t f = 0; f < model->nfeatures; f++)
	{
		MlLinearTerm *term = &model->terms[f];

		term->mean = get_double(reader);
		term->slope = get_double(reader);
		term->missing = get_double(reader);
		term->low = get_float(reader);
		term->high = get_float(reader);
	}
	return ML_OK;
}

static MlStatus
read_tree(Reader *reader, MlModel *model, MlError *error)
{
	MlTree	   *tree = &model->trees[model->ntrees];
	uint32_t	nleaves;

	if (reader->left < TREE_HEADER_BYTES)
		return truncated(error);
	nleaves = (uint32_t) get(reader, 4);
	if (nleaves < 1 || nleaves > ML_MAX_LEAVES)
		return pgaml_ml_fail(error, ML_E_FORMAT, "tree", "%u leaves", (unsigned) nleaves);
	if (reader->left < (size_t) (nleaves - 1) * NODE_BYTES + (size_t) nleaves * LEAF_BYTES)
		return truncated(error);
	if (!pgaml_ml_tree_alloc(tree, (int32_t) nleaves, &model->allocator))
		return pgaml_ml_nomem(error, "decode");
	model->ntrees++;
	for (uint32_t i = 0; i + 1 < nleaves; i++)
	{
		MlNode	   *node = &tree->nodes[i];

		node->threshold = get_float(reader);
		node->feature = (uint16_t) get(reader, 2);
		node->missing_left = (uint8_t) get(reader, 1);
		node->reserved = (uint8_t) get(reader, 1);
		node->child[1] = (int32_t) (uint32_t) get(reader, 4);
		node->child[0] = (int32_t) (uint32_t) get(reader, 4);
	}
	for (uint32_t i = 0; i < nleaves; i++)
		tree->leaves[i] = get_double(reader);
	return ML_OK;
}

/*
 * The header of bytes whose length and checksum are right already.
 */
static MlStatus
read_model(Reader *reader, MlModelType type, uint32_t nfeatures,
		   const MlAllocator *allocator, MlModel **model, MlError *error)
{
	uint32_t	ntrees = 0;
	double		oob_rmse = NAN;
	MlStatus	status = ML_OK;

	if (nfeatures < 1 || nfeatures > ML_MAX_FEATURES)
		return pgaml_ml_fail(error, ML_E_FORMAT, "nfeatures", "%u features", (unsigned) nfeatures);
	if (type != ML_LINEAR_REGRESSION)
	{
		if (reader->left < 8 + 4)
			return truncated(error);
		oob_rmse = get_double(reader);
		ntrees = (uint32_t) get(reader, 4);
		if (ntrees < 1 || ntrees > ML_MAX_TREES)
			return pgaml_ml_fail(error, ML_E_FORMAT, "ntrees", "%u trees", (unsigned) ntrees);
		if (reader->left < ntrees * (size_t) (TREE_HEADER_BYTES + LEAF_BYTES))
			return truncated(error);
	}
	else if (reader->left < nfeatures * (size_t) TERM_BYTES)
		return truncated(error);

	*model = pgaml_ml_model_create(type, (int32_t) nfeatures, (int32_t) ntrees, allocator);
	if (*model == NULL)
		return pgaml_ml_nomem(error, "decode");
	(*model)->oob_rmse = oob_rmse;
	if (type == ML_LINEAR_REGRESSION)
		status = read_terms(reader, *model, error);
	for (uint32_t t = 0; t < ntrees && status == ML_OK; t++)
		status = read_tree(reader, *model, error);
	if (status == ML_OK && reader->left != 0)
		status = pgaml_ml_fail(error, ML_E_FORMAT, "length", "bytes are left over");
	return status;
}

MlStatus
pgaml_ml_model_decode(const uint8_t *bytes, size_t length,
					  const MlAllocator *allocator, MlModel **model, MlError *error)
{
	Reader		reader = {bytes, length};
	uint64_t	version;
	uint64_t	type;
	uint32_t	nfeatures;
	MlModel    *decoded = NULL;
	MlStatus	status;

	*model = NULL;
	if (length < HEADER_BYTES + CRC_BYTES || memcmp(bytes, MAGIC, 8) != 0)
		return pgaml_ml_fail(error, ML_E_FORMAT, "magic", "these bytes are not a model");
	reader.at += 8;
	reader.left -= 8 + CRC_BYTES;
	version = get(&reader, 2);
	if (version != FORMAT_VERSION)
		return pgaml_ml_fail(error, ML_E_VERSION, "version", "format version %u, this build reads %d",
							 (unsigned) version, FORMAT_VERSION);
	type = get(&reader, 2);
	nfeatures = (uint32_t) get(&reader, 4);
	if (get(&reader, 8) != length)
		return pgaml_ml_fail(error, ML_E_FORMAT, "length", "the model is truncated or has bytes too many");
	reader.at = bytes + length - CRC_BYTES;
	reader.left = CRC_BYTES;
	if (get(&reader, CRC_BYTES) != crc32c(bytes, length - CRC_BYTES))
		return pgaml_ml_fail(error, ML_E_FORMAT, "crc", "checksum does not match");
	if (type < ML_LINEAR_REGRESSION || type > ML_RANDOM_FOREST)
		return pgaml_ml_fail(error, ML_E_FORMAT, "type", "unknown model type %u", (unsigned) type);

	reader.at = bytes + HEADER_BYTES;
	reader.left = length - HEADER_BYTES - CRC_BYTES;
	status = read_model(&reader, (MlModelType) type, nfeatures, allocator, &decoded, error);
	if (status == ML_OK)
		status = pgaml_ml_model_validate(decoded, error);
	if (status == ML_OK)
		*model = decoded;
	else
		pgaml_ml_model_free(decoded);
	return status;
}
