/*-------------------------------------------------------------------------
 * os.h
 *		What the operating system says about the machine.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_OS_H
#define PGAML_OS_H

/* Memory that could be had without swapping, in percent of all memory; NaN when unknown. */
extern double pgaml_os_available_memory_pct(void);

/* CPU time that this process has used, in ns; a system call. */
extern double pgaml_os_cpu_ns(void);

#endif							/* PGAML_OS_H */
