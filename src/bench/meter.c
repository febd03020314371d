/* SPDX-License-Identifier: MIT */
#include "bench/meter.h"

#include "bench/clock.h"
#include "bench/cpu.h"
#include "statements_bench.h"

enum { PATIENCE_US = 5000000, NAP_US = 10000 };

awa_status
meter_init(struct meter *m, const char *conninfo, awa_error *err)
{
    awa_status s = awa_connect(conninfo, &m->conn, err);

    if (s == AWA_OK)
        m->postmaster = cpu_find_server(m->conn);
    return s;
}

void
meter_done(struct meter *m)
{
    PQfinish(m->conn);
    m->conn = NULL;
}

void
meter_checkpoint(const struct meter *m)
{
    awa__ignore(awa__exec(m->conn, "bench", "CHECKPOINT", NULL));
}

static double
number(const PGresult *res, int column)
{
    return strtod(PQgetvalue(res, 0, column), NULL);
}

awa_status
meter_read(const struct meter *m, struct costs *ret_costs, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(m->conn, SQL_BENCH_WAL, NULL, &res, err);

    if (s != AWA_OK)
        return s;
    ret_costs->wal_bytes = number(res, 0);
    ret_costs->client_s = cpu_of_client();
    ret_costs->server_s = cpu_of_server(m->postmaster);
    return AWA_OK;
}

static awa_status
wait_for_others(const struct meter *m, int others, awa_error *err)
{
    int64_t until = clock_us() + PATIENCE_US;

    for (;;) {
        AUTO(pgresult) PGresult *res = NULL;
        awa_status s = awa__query(m->conn, SQL_BENCH_SESSIONS, NULL, &res, err);

        if (s != AWA_OK || number(res, 0) <= others || clock_us() >= until)
            return s;
        clock_sleep_until(clock_us() + NAP_US);
    }
}

awa_status
meter_count(const struct meter *m, int others, struct counts *ret_counts, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = wait_for_others(m, others, err);

    if (s == AWA_OK)
        s = awa__query(m->conn, SQL_BENCH_COUNTS, NULL, &res, err);
    if (s != AWA_OK)
        return s;
    *ret_counts = (struct counts){ .commits = number(res, 0),
                                   .inserts = number(res, 1),
                                   .updates = number(res, 2),
                                   .deletes = number(res, 3),
                                   .dead = number(res, 4),
                                   .rotations = number(res, 5),
                                   .ring_bytes = number(res, 6) };
    return AWA_OK;
}
