/*-------------------------------------------------------------------------
 * truth.h
 *		Logged predictions, and what came true of them.
 *
 * Both run inside an open pgaml_spi bracket of a read-write transaction and
 * raise errors.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRUTH_H
#define PGAML_TRUTH_H

/*
 * Move this database's logged predictions from shared memory into the table
 * predictions; they leave it when the transaction commits.  Returns how many.
 */
extern int64 pgaml_predictions_store(void);

/* Give predictions the truth that has become known since; returns how many got one. */
extern int64 pgaml_truth_match(void);

#endif							/* PGAML_TRUTH_H */
