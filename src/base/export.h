/*-------------------------------------------------------------------------
 * export.h
 *		The only symbols that leave the module.
 *
 * The module is built with hidden visibility; PGDLLEXPORT is defined by the
 * Makefile, because PostgreSQL 15 defines it as nothing.  `make lint` fails
 * on any exported symbol that is not one of these.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_EXPORT_H
#define PGAML_EXPORT_H

#include "fmgr.h"

/* Declares and registers one SQL-callable function. */
#define PGAML_FUNCTION_INFO_V1(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

#endif							/* PGAML_EXPORT_H */
