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

#include "bytes_internal.h"

#define MAGIC "PGAMLMOD"
#define FORMAT_VERSION 2
#define HEADER_BYTES 24
#define CRC_BYTES 4
#define TERM_BYTES 40
#define NODE_BYTES 20
#define LEAF_BYTES 12
#define TREE_HEADER_BYTES 4

static size_t
encoded_length(const MlModel *model)
{
	size_t		length = HEADER_BYTES + CRC_BYTES;

	if (model->type == ML_LINEAR_REGRESSION)
		return length + 8 + (size_t) model->nfeatures * TERM_BYTES;
	length += 8 + 8 + 4;
	for (int32_t t = 0; t < model->ntrees; t++)
		length += TREE_HEADER_BYTES + (size_t) (model->trees[t].nleaves - 1) * NODE_BYTES +
			(size_t) model->trees[t].nleaves * LEAF_BYTES;
	return length;
}

static void
write_tree(MlWriter *writer, const MlTree *tree)
{
	pgaml_ml_write(writer, (uint32_t) tree->nleaves, 4);
	for (int32_t i = 0; i < tree->nleaves - 1; i++)
	{
		const MlNode *node = &tree->nodes[i];

		pgaml_ml_write_f32(writer, node->threshold);
		pgaml_ml_write(writer, node->feature, 2);
		pgaml_ml_write(writer, node->missing_left, 1);
		pgaml_ml_write(writer, node->reserved, 1);
		pgaml_ml_write(writer, (uint32_t) node->child[1], 4);
		pgaml_ml_write(writer, (uint32_t) node->child[0], 4);
		pgaml_ml_write_f32(writer, tree->gains[i]);
	}
	for (int32_t i = 0; i < tree->nleaves; i++)
	{
		pgaml_ml_write_f64(writer, tree->leaves[i]);
		pgaml_ml_write_f32(writer, tree->covers[i]);
	}
}

static void
write_terms(MlWriter *writer, const MlModel *model)
{
	pgaml_ml_write_f64(writer, model->intercept);
	for (int32_t f = 0; f < model->nfeatures; f++)
	{
		const MlLinearTerm *term = &model->terms[f];

		pgaml_ml_write_f64(writer, term->mean);
		pgaml_ml_write_f64(writer, term->slope);
		pgaml_ml_write_f64(writer, term->missing);
		pgaml_ml_write_f64(writer, term->error);
		pgaml_ml_write_f32(writer, term->low);
		pgaml_ml_write_f32(writer, term->high);
	}
}

MlStatus
pgaml_ml_model_encode(const MlModel *model, const MlAllocator *allocator,
					  uint8_t **bytes, size_t *length, MlError *error)
{
	size_t		total = encoded_length(model);
	uint8_t    *out = pgaml_ml_alloc(allocator, total, 1);
	MlWriter	writer = {.buffer = out};

	*bytes = NULL;
	*length = 0;
	if (out == NULL)
		return pgaml_ml_nomem(error, "encode");
	pgaml_ml_write_bytes(&writer, MAGIC, 8);
	pgaml_ml_write(&writer, FORMAT_VERSION, 2);
	pgaml_ml_write(&writer, (uint64_t) model->type, 2);
	pgaml_ml_write(&writer, (uint32_t) model->nfeatures, 4);
	pgaml_ml_write(&writer, total, 8);
	if (model->type == ML_LINEAR_REGRESSION)
		write_terms(&writer, model);
	else
	{
		pgaml_ml_write_f64(&writer, model->oob_rmse);
		pgaml_ml_write_f64(&writer, model->base);
		pgaml_ml_write(&writer, (uint32_t) model->ntrees, 4);
		for (int32_t t = 0; t < model->ntrees; t++)
			write_tree(&writer, &model->trees[t]);
	}
	pgaml_ml_write(&writer, pgaml_ml_crc32c(out, total - CRC_BYTES), CRC_BYTES);
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
read_terms(MlReader *reader, MlModel *model, MlError *error)
{
	if (reader->left != 8 + (size_t) model->nfeatures * TERM_BYTES)
		return truncated(error);
	model->intercept = pgaml_ml_read_f64(reader);
	for (int32_t f = 0; f < model->nfeatures; f++)
	{
		MlLinearTerm *term = &model->terms[f];

		term->mean = pgaml_ml_read_f64(reader);
		term->slope = pgaml_ml_read_f64(reader);
		term->missing = pgaml_ml_read_f64(reader);
		term->error = pgaml_ml_read_f64(reader);
		term->low = pgaml_ml_read_f32(reader);
		term->high = pgaml_ml_read_f32(reader);
	}
	return ML_OK;
}

static MlStatus
read_tree(MlReader *reader, MlModel *model, MlError *error)
{
	MlTree	   *tree = &model->trees[model->ntrees];
	uint32_t	nleaves;

	if (reader->left < TREE_HEADER_BYTES)
		return truncated(error);
	nleaves = (uint32_t) pgaml_ml_read(reader, 4);
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

		node->threshold = pgaml_ml_read_f32(reader);
		node->feature = (uint16_t) pgaml_ml_read(reader, 2);
		node->missing_left = (uint8_t) pgaml_ml_read(reader, 1);
		node->reserved = (uint8_t) pgaml_ml_read(reader, 1);
		node->child[1] = (int32_t) (uint32_t) pgaml_ml_read(reader, 4);
		node->child[0] = (int32_t) (uint32_t) pgaml_ml_read(reader, 4);
		tree->gains[i] = pgaml_ml_read_f32(reader);
	}
	for (uint32_t i = 0; i < nleaves; i++)
	{
		tree->leaves[i] = pgaml_ml_read_f64(reader);
		tree->covers[i] = pgaml_ml_read_f32(reader);
	}
	return ML_OK;
}

/*
 * The header of bytes whose length and checksum are right already.
 */
static MlStatus
read_model(MlReader *reader, MlModelType type, uint32_t nfeatures,
		   const MlAllocator *allocator, MlModel **model, MlError *error)
{
	uint32_t	ntrees = 0;
	double		oob_rmse = NAN;
	double		base = 0.0;
	MlStatus	status = ML_OK;

	if (nfeatures < 1 || nfeatures > ML_MAX_FEATURES)
		return pgaml_ml_fail(error, ML_E_FORMAT, "nfeatures", "%u features", (unsigned) nfeatures);
	if (type != ML_LINEAR_REGRESSION)
	{
		if (reader->left < 8 + 8 + 4)
			return truncated(error);
		oob_rmse = pgaml_ml_read_f64(reader);
		base = pgaml_ml_read_f64(reader);
		ntrees = (uint32_t) pgaml_ml_read(reader, 4);
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
	(*model)->base = base;
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
	MlReader	reader = {.at = bytes, .left = length};
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
	version = pgaml_ml_read(&reader, 2);
	if (version != FORMAT_VERSION)
		return pgaml_ml_fail(error, ML_E_VERSION, "version", "format version %u, this build reads %d",
							 (unsigned) version, FORMAT_VERSION);
	type = pgaml_ml_read(&reader, 2);
	nfeatures = (uint32_t) pgaml_ml_read(&reader, 4);
	if (pgaml_ml_read(&reader, 8) != length)
		return pgaml_ml_fail(error, ML_E_FORMAT, "length", "the model is truncated or has bytes too many");
	reader.at = bytes + length - CRC_BYTES;
	reader.left = CRC_BYTES;
	if (pgaml_ml_read(&reader, CRC_BYTES) != pgaml_ml_crc32c(bytes, length - CRC_BYTES))
		return pgaml_ml_fail(error, ML_E_FORMAT, "crc", "checksum does not match");
	if (type < ML_LINEAR_REGRESSION || type > ML_GRADIENT_BOOSTING)
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
