/*-------------------------------------------------------------------------
 * registry_internal.h
 *		Shared by store.c, lifecycle.c and cache.c.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REGISTRY_INTERNAL_H
#define PGAML_REGISTRY_INTERNAL_H

#include "compat/compat.h"
#include "registry/registry.h"

/* OID of query_performance_models; InvalidOid when the extension is gone. */
extern Oid	pgaml_registry_relid(void);

/* ERROR: there is no such model. */
pg_noreturn extern void pgaml_registry_unknown(int64 model_id);

#endif							/* PGAML_REGISTRY_INTERNAL_H */
