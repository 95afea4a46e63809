/*-------------------------------------------------------------------------
 * series.h
 *		Is a difference real, has something drifted?
 *
 * Pure C: no server header, no global state.  Memory comes from an
 * MlAllocator of the caller; statuses are those of ml/ml.h.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SERIES_H
#define PGAML_SERIES_H

#include "ml/ml.h"

#endif							/* PGAML_SERIES_H */
