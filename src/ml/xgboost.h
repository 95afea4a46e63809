/*-------------------------------------------------------------------------
 * xgboost.h
 *		Trees to and from the JSON of XGBoost (Booster.save_model("x.json")).
 *
 * Pure C, on top of ml.h.  Written is what XGBoost 1.7 writes; read is what
 * 1.0 to 3.x write for one regression tree ensemble whose sum is the
 * prediction.  What cannot be represented is refused with the reason, as
 * ML_E_VERSION when the file is sound, ML_E_FORMAT when it is not.
 *
 * Here a row goes left when x <= t, there when x < t, so thresholds move to
 * the next float and back; "every value left" is the largest float here and
 * infinity there (written 1E40).  Leaves are float there: sums agree to about 1e-6 of the
 * largest partial sum, and a model that was read is exact.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_XGBOOST_H
#define PGAML_ML_XGBOOST_H

#include "ml/ml.h"

/* A word about the model that travels with it, under learner.attributes; XGBoost keeps it. */
typedef struct MlXgboostAttribute
{
	const char *name;
	char		value[64];		/* empty: not there */
} MlXgboostAttribute;

/*
 * Text of a model of trees; ML_E_ARG for a linear one.  names are those of the
 * features, or NULL.  *bytes is from the allocator, the caller frees it; it
 * does not end with a zero.
 */
extern MlStatus pgaml_ml_xgboost_write(const MlModel *model, const char *const *names,
									   const MlXgboostAttribute *attributes, int32_t nattributes,
									   const MlAllocator *allocator, const MlStop *stop,
									   uint8_t **bytes, size_t *length, MlError *error);

/*
 * A model of type ML_GRADIENT_BOOSTING from hostile bytes.  names (or NULL)
 * are those of the nfeatures features that its rows will have: a file with
 * names is matched by name in any order, one without by their number.
 * Without names the features are the file's and nfeatures is ignored.
 * attributes come with names and get the values found.
 */
extern MlStatus pgaml_ml_xgboost_read(const uint8_t *bytes, size_t length,
									  const char *const *names, int32_t nfeatures,
									  MlXgboostAttribute *attributes, int32_t nattributes,
									  const MlAllocator *allocator, const MlStop *stop,
									  MlModel **model, MlError *error);

#endif							/* PGAML_ML_XGBOOST_H */
