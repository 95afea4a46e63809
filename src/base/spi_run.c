/*-------------------------------------------------------------------------
 * spi_run.c
 *		The one bracket around SPI; see spi_run.h.
 *
 * The order in the transaction bracket is that of the server's worker_spi
 * example: start stamp, transaction, SPI, snapshot, activity.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/spi_run.h"

#define EXTENSION_NAME	"pganalytics_ml"

#define IMPATIENT_LOCK_TIMEOUT	"1"	/* ms, the least there is */

int			pgaml_spi_brackets = 0;
static bool patient_now = true;

/* Owner and schema of an extension; false when it is not installed. */
static bool
extension_row(const char *name, Oid *owner, Oid *schema)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(name));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		*owner = form->extowner;
		*schema = form->extnamespace;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

Oid
pgaml_extension_oid(void)
{
	return get_extension_oid(EXTENSION_NAME, true);
}

bool
pgaml_extension_hold(void)
{
	static const char *const names[] = {PGAML_PGSS_NAME, EXTENSION_NAME};
	LOCKTAG		tag;

	for (int i = 0; i < lengthof(names); i++)
	{
		Oid			oid = get_extension_oid(names[i], true);

		if (!OidIsValid(oid))
			return false;
		SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, oid, 0);
		if (LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
			return false;
		AcceptInvalidationMessages();
		if (get_extension_oid(names[i], true) != oid)
			return false;
	}
	return true;
}

/* Runs when the SPI context goes away: at SPI_finish or at (sub)transaction abort. */
static void
bracket_gone(void *arg)
{
	pgaml_spi_brackets--;
}

bool
pgaml_spi_patient(bool patient)
{
	bool		before = patient_now;

	patient_now = patient;
	return before;
}

/* Where nobody may be kept waiting: the locks that DROP EXTENSION wants first are free, or this is an error. */
static void
hold_at_once(void)
{
	if (!pgaml_extension_hold())
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("extension \"%s\" is in use or not installed", EXTENSION_NAME)));
}

/*
 * Until the bracket closes: pinned search_path; our own statements are no
 * part of the workload, and neither compiled nor run in parallel.
 */
static void
set_in_bracket(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"jit", "off"},
		{"max_parallel_workers_per_gather", "0"},
		{"pg_stat_statements.track", "none"},
	};

	for (int i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			(void) set_config_option(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
	if (!patient_now)
		(void) set_config_option("lock_timeout", IMPATIENT_LOCK_TIMEOUT, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

void
pgaml_spi_open(PgamlSpi *spi)
{
	Oid			owner;
	Oid			schema;
	MemoryContextCallback *gone;

	if (!patient_now)
		hold_at_once();
	if (!extension_row(EXTENSION_NAME, &owner, &schema))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" is not installed in this database", EXTENSION_NAME),
				 errhint("Run CREATE EXTENSION %s CASCADE.", EXTENSION_NAME)));

	GetUserIdAndSecContext(&spi->saved_userid, &spi->saved_context);
	SetUserIdAndSecContext(owner, spi->saved_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	spi->guc_level = NewGUCNestLevel();
	set_in_bracket();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	gone = palloc0(sizeof(MemoryContextCallback));
	gone->func = bracket_gone;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, gone);
	pgaml_spi_brackets++;
}

void
pgaml_spi_close(PgamlSpi *spi)
{
	SPI_finish();
	AtEOXact_GUC(false, spi->guc_level);
	SetUserIdAndSecContext(spi->saved_userid, spi->saved_context);
}

uint64
pgaml_spi_exec(const char *sql, int nargs, const Oid *types, const Datum *values,
			   const char *nulls, bool read_only)
{
	int			rc = SPI_execute_with_args(sql, nargs, (Oid *) types, (Datum *) values,
										   nulls, read_only, 0);

	if (rc < 0)
		elog(ERROR, "SPI failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}

uint64
pgaml_spi_run(const char *sql, bool read_only)
{
	return pgaml_spi_exec(sql, 0, NULL, NULL, NULL, read_only);
}

void
pgaml_xact_open(PgamlSpi *spi, const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
	pgaml_spi_open(spi);
}

void
pgaml_xact_close(PgamlSpi *spi)
{
	pgaml_spi_close(spi);
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* The context to return to; a worker has one transaction at a time. */
static MemoryContext outside_context = NULL;

void
pgaml_xact_begin(void)
{
	outside_context = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
pgaml_xact_end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(outside_context);
}

void
pgaml_xact_abort(void)
{
	AbortCurrentTransaction();
	pgstat_report_activity(STATE_IDLE, NULL);
}

#define FETCH_ROWS	2000

uint64
pgaml_spi_each(const char *sql, int nargs, const Oid *types, const Datum *values,
			   const char *nulls, bool read_only, PgamlRowCallback row, void *state)
{
	Portal		portal = SPI_cursor_open_with_args(NULL, sql, nargs, (Oid *) types, (Datum *) values,
												   nulls, read_only, CURSOR_OPT_NO_SCROLL);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml rows",
												ALLOCSET_DEFAULT_SIZES);
	uint64		seen = 0;
	bool		more = true;

	while (more)
	{
		MemoryContext old;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		more = SPI_processed == FETCH_ROWS;
		old = MemoryContextSwitchTo(batch);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			seen++;
			if (!row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, state))
			{
				more = false;
				break;
			}
		}
		MemoryContextSwitchTo(old);
		SPI_freetuptable(SPI_tuptable);
		MemoryContextReset(batch);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(batch);
	return seen;
}

uint64
pgaml_spi_exec_kept(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types,
					const Datum *values, bool read_only)
{
	int			rc;

	if (*plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare_cursor(sql, nargs, (Oid *) types, CURSOR_OPT_GENERIC_PLAN);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "SPI failed: %s", SPI_result_code_string(SPI_result));
		*plan = made;
	}
	rc = SPI_execute_plan(*plan, (Datum *) values, NULL, read_only, 0);
	if (rc < 0)
		elog(ERROR, "SPI failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}

uint64
pgaml_spi_each_kept(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types, const Datum *values,
					bool read_only, PgamlRowCallback row, void *state)
{
	uint64		n = pgaml_spi_exec_kept(plan, sql, nargs, types, values, read_only);
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < n && row(rows->vals[i], rows->tupdesc, state); i++)
		CHECK_FOR_INTERRUPTS();
	SPI_freetuptable(rows);
	return n;
}

static bool
put_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	ReturnSetInfo *rsinfo = state;
	int			n = rsinfo->setDesc->natts;
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *nulls = palloc(sizeof(bool) * n);

	heap_deform_tuple(tuple, desc, values, nulls);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return true;
}

void
pgaml_spi_into(const char *sql, int nargs, const Oid *types, const Datum *values,
			   const char *nulls, ReturnSetInfo *rsinfo)
{
	pgaml_spi_each(sql, nargs, types, values, nulls, true, put_row, rsinfo);
}

double
pgaml_row_float8(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? get_float8_nan() : DatumGetFloat8(value);
}

double
pgaml_row_seconds(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? get_float8_nan() : (double) DatumGetTimestampTz(value) / USECS_PER_SEC;
}

int64
pgaml_row_int8(HeapTuple tuple, TupleDesc desc, int column, int64 otherwise)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

int
pgaml_row_array(HeapTuple tuple, TupleDesc desc, int column, Oid element, void **elements)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);
	ArrayType  *array;

	*elements = NULL;
	if (isnull)
		return 0;
	array = DatumGetArrayTypeP(value);
	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != element)
		return 0;
	*elements = ARR_DATA_PTR(array);
	return ARR_DIMS(array)[0];
}

/* Is the library named in shared_preload_libraries? */
static bool
pgss_preloaded(void)
{
	char	   *list = pstrdup(shared_preload_libraries_string ? shared_preload_libraries_string : "");
	List	   *names;
	ListCell   *cell;
	bool		found = false;

	if (!SplitDirectoriesString(list, ',', &names))
		return false;
	foreach(cell, names)
	{
		const char *base = last_dir_separator((char *) lfirst(cell));

		base = base ? base + 1 : (char *) lfirst(cell);
		found = found || strcmp(base, PGAML_PGSS_NAME) == 0 || strcmp(base, PGAML_PGSS_NAME ".so") == 0;
	}
	list_free_deep(names);
	pfree(list);
	return found;
}

Oid
pgaml_pgss_namespace(void)
{
	Oid			owner;
	Oid			schema;

	if (!pgss_preloaded() || !extension_row(PGAML_PGSS_NAME, &owner, &schema))
		return InvalidOid;
	return schema;
}

char *
pgaml_pgss_schema(void)
{
	Oid			schema = pgaml_pgss_namespace();

	if (!OidIsValid(schema))
		return NULL;
	return pstrdup(quote_identifier(get_namespace_name(schema)));
}
