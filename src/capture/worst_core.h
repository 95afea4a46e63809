/*-------------------------------------------------------------------------
 * worst_core.h
 *		Which node of a plan was estimated worst?
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_CAPTURE_WORST_CORE_H
#define PGAML_CAPTURE_WORST_CORE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct PgamlWorst
{
	int32_t		place;			/* in a pre-order walk, from 0; -1: no node was judged */
	double		q;				/* its q-error, >= 1 */
	double		estimated;		/* rows per execution of the node */
	double		actual;
} PgamlWorst;

/* What was counted of a node, and how far that goes. */
typedef struct PgamlNodeRows
{
	int32_t		place;
	double		estimated;		/* rows per execution */
	double		actual;
	bool		cut;			/* may have been stopped before its end: there may have been more rows */
} PgamlNodeRows;

extern void pgaml_worst_begin(PgamlWorst *worst);

/*
 * Take the node if it was estimated worse than those before it.  Places
 * ascend, so of equals the first one stays.
 */
extern void pgaml_worst_consider(PgamlWorst *worst, const PgamlNodeRows *node);

#endif							/* PGAML_CAPTURE_WORST_CORE_H */
