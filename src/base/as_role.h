/*-------------------------------------------------------------------------
 * as_role.h
 *		The one bracket for planning, and running, as somebody.
 *
 * Planning runs code: functions marked immutable are called to fold
 * constants, stable ones to estimate.  Whoever plans another's statement can
 * be made to run that other's code, so all of it happens inside this bracket:
 *
 * - a read-only subtransaction that is always rolled back;
 * - the role's user id, security-restricted, so that the way back to the
 *	 session's user, temporary objects and deferred triggers are shut;
 * - the role's search_path with pg_temp last, and the role's own settings
 *	 instead of those of the session that reaches in;
 * - no utility statement, and no volatile function written in C: what such a
 *	 function does a rollback may not undo (session locks, other processes,
 *	 files, settings, connections);
 * - a time limit that the code cannot catch for ever;
 * - nothing of it is counted by pg_stat_statements or captured.
 *
 * The hooks this needs are set at the first use in a process.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_AS_ROLE_H
#define PGAML_AS_ROLE_H

/* A setting in force while a statement is planned. */
typedef struct PgamlPlanSetting
{
	const char *name;
	const char *value;
} PgamlPlanSetting;

typedef struct PgamlRole
{
	Oid			userid;			/* InvalidOid: the current user, in the settings of the session */
	const char *search_path;	/* of another's statement, as captured; NULL: that role's default */
	const PgamlPlanSetting *settings;	/* set with the rights of the current user */
	int			nsettings;
	int			time_limit;		/* ms; 0: none beside the session's own */
} PgamlRole;

typedef void (*PgamlRoleWork) (void *state);

/*
 * Run work(state) in the bracket.  Errors are raised when everything is
 * undone.  work() starts in a context of its own that dies with the bracket:
 * what is to survive it copies to another.
 */
extern void pgaml_as_role_run(const PgamlRole *role, PgamlRoleWork work, void *state);

/* Is the bracket open in this backend? */
extern bool pgaml_as_role_inside(void);

/*
 * For work(): starting the executor without running it (EXPLAIN) looks at
 * volatile functions, but calls none.  From allow to forbid such are let pass.
 */
extern void pgaml_as_role_allow_volatile(bool allow);

#endif							/* PGAML_AS_ROLE_H */
