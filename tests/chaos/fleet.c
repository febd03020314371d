/* SPDX-License-Identifier: MIT */
/* See fleet.h. */
#include "fleet.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "watcher.h"

/* Workers of libawa stand first, each at the link of its index. */
static const struct {
    enum role role;
    const char *mode, *user;
    bool linked;
    const char *args[ARGS_MAX];
} crew[] = {
    { ROLE_WORKER, "worker", "chaos_worker", true, { "16", "bulk", "letters", "unique" } },
    { ROLE_WORKER, "worker", "chaos_worker", true, { "16", "bulk", "unique" } },
    { ROLE_WORKER, "worker", "chaos_worker", true, { "8", "letters", "bulk" } },
    { ROLE_WORKER, "worker", "chaos_worker", true, { "16", "unique", "bulk" } },
    { ROLE_WORKER, "worker", "chaos_worker", true, { "1", "fifo" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "single", "250" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "batch", "8" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "copy", "3" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "transaction", "60" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "unique", "60" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "letters", "30" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "fifo", "100" } },
    { ROLE_PRODUCER, "producer", "chaos_producer", true, { "programs", "10" } },
    { ROLE_WORKER, "programs", "chaos_worker", true, { "13" } }, /* its link */
    { ROLE_ZOMBIE, "zombie", "chaos_zombie", false, { NULL } },
    { ROLE_ZOMBIE, "zombie", "chaos_zombie", false, { NULL } },
    { ROLE_OPERATOR, "operator", "chaos_operator", false, { NULL } },
    { ROLE_WATCHER, "watcher", NULL, false, { "backlog" } },
    { ROLE_WATCHER, "watcher", NULL, false, { "counts" } },
};

enum { CREW = sizeof crew / sizeof crew[0], LINKS = 14, NARROW_MS = 20, START_MS = 15000 };

int
fleet_links(void)
{
    return LINKS;
}

/* The worker that is no process of ours, but `awa work`. */
static bool
is_foreign(const struct member *m)
{
    return strcmp(m->mode, "programs") == 0;
}

/* ---- Starting ---------------------------------------------------------------------------- */

static _Noreturn void
become(const struct fleet *f, const struct member *m, int input)
{
    char proc[16], seed[24], dsn[400];
    const char *argv[ARGS_MAX + 8] = { "chaos", m->mode, f->place->dir, proc, dsn, seed };

    snprintf(proc, sizeof proc, "%u", m->proc);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)f->seed);
    place_dsn(f->place, m->user, m->link, dsn, sizeof dsn);
    for (int i = 0; i < ARGS_MAX; i++)
        argv[6 + i] = m->args[i];
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(input, STDIN_FILENO) >= 0 &&
        dup2(f->log, STDERR_FILENO) >= 0 && dup2(f->log, STDOUT_FILENO) >= 0)
        execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void
start(struct fleet *f, struct member *m, int input)
{
    m->proc = f->next_proc++;
    m->killed = m->frozen = false;
    m->start_at_ns = 0;
    m->started_ns = mono_ns();
    record_write((struct record){ .op = OP_PROCESS,
                                  .phase = PHASE_INVOKE,
                                  .res = (uint8_t)m->role,
                                  .key = m->proc,
                                  .aux = (uint32_t)(m->link + 1) });
    fflush(NULL);
    m->pid = fork();
    if (m->pid == 0)
        become(f, m, input);
    if (m->pid < 0)
        m->pid = 0;
}

static void
start_plainly(struct fleet *f, struct member *m)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    start(f, m, null);
    (void)close(null);
}

static awa_status
start_proxy(struct fleet *f, awa_error *err)
{
    static char links[8], socket[160];
    struct member *m = &f->members[f->n++];
    char last[200];
    int ends[2];

    snprintf(links, sizeof links, "%d", LINKS);
    snprintf(socket, sizeof socket, "%s/.s.PGSQL.5432", f->place->server);
    *m = (struct member){
        .role = ROLE_PROXY, .mode = "proxy", .link = -1, .args = { links, socket }
    };
    if (pipe2(ends, O_CLOEXEC) != 0)
        return awa__fail(err, AWA_ESYS, "chaos: no pipe: %m");
    start(f, m, ends[0]);
    (void)close(ends[0]);
    f->orders = ends[1];
    snprintf(last, sizeof last, "%s/link%d/.s.PGSQL.5432", f->place->dir, LINKS - 1);
    for (int i = 0; i < 500 && access(last, F_OK) != 0; i++)
        (void)usleep(10000);
    return access(last, F_OK) == 0 ? AWA_OK : awa__fail(err, AWA_ESYS, "chaos: no proxy");
}

awa_status
fleet_begin(struct fleet *f, awa_error *err)
{
    char path[140];
    awa_status s;

    snprintf(path, sizeof path, "%s/log", f->place->dir);
    f->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    f->next_proc = 1;
    for (size_t i = 0; i < CREW; i++) {
        struct member *m = &f->members[f->n++];

        *m = (struct member){ .role = crew[i].role,
                              .mode = crew[i].mode,
                              .user = crew[i].user,
                              .link = crew[i].linked ? (int)i : -1,
                              .lasting = true };
        memcpy(m->args, crew[i].args, sizeof m->args);
    }
    s = start_proxy(f, err);
    for (size_t i = 0; i < CREW && s == AWA_OK; i++)
        start_plainly(f, &f->members[i]);
    return s;
}

struct member *
fleet_add(struct fleet *f, const char *mode, const char *user, const char *arg, const char *second)
{
    for (size_t i = CREW + 1; i < MEMBERS_MAX; i++) {
        struct member *m = &f->members[i];

        if (m->pid != 0)
            continue;
        *m = (struct member){
            .role = ROLE_OTHER, .mode = mode, .user = user, .link = -1, .args = { arg, second }
        };
        f->n = i + 1 > f->n ? i + 1 : f->n;
        start_plainly(f, m);
        return m;
    }
    return NULL;
}

/* ---- Watching ---------------------------------------------------------------------------- */

/* `awa work` gives up if it finds no server as it begins; who starts services starts it again. */
static bool
may_end(const struct member *m, int status)
{
    bool young = mono_ns() - m->started_ns < START_MS * 1000000ull;

    if (m->killed || m->role == ROLE_OTHER)
        return true;
    return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || (young && is_foreign(m)));
}

static void
ended(struct fleet *f, struct member *m, int status)
{
    bool good = may_end(m, status);

    record_write((struct record){ .op = OP_PROCESS,
                                  .phase = PHASE_OK,
                                  .res = (uint8_t)m->role,
                                  .key = m->proc,
                                  .aux = (uint32_t)status });
    if (!good) {
        f->crashes++;
        dprintf(f->log, "chaos: %s %u ended with status %x\n", m->mode, m->proc, status);
    }
    m->pid = 0;
    if (m->lasting && m->start_at_ns == 0)
        m->start_at_ns = mono_ns() + 500000000;
}

void
fleet_turn(struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct member *m = &f->members[i];
        int status;

        if (m->pid != 0 && waitpid(m->pid, &status, WNOHANG) == m->pid)
            ended(f, m, status);
        if (m->pid == 0 && m->start_at_ns != 0 && mono_ns() >= m->start_at_ns)
            start_plainly(f, m);
    }
}

struct member *
fleet_worker(struct fleet *f, uint32_t n)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct member *m = &f->members[(n + i) % WORKERS];

        if (m->pid != 0 && !m->frozen && mono_ns() - m->started_ns > 1000000000)
            return m;
    }
    return NULL;
}

struct member *
fleet_programs(struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->members[i].pid != 0 && is_foreign(&f->members[i]))
            return &f->members[i];
    return NULL;
}

struct member *
fleet_find(struct fleet *f, uint32_t proc)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->members[i].pid != 0 && f->members[i].proc == proc)
            return &f->members[i];
    return NULL;
}

struct member *
fleet_at_link(struct fleet *f, int link)
{
    return link >= 0 && (size_t)link < f->n ? &f->members[link] : NULL;
}

void
fleet_kill(struct fleet *f, struct member *m, int restart_ms)
{
    int status;

    m->killed = true;
    if (m->lasting)
        m->start_at_ns = mono_ns() + (uint64_t)restart_ms * 1000000;
    (void)kill(m->pid, SIGKILL);
    if (waitpid(m->pid, &status, 0) == m->pid)
        ended(f, m, status);
}

void
fleet_order(const struct fleet *f, int link, enum order order, uint32_t arg)
{
    struct order_message m = { (uint32_t)link, order, arg };

    if (write(f->orders, &m, sizeof m) != sizeof m)
        dprintf(f->log, "chaos: the proxy does not listen: %m\n");
}

static bool
any(const struct fleet *f, enum role role)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->members[i].pid != 0 && f->members[i].role == role)
            return true;
    return false;
}

bool
fleet_end(struct fleet *f, enum role role, int timeout_ms)
{
    uint64_t until = mono_ns() + (uint64_t)timeout_ms * 1000000;
    bool in_time;

    for (size_t i = 0; i < f->n; i++) {
        if (f->members[i].role != role)
            continue;
        f->members[i].lasting = false;
        f->members[i].start_at_ns = 0;
        if (f->members[i].pid != 0)
            (void)kill(f->members[i].pid, SIGTERM);
    }
    while (any(f, role) && mono_ns() < until) {
        (void)usleep(NARROW_MS * 1000);
        fleet_turn(f);
    }
    in_time = !any(f, role);
    for (size_t i = 0; i < f->n; i++)
        if (f->members[i].pid != 0 && f->members[i].role == role)
            fleet_kill(f, &f->members[i], 0);
    return in_time;
}

/* ---- Sampling ---------------------------------------------------------------------------- */

static uint64_t
count_files(pid_t pid)
{
    char path[40];
    uint64_t n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    dir = opendir(path);
    while (dir != NULL && readdir(dir) != NULL)
        n++;
    if (dir != NULL)
        (void)closedir(dir);
    return n;
}

static uint64_t
read_rss_kb(pid_t pid)
{
    char path[40];
    unsigned long all = 0, resident = 0;

    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    AUTO(file) FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%lu %lu", &all, &resident) != 2)
        return 0;
    return resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

void
fleet_sample(const struct fleet *f)
{
    for (size_t i = 0; i < WORKERS; i++) {
        const struct member *m = &f->members[i];
        struct record r = { .op = OP_SAMPLE, .phase = PHASE_OK, .key = m->proc };

        if (m->pid == 0)
            continue;
        r.res = SAMPLE_RSS;
        r.job = read_rss_kb(m->pid);
        record_write(r);
        r.res = SAMPLE_FDS;
        r.job = count_files(m->pid);
        record_write(r);
    }
}
