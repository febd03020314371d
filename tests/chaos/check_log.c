/* SPDX-License-Identifier: MIT */
/*
 * The server's log: every ERROR, FATAL and PANIC must be one that an injected fault explains, or
 * that the protocol expects, such as the refusal of a stale attempt.
 */
#include "verdict.h"

#define ANY       ((1u << FAULTS) - 1)
#define ONE(name) (1u << FAULT_##name)
#define OUTAGES   (ONE(BACKEND) | ONE(POSTMASTER) | ONE(FAST) | ONE(IMMEDIATE) | ONE(DISK))
#define ENDINGS   (OUTAGES | ONE(CLAIMER) | ONE(CLOSER) | ONE(LEADER) | ONE(READONLY))

/* A part of the line; the faults of which one must have been wanted, 0: it is lawful anyhow. */
static const struct {
    const char *part;
    uint32_t faults;
} allowed[] = {
    { "ERROR:  attempt: claim", 0 },                  /* JQ003, to a stale attempt */
    { "ERROR:  worker: ", 0 },                        /* JQ003, to one that was given up for dead */
    { "ERROR:  current transaction is aborted", 0 },  /* what a zombie sends after that */
    { "a newer job holds the unique key", 0 },        /* JQ004, to an operator's retry */
    { "keeps moving", 0 },                            /* JQ006, to an operator */
    { "somebody else is just changing it", 0 },       /* JQ006 */
    { "canceling statement due to lock timeout", 0 }, /* of guests and operators, who set one */
    { "terminating connection due to administrator command", ENDINGS },
    { "canceling authentication due to timeout", ENDINGS }, /* said to one that is ended so early */
    { "terminating connection due to unexpected postmaster exit", OUTAGES },
    { "the database system is", OUTAGES },
    { "canceling statement due to user request", OUTAGES },
    { "terminating background worker", OUTAGES },
    { "too many clients already", ONE(CONNECTIONS) },
    { "remaining connection slots are reserved", ONE(CONNECTIONS) },
    { "pre-existing shared memory block", OUTAGES },
    { "lock file \"postmaster.pid\" already exists", OUTAGES },
    { "in a read-only transaction", ONE(READONLY) },
    { "canceling authentication due to timeout", ONE(STALL) },
    { "canceling statement due to statement timeout", ONE(STALL) | ONE(SERVER_CLOCK) },
    { "invalid snapshot identifier", ONE(DUMP) }, /* whose exporter was lost meanwhile */
    { "No space left on device", ONE(DISK) },
    { "connection to client lost", ANY },
    { "unexpected EOF on client connection", ANY }, /* in the middle of a COPY, */
    { "protocol synchronization was lost", ANY },   /* and what comes of it */
    { "terminating connection due to idle-in-transaction timeout", ANY },
};

static bool
is_allowed(const char *line, uint32_t wanted)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (strstr(line, allowed[i].part) != NULL &&
            (allowed[i].faults == 0 || (allowed[i].faults & wanted) != 0))
            return true;
    return false;
}

/*
 * Whether a deadlock is one with a guest, which its details name: REINDEX locks the table, then its
 * indexes, against whoever reads the index before he writes to the table. No order of ours helps.
 */
static bool
is_with_guest(FILE *file, char **line, size_t *room)
{
    static const char *const guests[] = { "REINDEX TABLE", "VACUUM FULL", "ALTER TABLE",
                                          "LOCK TABLE" };
    bool found = false;

    while (getline(line, room, file) > 0 && strstr(*line, "HINT:") == NULL)
        for (size_t i = 0; i < sizeof guests / sizeof guests[0]; i++)
            found |= strstr(*line, guests[i]) != NULL;
    return found;
}

static bool
is_severe(const char *line)
{
    return strstr(line, " ERROR:  ") != NULL || strstr(line, " FATAL:  ") != NULL ||
           strstr(line, " PANIC:  ") != NULL;
}

/* What the conductor does in the end, it does with every run: a fast shutdown. */
void
check_log(const char *dir, struct verdict *v)
{
    char path[300], first[200];
    AUTO(free) char *line = NULL;
    size_t room = 0;

    snprintf(path, sizeof path, "%s/server.log", dir);
    AUTO(file) FILE *file = fopen(path, "re");
    while (file != NULL && getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strstr(line, "deadlock detected") != NULL) {
            snprintf(first, sizeof first, "%s", line);
            if (is_with_guest(file, &line, &room))
                v->guest_deadlocks++;
            else
                break_rule(v, RULE_PROGRESS, "%s", first);
        } else if (is_severe(line) && !is_allowed(line, v->options->set | ONE(FAST)))
            break_rule(v, RULE_LOG, "%s", line);
    }
    if (file == NULL)
        break_rule(v, RULE_LOG, "there is no log");
}
