/*-------------------------------------------------------------------------
 * worker_internal.h
 *		What the files of this room share.
 *
 * A visit goes through a slot in shared memory: the launcher takes it
 * (FREE -> STARTING), the worker enters it (-> RUNNING), leaves it when its
 * process ends (-> DONE), and the launcher reads the result and frees it.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WORKER_INTERNAL_H
#define PGAML_WORKER_INTERNAL_H

#include "base/shmem.h"

#define PGAML_LIBRARY		"pganalytics_ml"
#define PGAML_WORKER_NAME	"pganalytics_ml worker"
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

#endif							/* PGAML_WORKER_INTERNAL_H */
