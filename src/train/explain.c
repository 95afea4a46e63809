/*-------------------------------------------------------------------------
 * explain.c
 *		What a fitted model looks at and what its training rows look like, as
 *		JSON that is stored with it; read by registry/importance.c.
 *
 * Both are extras: when time or memory has run out they are left out, and the
 * model is kept.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "features/spec.h"
#include "ml/explain.h"
#include "ml/stages_explain.h"
#include "train/train.h"

#define IMPORTANCE_ROWS	512		/* held-out rows that errors are measured on */
#define SHAP_ROWS		256		/* of them, explained */
#define REPEATS			3		/* permutations of a feature */

static const char *const part_names[] = {"train", "calibrate", "test"}; /* by MlPart */

/* JSON has no NaN; every digit, so that sums stay sums. */
static void
append_float8(StringInfo out, const char *key, double value)
{
	if (isfinite(value))
		appendStringInfo(out, ", \"%s\": %.17g", key, value);
	else
		appendStringInfo(out, ", \"%s\": null", key);
}

char *
pgaml_train_importance_json(const MlStages *stages, const MlStageData *data, uint64 seed,
							const MlAllocator *allocator, const MlStop *stop)
{
	double		gain[PGAML_F_COUNT];
	double		permutation[PGAML_F_COUNT];
	double		shap[PGAML_F_COUNT];
	MlStageImportance rows;
	StringInfoData out;

	if (pgaml_ml_stages_importance(stages, data, IMPORTANCE_ROWS, SHAP_ROWS, REPEATS, seed, allocator, stop,
								   &rows, gain, permutation, shap, NULL) != ML_OK)
		return NULL;
	initStringInfo(&out);
	appendStringInfo(&out, "{\"part\": \"%s\", \"rows\": " INT64_FORMAT ", \"shap_rows\": " INT64_FORMAT ", \"features\": [",
					 part_names[rows.part], rows.rows, rows.shap_rows);
	for (int i = 0; i < PGAML_F_COUNT; i++)
	{
		appendStringInfo(&out, "%s{\"feature\": ", i > 0 ? ", " : "");
		escape_json(&out, pgaml_feature_name(i).name);
		append_float8(&out, "gain", gain[i]);
		append_float8(&out, "permutation", permutation[i]);
		append_float8(&out, "shap", shap[i]);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoString(&out, "]}");
	return out.data;
}

static void
append_feature(StringInfo out, int feature, const MlFeatureStats *stats)
{
	PgamlFeatureName name = pgaml_feature_name(feature);

	appendStringInfo(out, "%s{\"feature\": ", feature > 0 ? ", " : "");
	escape_json(out, name.name);
	appendStringInfoString(out, ", \"unit\": ");
	escape_json(out, name.unit);
	appendStringInfoString(out, ", \"meaning\": ");
	escape_json(out, name.meaning);
	appendStringInfo(out, ", \"canonical\": %s, \"rows\": " INT64_FORMAT ", \"missing\": " INT64_FORMAT
					 ", \"distinct\": " INT64_FORMAT ", \"outliers\": " INT64_FORMAT,
					 feature < PGAML_F_CANONICAL ? "true" : "false", stats->nrows, stats->missing,
					 stats->distinct, stats->outliers);
	append_float8(out, "minimum", stats->minimum);
	append_float8(out, "p05", stats->p05);
	append_float8(out, "median", stats->median);
	append_float8(out, "p95", stats->p95);
	append_float8(out, "maximum", stats->maximum);
	append_float8(out, "mean", stats->mean);
	append_float8(out, "deviation", stats->deviation);
	appendStringInfoChar(out, '}');
}

char *
pgaml_train_statistics_json(const MlStageData *data, const MlAllocator *allocator, const MlStop *stop)
{
	int64	   *rows = allocator->alloc(allocator->state, sizeof(int64) * data->nrows);
	int64		n = 0;
	bool		complete = rows != NULL;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '[');
	for (int64 i = 0; i < data->nrows && complete; i++)
		if (data->part[i] == ML_PART_TRAIN)
			rows[n++] = i;
	for (int i = 0; i < PGAML_F_COUNT && complete; i++)
	{
		MlFeatureStats stats;

		complete = pgaml_ml_feature_stats(data->columns[i], rows, n, allocator, &stats, NULL) == ML_OK &&
			!stop->should_stop(stop->state, (double) (i + 1) / PGAML_F_COUNT);
		if (complete)
			append_feature(&out, i, &stats);
	}
	appendStringInfoChar(&out, ']');
	allocator->free(allocator->state, rows);
	return complete ? out.data : NULL;
}
