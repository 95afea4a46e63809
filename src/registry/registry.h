/*-------------------------------------------------------------------------
 * registry.h
 *		Models in query_performance_models, and the one that serves.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REGISTRY_H
#define PGAML_REGISTRY_H

#include "utils/timestamp.h"

#include "ml/stages.h"

/* A model about to be stored. */
typedef struct PgamlNewModel
{
	const char *model_type;
	int			feature_version;
	const char *hyperparameters;	/* JSON */
	TimestampTz window_start;
	TimestampTz window_end;
	int64		training_samples;
	int64		calibration_samples;
	int64		heldout_samples;
	int64		statements;
	int64		seed;
	char		data_hash[33];
	const char *metrics;		/* JSON */
	const char *calibration;	/* JSON */
	const char *importance;		/* JSON, see importance.c; NULL: not measured */
	const char *feature_statistics; /* JSON; NULL: not known */
	double		training_ms;
	int64		training_bytes;
	Oid			created_by;
	const uint8 *bytes;
	Size		length;
} PgamlNewModel;

/* The model in production, decoded. */
typedef struct PgamlServing
{
	int64		model_id;		/* 0: there is none */
	int32		version;
	char		model_type[32];
	char		problem[256];	/* why it cannot serve; empty if it can */
	MlStages   *stages;			/* NULL if it cannot */
} PgamlServing;

/* What a model's features must be to serve; said once, by init.c. */
extern void pgaml_registry_expect(int feature_version, const MlStageLayout *layout);

/*
 * Inside an open SPI bracket: store as candidate, delete those beyond models_retention; returns
 * model_id, sets version.
 */
extern int64 pgaml_registry_store(const PgamlNewModel *model, int32 *version);

/* Inside an open SPI bracket: the stored bytes of a model, in context; NULL when there is none. */
extern bytea *pgaml_registry_bytes(int64 model_id, MemoryContext context);

/*
 * Inside an open SPI bracket: read and decode a model, 0 for the one in
 * production.  False when there is none; a model that cannot serve has a
 * problem and no stages.  read_only as for pgaml_spi_exec: false sees what
 * this very command wrote.
 */
extern bool pgaml_registry_read(int64 model_id, bool read_only, const MlAllocator *allocator, PgamlServing *out);

/*
 * Inside an open SPI bracket: put into production, archive the one before.
 * ERROR when the model does not exist, is deleted or cannot be decoded.
 */
extern void pgaml_registry_activate(int64 model_id);

/*
 * Outside the bracket, in a transaction: the model in production.  The result
 * belongs to the cache and is valid until the next call; a change of models
 * by any committed transaction is seen by the next call.
 */
extern const PgamlServing *pgaml_registry_serving(void);

/* Rises whenever what pgaml_registry_serving returned may be out of date. */
extern uint64 pgaml_registry_generation(void);

#endif							/* PGAML_REGISTRY_H */
