/*-------------------------------------------------------------------------
 * snapshot.c
 *		One tick: counters read, their growth added to history, once.
 *
 * Everything a tick writes is written in the caller's transaction: counters
 * and the growth computed from them commit together or not at all.  The lock
 * on collector_state (state.c) serialises collectors.  What may be missing is judged in
 * history_core.c and written by windows.c.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/guc.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "history/history.h"
#include "history/history_internal.h"

static uint64 ticks_here = 0;	/* of this backend */

/* A reset in the very moment of reading; reading again sees it whole. */
#define READ_ATTEMPTS	5

/* More than this many intervals between two ticks are a gap. */
#define GAP_INTERVALS	2

/* Everything one tick works with. */
typedef struct Collect
{
	CollectorState state;
	HistorySource source;
	HistoryPresent present;
	HistoryJudgement judgement;
	HistoryEntry *entries;		/* changed, new and vanished ones */
	int			n;
	int64		lost;			/* entries made anew or vanished */
	int64		dealloc_before; /* evictions when reading began */
	TimestampTz switched_at;	/* border at which the width of buckets changed; 0 */
	int			old_width;		/* before switched_at */
} Collect;

static int
gap_interval(int width)
{
	return GAP_INTERVALS * Min(pgaml_collect_interval, width);
}

static void
fill_present(Collect *run)
{
	HistoryPresent *present = &run->present;
	const char *save = GetConfigOption("pg_stat_statements.save", true, false);
	const char *max = GetConfigOption("pg_stat_statements.max", true, false);
	int			width = run->state.bucket_width ? run->state.bucket_width : pgaml_bucket_interval;

	present->database = MyDatabaseId;
	present->boot_at = pgaml_history_boot_at();
	present->saved = save != NULL && strcmp(save, "on") == 0;
	present->max_entries = max != NULL ? atoi(max) : 0;
	present->interval = gap_interval(width) * USECS_PER_SEC;
}

/* Read entries between two looks at the info that show the same reset. */
static void
read_entries(Collect *run)
{
	HistoryPresent *present = &run->present;
	HistoryInfo before;
	HistoryInfo after;

	for (int i = 0; i < READ_ATTEMPTS; i++)
	{
		present->now = pgaml_clock_now();
		pgaml_history_source_info(&run->source, &before);
		present->stats_reset = before.stats_reset;
		present->dealloc = before.dealloc;
		pgaml_history_core_judge(&run->state.past, present, &run->judgement);
		if (run->judgement.baseline)
		{
			pgaml_spi_run("DELETE FROM pganalytics.statement_counters", false);
			run->state.entries = 0;
		}
		run->entries = pgaml_history_source_read(&run->source, run->judgement.from_zero, &run->n);
		pgaml_history_source_info(&run->source, &after);
		if (after.stats_reset == before.stats_reset)
		{
			present->dealloc = after.dealloc;
			pgaml_history_core_judge(&run->state.past, present, &run->judgement);
			run->dealloc_before = before.dealloc;
			return;
		}
		pfree(run->entries);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("pg_stat_statements was reset again and again while it was read"),
			 errhint("Call collect_statements() again.")));
}

/* Growth of every entry; counts those that were lost. */
static void
compute_growth(Collect *run, PgamlTick *tick)
{
	for (int i = 0; i < run->n; i++)
	{
		HistoryEntry *entry = &run->entries[i];

		if (!entry->present)
		{
			run->lost++;
			run->state.entries--;
			continue;
		}
		if (!entry->counted)
			run->state.entries++;
		if (run->judgement.baseline)
			continue;
		entry->verdict = pgaml_history_core_growth(entry->counted ? &entry->was : NULL, &entry->is,
												   entry->anew || run->judgement.from_zero,
												   &entry->growth);
		if (entry->verdict == HISTORY_RESTARTED)
			run->lost++;
		if (entry->growth.count[HISTORY_CALLS] > 0)
			tick->grown++;
	}
}

/*
 * The bucket of this tick's growth holds the middle of the time it grew in.
 * A changed setting takes effect at the first border of both widths that no
 * bucket of the old width reaches over.
 */
static void
choose_bucket(Collect *run)
{
	CollectorState *state = &run->state;
	TimestampTz from = run->judgement.grown_from;
	TimestampTz middle = from + (run->present.now - from) / 2;

	if (state->bucket_width == 0)
		state->bucket_width = pgaml_bucket_interval;
	else if (state->bucket_width != pgaml_bucket_interval)
	{
		TimestampTz border = pgaml_history_core_common_border(middle, state->bucket_width,
															  pgaml_bucket_interval);

		if (border > state->bucket_start)
		{
			run->switched_at = border;
			run->old_width = state->bucket_width;
			state->bucket_width = pgaml_bucket_interval;
		}
	}
	state->bucket_start = pgaml_history_core_bucket(middle, state->bucket_width);
}

/* Write one event, in buckets of the old width before a switch and of the new one after. */
static void
write_event(Collect *run, const HistoryEvent *event, int64 entries, PgamlTick *tick)
{
	HistoryEvent part = *event;
	const char *reason = pgaml_history_core_reasons[event->reason];

	if (run->old_width != 0 && event->from < run->switched_at)
	{
		part.to = Min(event->to, run->switched_at);
		pgaml_history_store_event(&run->state, &part, run->old_width, entries);
		part.to = event->to;
		part.from = Min(event->to, run->switched_at);
		entries = 0;
	}
	if (part.from < part.to || event->from == event->to)
		pgaml_history_store_event(&run->state, &part, run->state.bucket_width, entries);
	if (tick->reason == NULL)
		tick->reason = reason;
}

/* Entries that fell or vanished while nothing else explains it were reset one by one. */
static void
write_single_resets(Collect *run, PgamlTick *tick)
{
	HistoryEvent event = {
		.reason = HISTORY_RESET,
		.from = Min(run->state.past.tick_at, run->present.now),
		.to = run->present.now,
		.share = (double) run->lost / (double) (run->lost + Max(run->state.entries, 0))
	};

	write_event(run, &event, run->lost, tick);
}

static void
write_events(Collect *run, PgamlTick *tick)
{
	HistoryJudgement *judgement = &run->judgement;
	bool		explained = judgement->baseline;

	if (!run->state.past.any)
	{
		HistoryEvent before = {
			.reason = HISTORY_GAP,.from = run->state.bucket_start,.to = run->present.now,.share = 1
		};

		write_event(run, &before, 0, tick);
	}
	for (int i = 0; i < judgement->nevents; i++)
	{
		bool		owner = judgement->events[i].reason != HISTORY_GAP && !explained &&
			(judgement->from_zero || judgement->events[i].reason == HISTORY_EVICTION);

		write_event(run, &judgement->events[i], owner ? run->lost : 0, tick);
		explained = explained || owner;
	}
	if (!explained && run->lost > 0)
		write_single_resets(run, tick);
}

static int64
count_unknown(void)
{
	bool		isnull;

	pgaml_spi_run("SELECT count(DISTINCT queryid) FROM pganalytics.statement_counters"
				  " WHERE plannable IS NULL", false);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

void
pgaml_history_collect(PgamlTick *tick)
{
	Collect		run;
	instr_time	start;
	instr_time	took;

	INSTR_TIME_SET_CURRENT(start);
	memset(tick, 0, sizeof(PgamlTick));
	memset(&run, 0, sizeof(Collect));
	pgaml_history_source_open(&run.source);
	pgaml_history_state_lock(&run.state);
	fill_present(&run);
	read_entries(&run);
	compute_growth(&run, tick);
	choose_bucket(&run);

	pgaml_history_store_statements(&run.state, run.entries, run.n, run.present.now);
	pgaml_history_counters_store(run.entries, run.n, run.present.now);
	tick->calls = pgaml_history_store_growth(&run.state, run.entries, run.n,
											 run.state.bucket_start, run.state.bucket_width);
	write_events(&run, tick);
	pgaml_history_store_system(run.state.bucket_start, run.state.bucket_width);

	run.present.dealloc = run.dealloc_before;
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	pgaml_history_state_store(&run.state, &run.present, INSTR_TIME_GET_MILLISEC(took));
	tick->entries = run.state.entries;
	tick->unknown = count_unknown();
	tick->first = run.judgement.baseline;
	ticks_here++;
}

uint64
pgaml_history_ticks_here(void)
{
	return ticks_here;
}

TimestampTz
pgaml_history_next_due(TimestampTz last_tick)
{
	return pgaml_history_core_next_due(last_tick, pgaml_collect_interval, pgaml_bucket_interval);
}
