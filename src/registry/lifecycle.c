/*-------------------------------------------------------------------------
 * lifecycle.c
 *		Moves models between stages: what is allowed, and what it leaves behind.
 *
 * The table of transitions below is the only place that says what is
 * allowed.  Every change takes the writers' lock first and then looks at the
 * stages, sends a relcache invalidation of query_performance_models in its
 * transaction (backends drop their decoded model when it commits), and writes
 * an event.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/json.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/export.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "registry/ml_adapter.h"
#include "registry/registry.h"
#include "registry/registry_internal.h"

PGAML_FUNCTION_INFO_V1(pgaml_activate_model);
PGAML_FUNCTION_INFO_V1(pgaml_archive_model);
PGAML_FUNCTION_INFO_V1(pgaml_delete_model);
PGAML_FUNCTION_INFO_V1(pgaml_rollback_model);

/* Bits, to be told in a mask. */
typedef enum Stage
{
	CANDIDATE = 1,
	STAGING = 2,
	PRODUCTION = 4,
	ARCHIVED = 8
} Stage;

typedef enum Step
{
	STEP_ACTIVATE,
	STEP_ROLL_BACK_TO,
	STEP_STAGE,
	STEP_KEEP,
	STEP_ARCHIVE,
	STEP_DELETE
} Step;

/*
 * From which stages a model may take a step.  Two more follow from these: the
 * production model is archived when another one takes its place, and the one
 * in staging is a candidate again when another one comes.
 */
static const struct
{
	const char *verb;
	int			from;			/* mask of Stage */
}			steps[] = {
	[STEP_ACTIVATE] = {"activate", CANDIDATE | STAGING | ARCHIVED},
	[STEP_ROLL_BACK_TO] = {"roll back to", ARCHIVED},
	[STEP_STAGE] = {"stage", CANDIDATE},
	[STEP_KEEP] = {"keep", CANDIDATE},
	[STEP_ARCHIVE] = {"archive", CANDIDATE | STAGING},
	[STEP_DELETE] = {"delete", CANDIDATE | STAGING | ARCHIVED},
};

/* What a change needs to know of a model. */
typedef struct Model
{
	int64		model_id;		/* 0: there is none */
	Stage		stage;
	int64		predecessor_id; /* 0: none */
	bool		rolled_back;
} Model;

static const char *
stage_name(Stage stage)
{
	return stage == CANDIDATE ? "candidate" : stage == STAGING ? "staging" :
		stage == PRODUCTION ? "production" : "archived";
}

/* A model that is not deleted; 0: the one in production. */
static Model
find(int64 model_id)
{
	static const char sql[] =
		"SELECT m.model_id, m.predecessor_id, CASE m.stage WHEN 'candidate' THEN 1 WHEN 'staging' THEN 2 "
		"       WHEN 'production' THEN 4 ELSE 8 END::int8, (m.rolled_back_at IS NOT NULL)::int4::int8 "
		"  FROM pganalytics.models m WHERE CASE WHEN $1 = 0 THEN m.stage = 'production' ELSE m.model_id = $1 AND m.meant END";
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(model_id)};
	Model		model = {0};

	if (pgaml_spi_exec(sql, 1, types, values, NULL, false) > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		model.model_id = pgaml_row_int8(row, desc, 1, 0);
		model.predecessor_id = pgaml_row_int8(row, desc, 2, 0);
		model.stage = (Stage) pgaml_row_int8(row, desc, 3, 0);
		model.rolled_back = pgaml_row_int8(row, desc, 4, 0) != 0;
	}
	return model;
}

void
pgaml_registry_unknown(int64 model_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model " INT64_FORMAT " does not exist", model_id),
			 errhint("See list_models() for the models there are.")));
}

/* Under the lock: the model, if it may take this step; ERROR otherwise. */
static Model
find_for(Step step, int64 model_id)
{
	Model		model = {0};

	/* 0 is nobody's number, but find()'s word for the one in production */
	if (model_id != 0)
		model = find(model_id);
	if (model.model_id == 0)
		pgaml_registry_unknown(model_id);
	if (!(model.stage & steps[step].from))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s model " INT64_FORMAT ": its stage is %s",
						steps[step].verb, model_id, stage_name(model.stage)),
				 model.stage == PRODUCTION ?
				 errhint("Put another one into production with activate_model() or rollback_model() first.") : 0));
	return model;
}

/* ERROR unless the model can be decoded by this build. */
static void
check_serves(int64 model_id)
{
	PgamlServing serving;
	PgamlMlMemory memory;

	pgaml_ml_memory_init(&memory, CurrentMemoryContext, 0);
	if (model_id == 0 || !pgaml_registry_read(model_id, false, &memory.allocator, &serving))
		pgaml_registry_unknown(model_id);
	if (serving.stages == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model " INT64_FORMAT " cannot serve", model_id),
				 errdetail("The problem is: %s.", serving.problem),
				 errhint("Train a new one with train_performance_model().")));
	pgaml_ml_stages_free(serving.stages);
}

/* One UPDATE of models: $1 model, $2 now, $3 why, $4 number of another model or how it arrived. */
static void
update(const char *sql, int64 model_id, const char *why, int64 other)
{
	Oid			types[] = {INT8OID, TIMESTAMPTZOID, TEXTOID, INT8OID};
	Datum		values[] = {
		Int64GetDatum(model_id), TimestampTzGetDatum(pgaml_clock_now()), CStringGetTextDatum(why), Int64GetDatum(other)
	};

	pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false);
}

#define MODELS	"UPDATE pganalytics.query_performance_models SET "
/* $1, whoever made it; and those that are not it. */
#define MEANT \
	" (model_id, origin) = (SELECT m.model_id, m.origin FROM pganalytics.models m WHERE m.model_id = $1 AND m.meant)"
#define OTHERS \
	" (model_id, origin) <> (SELECT m.model_id, m.origin FROM pganalytics.models m WHERE m.model_id = $1 AND m.meant)"

/* Why, as the card and the event tell it: "by joe", or what the extension found. */
static char *
reason(const PgamlChange *change)
{
	const char *by = OidIsValid(change->by) ? GetUserNameFromId(change->by, true) : NULL;
	const char *who = by != NULL ? psprintf("by role %s", by) : OidIsValid(change->by) ? "by a role that is gone" : NULL;

	if (change->why == NULL)
		return pstrdup(who != NULL ? who : "by itself");
	return who != NULL ? psprintf("%s; %s", change->why, who) : pstrdup(change->why);
}

/* The event, and the message to all backends. */
static void
tell(const char *kind, int64 model_id, const PgamlChange *change, const char *message)
{
	StringInfoData detail;
	const char *by = OidIsValid(change->by) ? GetUserNameFromId(change->by, true) : NULL;

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"by\": ");
	if (by != NULL)
		escape_json(&detail, by);
	else
		appendStringInfoString(&detail, "null");
	if (change->figures != NULL)
		appendStringInfo(&detail, ", \"figures\": %s", change->figures);
	appendStringInfoString(&detail, "}");
	pgaml_event_write(kind, model_id, 0, message, detail.data);
	CacheInvalidateRelcacheByRelid(pgaml_registry_relid());
}

void
pgaml_registry_activate(int64 model_id, const PgamlChange *change)
{
	static const char archive[] =
		MODELS "stage = 'archived', archived_at = $2, stage_reason = 'replaced by model ' || $1 "
		" WHERE stage = 'production' AND" OTHERS;
	static const char promote[] =
		MODELS "stage = 'production', activated_at = $2, archived_at = NULL, staged_at = NULL, stage_reason = $3, "
		"       predecessor_id = nullif($4, 0), arrival = 'promotion' WHERE" MEANT;
	static const char activate[] =
		MODELS "stage = 'production', activated_at = $2, archived_at = NULL, staged_at = NULL, stage_reason = $3, "
		"       predecessor_id = nullif($4, 0), arrival = 'activation' WHERE" MEANT;
	const char *verb = change->promotion ? "promoted" : "activated";
	Model		before;
	char	   *why = reason(change);

	pgaml_registry_lock();
	check_serves(model_id);
	before = find(0);
	if (before.model_id == model_id)
	{
		ereport(NOTICE, (errmsg("model " INT64_FORMAT " is already in production", model_id)));
		return;
	}
	(void) find_for(STEP_ACTIVATE, model_id);
	/* also those of other installations that a restore brought: their place is taken */
	update(archive, model_id, why, 0);
	update(change->promotion ? promote : activate, model_id, why, before.model_id);
	tell(change->promotion ? "promotion" : "activation", model_id, change,
		 before.model_id == 0 ? psprintf("model " INT64_FORMAT " %s: %s", model_id, verb, why) :
		 psprintf("model " INT64_FORMAT " %s in place of model " INT64_FORMAT ": %s", model_id, verb, before.model_id, why));
}

int64
pgaml_registry_rollback(const PgamlChange *change)
{
	static const char retreat[] =
		MODELS "stage = 'archived', archived_at = $2, rolled_back_at = $2, stage_reason = 'rolled back: ' || $3 "
		" WHERE" MEANT;
	static const char restore[] =
		MODELS "stage = 'production', activated_at = $2, archived_at = NULL, arrival = 'rollback', "
		"       stage_reason = 'model ' || $4 || ' was rolled back: ' || $3 WHERE" MEANT;
	Model		present;
	Model		before;
	char	   *why = reason(change);

	pgaml_registry_lock();
	present = find(0);
	if (present.model_id == 0 || present.predecessor_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 present.model_id == 0 ? errmsg("no model is in production") :
				 errmsg("no model was in production before model " INT64_FORMAT, present.model_id),
				 errhint("See list_models() for the models there are, and choose one with activate_model().")));
	before = find(present.predecessor_id);
	if (before.model_id == 0 || before.rolled_back)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot roll back to model " INT64_FORMAT ": it was %s",
						present.predecessor_id, before.model_id == 0 ? "deleted" : "rolled back itself"),
				 errhint("See list_models() for the models there are, and choose one with activate_model().")));
	(void) find_for(STEP_ROLL_BACK_TO, before.model_id);
	check_serves(before.model_id);
	update(retreat, present.model_id, why, 0);
	update(restore, before.model_id, why, present.model_id);
	tell("rollback", present.model_id, change,
		 psprintf("model " INT64_FORMAT " rolled back, model " INT64_FORMAT " is in production again: %s",
				  present.model_id, before.model_id, why));
	return before.model_id;
}

void
pgaml_registry_stage(int64 model_id, const PgamlChange *change)
{
	static const char unstage[] =
		MODELS "stage = 'candidate', staged_at = NULL, stage_reason = 'left staging for model ' || $1 "
		" WHERE stage = 'staging' AND" OTHERS;
	static const char stage[] =
		MODELS "stage = 'staging', staged_at = $2, stage_reason = $3 WHERE" MEANT;
	char	   *why = reason(change);

	pgaml_registry_lock();
	check_serves(model_id);
	(void) find_for(STEP_STAGE, model_id);
	update(unstage, model_id, why, 0);
	update(stage, model_id, why, 0);
	tell("staging", model_id, change, psprintf("model " INT64_FORMAT " in staging: %s", model_id, why));
}

void
pgaml_registry_keep(int64 model_id, const PgamlChange *change)
{
	static const char keep[] = MODELS "stage_reason = $3 WHERE" MEANT;
	char	   *why = reason(change);

	pgaml_registry_lock();
	(void) find_for(STEP_KEEP, model_id);
	update(keep, model_id, why, 0);
	tell("refusal", model_id, change, psprintf("model " INT64_FORMAT " kept as candidate: %s", model_id, why));
}

void
pgaml_registry_archive(int64 model_id, const PgamlChange *change)
{
	static const char archive[] =
		MODELS "stage = 'archived', archived_at = $2, staged_at = NULL, stage_reason = $3 WHERE" MEANT;
	char	   *why = reason(change);

	pgaml_registry_lock();
	(void) find_for(STEP_ARCHIVE, model_id);
	update(archive, model_id, why, 0);
	tell("archive", model_id, change, psprintf("model " INT64_FORMAT " archived: %s", model_id, why));
}

void
pgaml_registry_delete(int64 model_id, const PgamlChange *change)
{
	static const char delete[] =
		MODELS "stage = 'archived', archived_at = coalesce(archived_at, $2), staged_at = NULL, deleted_at = $2, "
		"       stage_reason = 'deleted: ' || $3 WHERE" MEANT;
	char	   *why = reason(change);

	pgaml_registry_lock();
	(void) find_for(STEP_DELETE, model_id);
	if (find(0).predecessor_id == model_id)
		ereport(NOTICE,
				(errmsg("the model in production can no longer be rolled back: model " INT64_FORMAT " was its predecessor",
						model_id)));
	update(delete, model_id, why, 0);
	tell("delete", model_id, change, psprintf("model " INT64_FORMAT " deleted: %s", model_id, why));
}

/* A change that the caller asked for in SQL. */
static void
change_by_hand(void (*change) (int64, const PgamlChange *), int64 model_id, const char *function)
{
	PgamlChange by_hand = {.by = GetUserId()};
	PgamlSpi	spi;

	pgaml_require_writable(function);
	pgaml_spi_open(&spi);
	change(model_id, &by_hand);
	pgaml_spi_close(&spi);
}

/* activate_model(model_id bigint) RETURNS void */
Datum
pgaml_activate_model(PG_FUNCTION_ARGS)
{
	change_by_hand(pgaml_registry_activate, PG_GETARG_INT64(0), "activate_model()");
	PG_RETURN_VOID();
}

/* archive_model(model_id bigint) RETURNS void */
Datum
pgaml_archive_model(PG_FUNCTION_ARGS)
{
	change_by_hand(pgaml_registry_archive, PG_GETARG_INT64(0), "archive_model()");
	PG_RETURN_VOID();
}

/* delete_model(model_id bigint) RETURNS void */
Datum
pgaml_delete_model(PG_FUNCTION_ARGS)
{
	change_by_hand(pgaml_registry_delete, PG_GETARG_INT64(0), "delete_model()");
	PG_RETURN_VOID();
}

/* rollback_model() RETURNS bigint */
Datum
pgaml_rollback_model(PG_FUNCTION_ARGS)
{
	PgamlChange by_hand = {.by = GetUserId()};
	PgamlSpi	spi;
	int64		model_id;

	pgaml_require_writable("rollback_model()");
	pgaml_spi_open(&spi);
	model_id = pgaml_registry_rollback(&by_hand);
	pgaml_spi_close(&spi);
	PG_RETURN_INT64(model_id);
}
