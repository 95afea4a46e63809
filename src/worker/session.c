/*-------------------------------------------------------------------------
 * session.c
 *		How a worker of ours sits in a database: its settings, connecting, and
 *		what it must know before it begins.
 *
 * Visiting workers (visit.c) and training workers (training.c) share it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/spi_run.h"
#include "worker/worker_internal.h"

/*
 * Whoever holds us up longer waits for us no more; and in a deadlock it should
 * be the worker that gives way, so it looks for one sooner than others.
 */
#define LOCK_TIMEOUT		"500ms"
#define DEADLOCK_TIMEOUT	"100ms"

static void
set_option(const char *name, const char *value)
{
	if (GetConfigOption(name, true, false) != NULL)
		SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Settings of this session.  They are made before the connection and with the
 * highest priority, so that neither the configuration file nor settings of
 * the database change how a worker behaves.
 */
void
pgaml_session_prepare(const char *name, bool durable)
{
	static const char *const settings[][2] = {
		{"search_path", ""},
		{"statement_timeout", "0"},
		{"lock_timeout", LOCK_TIMEOUT},
		{"deadlock_timeout", DEADLOCK_TIMEOUT},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"transaction_timeout", "0"},	/* 17 and later */
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"max_parallel_workers_per_gather", "0"},
		{"jit", "off"},
		/* What workers do is no part of the workload. */
		{"pganalytics_ml.capture", "off"},
		{"pg_stat_statements.track", "none"},
	};

	set_option("application_name", name);
	for (int i = 0; i < lengthof(settings); i++)
		set_option(settings[i][0], settings[i][1]);
	set_option("synchronous_commit", durable ? "on" : "off");
}

/*
 * Connect.  Ends with false when the database is being dropped or copied just
 * now, or with the reason in the log; the launcher tries again later.
 */
bool
pgaml_session_connect(Oid dbid)
{
	volatile bool connected = false;

	PG_TRY();
	{
		BackgroundWorkerInitializeConnectionByOid(dbid, InvalidOid, 0);
		connected = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
	return connected;
}

char *
pgaml_session_version(void)
{
	MemoryContext caller = CurrentMemoryContext;
	PgamlSpi	spi;
	char	   *version;

	pgaml_xact_open(&spi, "pganalytics_ml: looking for the extension");
	if (pgaml_spi_run("SELECT extversion FROM pg_catalog.pg_extension"
					  " WHERE extname OPERATOR(pg_catalog.=) '" PGAML_LIBRARY "'", true) != 1)
		elog(ERROR, "extension vanished");
	version = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	pgaml_xact_close(&spi);
	MemoryContextSwitchTo(caller);
	return version;
}

bool
pgaml_session_wanted(void)
{
	bool		wanted;

	pgaml_xact_begin();
	wanted = pgaml_database_wanted(MyDatabaseId);
	pgaml_xact_end();
	return wanted;
}

bool
pgaml_session_open(PgamlSpi *spi, const char *activity)
{
	pgaml_xact_begin();
	if (!pgaml_extension_hold())
	{
		pgaml_xact_end();
		return false;
	}
	pgstat_report_activity(STATE_RUNNING, activity);
	pgaml_spi_open(spi);
	return true;
}

void
pgaml_session_close(PgamlSpi *spi)
{
	pgaml_spi_close(spi);
	pgaml_xact_end();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}
