/* SPDX-License-Identifier: MIT */
/*
 * Jobs are taken from the dead. A worker that lives may lose what it holds only if it could not be
 * seen for a while: it, or its network, stood still; or its session was lost with the server or by
 * a signal, and it goes on under another number. A server that stands still, a clock that is set, a
 * database that is read-only or locked is no reason: there, nobody was seen, and nobody missed.
 */
#include "verdict.h"

enum { MEMORY_S = 30 }; /* from the end of what happened to a worker until a leader acts on it */

/* Faults whose victims nobody has written down. */
static bool
may_hit_anybody(enum fault fault)
{
    return is_outage(fault) || fault == FAULT_CLAIMER || fault == FAULT_CLOSER ||
           fault == FAULT_LEADER || fault == FAULT_CONNECTIONS;
}

static bool
was_hit(const struct history *h, uint32_t proc, uint64_t from_ns, uint64_t to_ns)
{
    for (size_t i = 0; i < h->ntroubles && h->troubles[i].from_ns <= to_ns; i++) {
        const struct trouble *t = &h->troubles[i];

        if (t->to_ns + MEMORY_S * 1000000000ull < from_ns)
            continue;
        if (t->fault != FAULT_CLOCK && (may_hit_anybody(t->fault) || concerns(h, t, proc)))
            return true;
    }
    return false;
}

void
check_taken(const struct history *h, struct verdict *v)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct record *r = &h->records[i];
        uint32_t proc = (uint32_t)(r->key % PROCS_MAX);
        bool gone = h->ended_ns[proc] != 0 && h->ended_ns[proc] <= r->mono_ns;

        if (r->op == OP_TAKEN && h->role[proc] == ROLE_WORKER && !gone &&
            !was_hit(h, proc, r->position, r->mono_ns))
            break_rule(v, RULE_ALIVE, "%u jobs of process %u, between %llu and %llu ms", r->aux,
                       proc, (unsigned long long)(r->position / 1000000),
                       (unsigned long long)(r->mono_ns / 1000000));
    }
}
