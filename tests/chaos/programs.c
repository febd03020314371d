/* SPDX-License-Identifier: MIT */
/*
 * A worker of another kind: `awa work`, which starts a program for each job; and that program,
 * which writes down that it ran. As an unprivileged user, if we may choose, for root has no limit
 * of processes. The fault `starved` takes away what it needs to start programs.
 */
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cli/owner.h"
#include "process.h"

/* Copies of executables that the user may run, wherever they were built. */
static bool
copy_programs(const struct process *p, char *awa, char *chaos, size_t size)
{
    char self[300], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    snprintf(awa, size, "%s/awa", p->dir);
    snprintf(chaos, size, "%s/chaos", p->dir);
    if (n < 0)
        return false;
    self[n] = '\0';
    if (!process_run((const char *const[]){ "/bin/cp", self, chaos, NULL }))
        return false;
    slash = strrchr(self, '/');
    snprintf(slash, sizeof self - (size_t)(slash - self), "/../awa");
    return process_run((const char *const[]){ "/bin/cp", self, awa, NULL });
}

/* Nobody, if we are root, with what it needs of ours: the history, and the link to the server. */
static bool
become_nobody(const struct process *p)
{
    const struct passwd *nobody = getuid() == 0 ? getpwnam("nobody") : NULL;
    char paths[4][300];

    if (nobody == NULL)
        return true;
    snprintf(paths[0], sizeof paths[0], "%s/events", p->dir);
    snprintf(paths[1], sizeof paths[1], "%s/events/%06u", p->dir, p->proc);
    snprintf(paths[2], sizeof paths[2], "%s/link%s", p->dir, p->argv[0]);
    snprintf(paths[3], sizeof paths[3], "%s/link%s/.s.PGSQL.5432", p->dir, p->argv[0]);
    if (chmod(paths[0], 0711) != 0)
        return false;
    for (int i = 1; i < 4; i++)
        if (chown(paths[i], nobody->pw_uid, nobody->pw_gid) != 0)
            return false;
    return owner_become((struct owner){ nobody->pw_uid, nobody->pw_gid });
}

/* Argument: its link. A change of identity has cut the tie to the conductor. */
int
programs_main(struct process *p)
{
    char awa[160], chaos[160], name[24], proc[24];
    pid_t conductor = getppid();

    snprintf(name, sizeof name, "c%u", p->proc);
    snprintf(proc, sizeof proc, "%u", p->proc);
    if (p->argc < 1 || !copy_programs(p, awa, chaos, sizeof awa) || !become_nobody(p) ||
        chdir("/") != 0)
        return 1;
    const char *const argv[] = { awa,         "work",    "--dsn",   p->dsn,
                                 "--name",    name,      "--queue", queue_name(QUEUE_PROGRAMS),
                                 "--threads", "4",       "--exec",  chaos,
                                 "--",        "program", p->dir,    proc,
                                 "-",         "0",       NULL };
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == conductor)
        execv(awa, (char *const *)(uintptr_t)argv);
    return 1;
}

static uint64_t
number_of(const char *variable)
{
    const char *text = getenv(variable);

    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/*
 * The program. It is told no position, and not which worker started it: 0 stands for the one, a
 * random number for the other.
 */
int
program_main(struct process *p)
{
    char input[4096];
    size_t n = fread(input, 1, sizeof input - 1, stdin);
    struct record r = { .op = OP_START, .phase = PHASE_OK, .lane = QUEUE_PROGRAMS };
    awa_error err;
    bool good;

    input[n] = '\0';
    r.key = key_read(input, &good);
    r.res = !good;
    r.job = number_of("AWA_JOB_ID");
    r.claim = number_of("AWA_RUN_LEASE");
    r.aux = (uint32_t)number_of("AWA_ATTEMPT");
    if (getrandom(&r.hash, sizeof r.hash, 0) != sizeof r.hash ||
        record_open(p->dir, p->proc, &err) != AWA_OK)
        return 1;
    record_write(r);
    r.op = OP_END;
    r.res = AWA_COMPLETE;
    record_write(r);
    return 0;
}
