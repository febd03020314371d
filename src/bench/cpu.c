/* SPDX-License-Identifier: MIT */
#include "bench/cpu.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "pg/pg.h"

/* What /proc/PID/stat says. */
struct process {
    char name[32];
    long parent;
    unsigned long long ticks;        /* its own */
    unsigned long long reaped_ticks; /* of children that have ended */
};

static bool
read_process(const char *pid, struct process *p)
{
    char path[64], text[1024], *name, *rest;
    unsigned long long user, system;
    long long reaped_user, reaped_system;
    AUTO(file) FILE *file = NULL;

    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    file = fopen(path, "re");
    if (file == NULL || fgets(text, sizeof text, file) == NULL)
        return false;
    name = strchr(text, '(');
    rest = strrchr(text, ')');
    if (name == NULL || rest == NULL)
        return false;
    snprintf(p->name, sizeof p->name, "%.*s", (int)(rest - name - 1), name + 1);
    if (sscanf(rest + 1, " %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld",
               &p->parent, &user, &system, &reaped_user, &reaped_system) != 5)
        return false;
    p->ticks = user + system;
    p->reaped_ticks = (unsigned long long)(reaped_user + reaped_system);
    return true;
}

static bool
is_loopback(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    socklen_t len = sizeof peer;

    if (getpeername(fd, &peer.any, &len) != 0)
        return false;
    if (peer.any.sa_family == AF_INET)
        return ntohl(peer.v4.sin_addr.s_addr) >> 24 == 127;
    return peer.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&peer.v6.sin6_addr);
}

/*
 * If the session uses a unix socket, the kernel says who listens; otherwise the postmaster is the
 * parent of the backend.
 */
pid_t
cpu_find_server(PGconn *conn)
{
    struct ucred peer = { 0 };
    socklen_t len = sizeof peer;
    struct process p;
    char pid[24];

    if (getsockopt(PQsocket(conn), SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.pid <= 0) {
        snprintf(pid, sizeof pid, "%d", PQbackendPID(conn));
        if (!is_loopback(PQsocket(conn)) || !read_process(pid, &p))
            return 0;
        peer.pid = (pid_t)p.parent;
    }
    snprintf(pid, sizeof pid, "%ld", (long)peer.pid);
    return read_process(pid, &p) && strstr(p.name, "post") != NULL ? peer.pid : 0;
}

double
cpu_of_server(pid_t postmaster)
{
    DIR *proc = postmaster > 0 ? opendir("/proc") : NULL;
    unsigned long long ticks = 0;
    struct process p;

    if (proc == NULL)
        return NAN;
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !read_process(entry->d_name, &p))
            continue;
        if (strtol(entry->d_name, NULL, 10) == postmaster)
            ticks += p.ticks + p.reaped_ticks;
        else if (p.parent == postmaster)
            ticks += p.ticks;
    }
    closedir(proc);
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

double
cpu_of_client(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return NAN;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
