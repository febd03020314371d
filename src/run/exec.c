/* SPDX-License-Identifier: MIT */
/*
 * See exec.h. All of it runs in the handler's thread, which polls the pidfd, both output pipes and
 * the cancel descriptor. There is no handler of SIGCHLD. The child is reaped last: until then its
 * number cannot be that of another process group, to which we would send signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "run/exec_run.h"

enum {
    LINGER_MS = 500, /* how long others may keep the pipes open after the program has ended */
    LAST_MS = 100,   /* how long after SIGKILL */
    LOOK_MS = 500,   /* how often to check whether to end, if there is no cancel descriptor */
    READABLE = POLLIN | POLLHUP | POLLERR,
};

/* ---- Start ------------------------------------------------------------------------------- */

struct pipe {
    int read, write;
};

/* What to run, and with which standard streams. */
struct program {
    const char *const *argv;
    char *const *env;
    int in, out, err;
};

static void
auto_pipe(const struct pipe *p)
{
    auto_fd(&p->read);
    auto_fd(&p->write);
}

/* Makes a pipe whose end for reading does not block. */
static bool
pipe_init(struct pipe *p)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *p = (struct pipe){ .read = ends[0], .write = ends[1] };
    return fcntl(p->read, F_SETFL, O_NONBLOCK) == 0;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/*
 * Runs in the child, so it may call only functions that are async-signal-safe. Gives it a process
 * group of its own, with no signal blocked or ignored, and lets the kernel send it SIGKILL when our
 * thread ends. That thread waits for the program, so it ends earlier only if the whole process is
 * killed. If that was before prctl(), the child has another parent by now.
 */
static bool
prepare(const struct program *p, pid_t parent)
{
    static const struct sigaction standard = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, &standard, NULL); /* some cannot be changed */
    sigemptyset(&none);
    return setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
           dup2(p->in, STDIN_FILENO) >= 0 && dup2(p->out, STDOUT_FILENO) >= 0 &&
           dup2(p->err, STDERR_FILENO) >= 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

/* The child. It begins the program only when it is told to: until then we may still give up. */
static _Noreturn void
child(const struct program *p, pid_t parent, int talk)
{
    char go;

    if (prepare(p, parent) && read(talk, &go, sizeof go) == sizeof go)
        (void)execvpe(p->argv[0], (char *const *)(uintptr_t)p->argv, p->env);
    (void)!write(talk, &errno, sizeof errno);
    _exit(127);
}

/*
 * Tells the child to begin. Returns the errno of what the child could not do; 0: the program runs.
 */
static int
let_go(int talk)
{
    int error = 0;

    (void)send(talk, "", 1, MSG_NOSIGNAL); /* fails if it has ended, but then it has said why */
    while (read(talk, &error, sizeof error) < 0 && errno == EINTR)
        ; /* when the program begins, the other end is closed, and nothing is read */
    return error;
}

/* Starts the program. Returns the errno of what failed; then no program has begun. */
static int
spawn(const struct program *p, struct run *r)
{
    AUTO(fd) int ours = -1;
    AUTO(fd) int theirs = -1;
    pid_t parent = getpid();
    int ends[2], error;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    ours = ends[0];
    theirs = ends[1];
    r->pid = fork();
    if (r->pid < 0)
        return errno;
    if (r->pid == 0)
        child(p, parent, theirs);
    (void)close(theirs);
    theirs = -1;
    r->pidfd = pidfd_open(r->pid, 0);
    error = r->pidfd < 0 ? errno : let_go(ours);
    if (error != 0) {
        (void)kill(r->pid, SIGKILL);
        (void)waitpid(r->pid, NULL, 0);
        close_fd(&r->pidfd);
    }
    return error;
}

/* Sends a signal to the whole group, or to the program alone if it has left its group. */
static void
signal_group(const struct run *r, int sig)
{
    if (kill(-r->pid, sig) != 0)
        (void)kill(r->pid, sig);
}

static awa_status
start(struct run *r, awa_error *err)
{
    AUTO(environment) struct environment env = { 0 };
    AUTO(pipe) struct pipe out = { -1, -1 };
    AUTO(pipe) struct pipe error = { -1, -1 };
    AUTO(fd) int in = -1;
    struct program program;
    awa_status s = exec_open_input(r->job, &in, err);

    if (s != AWA_OK)
        return s;
    if (!environment_init(&env, r->job))
        return awa__fail(err, AWA_ENOMEM, "exec: out of memory");
    if (!pipe_init(&out) || !pipe_init(&error))
        return awa__fail(err, AWA_ESYS, "exec: no pipe: %m");
    program = (struct program){ r->exec->argv, env.all, in, out.write, error.write };
    errno = spawn(&program, r);
    if (errno != 0)
        return awa__fail(err, AWA_ESYS, "exec: cannot run %s: %m", r->exec->argv[0]);
    r->out = out.read;
    r->err = error.read;
    out.read = error.read = -1;
    return AWA_OK;
}

/* ---- Watch ------------------------------------------------------------------------------- */

static void
take_output(struct tail *t, int *fd, short revents)
{
    if ((revents & READABLE) != 0 && !tail_read(t, *fd))
        close_fd(fd);
}

/* The attempt should end: the group gets SIGTERM, and grace_ms to end. */
static void
tell(struct run *r, int64_t now)
{
    signal_group(r, SIGTERM);
    r->told = true;
    r->kill_at = now + r->exec->grace_ms;
}

/* The program has ended. Others in its group may write into the pipes, but only for LINGER_MS. */
static void
note_end(struct run *r, int64_t now)
{
    r->ended = true;
    close_fd(&r->pidfd);
    if (!r->told)
        r->kill_at = now + LINGER_MS;
}

/*
 * kill_at has come. First, the group gets SIGKILL. After LAST_MS, the pipes are closed: a process
 * that still has them open has left the group. A program that has not ended by then is in the
 * kernel, and ends when that lets it.
 */
static void
be_firm(struct run *r, int64_t now)
{
    if (!r->killed) {
        signal_group(r, SIGKILL);
        r->killed = true;
        r->kill_at = now + LAST_MS;
    } else {
        close_fd(&r->out);
        close_fd(&r->err);
        r->kill_at = INT64_MAX;
    }
}

static int
wait_ms(const struct run *r, int64_t now)
{
    if (r->kill_at == INT64_MAX)
        return r->cancel >= 0 ? -1 : LOOK_MS;
    return r->kill_at > now ? (int)(r->kill_at - now) : 0;
}

/* Runs until the program has ended and its pipes are closed. */
static void
watch(struct run *r)
{
    while (!r->ended || r->out >= 0 || r->err >= 0) {
        struct pollfd fds[] = {
            { .fd = r->pidfd, .events = POLLIN },
            { .fd = r->out, .events = POLLIN },
            { .fd = r->err, .events = POLLIN },
            { .fd = r->told || r->ended ? -1 : r->cancel, .events = POLLIN },
        };
        int n = poll(fds, sizeof fds / sizeof fds[0], wait_ms(r, clock_ms()));
        int64_t now = clock_ms();

        if (n < 0)
            continue; /* EINTR; and ENOMEM will pass */
        take_output(&r->output, &r->out, fds[1].revents);
        take_output(&r->error, &r->err, fds[2].revents);
        if (!r->ended && (fds[0].revents & READABLE) != 0)
            note_end(r, now);
        if (!r->told && !r->ended && awa_attempt_cancelled(r->job) != AWA_GO_ON)
            tell(r, now);
        if (now >= r->kill_at)
            be_firm(r, now);
    }
}

/* ---- All of it --------------------------------------------------------------------------- */

awa_outcome
exec_job(awa_attempt *job, void *userdata)
{
    struct run r = {
        .exec = userdata,
        .job = job,
        .pidfd = -1,
        .out = -1,
        .err = -1,
        .cancel = awa_attempt_cancel_fd(job),
        .output.max = EXEC_OUTPUT_MAX,
        .error.max = EXEC_ERROR_MAX,
        .started_at = clock_ms(),
        .kill_at = INT64_MAX,
    };
    awa_outcome outcome;
    int status = 0;
    awa_error err;

    if (awa_attempt_cancelled(job) != AWA_GO_ON)
        return AWA_RELEASE;
    if (start(&r, &err) != AWA_OK) { /* the next job could not be started either */
        awa__ignore(awa_attempt_set_error(job, err.message));
        return AWA_RELEASE;
    }
    awa_attempt_begun(job);
    watch(&r);
    signal_group(&r, SIGKILL); /* what is left of the group */
    while (waitpid(r.pid, &status, 0) < 0 && errno == EINTR)
        ;
    outcome = exec_conclude(&r, status);
    tail_done(&r.output);
    tail_done(&r.error);
    return outcome;
}
