/*-------------------------------------------------------------------------
 * known_internal.h
 *		Shared by the two ways to know a statement.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PREDICT_KNOWN_INTERNAL_H
#define PGAML_PREDICT_KNOWN_INTERNAL_H

#include "predict/known.h"

#define PGAML_MISS_PATIENCE	50	/* look again for a missed queryid after so many times load_us */

/* Fill *entry from what was read; its users are copied into a context. */
extern void pgaml_known_reduce(const PgamlStatementSet *set, const PgamlStatement *statement,
							   MemoryContext into, PgamlKnown *entry);

#endif							/* PGAML_PREDICT_KNOWN_INTERNAL_H */
