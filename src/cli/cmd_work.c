/* SPDX-License-Identifier: MIT */
/*
 * awa work: a worker that runs a program for each job. The main thread waits for signals: the first
 * one drains, the second one stops running programs, the third one ends the process. It also reaps
 * children that it has not started: as process 1 of a container it becomes the parent of all
 * orphans.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/plain_line.h"
#include "cli/session.h"
#include "cli/spawn.h"
#include "pg/interrupt.h"
#include "run/exec.h"

enum {
    NAMES_MAX = 200, /* of queues; also of kinds */
    GRACE_MS = 2000, /* between SIGTERM and SIGKILL for a program that should end */
    LAST_MS = 5000,  /* how long to wait for programs that were told to end */
    LOOK_MS = 25,    /* how often --until-empty looks */
};

static const int ending_signals[] = { SIGTERM, SIGINT, SIGHUP };

struct work {
    const struct call *call;
    char *dsn;
    const char *queues[NAMES_MAX];
    awa_kind kinds[NAMES_MAX];
    size_t nqueues, nkinds;
    const char **argv; /* of the program; ends with NULL */
    char *line;        /* copy of --exec, which may be cut into the words of argv */
    struct exec exec;
    awa_worker *worker;
    int signals;       /* signalfd */
    int stopped;       /* eventfd: the worker has ended */
    int told;          /* how many signals to end have come */
    int64_t last_told; /* monotonic ms: when the last of them came */
    int64_t drain_ms;  /* of --drain-timeout; -1: no limit */
    bool hurried;      /* running programs were told to end */
    bool cut_short;    /* a signal came before the queues were empty */
    atomic_bool some_failed;
};

static void
auto_work(struct work *w)
{
    (void)awa_worker_free(w->worker);
    auto_fd(&w->signals);
    auto_fd(&w->stopped);
    free(w->argv);
    free(w->line);
    free(w->dsn);
}

/* ---- Signals ----------------------------------------------------------------------------- */

static sigset_t
ending_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ending_signals / sizeof ending_signals[0]; i++)
        sigaddset(&set, ending_signals[i]);
    return set;
}

/*
 * Makes the descriptors of the loop. Blocks the ending signals and SIGCHLD. To be called before the
 * worker starts its threads, so that they block them, too.
 */
static awa_status
take_signals(struct work *w, awa_error *err)
{
    sigset_t set = ending_set();

    (void)signal(SIGCHLD, SIG_DFL); /* if ignored, the kernel would reap children before us */
    (void)signal(SIGPIPE, SIG_IGN);
    sigaddset(&set, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    w->stopped = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->signals < 0 || w->stopped < 0)
        return awa__fail(err, AWA_ESYS, "work: no descriptor: %m");
    return AWA_OK;
}

/*
 * Reaps children of the main thread. These are orphans, and what a shell started before it became
 * awa. A program of a job is the child of the handler thread that started it, and that thread waits
 * for it.
 */
static void
reap(void)
{
    while (waitpid(-1, NULL, WNOHANG | __WNOTHREAD) > 0)
        ;
}

/* Whether a signal to end has come. Of several within INTERRUPT_ONE_MS only the first counts. */
static bool
take_signal(struct work *w)
{
    struct signalfd_siginfo info;

    if (read(w->signals, &info, sizeof info) != sizeof info)
        return false;
    if (info.ssi_signo == SIGCHLD) {
        reap();
        return false;
    }
    if (w->told > 0 && now_ms() - w->last_told < INTERRUPT_ONE_MS)
        return false;
    w->last_told = now_ms();
    if (++w->told > 2)
        interrupt_leave((int)info.ssi_signo);
    return true;
}

enum event { EVENT_NONE, EVENT_SIGNAL, EVENT_STOPPED };

/* Waits for a signal, the end of the worker, or timeout_ms (-1: without limit). */
static enum event
await_event(struct work *w, int timeout_ms)
{
    int64_t until = now_ms() + timeout_ms, left = timeout_ms;

    do {
        struct pollfd fds[] = {
            { .fd = w->signals, .events = POLLIN },
            { .fd = w->stopped, .events = POLLIN },
        };

        if (poll(fds, 2, (int)left) > 0) {
            if (fds[0].revents != 0 && take_signal(w))
                return EVENT_SIGNAL;
            if (fds[1].revents != 0)
                return EVENT_STOPPED;
        }
        left = timeout_ms < 0 ? -1 : until - now_ms();
    } while (timeout_ms < 0 || left > 0);
    return EVENT_NONE;
}

/* ---- Until empty ------------------------------------------------------------------------- */

static bool
is_empty(struct work *w)
{
    int empty = 0;
    awa_error err;

    if (awa_worker_is_empty(w->worker, &empty, &err) != AWA_OK)
        log_line(err.message);
    return empty != 0;
}

/* ---- The worker's life ------------------------------------------------------------------- */

static void
log_worker(void *userdata, const char *line)
{
    (void)userdata;
    log_line(line);
}

/* The number of an option; 0 if it was not given, which awa_worker_options take for the default. */
static int64_t
number_or_default(const struct call *call, const char *option)
{
    int64_t n = call_number(call, option);

    return n > 0 ? n : 0;
}

static awa_status
make_worker(struct work *w, awa_error *err)
{
    const struct call *call = w->call;
    bool no_prefetch = call_number(call, "prefetch") == 0;

    return awa_worker_new(
        AWA_WORKER(.conninfo = w->dsn, .name = call_text(call, "name"), .queues = w->queues,
                   .nqueues = w->nqueues, .kinds = w->kinds, .nkinds = w->nkinds,
                   .threads = number_or_default(call, "threads"),
                   .batch = number_or_default(call, "batch"),
                   .prefetch = no_prefetch ? -1 : number_or_default(call, "prefetch"),
                   .no_leader = call_flag(call, "no-leader"), .pooled = call_flag(call, "pooled"),
                   .log = log_worker),
        &w->worker, err);
}

/* Waits until a signal comes, or with --until-empty, until nothing is left. */
static void
serve(struct work *w)
{
    bool until_empty = call_flag(w->call, "until-empty");

    while (await_event(w, until_empty ? LOOK_MS : -1) != EVENT_SIGNAL)
        if (until_empty && is_empty(w))
            return;
    w->cut_short = true;
    say(w->call, "work: finishing what runs; again to stop it");
}

/* A thread that drains the worker, so that the main thread can wait for signals meanwhile. */
static void *
stop(void *arg)
{
    struct work *w = arg;

    if (awa_worker_stop(w->worker, w->drain_ms, NULL) != AWA_OK) {
        w->hurried = true;
        awa__ignore(awa_worker_stop(w->worker, LAST_MS, NULL));
    }
    (void)eventfd_write(w->stopped, 1);
    return NULL;
}

static awa_status
drain(struct work *w, awa_error *err)
{
    pthread_t stopper;

    errno = pthread_create(&stopper, NULL, stop, w);
    if (errno != 0)
        return awa__fail(err, AWA_ESYS, "work: no thread: %m");
    while (await_event(w, -1) != EVENT_STOPPED) {
        if (w->told < 2)
            continue; /* the first signal, after the queues were empty: the drain has begun */
        say(w->call, "work: stopping what runs; again to leave at once");
        awa__ignore(awa_worker_stop(w->worker, 0, NULL));
    }
    pthread_join(stopper, NULL);
    w->hurried |= w->told > 1;
    return AWA_OK;
}

static awa_status
run_worker(struct work *w, awa_error *err)
{
    awa_worker_stats stats = { .size = sizeof stats };
    awa_status s = make_worker(w, err); /* until it is made, a signal ends us at once */

    if (s == AWA_OK)
        s = take_signals(w, err);
    if (s == AWA_OK)
        s = awa_worker_start(w->worker, err);
    if (s != AWA_OK)
        return s;
    serve(w);
    s = drain(w, err);
    awa_worker_get_stats(w->worker, &stats);
    say(w->call, "work: %lld jobs completed, %lld ended otherwise, %lld given back",
        (long long)stats.completed, (long long)stats.failed, (long long)stats.released);
    return s;
}

/* ---- What to run ------------------------------------------------------------------------- */

/*
 * Makes argv: CMD and its arguments. Without arguments CMD is a line for the shell; a plain line is
 * cut into words here, as the shell would do.
 */
static awa_status
read_program(struct work *w, awa_error *err)
{
    const struct call *call = w->call;
    const char *command = call_text(call, "exec");
    char *rest;
    size_t n = 0;

    w->line = strdup(command);
    w->argv = calloc((size_t)call->nargs + strlen(command) + 4, sizeof *w->argv);
    if (w->line == NULL || w->argv == NULL)
        return awa__fail(err, AWA_ENOMEM, "work: out of memory");
    w->exec = (struct exec){ .argv = w->argv, .grace_ms = GRACE_MS, .log = log_worker };
    if (call->nargs == 0 && plain_line(command)) {
        rest = w->line;
        while ((w->argv[n] = plain_line_next(&rest)) != NULL)
            n++;
        return AWA_OK;
    }
    if (call->nargs == 0) {
        w->argv[n++] = "/bin/sh";
        w->argv[n++] = "-c";
    }
    w->argv[n++] = command;
    for (int i = 0; i < call->nargs; i++)
        w->argv[n++] = call->args[i];
    return AWA_OK;
}

/* The handler. An attempt that has lost its job does not count as failed. */
static awa_outcome
run_program(awa_attempt *job, void *userdata)
{
    struct work *w = userdata;
    awa_outcome outcome = exec_job(job, &w->exec);

    if ((outcome == AWA_RETRY || outcome == AWA_FAIL) &&
        awa_attempt_cancelled(job) != AWA_CANCEL_LOST)
        atomic_store(&w->some_failed, true);
    return outcome;
}

static awa_status
read_names(struct work *w, awa_error *err)
{
    const char *name;
    size_t next = 0;

    while ((name = call_each(w->call, "queue", &next)) != NULL && w->nqueues < NAMES_MAX)
        w->queues[w->nqueues++] = name;
    if (name != NULL)
        return awa__fail(err, AWA_EINVAL, "work: want at most %d queues", NAMES_MAX);
    next = 0;
    while ((name = call_each(w->call, "kind", &next)) != NULL && w->nkinds < NAMES_MAX)
        w->kinds[w->nkinds++] = (awa_kind){ .kind = name, .handler = run_program, .userdata = w };
    if (name != NULL)
        return awa__fail(err, AWA_EINVAL, "work: want at most %d kinds", NAMES_MAX);
    if (w->nkinds == 0)
        w->kinds[w->nkinds++] = (awa_kind){ .handler = run_program, .userdata = w };
    return AWA_OK;
}

const struct option_spec work_options[] = {
    { .name = "queue",
      .value = "QUEUE",
      .standard = "default",
      .help = "serve this queue; may be repeated",
      .type = OPTION_TEXT },
    { .name = "kind",
      .value = "KIND",
      .help = "run jobs of this kind only, others go back; may be repeated",
      .type = OPTION_TEXT },
    { .name = "exec",
      .value = "CMD",
      .help = "the program; without arguments it is a line for /bin/sh",
      .type = OPTION_TEXT },
    { .name = "threads",
      .letter = 't',
      .value = "N",
      .help = "run so many jobs at once; default: one per CPU",
      .type = OPTION_NUMBER,
      .positive = true },
    { .name = "batch",
      .value = "N",
      .help = "claim at most so many at once",
      .type = OPTION_NUMBER,
      .positive = true },
    { .name = "prefetch",
      .value = "N",
      .help = "hold up to so many unstarted jobs; 0: none; default: what 50 ms need",
      .type = OPTION_NUMBER },
    { .name = "name",
      .value = "NAME",
      .help = "how lists show this worker; default: host:pid",
      .type = OPTION_TEXT },
    { .name = "drain-timeout",
      .value = "TIME",
      .help = "when draining, stop what still runs after so long; default: never",
      .type = OPTION_DURATION },
    { .name = "until-empty",
      .help = "end when no job is due any more; exit code 4: an attempt has failed" },
    { .name = "no-leader", .help = "never do the maintenance of the queue" },
    { .name = "pooled",
      .help = "there is a transaction pooler that awa does not notice by itself" },
    { 0 },
};

static int
exit_code_of(const struct work *w)
{
    bool until_empty = call_flag(w->call, "until-empty");

    if (w->hurried || (until_empty && w->cut_short))
        return EXIT_FAILED;
    return until_empty && atomic_load(&w->some_failed) ? EXIT_JOBS_FAILED : EXIT_DONE;
}

int
cmd_work(struct call *call)
{
    AUTO(work) struct work w = { .call = call, .signals = -1, .stopped = -1 };
    awa_error err;
    awa_status s;

    /* With an empty command the shell would do nothing, and every job would be completed. */
    if (call_text(call, "exec") == NULL || *call_text(call, "exec") == '\0')
        return usage_error("%s: wants --exec CMD; see %s --help", call->words, call->words);
    w.drain_ms = call_number(call, "drain-timeout");
    s = read_program(&w, &err);
    if (s == AWA_OK)
        s = read_names(&w, &err);
    if (s == AWA_OK)
        s = session_dsn(call, &w.dsn, &err);
    if (s == AWA_OK)
        s = run_worker(&w, &err);
    if (s != AWA_OK)
        return report(&err);
    return exit_code_of(&w);
}
