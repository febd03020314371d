/* SPDX-License-Identifier: MIT */
/* CPU time of this process, and of a server on this machine. */
#ifndef AWA_BENCH_CPU_H
#define AWA_BENCH_CPU_H

#include <sys/types.h>

#include <libpq-fe.h>

/* The postmaster of a session. 0: it is on another machine, or cannot be seen. */
pid_t cpu_find_server(PGconn *conn);

/* CPU seconds so far of all processes of the server, whatever they do. NAN: unknown. */
double cpu_of_server(pid_t postmaster);

double cpu_of_client(void);

#endif
