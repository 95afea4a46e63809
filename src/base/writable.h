/*-------------------------------------------------------------------------
 * writable.h
 *		May this transaction write?
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WRITABLE_H
#define PGAML_WRITABLE_H

/*
 * First thing in every SQL function that changes state: ERROR
 * (READ_ONLY_SQL_TRANSACTION) on a standby and in a read-only transaction,
 * with what to do instead.  function as users write it: "activate_model()".
 */
extern void pgaml_require_writable(const char *function);

#endif							/* PGAML_WRITABLE_H */
