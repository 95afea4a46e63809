/*-------------------------------------------------------------------------
 * normalize.h
 *		What kind of statement is a text, and its form without literals.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_HISTORY_NORMALIZE_H
#define PGAML_HISTORY_NORMALIZE_H

typedef struct NormalizedText
{
	const char *tag;			/* command tag */
	bool		plannable;		/* SELECT, INSERT, UPDATE, DELETE or MERGE without INTO */
	char	   *text;			/* without literals and comments; NULL unless plannable */
} NormalizedText;

/*
 * Results are in the current memory context.  Text that does not parse is judged by its
 * first words; nothing but running out of memory raises an error.  With cut
 * the text is the start of a longer one and is not kept.
 */
extern void pgaml_history_normalize(const char *text, bool cut, NormalizedText *out);

#endif							/* PGAML_HISTORY_NORMALIZE_H */
