/*-------------------------------------------------------------------------
 * ml_adapter.h
 *		The one place where the pure library meets the server.
 *
 * Memory: an MlAllocator over a memory context that never raises, holds a
 * budget and remembers its peak.  Errors: an MlStatus becomes an ereport.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_ADAPTER_H
#define PGAML_ML_ADAPTER_H

#include "compat/compat.h"
#include "ml/ml.h"

typedef struct PgamlMlMemory
{
	MemoryContext context;
	Size		limit;			/* bytes; 0 = none */
	Size		used;
	Size		peak;
	bool		limit_hit;		/* an allocation was refused because of limit */
	MlAllocator allocator;
} PgamlMlMemory;

/* Allocations go to context; memory must live as long as what was allocated. */
extern void pgaml_ml_memory_init(PgamlMlMemory *memory, MemoryContext context, Size limit);

/* Raise status as an error; what says what was being done ("could not train"). */
pg_noreturn extern void pgaml_ml_raise(MlStatus status, const MlError *error, const char *what);

/* The same, and what to do about it (or NULL). */
pg_noreturn extern void pgaml_ml_raise_hint(MlStatus status, const MlError *error, const char *what, const char *hint);

#endif							/* PGAML_ML_ADAPTER_H */
