/*-------------------------------------------------------------------------
 * os.c
 *		What the operating system says about the machine.
 *
 * Only Linux tells it in a file; elsewhere the answer is "unknown".
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/fd.h"
#include "utils/float.h"

#include "base/os.h"

#define MEMINFO	"/proc/meminfo"

double
pgaml_os_available_memory_pct(void)
{
	FILE	   *file = AllocateFile(MEMINFO, PG_BINARY_R);
	char		line[128];
	double		total = 0;
	double		available = -1;

	if (file == NULL)
		return get_float8_nan();
	while (fgets(line, sizeof(line), file) != NULL && (total == 0 || available < 0))
	{
		if (sscanf(line, "MemTotal: %lf kB", &total) == 1)
			continue;
		(void) sscanf(line, "MemAvailable: %lf kB", &available);
	}
	FreeFile(file);
	if (total <= 0 || available < 0)
		return get_float8_nan();
	return Min(100.0 * available / total, 100.0);
}
