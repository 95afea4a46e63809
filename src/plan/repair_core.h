/*-------------------------------------------------------------------------
 * repair_core.h
 *		Makes a normalized text parse again where $n stands for a literal.
 *
 * Pure C.  pg_stat_statements writes $n wherever a constant stood, also where
 * the grammar takes none: INTERVAL $1, DATE $1, extract($1 from x); and gives
 * equal constants different numbers, so that what stood in GROUP BY is no
 * longer what stands in the select list.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REPAIR_CORE_H
#define PGAML_REPAIR_CORE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum RepairKind
{
	REPAIR_PARAM,				/* $1 */
	REPAIR_WORD,				/* keyword or identifier, quoted or not */
	REPAIR_LITERAL,				/* string or number */
	REPAIR_OTHER				/* operator or punctuation, one byte each */
} RepairKind;

typedef struct RepairToken
{
	int			start;			/* byte in the text */
	int			length;			/* bytes */
	RepairKind	kind;
} RepairToken;

/* Tokens of a text, at most max; their number, or -1 when there are more.  Comments are none. */
extern int	pgaml_repair_core_tokens(const char *text, RepairToken *tokens, int max);

/* Bytes that either repair writes at most, with the terminating zero. */
extern size_t pgaml_repair_core_bound(const char *text, int ntokens);

/*
 * Write the text with typed literals as casts and extract() as a call.
 * False: there is none.
 */
extern bool pgaml_repair_core_literals(const char *text, const RepairToken *tokens, int n, char *out);

/*
 * Write the text so that what equals an item of GROUP BY or ORDER BY, the
 * numbers of parameters apart, has the item's numbers.  False: nothing does.
 */
extern bool pgaml_repair_core_groups(const char *text, const RepairToken *tokens, int n, char *out);

/* Bytes of the text in which operands of what an error complains of stand. */
typedef struct RepairSpan
{
	int			from;
	int			to;				/* byte behind */
} RepairSpan;

/*
 * Numbers of the parameters whose types may be to blame for an error at this
 * byte (negative: unknown), the likeliest first: those in the call that starts
 * there, those in the same comparison by distance, then all others.  At most
 * max; returns how many.
 */
extern int	pgaml_repair_core_suspects(const char *text, const RepairToken *tokens, int n,
									   int position, int *params, int max, RepairSpan *span);

#endif							/* PGAML_REPAIR_CORE_H */
