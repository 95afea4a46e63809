/*-------------------------------------------------------------------------
 * fault.c
 *		Does what the setting pganalytics_ml.fault asks for; see fault.h.
 *
 * Nothing of this file is left in a release build.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef PGAML_FAULTS

#include <limits.h>
#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/fault.h"

#define FAULT_POLL_MS	100

static char *fault_setting = NULL;
static int	clock_offset = 0;	/* s */

void
pgaml_fault_define(void)
{
	DefineCustomStringVariable("pganalytics_ml.fault",
							   "Makes a named point of the code fail; tests only.",
							   NULL, &fault_setting, "", PGC_SUSET,
							   GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomIntVariable("pganalytics_ml.clock_offset",
							"Moves the clock of schedules, buckets and retention; tests only.",
							NULL, &clock_offset, 0, INT_MIN, INT_MAX, PGC_SUSET,
							GUC_NOT_IN_SAMPLE | GUC_UNIT_S, NULL, NULL, NULL);
}

int64
pgaml_fault_clock_us(void)
{
	return clock_offset * USECS_PER_SEC;
}

/* The action asked for at this point, or NULL. */
static const char *
action_at(const char *point)
{
	size_t		len = strlen(point);

	if (fault_setting == NULL || strncmp(fault_setting, point, len) != 0 ||
		fault_setting[len] != '=')
		return NULL;
	return fault_setting + len + 1;
}

static bool
asked(const char *point, const char *action)
{
	const char *wanted = action_at(point);

	return wanted != NULL && strcmp(wanted, action) == 0;
}

static void
stay(const char *point)
{
	while (asked(point, "wait"))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 FAULT_POLL_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

void
pgaml_fault(const char *point)
{
	if (action_at(point) == NULL)
		return;
	if (asked(point, "error"))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("fault at \"%s\"", point)));
	if (asked(point, "kill"))
		kill(MyProcPid, SIGKILL);
	stay(point);
}

#endif							/* PGAML_FAULTS */
