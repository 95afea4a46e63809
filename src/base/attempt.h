/*-------------------------------------------------------------------------
 * attempt.h
 *		Work that may fail without the transaction failing.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ATTEMPT_H
#define PGAML_ATTEMPT_H

/*
 * Run work(state) in a subtransaction that is rolled back in any case: what
 * was locked is free again, nothing is written.  Returns NULL, or the error in
 * the current context.  An error that is not about the work is raised: somebody
 * cancels, a standby's recovery wants this backend out of its way, the
 * transaction is doomed.  Memory of the current context stays as it is.
 */
typedef void (*PgamlAttempt) (void *state);
extern ErrorData *pgaml_attempt(PgamlAttempt work, void *state);

/* Can one begin here? */
extern bool pgaml_can_attempt(void);

#endif							/* PGAML_ATTEMPT_H */
