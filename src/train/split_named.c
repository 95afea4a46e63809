/*-------------------------------------------------------------------------
 * split_named.c
 *		Splits with a name: create_data_split(), drop_data_split(), and how
 *		a request finds and carries one.
 *
 * A request carries the whole definition, so a job runs on the rows that were
 * meant when it was asked for, whatever happens to the name meanwhile.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "base/export.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "base/writable.h"
#include "train/train.h"

#define FRACTIONS_SLACK 1e-9	/* by which their sum may miss 1 */

PGAML_FUNCTION_INFO_V1(pgaml_create_data_split);
PGAML_FUNCTION_INFO_V1(pgaml_drop_data_split);

static const char *const strategy_names[PGAML_SPLIT_STRATEGIES] = {"time", "group", "random"};

const char *
pgaml_split_strategy_name(PgamlSplitStrategy strategy)
{
	return strategy_names[strategy];
}

static bool
strategy_named(const char *name, PgamlSplitStrategy *strategy)
{
	for (int i = 0; i < PGAML_SPLIT_STRATEGIES; i++)
		if (strcmp(name, strategy_names[i]) == 0)
		{
			*strategy = (PgamlSplitStrategy) i;
			return true;
		}
	return false;
}

/* Three numbers above 0 whose sum is 1? */
static bool
fractions_valid(const double *fractions)
{
	double		sum = 0.0;

	for (int i = 0; i < PGAML_SPLIT_PARTS; i++)
	{
		if (!(fractions[i] > 0.0 && fractions[i] < 1.0))
			return false;
		sum += fractions[i];
	}
	return fabs(sum - 1.0) <= FRACTIONS_SLACK;
}

/* Columns: strategy, fractions, seed, window_start, window_end, borders, rows */
static bool
take_split(HeapTuple tuple, TupleDesc desc, void *state)
{
	PgamlSplit *split = state;
	void	   *fractions;
	void	   *borders;
	char	   *strategy = SPI_getvalue(tuple, desc, 1);

	if (!strategy_named(strategy, &split->strategy) ||
		pgaml_row_array(tuple, desc, 2, FLOAT8OID, &fractions) != PGAML_SPLIT_PARTS || !fractions_valid(fractions) ||
		pgaml_row_array(tuple, desc, 6, FLOAT8OID, &borders) != PGAML_SPLIT_PARTS - 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("split \"%s\" is damaged", split->name),
				 errhint("Call drop_data_split() and create it again.")));
	memcpy(split->fractions, fractions, sizeof(split->fractions));
	split->seed = (uint64) pgaml_row_int8(tuple, desc, 3, 0);
	split->from = (TimestampTz) pgaml_row_int8(tuple, desc, 4, 0);
	split->until = (TimestampTz) pgaml_row_int8(tuple, desc, 5, 0);
	memcpy(split->border, borders, sizeof(split->border));
	split->has_borders = true;
	split->rows = pgaml_row_int8(tuple, desc, 7, 0);
	return true;
}

void
pgaml_split_find(const char *name, PgamlSplit *split)
{
	static const char sql[] =
		"SELECT strategy, fractions, seed, window_start, window_end, borders, "
		"       train_rows + calibrate_rows + test_rows "
		"  FROM pganalytics.data_splits WHERE name = $1";
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	PgamlSpi	spi;
	uint64		found;

	memset(split, 0, sizeof(*split));
	if (strategy_named(name, &split->strategy))
		return;
	strlcpy(split->name, name, sizeof(split->name));
	pgaml_spi_open(&spi);
	found = pgaml_spi_each(sql, 1, types, values, NULL, true, take_split, split);
	pgaml_spi_close(&spi);
	if (found == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown split \"%s\"", name),
				 errhint("Allowed are: time, group, random, and the names that list_data_splits() shows.")));
}

static void
append_moment(StringInfo out, const char *name, TimestampTz at)
{
	char		buffer[MAXDATELEN + 1];

	appendStringInfo(out, ", \"%s\": \"%s\"", name,
					 JsonEncodeDateTime(buffer, TimestampTzGetDatum(at), TIMESTAMPTZOID, NULL));
}

static void
append_numbers(StringInfo out, const char *name, const double *numbers, int n)
{
	appendStringInfo(out, ", \"%s\": [", name);
	for (int i = 0; i < n; i++)
		appendStringInfo(out, "%s%s", i > 0 ? ", " : "", double_to_shortest_decimal(numbers[i]));
	appendStringInfoChar(out, ']');
}

char *
pgaml_split_json(const PgamlSplit *split)
{
	StringInfoData out;

	initStringInfo(&out);
	if (split->until == 0)
	{
		appendStringInfo(&out, "\"%s\"", strategy_names[split->strategy]);
		return out.data;
	}
	appendStringInfoString(&out, "{\"name\": ");
	escape_json(&out, split->name);
	appendStringInfo(&out, ", \"strategy\": \"%s\", \"seed\": " INT64_FORMAT ", \"rows\": " INT64_FORMAT,
					 strategy_names[split->strategy], (int64) split->seed, split->rows);
	append_numbers(&out, "fractions", split->fractions, PGAML_SPLIT_PARTS);
	append_moment(&out, "from", split->from);
	append_moment(&out, "until", split->until);
	if (split->has_borders)
		append_numbers(&out, "borders", split->border, PGAML_SPLIT_PARTS - 1);
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* A member of this type; ERROR when it is not there. */
static JsonbValue *
member(const JsonbValue *object, const char *name, enum jbvType type)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object->val.binary.data, name, strlen(name), NULL);

	if (value == NULL || value->type != type)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the split of the job has no \"%s\"", name)));
	return value;
}

static char *
text_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static int64
number_of(const JsonbValue *value)
{
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

static TimestampTz
moment_of(const JsonbValue *value)
{
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text_of(value)),
												   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
numbers_of(const JsonbValue *object, const char *name, double *numbers, int n)
{
	JsonbValue *array = member(object, name, jbvBinary);

	for (int i = 0; i < n; i++)
	{
		JsonbValue *value = JsonContainerIsArray(array->val.binary.data) ?
			getIthJsonbValueFromContainer(array->val.binary.data, i) : NULL;

		if (value == NULL || value->type != jbvNumeric)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the split of the job has no \"%s\"", name)));
		numbers[i] = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
	}
}

void
pgaml_split_parse(const JsonbValue *json, PgamlSplit *split)
{
	if (json != NULL && json->type == jbvString)
	{
		pgaml_split_find(text_of(json), split);
		return;
	}
	if (json == NULL || json->type != jbvBinary || !JsonContainerIsObject(json->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the arguments of the job have no \"%s\"", "split")));
	memset(split, 0, sizeof(*split));
	strlcpy(split->name, text_of(member(json, "name", jbvString)), sizeof(split->name));
	if (!strategy_named(text_of(member(json, "strategy", jbvString)), &split->strategy))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the split of the job has no \"%s\"", "strategy")));
	numbers_of(json, "fractions", split->fractions, PGAML_SPLIT_PARTS);
	if (!fractions_valid(split->fractions))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the split of the job has no \"%s\"", "fractions")));
	split->seed = (uint64) number_of(member(json, "seed", jbvNumeric));
	split->rows = number_of(member(json, "rows", jbvNumeric));
	split->from = moment_of(member(json, "from", jbvString));
	split->until = moment_of(member(json, "until", jbvString));
	split->has_borders = getKeyJsonValueFromContainer(json->val.binary.data, "borders", strlen("borders"), NULL) != NULL;
	if (split->has_borders)
		numbers_of(json, "borders", split->border, PGAML_SPLIT_PARTS - 1);
}

/* Rows and statements of each part. */
typedef struct Counts
{
	int64		rows[PGAML_SPLIT_PARTS];
	int64		statements[PGAML_SPLIT_PARTS];
	int64		last[PGAML_SPLIT_PARTS];	/* statement counted last, 1 + its number */
} Counts;

/* Rows of the window, as little as a split needs of each. */
typedef struct Rows
{
	int64		n;
	int64		capacity;
	PgamlSplitRow *row;
	int32	   *group;
} Rows;

static void
take_row(const PgamlTrainingRow *row, void *state)
{
	Rows	   *rows = state;

	if (rows->n >= rows->capacity)
		return;					/* written since they were counted */
	rows->row[rows->n] = (PgamlSplitRow) {row->at, row->queryid, row->log_ms};
	rows->group[rows->n++] = row->group;
}

static void
read_rows(const PgamlSplit *split, int lookback_days, Rows *rows)
{
	PgamlWindow window = {.since = split->from, .until = split->until};
	PgamlStatementSet *set = pgaml_statements_load(CurrentMemoryContext, false);
	TimestampTz first;
	int32		ngroups;

	rows->n = 0;
	rows->capacity = pgaml_replay_count(&window, set->bucket_width, false, &first);
	if ((Size) rows->capacity * (sizeof(PgamlSplitRow) + sizeof(double) + sizeof(int32)) > (Size) pgaml_training_memory * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("splitting " INT64_FORMAT " rows does not fit into pganalytics_ml.training_memory", rows->capacity),
				 errhint("Raise the setting, or ask for fewer lookback_days.")));
	rows->row = palloc_extended(sizeof(PgamlSplitRow) * Max(rows->capacity, 1), MCXT_ALLOC_HUGE);
	rows->group = palloc_extended(sizeof(int32) * Max(rows->capacity, 1), MCXT_ALLOC_HUGE);
	if (rows->capacity > 0)
		(void) pgaml_replay(set, &window, 1, false, take_row, rows, &ngroups);
	if (rows->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there are no rows to split"),
				 errdetail("Nothing has been recorded in the last %d days.", lookback_days),
				 errhint("Let the workload run, call collect_statements(), or ask for more lookback_days.")));
}

/* Every part must be good for something: without it a model would not be calibrated, or not be measured. */
static void
count_parts(PgamlSplit *split, const Rows *rows, Counts *counts)
{
	static const char *const uses[PGAML_SPLIT_PARTS] = {"train on", "calibrate on", "test on"};
	double	   *keys = palloc_extended(sizeof(double) * rows->n, MCXT_ALLOC_HUGE);
	int64		n = 0;

	memset(counts, 0, sizeof(*counts));
	for (int64 i = 0; i < rows->n; i++)
		if (split->strategy != PGAML_SPLIT_GROUP || i == 0 || rows->group[i] != rows->group[i - 1])
			keys[n++] = pgaml_split_key(split, &rows->row[i]);
	pgaml_split_set_borders(split, keys, n);
	pfree(keys);
	for (int64 i = 0; i < rows->n; i++)
	{
		MlPart		part = pgaml_split_part(split, &rows->row[i]);

		counts->rows[part]++;
		counts->statements[part] += counts->last[part] != rows->group[i] + 1;
		counts->last[part] = rows->group[i] + 1;
	}
	split->rows = rows->n;
	for (int part = 0; part < PGAML_SPLIT_PARTS; part++)
		if (counts->rows[part] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the split would leave no rows to %s", uses[part]),
					 errdetail("There are " INT64_FORMAT " rows of %d statements.", rows->n, rows->group[rows->n - 1] + 1),
					 errhint("Ask for more lookback_days, or for other fractions, another strategy or another seed.")));
}

static Datum
numbers_datum(const double *numbers, int n)
{
	Datum		elements[PGAML_SPLIT_PARTS];

	for (int i = 0; i < n; i++)
		elements[i] = Float8GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(elements, n, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
store(const PgamlSplit *split, const Counts *counts, Oid userid)
{
	static const char sql[] =
		"INSERT INTO pganalytics.data_splits (name, strategy, fractions, seed, window_start, window_end, borders, "
		"  train_rows, calibrate_rows, test_rows, train_statements, calibrate_statements, test_statements, "
		"  created_by) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (name) DO NOTHING";
	Oid			types[14] = {TEXTOID, TEXTOID, FLOAT8ARRAYOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8ARRAYOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, OIDOID};
	Datum		values[14] = {
		CStringGetTextDatum(split->name), CStringGetTextDatum(strategy_names[split->strategy]),
		numbers_datum(split->fractions, PGAML_SPLIT_PARTS), Int64GetDatum((int64) split->seed),
		TimestampTzGetDatum(split->from), TimestampTzGetDatum(split->until),
		numbers_datum(split->border, PGAML_SPLIT_PARTS - 1), Int64GetDatum(counts->rows[ML_PART_TRAIN]),
		Int64GetDatum(counts->rows[ML_PART_CALIBRATE]), Int64GetDatum(counts->rows[ML_PART_TEST]),
		Int64GetDatum(counts->statements[ML_PART_TRAIN]), Int64GetDatum(counts->statements[ML_PART_CALIBRATE]),
		Int64GetDatum(counts->statements[ML_PART_TEST]), ObjectIdGetDatum(userid)
	};

	if (pgaml_spi_exec(sql, lengthof(types), types, values, NULL, false) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("split \"%s\" already exists", split->name),
				 errhint("Choose another name, or call drop_data_split() first.")));
}

static void
check_name(const char *name)
{
	PgamlSplitStrategy strategy;

	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name must have 1 to %d bytes", NAMEDATALEN - 1)));
	if (strategy_named(name, &strategy))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("\"%s\" cannot be the name of a split", name),
				 errdetail("It is the name of a strategy.")));
}

static void
check_fractions(ArrayType *array, double *fractions)
{
	bool		valid = ARR_NDIM(array) == 1 && ARR_DIMS(array)[0] == PGAML_SPLIT_PARTS && !array_contains_nulls(array);

	if (valid)
		memcpy(fractions, ARR_DATA_PTR(array), sizeof(double) * PGAML_SPLIT_PARTS);
	if (!valid || !fractions_valid(fractions))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fractions must be three numbers above 0 whose sum is 1"),
				 errdetail("They are the shares of the rows to train on, to calibrate intervals on, and to test on."),
				 errhint("For example '{0.6,0.2,0.2}'.")));
}

static void
parse_arguments(FunctionCallInfo fcinfo, PgamlSplit *split, int *lookback_days)
{
	static const char *const arguments[] = {"name", "strategy", "fractions", "lookback_days", "seed"};
	char	   *name;
	char	   *strategy;

	for (int i = 0; i < lengthof(arguments); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be NULL", arguments[i])));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	strategy = text_to_cstring(PG_GETARG_TEXT_PP(1));
	*lookback_days = PG_GETARG_INT32(3);
	memset(split, 0, sizeof(*split));
	check_name(name);
	strlcpy(split->name, name, sizeof(split->name));
	if (!strategy_named(strategy, &split->strategy))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown strategy \"%s\"", strategy),
				 errhint("Allowed are: time, group, random.")));
	pgaml_check_lookback(*lookback_days);
	pgaml_split_freeze(split, *lookback_days, (uint64) PG_GETARG_INT64(4));
	check_fractions(PG_GETARG_ARRAYTYPE_P(2), split->fractions);
}

/*
 * create_data_split(name text, strategy text, fractions double precision[],
 *					 lookback_days int, seed bigint)
 * RETURNS TABLE (name text, strategy text, window_start timestamptz, window_end timestamptz,
 *				  train_rows, calibrate_rows, test_rows bigint,
 *				  train_statements, calibrate_statements, test_statements bigint), one row
 */
Datum
pgaml_create_data_split(PG_FUNCTION_ARGS)
{
	PgamlSplit	split;
	int			lookback_days;
	Oid			userid = GetUserId();
	Rows		rows;
	Counts		counts;
	PgamlSpi	spi;
	TupleDesc	desc;
	Datum		values[4 + 2 * PGAML_SPLIT_PARTS];
	bool		nulls[lengthof(values)] = {false};

	parse_arguments(fcinfo, &split, &lookback_days);
	pgaml_require_writable("create_data_split()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgaml_spi_open(&spi);
	read_rows(&split, lookback_days, &rows);
	count_parts(&split, &rows, &counts);
	store(&split, &counts, userid);
	pgaml_spi_close(&spi);

	values[0] = CStringGetTextDatum(split.name);
	values[1] = CStringGetTextDatum(strategy_names[split.strategy]);
	values[2] = TimestampTzGetDatum(split.from);
	values[3] = TimestampTzGetDatum(split.until);
	for (int i = 0; i < PGAML_SPLIT_PARTS; i++)
	{
		values[4 + i] = Int64GetDatum(counts.rows[i]);
		values[4 + PGAML_SPLIT_PARTS + i] = Int64GetDatum(counts.statements[i]);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* drop_data_split(name text) RETURNS void */
Datum
pgaml_drop_data_split(PG_FUNCTION_ARGS)
{
	static const char sql[] = "DELETE FROM pganalytics.data_splits WHERE name = $1";
	Oid			types[] = {TEXTOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	PgamlSpi	spi;
	uint64		dropped;

	pgaml_require_writable("drop_data_split()");
	pgaml_spi_open(&spi);
	dropped = pgaml_spi_exec(sql, 1, types, values, NULL, false);
	pgaml_spi_close(&spi);
	if (dropped == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("split \"%s\" does not exist", text_to_cstring(PG_GETARG_TEXT_PP(0)))));
	PG_RETURN_VOID();
}
