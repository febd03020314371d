/* SPDX-License-Identifier: MIT */
/* What the watcher looks at. */
#ifndef CHAOS_WATCHER_H
#define CHAOS_WATCHER_H

#define SAMPLE_MAP(X)                                                         \
    X(COUNTS, "counts differ from a recount")                                 \
    X(UNIQUE, "two live jobs with one unique key")                            \
    X(TWINS, "one job in two places")                                         \
    X(WAITS, "somebody waits for a lock for more than 5 s")                   \
    X(BYTES, "bytes of all tables")                                           \
    X(SESSIONS, "sessions of the clients")                                    \
    X(DEAD, "dead rows of ringed tables")                                     \
    X(NOTIFY, "use of the notification queue, in millionths")                 \
    X(LEAD, "somebody leads")                                                 \
    X(RECOUNT_MS, "how long the recount took")                                \
    X(RSS, "memory of a process, in kB") /* key: process, by the conductor */ \
    X(FDS, "open files of a process")

enum sample {
#define X(name, text) SAMPLE_##name,
    SAMPLE_MAP(X)
#undef X
};

const char *sample_name(enum sample what);

#endif
