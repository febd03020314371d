/* SPDX-License-Identifier: MIT */
/*
 * ./dev chaos: one executable, which is the conductor of a run and, in other modes, every process
 * of it: chaos MODE DIR NUMBER DSN SEED ARGUMENTS...
 */
#include "process.h"

static const struct {
    const char *name;
    int (*main)(struct process *p);
} modes[] = {
    { "worker", worker_main },     { "producer", producer_main },   { "zombie", zombie_main },
    { "operator", operator_main }, { "watcher", watcher_main },     { "proxy", proxy_main },
    { "reader", reader_main },     { "writer", writer_main },       { "thief", thief_main },
    { "locker", locker_main },     { "neighbour", neighbour_main }, { "dumper", dumper_main },
    { "hog", hog_main },           { "programs", programs_main },   { "program", program_main },
};

static int
run_mode(int (*mode)(struct process *p), char **argv, int argc)
{
    struct process p = { .dir = argv[2],
                         .proc = (uint32_t)strtoul(argv[3], NULL, 10),
                         .dsn = argv[4],
                         .seed = strtoull(argv[5], NULL, 10),
                         .argc = argc - 6,
                         .argv = argv + 6 };
    awa_error err;

    if (mode == program_main) /* of a stranger to the board */
        return mode(&p);
    if (process_begin(&p, &err) != AWA_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return mode(&p);
}

int
main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof modes / sizeof modes[0] && argc >= 6; i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            return run_mode(modes[i].main, argv, argc);
    return conductor_main(argc, argv);
}
