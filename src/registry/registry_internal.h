/*-------------------------------------------------------------------------
 * registry_internal.h
 *		Shared by store.c and cache.c.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REGISTRY_INTERNAL_H
#define PGAML_REGISTRY_INTERNAL_H

#include "registry/registry.h"

/* OID of query_performance_models; InvalidOid when the extension is gone. */
extern Oid	pgaml_registry_relid(void);

#endif							/* PGAML_REGISTRY_INTERNAL_H */
