/*-------------------------------------------------------------------------
 * core.c
 *		Errors, checked allocation and stopping, for every file of the room.
 *
 * Nothing here knows about models.  The library never logs, exits or jumps:
 * a failure is a status and a filled MlError.
 *-------------------------------------------------------------------------
 */
#include "core_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Fill error (when there is one) and hand the code back, so that a caller can
 * write "return pgaml_ml_fail(...)".
 */
MlStatus
pgaml_ml_fail(MlError *error, MlStatus code, const char *where, const char *format, ...)
{
	va_list		args;

	if (error != NULL)
	{
		error->code = code;
		snprintf(error->where, sizeof(error->where), "%s", where);
		va_start(args, format);
		vsnprintf(error->message, sizeof(error->message), format, args);
		va_end(args);
	}
	return code;
}

MlStatus
pgaml_ml_nomem(MlError *error, const char *where)
{
	return pgaml_ml_fail(error, ML_E_NOMEM, where, "out of memory");
}

MlStatus
pgaml_ml_stopped(MlError *error, const char *where)
{
	return pgaml_ml_fail(error, ML_E_STOPPED, where, "stopped by the caller");
}

void *
pgaml_ml_alloc(const MlAllocator *allocator, size_t count, size_t size)
{
	size_t		bytes = pgaml_ml_size_mul(count, size);

	if (bytes == SIZE_MAX)
		return NULL;
	return allocator->alloc(allocator->state, bytes > 0 ? bytes : 1);
}

void *
pgaml_ml_alloc_zero(const MlAllocator *allocator, size_t count, size_t size)
{
	void	   *ptr = pgaml_ml_alloc(allocator, count, size);

	if (ptr != NULL)
		memset(ptr, 0, count * size);
	return ptr;
}

void
pgaml_ml_release(const MlAllocator *allocator, void *ptr)
{
	if (ptr != NULL)
		allocator->free(allocator->state, ptr);
}

/*
 * Account for work done; every ML_STOP_EVERY steps ask the caller.  Loops over
 * many rows call this once per block of rows.
 */
bool
pgaml_ml_tick(MlTicker *ticker, int64_t work)
{
	ticker->work += work;
	if (ticker->work < ML_STOP_EVERY)
		return false;
	ticker->work = 0;
	if (ticker->stop == NULL || ticker->stop->should_stop == NULL)
		return false;
	return ticker->stop->should_stop(ticker->stop->state, ticker->progress);
}

size_t
pgaml_ml_size_add(size_t a, size_t b)
{
	return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

size_t
pgaml_ml_size_mul(size_t a, size_t b)
{
	return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

double
pgaml_ml_power_of_two(double max)
{
	int			exponent;

	if (!(max > 0.0))
		return 1.0;
	(void) frexp(max, &exponent);

	/* the reciprocal of the smallest powers would overflow */
	return ldexp(1.0, exponent < -1000 ? -1000 : exponent > 1020 ? 1020 : exponent);
}
