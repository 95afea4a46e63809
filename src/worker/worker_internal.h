/*-------------------------------------------------------------------------
 * worker_internal.h
 *		What the files of this room share.
 *
 * A visit goes through a slot in shared memory: the launcher takes it
 * (FREE -> STARTING), the worker enters it (-> RUNNING), leaves it when its
 * process ends (-> DONE), and the launcher reads the result and frees it.
 * A training worker goes through a training slot in the same way.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WORKER_INTERNAL_H
#define PGAML_WORKER_INTERNAL_H

#include "postmaster/bgworker.h"

#include "base/shmem.h"

#define PGAML_LIBRARY		"pganalytics_ml"
#define PGAML_WORKER_NAME	"pganalytics_ml worker"
#define PGAML_TRAINING_NAME "pganalytics_ml training"
#define PGAML_LAUNCHER_NAME "pganalytics_ml launcher"

/* What the launcher hands to a worker, in bgw_extra. */
typedef struct PgamlTicket
{
	int32		slot;
	uint32		serial;			/* of the slot: a ticket is good for one use */
	Oid			dbid;
	uint32		message_hash;	/* of the error logged last for this database; 0: none */
} PgamlTicket;

/* slots.c: each takes and releases PgamlShared.lock */
extern bool pgaml_slot_take(Oid dbid, uint32 message_hash, TimestampTz now, PgamlTicket *ticket);
extern bool pgaml_slot_enter(const PgamlTicket *ticket, PgamlWorkerSlot *copy);
extern void pgaml_slot_progress(int slot, double progress);
extern void pgaml_slot_result(int slot, bool has_extension, bool succeeded);
extern void pgaml_slot_failed(int slot, uint32 message_hash);
extern void pgaml_slot_leave(int slot);
extern void pgaml_slot_free(int slot);
extern void pgaml_slot_cancel(int slot, uint32 serial);
extern void pgaml_slots_copy(PgamlWorkerSlot *copy);	/* PGAML_WORKERS_MAX of them */
extern void pgaml_slots_adopt(void);

/* databases.c */
typedef struct PgamlDatabaseRow
{
	Oid			dbid;
	char		name[NAMEDATALEN];
} PgamlDatabaseRow;

/* An entry of the directory, without what only a visit needs. */
typedef struct PgamlKnownDatabase
{
	Oid			dbid;
	uint64		announced;
	TimestampTz last_visit;
	TimestampTz next_visit;
	int			failures;
} PgamlKnownDatabase;

extern int	pgaml_databases_known(PgamlKnownDatabase *out);	/* PGAML_MAX_DATABASES at most */
extern int	pgaml_databases_list(MemoryContext context, PgamlDatabaseRow **out);
extern bool pgaml_database_wanted(Oid dbid);

/* session.c */
extern void pgaml_session_prepare(const char *name, bool durable);
extern bool pgaml_session_connect(Oid dbid);

/*
 * Outside a transaction: the version of the extension, palloc'd; ERROR when it
 * is not there.
 */
extern char *pgaml_session_version(void);

/*
 * Outside a transaction: open one with a bracket in which the extension cannot
 * be dropped; false, and no transaction, when it is gone or about to go.  The
 * caller's memory context is current again after the close.
 */
struct PgamlSpi;
extern bool pgaml_session_open(struct PgamlSpi *spi, const char *activity);
extern void pgaml_session_close(struct PgamlSpi *spi);

/* Outside a transaction: is somebody waiting for this database to be left? */
extern bool pgaml_session_wanted(void);

/* turn.c */
extern void pgaml_turn_init(void);
extern void pgaml_turn_forget_answers(void);
extern long pgaml_turn_take(void);

/*
 * schedule.c, inside an open SPI bracket: is a retraining to begin now?  Then
 * the caller begins it in this transaction, which keeps others from it, and
 * says so.  Otherwise *why says why not, and what is put off is noted.
 */
struct PgamlTrainRequest;
extern bool pgaml_schedule_due(char **why);
extern void pgaml_schedule_begun(int64 job_id);

/* What it asks for; outside of a bracket too. */
extern void pgaml_schedule_request(struct PgamlTrainRequest *request);

/* Begin it: put it into the queue; returns job_id. */
extern int64 pgaml_schedule_queue(void);

/* The step of a visit. */
extern void pgaml_schedule_visit(void);

/*
 * Start a process with this entry point and ticket; its handle lives as long as
 * the launcher.  False when no process can be had: that is logged once, and
 * wait_ms is lowered to the time of the next try.
 */
extern bool pgaml_turn_start(const char *function, const char *name, const PgamlTicket *ticket,
							 BackgroundWorkerHandle **handle, long *wait_ms);

/* Is it too early to start a process, after none could be had?  Lowers wait_ms. */
extern bool pgaml_turn_starting_waits(TimestampTz now, long *wait_ms);

/* training_turn.c */
extern long pgaml_training_turn(TimestampTz now, long wait_ms);

struct PgamlJob;

/* training_slots.c: each takes and releases PgamlShared.lock */
extern bool pgaml_training_take(Oid dbid, TimestampTz now, PgamlTicket *ticket);
extern bool pgaml_training_enter(const PgamlTicket *ticket);
extern void pgaml_training_leave(int slot);
extern void pgaml_training_free(int slot);
extern void pgaml_training_adopt(void);
extern void pgaml_training_begin(const struct PgamlJob *job, int64 hard_limit);
extern PgamlJobStop pgaml_training_end(void);
extern void pgaml_training_succeeded(void);
extern void pgaml_training_interrupt(int slot, uint32 serial);
extern void pgaml_training_terminate(int slot, uint32 serial);
extern uint64 pgaml_training_serial(int64 *overdue);
extern void pgaml_training_due(uint64 serial, TimestampTz due);
extern bool pgaml_training_others_wait(TimestampTz now);

/* jobs.c */
struct PgamlJob;
extern void pgaml_jobs_look(void);
extern bool pgaml_jobs_take(MemoryContext context, struct PgamlJob *job);
extern void pgaml_jobs_run(struct PgamlJob *job);
extern void pgaml_jobs_settle(struct PgamlJob *job, PgamlJobStop stop, bool interrupted, const ErrorData *error);

#endif							/* PGAML_WORKER_INTERNAL_H */
