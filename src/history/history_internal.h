/*-------------------------------------------------------------------------
 * history_internal.h
 *		What the files of this room share.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_HISTORY_INTERNAL_H
#define PGAML_HISTORY_INTERNAL_H

#include "postgres.h"

#include "storage/itemptr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "history/history_core.h"

/* Where the collector stands: the row of collector_state, and the origin. */
typedef struct CollectorState
{
	pg_uuid_t	origin;
	HistoryPast past;
	int			bucket_width;	/* s; 0: none yet */
	TimestampTz bucket_start;	/* of the last tick's growth; 0: none yet */
	int64		entries;		/* rows of statement_counters */
	TimestampTz last_text_read; /* DT_NOBEGIN: never */
	TimestampTz last_join;		/* likewise */
} CollectorState;

/* One entry of pg_stat_statements, of statement_counters, or of both. */
typedef struct HistoryEntry
{
	Oid			userid;
	int64		queryid;
	bool		toplevel;
	bool		present;		/* in pg_stat_statements */
	bool		counted;		/* in statement_counters */
	bool		anew;			/* stats_since changed */
	bool		kept;			/* has a row in statements */
	bool		known;			/* is plannable known? */
	bool		plannable;		/* only if known */
	bool		touch;			/* last_seen is to be written */
	ItemPointerData tid;		/* of its row in statement_counters, if counted */
	TimestampTz seen_at;		/* last_seen as written */
	TimestampTz stats_since;	/* 0: this version does not tell */
	HistoryCounters is;
	HistoryCounters was;
	HistoryCounters growth;
	HistoryVerdict verdict;
} HistoryEntry;

typedef struct HistoryInfo
{
	TimestampTz stats_reset;
	int64		dealloc;
} HistoryInfo;

/* Where pg_stat_statements is. */
typedef struct HistorySource
{
	char	   *schema;			/* quoted */
	Oid			view_function;	/* pg_stat_statements(boolean) */
	Oid			info_function;	/* pg_stat_statements_info(), or InvalidOid */
} HistorySource;

/* The columns of a row of statement_counters that tell whether it is of interest. */
typedef struct HistoryCounterKey
{
	Oid			userid;
	int64		queryid;
	bool		toplevel;
	bool		known;			/* is plannable known? */
	bool		plannable;
	int64		calls;
	double		total_ms;
	TimestampTz stats_since;	/* 0: unknown */
} HistoryCounterKey;

/*
 * Called for every row.  Returns the entry whose counted half is to be filled
 * from the row, or NULL.
 */
typedef HistoryEntry *(*HistoryCounterVisitor) (const HistoryCounterKey *key, void *state);

/* state.c */
extern void pgaml_history_state_lock(CollectorState *state);
extern void pgaml_history_state_store(const CollectorState *state, const HistoryPresent *present,
									  double tick_ms);
extern TimestampTz pgaml_history_boot_at(void);
extern void pgaml_history_store_system(TimestampTz bucket, int width);

/* source.c */
extern void pgaml_history_source_open(HistorySource *source);
extern void pgaml_history_source_info(const HistorySource *source, HistoryInfo *info);
extern HistoryEntry *pgaml_history_source_read(const HistorySource *source, bool all, int *n);

/* counters.c */
extern void pgaml_history_counters_scan(HistoryCounterVisitor visit, void *state);
extern void pgaml_history_counters_store(const HistoryEntry *entries, int n, TimestampTz now);

/* store.c: entries are sorted by queryid */
extern void pgaml_history_store_statements(const CollectorState *state, HistoryEntry *entries,
										   int n, TimestampTz now);
extern int64 pgaml_history_store_growth(const CollectorState *state, const HistoryEntry *entries,
										int n, TimestampTz bucket, int width);

/* repeats.c */
extern void pgaml_history_store_repeats(void);

/* windows.c */
extern void pgaml_history_store_event(const CollectorState *state, const HistoryEvent *event,
									  int width, int64 entries);

#endif							/* PGAML_HISTORY_INTERNAL_H */
