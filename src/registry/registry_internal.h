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

/*
 * Inside an open SPI bracket: read and decode a model, 0 for the one in
 * production.  False when there is none; a model that cannot serve has a
 * problem and no stages.  read_only as for pgaml_spi_exec: false sees what
 * this very command wrote.
 */
extern bool pgaml_registry_read(int64 model_id, bool read_only, const MlAllocator *allocator, PgamlServing *out);

#endif							/* PGAML_REGISTRY_INTERNAL_H */
