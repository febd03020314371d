/* SPDX-License-Identifier: MIT */
/*
 * Shows awa at work, with one job for every file below /usr/share. Several worker processes compute
 * SHA-256, size and packed size of each file. A few jobs have no file, and fail. One worker is
 * killed in the middle. In the end the sums of all results are compared with a recount without the
 * queue. The exit code is 0 only if they agree and the right jobs failed.
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "demo.h"

enum { EXIT_USAGE = 2 };

struct settings {
    const char *dsn, *root;
    size_t max;
};

static int
usage(FILE *out)
{
    fputs("Usage: demo [--dsn CONNINFO] [--below DIR] [N]\n\n"
          "Makes a job for each file below DIR (/usr/share), N (20000) of them at most, in a new\n"
          "database awa_demo on the server of CONNINFO (PG* variables), and works on them.\n",
          out);
    return out == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

/* Returns -1 to go on, else the exit code. */
static int
read_settings(int argc, char **argv, struct settings *s)
{
    static const struct option options[] = {
        { "dsn", required_argument, NULL, 'd' },
        { "below", required_argument, NULL, 'b' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    char *end = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'd')
            s->dsn = optarg;
        else if (c == 'b')
            s->root = optarg;
        else
            return usage(c == 'h' ? stdout : stderr);
    }
    if (optind == argc)
        return -1;
    s->max = strtoull(argv[optind], &end, 10);
    if (optind + 1 == argc && end != argv[optind] && *end == '\0' && argv[optind][0] != '-' &&
        s->max >= 1 && s->max <= JOBS_MAX)
        return -1;
    (void)complain("want one number of files, 1 to %d", JOBS_MAX);
    return EXIT_USAGE;
}

/* ---- Signals ----------------------------------------------------------------------------- */

/* Ends the demo if anything hangs: whenever there is progress, alarm() is set again. */
static void
give_up(int sig)
{
    static const char text[] = "demo: nothing has moved for too long; giving up\n";

    (void)sig;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_FAILURE); /* the kernel then kills the workers */
}

/* Makes a descriptor for signals that ask us to end. To be called before threads are started. */
static int
take_signals(void)
{
    static const int asked[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction now;
    sigset_t ends;

    (void)sigemptyset(&ends);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        if (sigaction(asked[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) /* by nohup */
            (void)sigaddset(&ends, asked[i]);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGALRM, give_up);
    alarm(PATIENCE_S);
    return signalfd(-1, &ends, SFD_CLOEXEC);
}

/* ---- The demo ---------------------------------------------------------------------------- */

struct demo {
    struct list list;
    struct base base;
    struct crew crew;
    struct feed feed;
    struct view view;
    struct watch watch;
    struct board *board;
    int board_fd;
};

static bool
prepare(struct demo *d, const struct settings *s)
{
    char n[32];

    if (!list_read(&d->list, s->root, s->max))
        return false;
    if (!base_open(&d->base, s->dsn))
        return false;
    d->board = board_new(d->list.n, &d->board_fd);
    if (d->board == NULL)
        return false;
    printf("awa %s: %s jobs for files below %s; database awa_demo; %d workers with %d threads\n",
           awa_version(), grouped((int64_t)d->list.n, n), s->root, WORKERS, THREADS);
    fflush(stdout);
    return true;
}

static int
work(struct demo *d, int signal_fd)
{
    d->feed.list = &d->list;
    d->feed.board = d->board;
    d->feed.conninfo = d->base.conninfo;
    d->watch = (struct watch){ .base = &d->base,
                               .crew = &d->crew,
                               .feed = &d->feed,
                               .board = d->board,
                               .view = &d->view,
                               .signal_fd = signal_fd,
                               .progress.total = (int64_t)d->list.n };
    view_init(&d->view);
    if (!crew_start(&d->crew, d->base.conninfo, d->board_fd) || !feed_start(&d->feed))
        return -1;
    return watch_run(&d->watch);
}

/* Frees and ends everything, after success and failure. */
static void
clean_up(struct demo *d, bool drop)
{
    feed_stop(&d->feed);
    crew_kill(&d->crew);
    if (drop)
        (void)base_drop(&d->base);
    base_close(&d->base);
    watch_done(&d->watch);
    board_free(d->board);
    if (d->board_fd >= 0)
        (void)close(d->board_fd);
    list_done(&d->list);
}

static void
repeat(void *arg, int worker, const char *line)
{
    (void)arg;
    (void)complain("worker %d: %s", worker + 1, line);
}

/* Returns 0, a signal's number, or -1: complained. */
static int
run(struct demo *d, const struct settings *s, int signal_fd)
{
    int result;

    if (!prepare(d, s))
        return -1;
    result = work(d, signal_fd);
    if (result != 0)
        return result;
    feed_stop(&d->feed);
    if (!crew_stop(&d->crew)) {
        crew_listen(&d->crew, repeat, NULL);
        return -1;
    }
    return proof_run(&d->list, &d->watch);
}

int
main(int argc, char **argv)
{
    struct settings settings = { .root = "/usr/share", .max = 20000 };
    struct demo d = { .board_fd = -1 };
    int result, signal_fd;

    if (argc == 5 && strcmp(argv[1], "--worker") == 0)
        return worker_main(argv + 2);
    result = read_settings(argc, argv, &settings);
    if (result >= 0)
        return result;

    signal_fd = take_signals();
    crew_init(&d.crew);
    result = run(&d, &settings, signal_fd);
    if (result == 0)
        printf("passed; look around: psql \"host=%s port=%s user=%s dbname=%s\"\n",
               PQhost(d.base.conn), PQport(d.base.conn), PQuser(d.base.conn), PQdb(d.base.conn));
    if (result > 0)
        (void)complain("interrupted; its workers and its database go away");
    clean_up(&d, result > 0);
    (void)close(signal_fd);
    if (result > 0)
        return 128 + result;
    return result == 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
