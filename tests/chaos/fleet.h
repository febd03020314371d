/* SPDX-License-Identifier: MIT */
/* The processes of a run, started and watched by the conductor. They end with it. */
#ifndef CHAOS_FLEET_H
#define CHAOS_FLEET_H

#include "place.h"
#include "process.h"
#include "proxy.h"

enum { MEMBERS_MAX = 64, WORKERS = 5, ARGS_MAX = 8 };

struct member {
    enum role role;
    const char *mode;
    const char *user; /* NULL: the administrator */
    int link;         /* -1: none, so it talks to the server itself */
    const char *args[ARGS_MAX];
    bool lasting; /* started again when it ends; else it ends by itself */
    pid_t pid;    /* 0: does not run */
    uint32_t proc;
    uint64_t started_ns, start_at_ns; /* start_at_ns: when to start it again; 0: not at all */
    bool killed, frozen;              /* by us */
};

struct fleet {
    struct place *place;
    struct board *board;
    uint64_t seed;
    struct member members[MEMBERS_MAX];
    size_t n;
    uint32_t next_proc;
    int orders; /* to the proxy */
    int log;    /* stderr of all */
    unsigned crashes;
};

/* Starts the proxy and everybody else. */
awa_status fleet_begin(struct fleet *f, awa_error *err) AWA_CHECKED;

/* One that ends by itself, with up to two arguments; NULL: no room. */
struct member *fleet_add(struct fleet *f, const char *mode, const char *user, const char *arg,
                         const char *second);

/* Notices who has ended and starts who is due. */
void fleet_turn(struct fleet *f);

/* The worker at the n-th place, or a later one if that does not run; NULL: none does. */
struct member *fleet_worker(struct fleet *f, uint32_t n);
struct member *fleet_programs(struct fleet *f); /* the one that starts programs */
struct member *fleet_find(struct fleet *f, uint32_t proc);
struct member *fleet_at_link(struct fleet *f, int link);
int fleet_links(void);

void fleet_kill(struct fleet *f, struct member *m, int restart_ms);
void fleet_order(const struct fleet *f, int link, enum order order, uint32_t arg);

/* Ends all of a role with SIGTERM, or after timeout_ms with SIGKILL; false: some were killed. */
bool fleet_end(struct fleet *f, enum role role, int timeout_ms);

/* Memory and open files of workers, as samples. */
void fleet_sample(const struct fleet *f);

#endif
