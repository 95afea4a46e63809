/*-------------------------------------------------------------------------
 * by_plan.c
 *		How long the execution of a finished plan will take.
 *
 * The row is that of training: the plan's own values, and what the statement's
 * recent runs say, among it how far this plan departs from theirs.  Of a
 * statement that is not known, or that the caller may not see, only the plan
 * and its tables speak.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/float.h"
#include "utils/snapmgr.h"

#include "base/acl.h"
#include "base/attempt.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/spi_run.h"
#include "predict/answer.h"
#include "predict/by_plan.h"
#include "predict/by_plan_internal.h"

/* Of one plan, as the current user.  What it points to is valid until the next call. */
static void
own_case(const PgamlPlanFacts *facts, int64 queryid, bool own_plan, double coverage, PgamlOwnCase *out)
{
	static const PgamlRuns no_runs = {0};
	static const PgamlCalls no_calls = {0};
	PgamlPast  *past = pgaml_known_past(queryid, &out->cache_hit);
	bool		known = past->found && pgaml_acl_may_see(GetUserId(), past->known.users, past->known.nusers);
	const PgamlRuns *runs = known ? &past->runs : &no_runs;
	PgamlTables tables;
	PgamlMoment moment;

	if (!known)					/* who may not see a statement does not learn that it is here */
		out->cache_hit = false;
	pgaml_tables_of(facts->relations, facts->nrelations, &tables);
	pgaml_moment(past->bucket_width, past->memory_pct, pgaml_clock_now(), &moment);
	pgaml_feature_row(&tables, runs, known ? &past->calls : &no_calls, pgaml_runs_newest_plan(runs), facts->values,
					  &moment, out->row, &out->runs);
	out->history = known ? past->coverage : get_float8_nan();
	out->asked = (PgamlCase) {
		.known = known ? &past->known : NULL, .row = out->row, .runs = &out->runs, .recent = out->recent,
		.nrecent = pgaml_runs_recent(runs, &out->runs, out->recent), .plan_id = facts->plan_id, .own_plan = own_plan,
		.coverage = coverage
	};
}

void
pgaml_predict_own(const PgamlPlanFacts *facts, int64 queryid, bool own_plan, double coverage, bool want_reason,
				  PgamlOwnCase *own, PgamlPrediction *out)
{
	const PgamlServing *serving = pgaml_registry_serving();
	MlForecast	forecast;

	memset(out, 0, sizeof(*out));
	out->queryid = queryid;
	out->plan_cost = own_plan ? facts->values[PGAML_PF_LOG_COST] : get_float4_nan();
	own_case(facts, queryid, own_plan, coverage, own);
	out->cache_hit = own->cache_hit;
	out->coverage = own->history;
	if (serving->stages != NULL)
		pgaml_answer_forecast(serving, &own->asked, &forecast);
	pgaml_answer(serving, &own->asked, serving->stages != NULL ? &forecast : NULL, want_reason, out);
}

void
pgaml_predict_plan(const PgamlPlanFacts *facts, int64 queryid, double coverage, bool want_reason,
				   PgamlPrediction *out)
{
	PgamlOwnCase own;

	pgaml_predict_own(facts, queryid, true, coverage, want_reason, &own, out);
}

/* What is tried. */
typedef struct Trial
{
	const PgamlPlanFacts *facts;
	int64		queryid;
	double		coverage;
	bool		want_reason;
	PgamlPrediction prediction;
} Trial;

static void
try_prediction(void *state)
{
	Trial	   *trial = state;

	PGAML_FAULT("predict_plan");
	pgaml_predict_plan(trial->facts, trial->queryid, trial->coverage, trial->want_reason, &trial->prediction);
}

bool
pgaml_predict_plan_try(const PgamlPlanFacts *facts, int64 queryid, double coverage, bool want_reason,
					   PgamlPrediction *out)
{
	Trial		trial = {.facts = facts, .queryid = queryid, .coverage = coverage, .want_reason = want_reason};
	ErrorData  *volatile error = NULL;
	bool		patient;

	if (!pgaml_can_attempt() || !ActiveSnapshotSet() || pgaml_spi_inside())
		return false;
	patient = pgaml_spi_patient(false);
	PG_TRY();
	{
		error = pgaml_attempt(try_prediction, &trial);
	}
	PG_FINALLY();
	{
		(void) pgaml_spi_patient(patient);
	}
	PG_END_TRY();
	if (error != NULL)
	{
		FreeErrorData(error);
		return false;
	}
	*out = trial.prediction;
	return true;
}
