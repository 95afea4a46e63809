/*-------------------------------------------------------------------------
 * acl.h
 *		Who may see a statement: the rule of pg_stat_statements.
 *
 * The caller is named explicitly, because inside the SPI bracket the current
 * user is the owner of the extension (PgamlSpi.saved_userid is the caller).
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ACL_H
#define PGAML_ACL_H

/* May caller see every user's statements? */
extern bool pgaml_acl_reads_all(Oid caller);

/* May caller see a statement that these users ran? */
extern bool pgaml_acl_may_see(Oid caller, const Oid *users, int nusers);

#endif							/* PGAML_ACL_H */
