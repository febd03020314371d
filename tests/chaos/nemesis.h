/* SPDX-License-Identifier: MIT */
/* Which faults come when: a pure function of the seed, the time and the kinds that are wanted. */
#ifndef CHAOS_NEMESIS_H
#define CHAOS_NEMESIS_H

#include "workload.h"

/* name, how often in a thousand, what it is */
#define FAULT_MAP(X)                                                                 \
    X(KILL, "kill", 170, "SIGKILL of a worker")                                      \
    X(KILL_LEADER, "kill-leader", 50, "SIGKILL of the worker that leads")            \
    X(PAUSE, "pause", 60, "SIGSTOP of a worker, shorter than its lease")             \
    X(FREEZE, "freeze", 40, "SIGSTOP of a worker, longer than its lease")            \
    X(BACKEND, "backend", 40, "SIGKILL of one backend: all sessions are lost")       \
    X(POSTMASTER, "postmaster", 30, "SIGKILL of the postmaster, and a new start")    \
    X(FAST, "fast", 20, "restart, fast")                                             \
    X(IMMEDIATE, "immediate", 20, "restart, immediate")                              \
    X(CLAIMER, "claimer", 70, "pg_terminate_backend of a claimer and listener")      \
    X(CLOSER, "closer", 60, "pg_terminate_backend of a session that closes")         \
    X(LEADER, "leader", 60, "pg_terminate_backend of the leader's session")          \
    X(CONNECTIONS, "connections", 30, "no connection is left")                       \
    X(CUT, "cut", 40, "all sessions of a client are cut")                            \
    X(CUT_BEFORE, "cut-before", 50, "a message is lost, and its session")            \
    X(CUT_AFTER, "cut-after", 70, "an answer is lost, and its session")              \
    X(CUT_COMMIT, "cut-commit", 50, "the answer to a COMMIT is lost")                \
    X(DELAY, "delay", 30, "a client's network is slow")                              \
    X(HOLE, "hole", 40, "a client's network swallows everything; sockets stay open") \
    X(SNAPSHOT, "snapshot", 20, "a transaction holds an old snapshot")               \
    X(WRITER, "writer", 30, "a transaction has inserted jobs, and idles")            \
    X(THIEF, "thief", 70, "VACUUM FULL, REINDEX, ALTER, LOCK TABLE")                 \
    X(DISK, "disk", 25, "the disk of the WAL is full")                               \
    X(CLOCK, "clock", 50, "the wall clock of a worker jumps")                        \
    X(STALL, "stall", 50, "SIGSTOP of the whole server")                             \
    X(SERVER_CLOCK, "server-clock", 50, "the wall clock of the server's host steps") \
    X(READONLY, "readonly", 40, "the database is read-only; all sessions are ended") \
    X(LOCKED, "locked", 50, "an administrator locks a table of the ring, for long")  \
    X(NEIGHBOUR, "neighbour", 30, "a transaction with an id, in another database")   \
    X(DUMP, "dump", 40, "pg_dump, which is restored and compared")                   \
    X(STARVED, "starved", 30, "a worker can start no programs, or open no files")

enum fault {
#define X(name, word, share, text) FAULT_##name,
    FAULT_MAP(X)
#undef X
        FAULTS
};

struct planned {
    int64_t at_ms; /* since the load began */
    enum fault fault;
    uint32_t target; /* a random number; its meaning depends on the fault */
    int32_t length_ms;
    int32_t value;
};

const char *fault_name(enum fault fault);

/* Is it one after which the server's sessions are gone, and claims may be forgotten? */
bool is_outage(enum fault fault);

/* One during which nobody can work: an outage, or nobody gets a session, a lock, or a write. */
bool stops_everybody(enum fault fault);

/* By how many seconds a fault sets the server's clock when it begins, and when it ends. */
int64_t step_at_first(const struct planned *what);
int64_t step_in_the_end(const struct planned *what);

/* A set of faults from a list of names, "all" or "none"; false: there is no such name. */
bool faults_read(const char *list, uint32_t *ret_set, const char **ret_bad);

/* Fills in at most max faults; returns how many. */
size_t plan_faults(uint64_t seed, int64_t length_ms, uint32_t set, struct planned *plan,
                   size_t max);

#endif
