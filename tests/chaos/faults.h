/* SPDX-License-Identifier: MIT */
/* Injects what the nemesis has planned, and lifts it again. */
#ifndef CHAOS_FAULTS_H
#define CHAOS_FAULTS_H

#include "fleet.h"
#include "nemesis.h"

enum { ACTIVE_MAX = 32 };

struct faults {
    struct fleet *fleet;
    struct place *place;
    struct active {
        struct planned what;
        struct record record;
        uint64_t until_ns; /* 0: when its child has ended */
        struct member *member;
        uint32_t proc; /* of it */
        int link;
    } active[ACTIVE_MAX];
    size_t n;
    uint64_t calm_ns; /* until then, nothing stops everybody for long */
    uint32_t number;
    unsigned skipped;
    awa_error err; /* the server would not start again */
};

/* Injects a fault, if there is something that it can hit. */
void faults_inject(struct faults *f, const struct planned *what);

/* Lifts what is over, or with `all` everything; starts a server that has died. */
void faults_turn(struct faults *f, bool all);

/* Waits until the server takes connections, starting it if it does not run. */
void faults_await_server(struct faults *f);

#endif
