/*-------------------------------------------------------------------------
 * train.h
 *		From history to a model.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_H
#define PGAML_TRAIN_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "features/features.h"
#include "ml/stages.h"
#include "registry/ml_adapter.h"
#include "registry/registry.h"
#include "train/split.h"

typedef struct PgamlTrainRequest
{
	MlParams	params;
	int			lookback_days;	/* a frozen split says more */
	PgamlSplit	split;
	bool		optional;		/* too few rows are no error */
} PgamlTrainRequest;

/* Which executions a reading is about. */
typedef struct PgamlWindow
{
	TimestampTz since;			/* what ran before is not known */
	TimestampTz from;			/* runs from since to here only lead in: they give no rows; <= since: none */
	TimestampTz until;			/* what ended later is not known; DT_NOEND */
} PgamlWindow;

/* One row to learn from, as of the start of its run. */
typedef struct PgamlTrainingRow
{
	int64		queryid;
	int32		group;			/* number of the statement, from 0 */
	int64		plan;			/* of this execution; 0 = unknown */
	double		at;				/* s since the PostgreSQL epoch */
	double		log_ms;			/* what is learnt: ln ms */
	bool		single;			/* one execution; else a statement-hour */
	const float *features;		/* PGAML_F_COUNT values */
	const float *recent;		/* log ms of the newest single executions that had ended, oldest first */
	int			nrecent;		/* at most PGAML_RECENT_RUNS */
} PgamlTrainingRow;

typedef void (*PgamlTakeRow) (const PgamlTrainingRow *row, void *state);

/*
 * Inside an open SPI bracket: hand every keep_every-th row of the window to take,
 * ordered by statement and time.  Returns how many rows there were before
 * thinning, and the number of statements.  take must not keep the pointers,
 * and what it allocates in the current context dies with the batch.
 */
extern int64 pgaml_replay(const PgamlStatementSet *set, const PgamlWindow *window, int keep_every, bool read_only,
						  PgamlTakeRow take, void *state, int32 *ngroups);

/* How many rows there are at most, and the time of the first one; 0 when there is none. */
extern int64 pgaml_replay_count(const PgamlWindow *window, int bucket_width, bool read_only, TimestampTz *first);

/* The same of those that wait for the text of their statement. */
extern int64 pgaml_replay_waiting(const PgamlWindow *window, int bucket_width, bool read_only, TimestampTz *first);

/* Rows ready for pgaml_ml_stages_fit; everything is in one memory context. */
typedef struct PgamlDataset
{
	MlStageData data;
	int64		capacity;		/* rows there is room for */
	float	  **columns;
	double	   *target;
	double	   *at;				/* s since the PostgreSQL epoch */
	int32	   *group;
	int64	   *group_key;		/* queryid of each group */
	int			group_room;
	int64	   *plan;
	uint8	   *part;
	uint8	   *single;
	float	   *recent;			/* PGAML_RECENT_RUNS of each row, see PgamlTrainingRow; NULL: not kept */
	uint8	   *nrecent;
	int64		seen;			/* rows there were, before thinning */
	int			keep_every;		/* every how manyth row is kept, 1 = all */
	TimestampTz window_start;	/* of the rows found */
	TimestampTz window_end;
	char		hash[33];		/* of all rows, hexadecimal */
} PgamlDataset;

/*
 * Inside an open SPI bracket: read the rows of the window into context.
 * ERROR (or NULL, when optional) when there are too few; ERROR when not even thinned rows fit into
 * training_memory.
 */
extern PgamlDataset *pgaml_dataset_read(const PgamlTrainRequest *request, MemoryContext context);

/* Inside an open SPI bracket: count only; the same ERROR when there are too few. */
extern void pgaml_dataset_require(const PgamlTrainRequest *request);

/* Bytes of a dataset of so many rows and of a fit to it; SIZE_MAX on overflow. */
extern Size pgaml_dataset_bytes(const MlParams *params, int64 nrows);

/*
 * Every how manyth of nrows is kept so that data and fit stay within
 * training_memory, with a NOTICE; ERROR when too few would be left.
 */
extern int	pgaml_dataset_thinning(const MlParams *params, int64 nrows);

/*
 * The same for any window, without limits on their number but max_rows (then
 * thinned evenly); NULL when there are none.  Rows have no part yet, and keep
 * their recent executions.
 */
extern PgamlDataset *pgaml_dataset_read_window(const PgamlWindow *window, int64 max_rows, MemoryContext context);

/* Check arguments and fill in what they leave open; model_type and hyperparameters may be NULL. */
extern void pgaml_request_fill(PgamlTrainRequest *request, const char *model_type, int lookback_days,
							   Jsonb *hyperparameters, const char *split);

/* As training_jobs.arguments; and back, with the same checks. */
extern char *pgaml_request_json(const PgamlTrainRequest *request);
extern void pgaml_request_parse(PgamlTrainRequest *request, Jsonb *arguments);

/* A member of what should be an object; NULL when it is none, or has no such member. */
extern struct JsonbValue *pgaml_request_member(Jsonb *object, const char *name);

/* Which rows it is about: those of a frozen split, else the last lookback_days. */
extern PgamlWindow pgaml_request_window(const PgamlTrainRequest *request);

/* ERROR when there is no such type. */
extern MlModelType pgaml_model_type_named(const char *name);

/* The span that training accepts; ERROR otherwise. */
extern void pgaml_check_lookback(int lookback_days);

/* The type that the setting retrain_model_type names. */
extern MlModelType pgaml_default_model_type(void);

/* Hyper-parameters of a type when none are given. */
extern void pgaml_default_params(MlModelType type, MlParams *params);

/* Give every row its part: 60 % train, 20 % calibrate, 20 % test where the split does not say else; seed is for plain splits. */
extern void pgaml_dataset_split(PgamlDataset *dataset, const PgamlSplit *split, uint64 seed);

/* One training run (run.c); everything it allocates is in context. */
typedef struct PgamlTrainRun
{
	PgamlTrainRequest request;
	Oid			userid;			/* who asked */
	MemoryContext context;
	TimestampTz started_at;
	TimestampTz deadline;		/* on the real clock, not on the injected one */
	TimestampTz next_report;
	double		from;			/* progress of the phase under way is from .. from + share of the whole */
	double		share;
	double		before;			/* share of its job that was done before the fit, 0..1 */
	bool		too_late;		/* it was stopped by the deadline */
	bool		(*ask) (void *state, double progress);	/* true: stop.  Reads flags only; may be NULL */
	void	   *ask_state;
	PgamlDataset *dataset;
	PgamlMlMemory memory;
	MlStages   *stages;
	MlStageReport report;
	uint8_t    *bytes;
	size_t		length;
	char	   *importance;		/* JSON; NULL: no time or memory left for it */
	char	   *statistics;		/* likewise */
	char	   *drift_reference;	/* likewise */
	double		ms;				/* of the fit */
	TimestampTz heldout_from;	/* executions that began then or later are new to the model */
	int64		model_id;
	int32		version;
	bool		candidate_only; /* to be compared, but never promoted by itself */
	bool		promoted;
	char	   *message;
} PgamlTrainRun;

extern void pgaml_run_init(PgamlTrainRun *run, const PgamlTrainRequest *request, Oid userid, MemoryContext context);

/* Inside the bracket.  No dataset: too few rows, and the request is optional. */
extern void pgaml_run_read(PgamlTrainRun *run);

/* With or without a transaction; raises what ended it. */
extern void pgaml_run_fit(PgamlTrainRun *run);

/*
 * Inside the bracket: store the model, promote it or not, say so in message.
 * The model in production is the one at this moment; it stays so until the
 * transaction ends.
 */
extern void pgaml_run_store(PgamlTrainRun *run);

/* When what neither trained nor calibrated begins in a dataset with parts. */
extern TimestampTz pgaml_dataset_heldout_from(const PgamlDataset *dataset);

/* Names of the features of a row, palloc'd; there are PGAML_F_COUNT. */
extern const char **pgaml_train_feature_names(void);

/*
 * All three phases in this session and its transaction, outside of a bracket,
 * with the finished job; returns job_id.  What went wrong is raised, and
 * run->too_late says whether time was up.
 */
extern int64 pgaml_train_here(PgamlTrainRun *run, const PgamlTrainRequest *request, const char *reason,
							  MemoryContext context);

/* As training_jobs.result; palloc'd. */
extern char *pgaml_run_result_json(const PgamlTrainRun *run);

/* For stop callbacks: should this process stop what it does?  Takes in barriers. */
extern bool pgaml_run_interrupted(void);

/* Metrics and calibration of a report as JSON, palloc'd. */
extern char *pgaml_report_metrics_json(const MlStageReport *report, const MlModel *model);
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
