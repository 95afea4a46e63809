/*-------------------------------------------------------------------------
 * fault.h
 *		Named points at which a test makes the code fail.
 *
 * Compiled in with `make PGAML_CFLAGS=-DPGAML_FAULTS` only; a release build
 * holds neither the points nor the setting.  pganalytics_ml.fault takes
 * 'point=action' with the actions
 *		error	raise an ERROR
 *		kill	end this process by SIGKILL
 *		wait	stay, interruptible, until the setting names another point
 * pganalytics_ml.clock_offset moves the one clock (base/clock.h) by so many
 * seconds, so that a test need not wait for tomorrow.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_FAULT_H
#define PGAML_FAULT_H

#ifdef PGAML_FAULTS
#define PGAML_FAULT(point)	pgaml_fault(point)

extern void pgaml_fault(const char *point);
extern void pgaml_fault_define(void);
extern int64 pgaml_fault_clock_us(void);
#else
#define PGAML_FAULT(point)	((void) 0)
#define pgaml_fault_define()	((void) 0)
#define pgaml_fault_clock_us()	INT64CONST(0)
#endif

#endif							/* PGAML_FAULT_H */
