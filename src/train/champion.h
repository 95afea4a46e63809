/*-------------------------------------------------------------------------
 * champion.h
 *		What live truth decides about the models in production and staging.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_TRAIN_CHAMPION_H
#define PGAML_TRAIN_CHAMPION_H

#include "train/live.h"

/*
 * Inside an open SPI bracket: roll back, promote, archive, forget, as far as
 * live (NULL: nothing is known) allows.  Does nothing while somebody else
 * changes models: it is called again within the hour.
 */
extern void pgaml_champion_decide(const PgamlLive *live);

#endif							/* PGAML_TRAIN_CHAMPION_H */
