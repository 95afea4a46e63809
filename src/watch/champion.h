/*-------------------------------------------------------------------------
 * champion.h
 *		What live truth decides about the models in production and staging.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WATCH_CHAMPION_H
#define PGAML_WATCH_CHAMPION_H

#include "watch/live.h"

/*
 * Inside an open SPI bracket: roll back, promote, archive, forget, as far as
 * live (NULL: nothing is known) allows.  Does nothing while somebody else
 * changes models: it is called again within the hour.
 */
extern void pgaml_champion_decide(const PgamlLive *live);

#endif							/* PGAML_WATCH_CHAMPION_H */
