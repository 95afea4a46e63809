/*-------------------------------------------------------------------------
 * spi_run.h
 *		The one bracket around SPI.  No other file connects to SPI.
 *
 * Inside the bracket the current user is the owner of the extension and
 * search_path is pinned to pg_catalog, so that nobody's objects or rights
 * play a part; and pg_stat_statements does not count what runs inside.  Callers check rights before they open it (base/acl.h).
 * Statements are constants with parameters and schema-qualified names.
 * After an ERROR, (sub)transaction abort restores everything.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SPI_RUN_H
#define PGAML_SPI_RUN_H

#include "executor/spi.h"

/* Reached without the indirection that symbols of other libraries need. */
#pragma GCC visibility push(hidden)

typedef struct PgamlSpi
{
	Oid			saved_userid;
	int			saved_context;	/* security context flags */
	int			guc_level;
} PgamlSpi;

/*
 * Inside a transaction.  Ends in ERROR (UNDEFINED_OBJECT) when the extension
 * is gone.  Memory palloc'd between open and close dies at close: results to
 * keep go to another context first.
 */
extern void pgaml_spi_open(PgamlSpi *spi);
extern void pgaml_spi_close(PgamlSpi *spi);

/*
 * May brackets wait for locks?  While they may not, opening one raises
 * LOCK_NOT_AVAILABLE when the extension is about to be dropped, and what runs
 * inside does when a lock is not free within a millisecond.  Returns what was
 * said before, to be restored in PG_FINALLY or after PG_CATCH.
 */
extern bool pgaml_spi_patient(bool patient);

/*
 * Is a bracket open in this backend?  What runs inside is the extension's own
 * work and is not captured.
 */
extern int	pgaml_spi_brackets;	/* how many are open */

static inline bool
pgaml_spi_inside(void)
{
	return pgaml_spi_brackets > 0;
}

/*
 * Run one statement with parameters; rows are in SPI_tuptable, their number
 * is returned.  read_only uses the active snapshot and must be true on a
 * standby; otherwise a fresh snapshot is taken.  Errors are raised.
 */
extern uint64 pgaml_spi_exec(const char *sql, int nargs, const Oid *types,
							 const Datum *values, const char *nulls, bool read_only);

/* The same without parameters. */
extern uint64 pgaml_spi_run(const char *sql, bool read_only);

/*
 * Stream the rows of a query through a cursor, batch by batch.  row() is
 * called for each with its tuple; what it allocates in the current context
 * dies with the batch.  It returns false to stop.  Returns rows seen.
 */
typedef bool (*PgamlRowCallback) (HeapTuple tuple, TupleDesc desc, void *state);
extern uint64 pgaml_spi_each(const char *sql, int nargs, const Oid *types, const Datum *values,
							 const char *nulls, bool read_only, PgamlRowCallback row, void *state);

/*
 * The same two with a plan that is made once and kept for the session in
 * *plan, which is NULL at first and always goes with this text.  It does not
 * depend on the parameters.  All rows are fetched at once: for small results.
 */
extern uint64 pgaml_spi_exec_kept(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types,
								  const Datum *values, bool read_only);
extern uint64 pgaml_spi_each_kept(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types,
								  const Datum *values, bool read_only, PgamlRowCallback row, void *state);

/*
 * The rows of a query as the result of a set-returning function that has
 * called InitMaterializedSRF; their types must be those of its columns.
 * Reads under the active snapshot.
 */
struct ReturnSetInfo;
extern void pgaml_spi_into(const char *sql, int nargs, const Oid *types, const Datum *values,
						   const char *nulls, struct ReturnSetInfo *rsinfo);

/* Column of a row as double, NaN when NULL; as int64, otherwise when NULL. */
extern double pgaml_row_float8(HeapTuple tuple, TupleDesc desc, int column);
extern int64 pgaml_row_int8(HeapTuple tuple, TupleDesc desc, int column, int64 otherwise);

/* Column of type timestamptz as s since the PostgreSQL epoch; NaN when NULL. */
extern double pgaml_row_seconds(HeapTuple tuple, TupleDesc desc, int column);

/*
 * A one-dimensional array column without NULLs: elements in place or copied to the
 * current context, their number returned; 0 and NULL when the column is NULL.
 */
extern int	pgaml_row_array(HeapTuple tuple, TupleDesc desc, int column, Oid element, void **elements);

/* Workers: a whole transaction with snapshot, activity line and SPI. */
extern void pgaml_xact_open(PgamlSpi *spi, const char *activity);
extern void pgaml_xact_close(PgamlSpi *spi);

/*
 * Workers: a transaction without SPI, for catalog access and locks.  It has a
 * snapshot; the caller's memory context is current again after the end.
 */
extern void pgaml_xact_begin(void);
extern void pgaml_xact_end(void);

/* Workers, in a PG_CATCH: end the transaction that failed, if there is one. */
extern void pgaml_xact_abort(void);

/* OID of the extension in this database, or InvalidOid. */
extern Oid	pgaml_extension_oid(void);

#define PGAML_PGSS_NAME "pg_stat_statements"

/*
 * In a transaction: keep the extension, and pg_stat_statements, from being
 * dropped until it ends; false when somebody is about to, or has just done so.
 * Never waits.  DROP EXTENSION locks the extension before its tables: who
 * holds it first cannot deadlock with that.
 */
extern bool pgaml_extension_hold(void);

/*
 * Quoted schema of pg_stat_statements in this database, palloc'd; NULL when the
 * extension is not installed here or its library was not preloaded.
 */
extern char *pgaml_pgss_schema(void);

/* The same schema; InvalidOid instead of NULL. */
extern Oid	pgaml_pgss_namespace(void);

#pragma GCC visibility pop

#endif							/* PGAML_SPI_RUN_H */
