/*-------------------------------------------------------------------------
 * budget.c
 *		What do the hooks cost, and what may they?
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/instrument.h"

#include "capture/capture_internal.h"

#define CALIBRATION_PAIRS	256

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
	INSTR_TIME_SUBTRACT(end, start);
	pfree(node);
	known_options = options;
	known_ns = INSTR_TIME_GET_DOUBLE(end) * 1e9 / CALIBRATION_PAIRS;
	return known_ns;
}

static double nodes_ns = 0;

void
pgaml_budget_add_nodes(int instrument_options, double pairs)
{
	nodes_ns += pairs * pair_ns(instrument_options);
}
