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
	TimestampTz heldout_from;	/* executions that began then or later are new to it */
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
	const char *const *features;	/* names, in the order of a row */
	int			nfeatures;
	const uint8 *bytes;
	Size		length;
} PgamlNewModel;

/* A model, decoded: mostly the one in production. */
typedef struct PgamlServing
{
	int64		model_id;		/* 0: there is none */
	int32		version;
	char		model_type[32];
	TimestampTz heldout_from;	/* executions that began then or later are new to it */
	char		problem[256];	/* why it cannot serve; empty if it can */
	MlStages   *stages;			/* NULL if it cannot */
	uint64		generation;		/* of models when it was read */
	bool		restored;		/* its query identifiers are those of another server */
} PgamlServing;

/* What a model's features must be to serve; said once, by init.c. */
extern void pgaml_registry_expect(int feature_version, const MlStageLayout *layout);

/*
 * One writer at a time, until the transaction ends: inside an open SPI
 * bracket, before deciding on what to change.  Readers are not kept waiting.
 */
extern void pgaml_registry_lock(void);

/* The same for work that can wait: false when somebody else has it. */
extern bool pgaml_registry_try_lock(void);

/*
 * Inside an open SPI bracket: store as candidate and forget what
 * pgaml_registry_retire() may; returns model_id, sets version.
 */
extern int64 pgaml_registry_store(const PgamlNewModel *model, int32 *version);

/*
 * Inside an open SPI bracket: delete models beyond models_retention, those
 * older than history_retention, and those deleted PGAML_DELETED_DAYS ago;
 * never the ones in production and staging or the predecessor in wait, and
 * none while somebody else changes models.  Returns how many.
 */
#define PGAML_DELETED_DAYS	7
extern int64 pgaml_registry_retire(void);

/* Inside an open SPI bracket: the stored bytes of a model, in context; NULL when there is none. */
extern bytea *pgaml_registry_bytes(int64 model_id, MemoryContext context);

/* Who changes a model's stage, and why: for the event and the card. */
typedef struct PgamlChange
{
	Oid			by;				/* InvalidOid: the extension by itself */
	const char *why;			/* NULL: because somebody asked for it */
	const char *figures;		/* JSON, for the event; NULL: none */
	bool		promotion;		/* activation of a model that was found better */
} PgamlChange;

/*
 * Inside an open SPI bracket, each in the caller's transaction, which sends
 * the invalidation and holds the event: put into production (the one before
 * is archived and becomes the predecessor), into staging (the one before is a
 * candidate again), leave as candidate, set aside, remove from all readers.
 * ERROR when there is no such model, when its stage does not allow it, or
 * when it cannot be decoded where it has to be.
 */
extern void pgaml_registry_activate(int64 model_id, const PgamlChange *change);
extern void pgaml_registry_stage(int64 model_id, const PgamlChange *change);
extern void pgaml_registry_keep(int64 model_id, const PgamlChange *change);
extern void pgaml_registry_archive(int64 model_id, const PgamlChange *change);
extern void pgaml_registry_delete(int64 model_id, const PgamlChange *change);

/* The same: the predecessor of the model in production takes its place; returns its number. */
extern int64 pgaml_registry_rollback(const PgamlChange *change);

/*
 * Inside an open SPI bracket: read and decode a model, 0 for the one in
 * production.  False when there is none; a model that cannot serve has a
 * problem and no stages.  read_only as for pgaml_spi_exec: false sees what
 * this very command wrote.
 */
extern bool pgaml_registry_read(int64 model_id, bool read_only, const MlAllocator *allocator, PgamlServing *out);

/*
 * Outside the bracket, in a transaction: the model in production.  The result
 * belongs to the cache and is valid until the next call; a change of models
 * by any committed transaction is seen by the next call.
 */
extern const PgamlServing *pgaml_registry_serving(void);

/*
 * The same, and until pgaml_registry_release every call of
 * pgaml_registry_serving gives this very model, whatever is activated
 * meanwhile: so one call of a function never mixes models.  Release it in
 * PG_FINALLY.
 */
extern void pgaml_registry_hold(void);
extern void pgaml_registry_release(void);

/* Rises whenever what pgaml_registry_serving returned may be out of date. */
extern uint64 pgaml_registry_generation(void);

#endif							/* PGAML_REGISTRY_H */
