/*-------------------------------------------------------------------------
 * train.h
 *		From history to a model.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_H
#define PGAML_TRAIN_H

#include "utils/timestamp.h"

#include "ml/stages.h"
#include "registry/ml_adapter.h"

typedef enum PgamlSplit
{
	PGAML_SPLIT_TIME,			/* newest rows held out */
	PGAML_SPLIT_GROUP,			/* whole statements held out */
	PGAML_SPLIT_RANDOM
} PgamlSplit;

typedef struct PgamlTrainRequest
{
	MlParams	params;
	int			lookback_days;
	PgamlSplit	split;
} PgamlTrainRequest;

/* Rows ready for pgaml_ml_stages_fit; everything is in one memory context. */
typedef struct PgamlDataset
{
	MlStageData data;
	int64		capacity;		/* rows there is room for */
	float	  **columns;
	double	   *target;
	double	   *at;				/* s since the PostgreSQL epoch */
	int32	   *group;
	int64	   *plan;
	uint8	   *part;
	uint8	   *single;
	int64		seen;			/* rows there were, before thinning */
	int			keep_every;		/* every how manyth row is kept, 1 = all */
	TimestampTz window_start;	/* of the rows found */
	TimestampTz window_end;
	char		hash[33];		/* of all rows, hexadecimal */
} PgamlDataset;

/*
 * Inside an open SPI bracket: read the rows of the window into context.
 * ERROR when there are too few, or when not even thinned rows fit into
 * training_memory.
 */
extern PgamlDataset *pgaml_dataset_read(const PgamlTrainRequest *request, MemoryContext context);

/* Give every row its part: 60 % train, 20 % calibrate, 20 % test. */
extern void pgaml_dataset_split(PgamlDataset *dataset, PgamlSplit split, uint64 seed);

/* Metrics and calibration of a report as JSON, palloc'd. */
extern char *pgaml_report_metrics_json(const MlStageReport *report);
extern char *pgaml_report_calibration_json(const MlStageReport *report);
extern char *pgaml_params_json(const MlParams *params);

/*
 * What the learner looks at, and what its training rows look like, as
 * JSON, palloc'd; NULL when the work was stopped or there was no memory.
 */
extern char *pgaml_train_importance_json(const MlStages *stages, const MlStageData *data, uint64 seed,
										 const MlAllocator *allocator, const MlStop *stop);
extern char *pgaml_train_statistics_json(const MlStageData *data, const MlAllocator *allocator, const MlStop *stop);

#endif							/* PGAML_TRAIN_H */
