/*-------------------------------------------------------------------------
 * capture.h
 *		Hooks that watch statements, and the way out for what they saw.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_CAPTURE_H
#define PGAML_CAPTURE_H

#include "base/budget_core.h"
#include "base/facts_table.h"
#include "base/repeat.h"
#include "base/sample.h"

/* Install the hooks; called from _PG_init under preload. */
extern void pgaml_capture_install(void);

/*
 * Take at most max samples of this database into out, as part of this
 * transaction; see pgaml_bag_take.
 */
extern int	pgaml_capture_take_samples(Oid dbid, uint32 *from, PgamlSample *out, int max);

/* Move at most max statement facts of this database into out. */
extern int	pgaml_capture_take_facts(Oid dbid, PgamlStatementFacts *out, int max);

/* The same for runs of one statement; first what this session itself still holds. */
extern void pgaml_capture_give_repeats(void);
extern int	pgaml_capture_take_repeats(Oid dbid, uint32 *from, PgamlRepeat *out, int max);

/* Free every sample, run, prediction and fact that belongs to databases not in the directory. */
extern void pgaml_capture_forget_unknown(void);

/* A new tick began: hot statements are sampled densely again. */
extern void pgaml_capture_next_tick(void);

/*
 * What capture cost of late (base/budget_core.h), and the share of what the
 * settings allow that it captures.  Needs the preload.
 */
extern void pgaml_capture_spending(PgamlSpending *recent, double *level);

/* Counts and cost of this session so far to shared memory. */
extern void pgaml_capture_flush(void);

/*
 * Inside an open SPI bracket: when capture switched itself off, an event of
 * this database tells of it, once.
 */
extern void pgaml_capture_tell_off(void);

#endif							/* PGAML_CAPTURE_H */
