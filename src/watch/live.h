/*-------------------------------------------------------------------------
 * live.h
 *		What models would have said of executions that they were not fitted on.
 *
 * The truth about a model does not depend on whether anybody asks it: the
 * newest executions are replayed, each as of its start, and the model in
 * production, the one before it while the present one is on probation, and
 * the one in staging answer by query identifier.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WATCH_LIVE_H
#define PGAML_WATCH_LIVE_H

#include "train/train.h"

#define PGAML_LIVE_COVERAGE		0.90	/* nominal, of the intervals judged here */
#define PGAML_LIVE_PROBATION_DAYS 7		/* after an activation the model before is asked too */
#define PGAML_LIVE_MODELS		3

typedef enum PgamlLiveRole
{
	PGAML_LIVE_PRODUCTION,
	PGAML_LIVE_PREDECESSOR,		/* was in production until the present one came */
	PGAML_LIVE_STAGING
} PgamlLiveRole;

typedef enum PgamlCovered
{
	PGAML_MISSED,
	PGAML_COVERED,
	PGAML_NOT_JUDGED			/* no answer, no calibrated interval, not a single execution, or not new to the model */
} PgamlCovered;

/* Arrays have an entry for every row of PgamlLive.rows. */
typedef struct PgamlLiveModel
{
	int64		model_id;
	PgamlLiveRole role;
	TimestampTz since;			/* it went into production, or into staging */
	TimestampTz fitted_until;	/* rows that began later are new to it */
	int64		judged;			/* rows with an error */
	double	   *error;			/* |log error|; NaN: no answer, or the row is not new to the model */
	uint8	   *covered;		/* PgamlCovered */
	float	   *score;			/* |log error| / half the 90 % interval; NaN where not judged */
	double	   *winkler;		/* interval score, log (Gneiting and Raftery 2007, 6.2); NaN likewise */
	uint8	   *novel;			/* its plan was not in training */
	MlStages   *stages;
} PgamlLiveModel;

typedef struct PgamlLive
{
	PgamlDataset *rows;			/* by statement and time; those that began after from */
	TimestampTz from;
	TimestampTz until;
	int			nmodels;		/* the first one is that in production */
	PgamlLiveModel models[PGAML_LIVE_MODELS];
} PgamlLive;

/*
 * Inside an open SPI bracket: read and judge, everything in context.  NULL
 * without a model in production that can serve, or without executions; *why
 * (may be NULL) then says which.
 */
extern PgamlLive *pgaml_live_read(MemoryContext context, const char **why);

/* The model in a role; NULL when there is none. */
extern const PgamlLiveModel *pgaml_live_model(const PgamlLive *live, PgamlLiveRole role);

#endif							/* PGAML_WATCH_LIVE_H */
