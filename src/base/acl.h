/*-------------------------------------------------------------------------
 * acl.h
 *		Who may see a statement: the rule of pg_stat_statements.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ACL_H
#define PGAML_ACL_H

/* May the current user see every user's statements? */
extern bool pgaml_acl_reads_all(void);

/* May the current user see a statement that userid ran? */
extern bool pgaml_acl_may_see(Oid userid);

#endif							/* PGAML_ACL_H */
