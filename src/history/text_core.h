/*-------------------------------------------------------------------------
 * text_core.h
 *		Rewrites a statement's text so that no literal and no comment remains.
 *
 * Pure C.  The caller has cut the text into tokens and says which of them are
 * constants; what lies between tokens is white space and comments.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TEXT_CORE_H
#define PGAML_TEXT_CORE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum TextKind
{
	TEXT_PARAM,					/* $1 */
	TEXT_STRING,				/* any quoted constant, dollar quotes included */
	TEXT_NUMBER,				/* integer or numeric */
	TEXT_WORD,					/* keyword or unquoted identifier */
	TEXT_OTHER					/* operator, punctuation, quoted identifier */
} TextKind;

typedef struct TextToken
{
	int			start;			/* offset of the first byte */
	int			length;			/* bytes */
	TextKind	kind;
	bool		constant;		/* to be replaced by a parameter */
} TextToken;

/* What the token that starts here is, from its first bytes; text ends with a zero. */
extern TextKind pgaml_text_core_kind(const char *token);

/* Number of a TEXT_PARAM token; 0 when it is no number an int can hold. */
extern int	pgaml_text_core_param(const char *token);

/*
 * May a plain string end elsewhere than the token says?  It may when a quote
 * stands behind a backslash: standard_conforming_strings decides, and the one
 * in force when the text was parsed is not known.
 */
extern bool pgaml_text_core_is_ambiguous(const char *text, const TextToken *tokens, int n);

/* Bytes that pgaml_text_core_rewrite writes at most, with the terminating zero. */
extern size_t pgaml_text_core_bound(const char *text, const TextToken *tokens, int n);

/*
 * Write tokens [0, n) and what lies between them to out: constants become
 * parameters numbered after the highest one in the tokens, comments become a space
 * except the mark of a squashed list.  Returns the length.
 */
extern size_t pgaml_text_core_rewrite(const char *text, const TextToken *tokens, int n, char *out);

#endif							/* PGAML_TEXT_CORE_H */
