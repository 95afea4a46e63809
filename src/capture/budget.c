/*-------------------------------------------------------------------------
 * budget.c
 *		What do the hooks cost, and what may they?
 *
 * Two costs are kept apart.  What every execution pays, captured or not: one
 * hook call in PGAML_TIMED_EVERY, drawn at random, is timed and stands for
 * that many.  What a captured execution costs on top (shield.c): always timed.
 * Rows counted per node are paid in the executor: calls times the cost of
 * one, measured here.  All of it is compared with the CPU time of the
 * backends that ran the statements, which needs no clock per statement, holds
 * for nested statements and utilities too, and is never more than the time
 * they took.
 *
 * Backends add what they spent to counters in shared memory.  Whoever sees a
 * window of CPU time full sets the level anew (base/budget_core.h): it has
 * won budget_taken, nobody waits.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "executor/instrument.h"

#include "base/os.h"
#include "capture/capture.h"
#include "capture/capture_internal.h"

#define CALIBRATION_PAIRS	256
#define CALIBRATION_BATCHES	8
#define CALIBRATION_READS	16	/* and calls, in a batch */
#define LONGEST_HOOK_NS		20e3	/* a hook that took longer was interrupted: no part of the figure */
#define LONGEST_WORK_NS		500e3	/* likewise, and longer work counts as this much */
#define READ_TRIES			100000

static double clock_ns = -1.0;	/* of reading the clock; -1: not calibrated */
static double call_ns = 0;		/* of a hook that does nothing, and of its call in between */
static double work_total_ns = 0;	/* shielded work so far */
static double cpu_flushed_ns = 0;	/* CPU time of this process at the last flush */

static double
ns_between(instr_time start, instr_time end)
{
	INSTR_TIME_SUBTRACT(end, start);
	return INSTR_TIME_GET_DOUBLE(end) * 1e9;
}

/* ---- the meter ---- */

/* What is called in between, and a hook around it that is not timed. */
static pg_noinline void
do_nothing(PgamlSpan *span)
{
	span->on = false;
}

typedef void (*Callee) (PgamlSpan *span);
static volatile Callee callee = do_nothing;

static pg_noinline void
empty_hook(PgamlSpan *span)
{
	span->on = pgaml_hot.until_timed < 0;
	pgaml_span_pause(span);
	callee(span);
	pgaml_span_resume(span);
	pgaml_span_end(span);
}

static volatile Callee hook = empty_hook;

/*
 * The clock is read, and hooks are called, with cold caches by the first
 * batch, and an interrupt may fall into any: the fastest one counts.  Taking
 * more than a reading costs off every timed call would hide our own cost.
 */
static void
calibrate(void)
{
	double		fastest[3] = {INFINITY, INFINITY, INFINITY};	/* clock, call, hook with it */
	PgamlSpan	span;
	instr_time	times[4];

	for (int batch = 0; batch < CALIBRATION_BATCHES; batch++)
	{
		INSTR_TIME_SET_CURRENT(times[0]);
		for (int i = 0; i < CALIBRATION_READS; i++)
			INSTR_TIME_SET_CURRENT(times[1]);
		for (int i = 0; i < CALIBRATION_READS; i++)
			callee(&span);
		INSTR_TIME_SET_CURRENT(times[2]);
		for (int i = 0; i < CALIBRATION_READS; i++)
			hook(&span);
		INSTR_TIME_SET_CURRENT(times[3]);
		for (int i = 0; i < 3; i++)
			fastest[i] = Min(fastest[i], ns_between(times[i], times[i + 1]) / CALIBRATION_READS);
	}
	clock_ns = fastest[0];
	call_ns = Max(fastest[2] - fastest[1], 0.0);
	cpu_flushed_ns = pgaml_os_cpu_ns();
}

/* Every call is the timed one with the same probability, whatever was before. */
static int
draw_gap(void)
{
	double		u = pg_prng_double(&pg_global_prng_state);

	return 1 + (int) (log(1.0 - u) / log(1.0 - 1.0 / PGAML_TIMED_EVERY));
}

void
pgaml_span_started(PgamlSpan *span)
{
	pgaml_hot.until_timed = draw_gap();
	if (clock_ns < 0)
	{
		calibrate();
		span->on = false;
		return;
	}
	span->work_ns = work_total_ns;
	INSTR_TIME_SET_CURRENT(span->start);
}

void
pgaml_span_left(PgamlSpan *span)
{
	INSTR_TIME_SET_CURRENT(span->before);
	span->work_ns = work_total_ns - span->work_ns;
}

void
pgaml_span_back(PgamlSpan *span)
{
	span->work_ns -= work_total_ns;
	INSTR_TIME_SET_CURRENT(span->after);
}

void
pgaml_span_ended(PgamlSpan *span)
{
	instr_time	now;
	double		own;

	INSTR_TIME_SET_CURRENT(now);
	own = ns_between(span->start, span->before) + ns_between(span->after, now) -
		2 * clock_ns - (span->work_ns + work_total_ns) + call_ns;
	if (own < LONGEST_HOOK_NS)
		pgaml_hot.hook_ns += own * PGAML_TIMED_EVERY;
}

void
pgaml_budget_add_work(const instr_time *start)
{
	instr_time	now;
	double		spent;

	INSTR_TIME_SET_CURRENT(now);
	spent = ns_between(*start, now);
	work_total_ns += spent;
	pgaml_hot.work_ns += Min(spent, LONGEST_WORK_NS);
}

/* ns of one pair of calls with these options, measured here once. */
static double
pair_ns(int options)
{
	static int	known_options = -1;
	static double known_ns = 0;
	Instrumentation *node;
	instr_time	start;
	instr_time	end;

	if (options == known_options)
		return known_ns;
	node = InstrAlloc(1, options, false);
	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < CALIBRATION_PAIRS; i++)
	{
		InstrStartNode(node);
		InstrStopNode(node, 1.0);
	}
	INSTR_TIME_SET_CURRENT(end);
	pfree(node);
	known_options = options;
	known_ns = ns_between(start, end) / CALIBRATION_PAIRS;
	return known_ns;
}

void
pgaml_budget_add_nodes(int instrument_options, double pairs)
{
	pgaml_hot.work_ns += pairs * pair_ns(instrument_options);
}

/* ---- the level ---- */

/* The counters as they stand. */
static void
read_totals(PgamlSpending *totals)
{
	totals->executions = (double) pg_atomic_read_u64(&pgaml_shared->executions);
	totals->samples = (double) (pgaml_bag_put(pgaml_sample_bag) +
								pg_atomic_read_u64(&pgaml_sample_bag->dropped));
	totals->hook_ns = (double) pg_atomic_read_u64(&pgaml_shared->hook_ns);
	totals->work_ns = (double) pg_atomic_read_u64(&pgaml_shared->work_ns);
	totals->cpu_ns = (double) pg_atomic_read_u64(&pgaml_shared->cpu_ns);
}

/* What was spent between two readings; counters are read one by one, so none goes under 0. */
static void
spent_between(const PgamlSpending *from, const PgamlSpending *to, PgamlSpending *spent)
{
	spent->executions = Max(to->executions - from->executions, 0.0);
	spent->samples = Max(to->samples - from->samples, 0.0);
	spent->hook_ns = Max(to->hook_ns - from->hook_ns, 0.0);
	spent->work_ns = Max(to->work_ns - from->work_ns, 0.0);
	spent->cpu_ns = Max(to->cpu_ns - from->cpu_ns, 0.0);
}

static bool
take_budget(void)
{
	uint32		expected = 0;

	return pg_atomic_compare_exchange_u32(&pgaml_shared->budget_taken, &expected, 1);
}

static void
give_budget_back(void)
{
	pg_memory_barrier();
	pg_atomic_write_u32(&pgaml_shared->budget_taken, 0);
}

/* A window is over: book it and set the level. */
static void
set_level(void)
{
	PgamlSpending totals;
	PgamlSpending window;

	if (!take_budget())
		return;
	read_totals(&totals);
	spent_between(&pgaml_shared->budget_until, &totals, &window);
	if (window.cpu_ns >= PGAML_BUDGET_WINDOW_NS)
	{
		pgaml_budget_update(&pgaml_shared->budget, &window, pgaml_overhead_budget);
		pgaml_shared->budget_until = totals;
		pg_atomic_write_u32(&pgaml_shared->capture_level,
							(uint32) (pgaml_shared->budget.level * PGAML_LEVEL_ONE));
		pg_atomic_write_u64(&pgaml_shared->budget_due,
							(uint64) (totals.cpu_ns + PGAML_BUDGET_WINDOW_NS));
	}
	give_budget_back();
}

static void
flush_ns(pg_atomic_uint64 *shared, double *here)
{
	if (*here > 0)
		pg_atomic_fetch_add_u64(shared, (uint64) *here);
	*here = 0;
}

void
pgaml_budget_flush(void)
{
	double		cpu = pgaml_os_cpu_ns();
	double		used = clock_ns < 0 ? 0 : cpu - cpu_flushed_ns;

	cpu_flushed_ns = cpu;
	flush_ns(&pgaml_shared->hook_ns, &pgaml_hot.hook_ns);
	flush_ns(&pgaml_shared->work_ns, &pgaml_hot.work_ns);
	flush_ns(&pgaml_shared->cpu_ns, &used);
	if (pg_atomic_read_u64(&pgaml_shared->cpu_ns) >= pg_atomic_read_u64(&pgaml_shared->budget_due))
		set_level();
}

void
pgaml_capture_spending(PgamlSpending *recent, double *level)
{
	PgamlSpending totals;
	PgamlSpending window;
	bool		taken = false;

	/* Whoever has it needs it for some arithmetic; torn figures do no harm. */
	for (int i = 0; i < READ_TRIES && !taken; i++)
		taken = take_budget();
	read_totals(&totals);
	spent_between(&pgaml_shared->budget_until, &totals, &window);
	*recent = pgaml_shared->budget.recent;
	*level = pgaml_shared->budget.level;
	if (taken)
		give_budget_back();
	recent->executions += window.executions;
	recent->samples += window.samples;
	recent->hook_ns += window.hook_ns;
	recent->work_ns += window.work_ns;
	recent->cpu_ns += window.cpu_ns;
}
