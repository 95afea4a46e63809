/*-------------------------------------------------------------------------
 * os.c
 *		What the operating system says about the machine.
 *
 * Only Linux tells it in a file; elsewhere the answer is "unknown".
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>
#include <time.h>

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

double
pgaml_os_cpu_ns(void)
{
#ifdef CLOCK_PROCESS_CPUTIME_ID
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		return 0;
	return t.tv_sec * 1e9 + t.tv_nsec;
#else
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
		(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
#endif
}
