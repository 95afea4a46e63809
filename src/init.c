/*-------------------------------------------------------------------------
 * init.c
 *		_PG_init: settings, shared memory, hooks, workers.  Nothing else.
 *
 * Loaded by a session (not preloaded) only the settings are defined, and EXPLAIN can
 * show predictions: no shared memory, no other hooks, no workers.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "features/spec.h"
#include "predict/explain_line.h"
#include "predict/guard.h"
#include "registry/registry.h"
#include "capture/capture.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	pgaml_guc_define();
	pgaml_registry_expect(PGAML_FEATURE_VERSION, &pgaml_feature_layout);

	if (!IsBinaryUpgrade)
		pgaml_explain_line_install();

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;

	pgaml_shmem_install();
	pgaml_capture_install();
	pgaml_guard_install();
	pgaml_worker_install();
}
