/*-------------------------------------------------------------------------
 * drift_signals.h
 *		What live executions say of a model: one value per signal.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WATCH_DRIFT_SIGNALS_H
#define PGAML_WATCH_DRIFT_SIGNALS_H

#include "train/drift_reference.h"
#include "watch/live.h"

/* Names and order are those of model_drift() in 63_drift.sql. */
typedef enum PgamlSignal
{
	PGAML_SIGNAL_FEATURES,
	PGAML_SIGNAL_LEVELS,
	PGAML_SIGNAL_SCORES,
	PGAML_SIGNAL_ERROR,
	PGAML_SIGNAL_COVERAGE,
	PGAML_SIGNAL_NOVELTY,
	PGAML_SIGNAL_COUNT
} PgamlSignal;

typedef struct PgamlSignalValue
{
	double		value;			/* NaN: it cannot be judged, see detail */
	double		threshold;		/* NaN likewise */
	bool		crossed;
	char	   *detail;			/* JSON object, palloc'd */
} PgamlSignalValue;

extern const char *const pgaml_signal_names[PGAML_SIGNAL_COUNT];

/* Inside an open SPI bracket: measure them all. */
extern void pgaml_drift_measure(const PgamlLive *live, const PgamlDriftReference *reference,
								PgamlSignalValue out[PGAML_SIGNAL_COUNT]);

/* None of them can be judged, for this reason. */
extern void pgaml_drift_unknown(const char *why, PgamlSignalValue out[PGAML_SIGNAL_COUNT]);

#endif							/* PGAML_WATCH_DRIFT_SIGNALS_H */
