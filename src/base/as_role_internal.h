/*-------------------------------------------------------------------------
 * as_role_internal.h
 *		What the files of the role bracket share.
 *
 * as_role.c opens and closes it, as_role_settings.c puts the settings in
 * order, as_role_fence.c keeps what runs inside from reaching out.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_AS_ROLE_INTERNAL_H
#define PGAML_AS_ROLE_INTERNAL_H

#include "base/as_role.h"

/* ---- as_role_settings.c ---- */

/* In the bracket's subtransaction, as the user that was current before; all of it goes with that. */
extern void pgaml_as_role_set(const PgamlRole *role);

/* ---- as_role_fence.c ---- */

/* Once per process, before the first bracket. */
extern void pgaml_as_role_fence_install(void);

extern void pgaml_as_role_fence_up(int time_limit);
extern void pgaml_as_role_fence_down(void);

/* Did the time limit of the bracket that was closed last run out? */
extern bool pgaml_as_role_expired(void);

#endif							/* PGAML_AS_ROLE_INTERNAL_H */
