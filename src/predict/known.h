/*-------------------------------------------------------------------------
 * known.h
 *		What this session knows of statements: features, ready to predict.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_KNOWN_H
#define PGAML_PREDICT_KNOWN_H

#include "features/features.h"

/* One statement, reduced to what a prediction needs. */
typedef struct PgamlKnown
{
	int64		queryid;		/* hash key */
	int			nusers;
	Oid		   *users;
	bool		plannable;		/* false: utility, or text not read yet */
	bool		captured;		/* runs are single executions */
	int64		plan_id;		/* 0 = none captured */
	PgamlRunsSummary runs;
	int			nrecent;		/* single executions that runs speaks of */
	float		recent[PGAML_RECENT_RUNS];	/* their log ms, oldest first */
	double		lifetime_calls; /* of pg_stat_statements; 0 = not there */
	double		lifetime_mean;	/* ms */
	double		lifetime_std_dev;
	/* the last forecast, good for this model generation and coverage */
	uint64		forecast_generation;	/* 0: none */
	double		forecast_coverage;
	MlForecast	forecast;
	float		row[PGAML_F_COUNT];
} PgamlKnown;

/*
 * Look a queryid up, reading everything again when what the session has is
 * older than prediction_cache_ttl.  A miss reads again too, at most once per
 * client statement, and seldom for a queryid that was missed before.  NULL: unknown.  *coverage as in PgamlStatementSet.
 */
extern PgamlKnown *pgaml_known_find(int64 queryid, bool *cache_hit, double *coverage);

/* One statement, read by itself: what its own next plan is compared with. */
typedef struct PgamlPast
{
	int64		queryid;		/* hash key; 0: any statement that is not known */
	bool		found;			/* else only what is said of the moment */
	TimestampTz loaded_at;
	int64		load_us;		/* what reading it took */
	double		coverage;		/* as in PgamlStatementSet, like the two below */
	double		memory_pct;
	int			bucket_width;
	PgamlRuns	runs;
	PgamlCalls	calls;
	PgamlKnown	known;
} PgamlPast;

/*
 * The past of one statement, read by its index and kept as long as everything
 * else; never NULL.  Valid until the next call.
 */
extern PgamlPast *pgaml_known_past(int64 queryid, bool *cache_hit);

/* The same of many at once, ahead of asking for each. */
extern void pgaml_known_read_ahead(const int64 *queryids, int n);

/* The newest statement with this normalized text; 0: none.  Reads all texts. */
extern int64 pgaml_known_by_text(const char *text);

/* Could pg_stat_statements not be read when this session last looked? */
extern bool pgaml_known_without_counters(void);

#endif							/* PGAML_PREDICT_KNOWN_H */
