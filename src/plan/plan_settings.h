/*-------------------------------------------------------------------------
 * plan_settings.h
 *		Settings to plan with, as SQL functions take them.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_PLAN_SETTINGS_H
#define PGAML_PLAN_SETTINGS_H

#include "plan/replan.h"
#include "utils/jsonb.h"

/*
 * An object of names and values, strings, numbers or booleans, in the current
 * context.  Raises an error for anything else; whether there is such a
 * setting, and whether it may be set, is found out when it is.
 */
extern void pgaml_plan_settings_read(Jsonb *object, PgamlPlanRequest *request);

#endif							/* PGAML_PLAN_SETTINGS_H */
