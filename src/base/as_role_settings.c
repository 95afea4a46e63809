/*-------------------------------------------------------------------------
 * as_role_settings.c
 *		Settings in force while somebody's statement is planned.
 *
 * Another's statement is planned under that role's search_path and settings:
 * whoever asks could else put a schema, or a setting, of his own in front of
 * the role's code.  What the session has set is put back to what it started
 * with, as far as it bears on parsing, planning or folding.
 *
 * Everything is set in the GUC nest level of the bracket's subtransaction.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_db_role_setting.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "base/as_role_internal.h"

#define SEARCH_PATH			"search_path"
#define BOOT_SEARCH_PATH	"\"$user\", public"

/* Settings that EXPLAIN does not show and that change how a text is read, rewritten or folded. */
static const char *const meanings[] = {
	"DateStyle", "IntervalStyle", "TimeZone", "array_nulls", "backslash_quote", "bytea_output",
	"check_function_bodies", "default_text_search_config", "extra_float_digits", "lc_monetary",
	"lc_numeric", "lc_time", "row_security", "session_replication_role",
	"standard_conforming_strings", "transform_null_equals", "xmlbinary", "xmloption",
};

/* Planning is not an execution: nobody counts, guards or predicts it, and what it says is for nobody. */
static const char *const silence[][2] = {
	{"pg_stat_statements.track", "none"},
	{"pganalytics_ml.guard_mode", "off"},
	{"pganalytics_ml.explain_predicted_time", "off"},
	{"client_min_messages", "error"},
};

/* Until the bracket closes.  Below ERROR a bad value is passed over. */
static void
set(const char *name, const char *value, GucContext rights, int elevel)
{
	(void) set_config_option(name, value, rights, PGC_S_SESSION, GUC_ACTION_SAVE, true, elevel, false);
}

/* Does EXPLAIN (SETTINGS) show it?  That is how the server marks what bears on planning. */
static bool
bears_on_planning(const char *name)
{
	return (GetConfigOptionFlags(name, true) & GUC_EXPLAIN) != 0 &&
		pg_strcasecmp(name, SEARCH_PATH) != 0;
}

/* ---- what the session has set ---- */

static void
reset(const char *name)
{
	const char *value = GetConfigOptionResetString(name);

	if (value != NULL)
		set(name, value, PGC_SUSET, DEBUG5);
}

/* Back to what the session started with; *path is the server's search_path, as far as it shows. */
static void
reset_session(const char **path)
{
	int			n;
	struct config_generic **changed = get_explain_guc_options(&n);

	*path = BOOT_SEARCH_PATH;
	for (int i = 0; i < n; i++)
	{
		if (strcmp(changed[i]->name, SEARCH_PATH) == 0)
		{
			/* A later source is a setting of the session's user. */
			if (changed[i]->reset_source <= PGC_S_GLOBAL)
				*path = GetConfigOptionResetString(SEARCH_PATH);
		}
		else if (changed[i]->source >= PGC_S_INTERACTIVE)
			reset(changed[i]->name);
	}
	for (int i = 0; i < lengthof(meanings); i++)
	{
		const char *now = GetConfigOption(meanings[i], true, false);
		const char *start = now != NULL ? GetConfigOptionResetString(meanings[i]) : NULL;

		if (start != NULL && strcmp(now, start) != 0)
			reset(meanings[i]);
	}
}

/* ---- what the role has set ---- */

/* Apply one row of pg_db_role_setting. */
static void
apply_stored(ArrayType *stored, const char **path)
{
	Datum	   *elements;
	int			n;

	deconstruct_array(stored, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *name;
		char	   *value;

		ParseLongOption(TextDatumGetCString(elements[i]), &name, &value);
		if (value != NULL && strcmp(name, SEARCH_PATH) == 0)
			*path = value;
		else if (value != NULL && bears_on_planning(name))
			set(name, value, PGC_SUSET, DEBUG5);
	}
}

static void
apply_row(Relation settings, Oid database, Oid role, const char **path)
{
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(database));
	ScanKeyInit(&key[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(role));
	scan = systable_beginscan(settings, DbRoleSettingDatidRolidIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		stored = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig,
										  RelationGetDescr(settings), &isnull);

		if (!isnull)
			apply_stored(DatumGetArrayTypeP(stored), path);
	}
	systable_endscan(scan);
}

/* As at the start of a session of the role in this database, weakest first. */
static void
apply_role(Oid role, const char **path)
{
	Relation	settings = table_open(DbRoleSettingRelationId, AccessShareLock);

	apply_row(settings, MyDatabaseId, InvalidOid, path);
	apply_row(settings, InvalidOid, role, path);
	apply_row(settings, MyDatabaseId, role, path);
	table_close(settings, AccessShareLock);
}

/* ---- search_path ---- */

/* The same path with pg_temp at its end, where it is searched first unless it is named. */
static char *
temp_last(const char *path)
{
	StringInfoData out;
	List	   *names;
	ListCell   *cell;

	initStringInfo(&out);
	if (SplitIdentifierString(pstrdup(path), ',', &names))
	{
		foreach(cell, names)
		{
			const char *name = lfirst(cell);

			if (strcmp(name, "pg_temp") != 0)
				appendStringInfo(&out, "%s, ", quote_identifier(name));
		}
	}
	appendStringInfoString(&out, "pg_temp");
	return out.data;
}

/* ---- what the caller asks for ---- */

static void
apply_asked(const PgamlPlanSetting *setting)
{
	if (setting->name == NULL || GetConfigOption(setting->name, true, false) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("unrecognized configuration parameter \"%s\"",
						setting->name ? setting->name : "")));
	if (!bears_on_planning(setting->name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"%s\" does not choose between plans", setting->name),
				 errhint("Parameters that do are those that EXPLAIN (SETTINGS) shows, for example work_mem or random_page_cost.")));
	if (setting->value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("parameter \"%s\" has no value", setting->name)));
	set(setting->name, setting->value, superuser() ? PGC_SUSET : PGC_USERSET, 0);
}

void
pgaml_as_role_set(const PgamlRole *role)
{
	const char *path = NULL;

	if (OidIsValid(role->userid))
	{
		reset_session(&path);
		apply_role(role->userid, &path);
		set(SEARCH_PATH, temp_last(role->search_path ? role->search_path : path), PGC_USERSET, 0);
	}
	for (int i = 0; i < role->nsettings; i++)
		apply_asked(&role->settings[i]);

	for (int i = 0; i < lengthof(silence); i++)
		if (GetConfigOption(silence[i][0], true, false) != NULL)
			set(silence[i][0], silence[i][1], PGC_SUSET, 0);
}
