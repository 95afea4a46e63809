/*-------------------------------------------------------------------------
 * ml_adapter.c
 *		The one place where the pure library meets the server.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "registry/ml_adapter.h"

static void *
memory_alloc(void *state, size_t size)
{
	PgamlMlMemory *memory = state;
	Size		space;
	void	   *ptr;

	if (size > MaxAllocHugeSize ||
		(memory->limit > 0 && (size > memory->limit || memory->used > memory->limit - size)))
	{
		memory->limit_hit = true;
		return NULL;
	}
	ptr = MemoryContextAllocExtended(memory->context, Max(size, 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (ptr == NULL)
		return NULL;
	space = GetMemoryChunkSpace(ptr);
	memory->used += space;
	memory->peak = Max(memory->peak, memory->used);
	return ptr;
}

static void
memory_free(void *state, void *ptr)
{
	PgamlMlMemory *memory = state;

	if (ptr == NULL)
		return;
	memory->used -= GetMemoryChunkSpace(ptr);
	pfree(ptr);
}

void
pgaml_ml_memory_init(PgamlMlMemory *memory, MemoryContext context, Size limit)
{
	memset(memory, 0, sizeof(*memory));
	memory->context = context;
	memory->limit = limit;
	memory->allocator.alloc = memory_alloc;
	memory->allocator.free = memory_free;
	memory->allocator.state = memory;
}

static int
sqlstate_of(MlStatus status)
{
	switch (status)
	{
		case ML_E_NOMEM:
			return ERRCODE_OUT_OF_MEMORY;
		case ML_E_ARG:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case ML_E_STOPPED:
			return ERRCODE_QUERY_CANCELED;
		case ML_E_FORMAT:
			return ERRCODE_DATA_CORRUPTED;
		case ML_E_VERSION:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case ML_E_LIMIT:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		default:
			return ERRCODE_DATA_EXCEPTION;
	}
}

void
pgaml_ml_raise_hint(MlStatus status, const MlError *error, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(sqlstate_of(status)),
			 errmsg("%s: %s", what, error->message[0] ? error->message : "unknown reason"),
			 errdetail("Found in \"%s\".", error->where),
			 hint != NULL ? errhint("%s", hint) : 0));
}

void
pgaml_ml_raise(MlStatus status, const MlError *error, const char *what)
{
	pgaml_ml_raise_hint(status, error, what, NULL);
}
