/*-------------------------------------------------------------------------
 * acl.c
 *		Who may see a statement: the rule of pg_stat_statements.
 *
 * One's own statements, and all of them with pg_read_all_stats.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "utils/acl.h"

#include "base/acl.h"

bool
pgaml_acl_reads_all(Oid caller)
{
	return has_privs_of_role(caller, ROLE_PG_READ_ALL_STATS);
}

bool
pgaml_acl_may_see(Oid caller, const Oid *users, int nusers)
{
	for (int i = 0; i < nusers; i++)
		if (users[i] == caller)
			return true;
	return pgaml_acl_reads_all(caller);
}
