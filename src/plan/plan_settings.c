/*-------------------------------------------------------------------------
 * plan_settings.c
 *		Settings to plan with, as SQL functions take them.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "plan/plan_settings.h"

static const char *
setting_value(const char *name, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? "on" : "off";
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("setting \"%s\" must be a string, a number or a boolean", name)));
			return NULL;		/* keep compiler quiet */
	}
}

void
pgaml_plan_settings_read(Jsonb *object, PgamlPlanRequest *request)
{
	PgamlPlanSetting *settings;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	int			n = 0;

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("settings must be a JSON object of names and values"),
				 errhint("For example: '{\"work_mem\": \"64MB\"}'.")));
	settings = palloc(sizeof(PgamlPlanSetting) * Max(JB_ROOT_COUNT(object), 1));
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			settings[n].name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
		{
			settings[n].value = setting_value(settings[n].name, &value);
			n++;
		}
	}
	request->settings = settings;
	request->nsettings = n;
}
