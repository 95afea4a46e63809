/*-------------------------------------------------------------------------
 * helper_world.h
 *		A simulated server for tests of the stages: statements of many plan
 *		shapes, their executions in time order, features as of each.
 *
 * The time of a shape follows its cost on a line of its own kind, so the cost
 * alone misleads; every statement is off that line by an amount of its own;
 * a sensitive statement has parameters that move its cost, and its time along.
 *-------------------------------------------------------------------------
 */
#ifndef HELPER_WORLD_H
#define HELPER_WORLD_H

#include "features/state_core.h"
#include "ml/stages.h"

enum
{
	W_COST, W_ROWS, W_KIND, W_JOINS, W_CENTER, W_SPREAD, W_RUNS, W_COST_DEPARTURE, W_ROWS_DEPARTURE, W_NEAR_DEPARTURE,
	W_LINE_DEPARTURE, W_COUNT
};

#define WORLD_KINDS 5

extern const MlStageLayout world_layout;

typedef struct WorldRules
{
	int			statements;
	int			runs;			/* of each statement */
	double		sensitive;		/* share of statements whose parameters decide */
	double		decades;		/* log range of the cost of a sensitive statement */
	double		left_out;		/* share of statements that are in the test part only */
	int			new_kinds;		/* left-out statements are of kinds from here on; 0: of any */
	bool		uneven;			/* statements run between a tenth and all of runs */
	uint64_t	seed;
} WorldRules;

typedef struct World
{
	MlStageData data;
	float	   *columns[W_COUNT];
	double	   *target;
	int32_t    *group;
	int64_t    *plan;
	int64_t    *key;
	uint8_t    *part;
	uint8_t    *single;
	bool	   *sensitive;		/* by group */
	bool	   *left_out;		/* by group */
} World;

extern void world_make(World *world, const WorldRules *rules);
extern void world_free(World *world);

/* Row i; as known by query identifier, with its own plan, or of a statement never seen. */
typedef enum WorldView
{
	WORLD_AHEAD, WORLD_OWN, WORLD_COLD
} WorldView;

extern MlForecast world_ask(const World *world, const MlStages *stages, int64_t i, WorldView view);

/* Fit with a boosting or ridge learner; asserts success. */
extern MlStages *world_fit(const World *world, MlModelType type, int n_trees, MlStageReport *report);

/* Is row i one that the test part holds of a statement that was (not) left out? */
extern bool world_tests(const World *world, int64_t i, bool left_out);

/* The q-quantile of values, which are sorted by the call. */
extern double world_quantile(double *values, int64_t n, double q);

#endif							/* HELPER_WORLD_H */
