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

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/acl.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/spi_run.h"
#include "predict/answer.h"
#include "predict/by_plan.h"
#include "predict/by_plan_internal.h"

void
pgaml_own_case(const PgamlPlanFacts *facts, int64 queryid, double coverage, PgamlOwnCase *out)
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
		.nrecent = pgaml_runs_recent(runs, &out->runs, out->recent), .plan_id = facts->plan_id, .own_plan = true,
		.coverage = coverage
	};
}

void
pgaml_predict_plan(const PgamlPlanFacts *facts, int64 queryid, double coverage, bool want_reason,
				   PgamlPrediction *out)
{
	const PgamlServing *serving = pgaml_registry_serving();
	PgamlOwnCase own;
	MlForecast	forecast;

	memset(out, 0, sizeof(*out));
	out->queryid = queryid;
	pgaml_own_case(facts, queryid, coverage, &own);
	out->cache_hit = own.cache_hit;
	out->coverage = own.history;
	if (serving->stages != NULL)
		pgaml_answer_forecast(serving, &own.asked, &forecast);
	pgaml_answer(serving, &own.asked, serving->stages != NULL ? &forecast : NULL, want_reason, out);
}

/*
 * An error that is not about the prediction: somebody cancels, a standby's
 * recovery wants this backend out of its way, the transaction is doomed.
 */
static bool
not_ours(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED || sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* May a subtransaction begin and tables be read here? */
static bool
can_try(void)
{
	return IsTransactionState() && ActiveSnapshotSet() && !IsInParallelMode() && !IsParallelWorker() &&
		!pgaml_spi_inside();
}

bool
pgaml_predict_plan_try(const PgamlPlanFacts *facts, int64 queryid, double coverage, bool want_reason,
					   PgamlPrediction *out)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	PgamlPrediction prediction;
	ErrorData  *volatile error = NULL;
	bool		patient;

	if (!can_try())
		return false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	patient = pgaml_spi_patient(false);
	PG_TRY();
	{
		PGAML_FAULT("predict_plan");
		pgaml_predict_plan(facts, queryid, coverage, want_reason, &prediction);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	(void) pgaml_spi_patient(patient);
	/* Nothing was written: so that no lock is left behind for as long as the transaction takes. */
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error == NULL)
	{
		*out = prediction;
		return true;
	}
	if (not_ours(error->sqlerrcode))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}
