/* SPDX-License-Identifier: MIT */
/* What all processes of a run have in common: a place, a number, a board that all can read. */
#ifndef CHAOS_PROCESS_H
#define CHAOS_PROCESS_H

#include <stdatomic.h>

#include "record.h"
#include "workload.h"

enum { PROCS_MAX = 20000 };

/* A page of memory that all processes share; a killed process leaves what it wrote. */
struct board {
    atomic_int_least64_t backlog; /* jobs that wait, roughly; written by the watcher */
    atomic_int_least64_t inserted, ended, stale_tried, stale_refused;
    atomic_int stop_producing;
    struct seat {
        atomic_int_least64_t completed, stale, reconnects, running;
    } seats[PROCS_MAX]; /* by process */
};

struct process {
    const char *dir; /* of the run */
    uint32_t proc;   /* its number; a process that takes another's place has another one */
    const char *dsn;
    uint64_t seed;
    struct board *board;
    int argc; /* what else the mode needs */
    char **argv;
};

/* Maps the board of a run, which the conductor makes. */
awa_status board_map(const char *dir, bool make, struct board **ret_board,
                     awa_error *err) AWA_CHECKED;

/* Opens the history and the board; catches SIGTERM. */
awa_status process_begin(struct process *p, awa_error *err) AWA_CHECKED;

/* SIGTERM has come. */
bool process_ends(void);

void sleep_ms(int ms); /* returns early when SIGTERM comes */

/*
 * A session that is opened again and again until the process should end: NULL then. Runs `setup`
 * on it if that is not NULL.
 */
PGconn *process_session(const struct process *p, const char *setup);

/* Runs a statement with text parameters; NULL params: none. NULL counts as a failure, below. */
PGresult *query(PGconn *conn, const char *sql, int nparams, const char *const *params);
bool succeeded(const PGresult *res);

/*
 * What a failed statement means for its operation: FAIL if the server has said no and lives, INFO
 * if the session broke.
 */
enum phase_of phase_of_failure(const PGconn *conn, const PGresult *res);

/* A number in a result; 0 for NULL. */
int64_t number_at(const PGresult *res, int row, int column);

/* Runs a program and waits for it; true: it has succeeded. */
bool process_run(const char *const *argv);

/* What a guest was told: for how long to stay, and a number. */
int guest_length_ms(const struct process *p);
unsigned guest_value(const struct process *p);

/* The modes: main() of each. */
int worker_main(struct process *p);
int producer_main(struct process *p);
int zombie_main(struct process *p);
int operator_main(struct process *p);
int watcher_main(struct process *p);
int proxy_main(struct process *p);
int programs_main(struct process *p);
int program_main(struct process *p);
int reader_main(struct process *p);
int writer_main(struct process *p);
int neighbour_main(struct process *p);
int dumper_main(struct process *p);
int thief_main(struct process *p);
int locker_main(struct process *p);
int hog_main(struct process *p);
int conductor_main(int argc, char **argv);

#endif
