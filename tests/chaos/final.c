/* SPDX-License-Identifier: MIT */
/* See final.h. */
#include "final.h"

#include "process.h"

static uint64_t
unsigned_at(const PGresult *res, int row, int column)
{
    return (uint64_t)number_at(res, row, column);
}

static struct record
job_of(const PGresult *res, int row)
{
    return (struct record){ .op = OP_JOB,
                            .key = unsigned_at(res, row, 0),
                            .job = unsigned_at(res, row, 1),
                            .position = unsigned_at(res, row, 2),
                            .aux = (uint32_t)unsigned_at(res, row, 3),
                            .res = (uint8_t)unsigned_at(res, row, 4) };
}

static struct record
effect_of(const PGresult *res, int row)
{
    return (struct record){ .op = OP_EFFECT,
                            .key = unsigned_at(res, row, 0),
                            .claim = unsigned_at(res, row, 1),
                            .position = unsigned_at(res, row, 2),
                            .hash = hash_of_worker(unsigned_at(res, row, 3)) };
}

static struct record
business_of(const PGresult *res, int row)
{
    return (struct record){ .op = OP_BUSINESS, .key = unsigned_at(res, row, 0) };
}

static struct record
output_of(const PGresult *res, int row)
{
    return (struct record){ .op = OP_OUTPUT, .key = unsigned_at(res, row, 0) };
}

static struct record
rescued_of(const PGresult *res, int row)
{
    return (struct record){ .op = OP_RESCUED,
                            .key = unsigned_at(res, row, 0),
                            .aux = (uint32_t)unsigned_at(res, row, 1) };
}

static struct record
count_of(const PGresult *res, int row)
{
    struct record r = { .op = OP_COUNT,
                        .lane = QUEUES,
                        .job = unsigned_at(res, row, 1),
                        .position = unsigned_at(res, row, 2) };

    for (int i = 0; i < QUEUES; i++)
        if (strcmp(queue_name((enum queue)i), PQgetvalue(res, row, 0)) == 0)
            r.lane = (uint32_t)i;
    return r;
}

static const struct {
    const char *sql;
    struct record (*make)(const PGresult *res, int row);
} questions[] = {
    { "SELECT j.args ->> 'k', j.id, coalesce(j.pos, 0), j.attempt,"
      "       CASE WHEN j.dlq_at IS NOT NULL THEN 4 WHEN j.state = 'completed' THEN 0"
      "            WHEN j.state = 'failed' THEN 1 WHEN j.state = 'cancelled' THEN 2 ELSE 3 END"
      "  FROM awa.jobs AS j",
      job_of },
    { "SELECT key, claim_id, position, worker FROM effects", effect_of },
    { "SELECT key FROM business", business_of },
    { "SELECT DISTINCT key FROM outputs", output_of },
    { "SELECT substr(name, 2), jobs FROM taken", rescued_of },
    { "SELECT queue, available + scheduled + retryable + running + completed + failed + cancelled"
      "       + dead_lettered + pruned_completed + pruned_failed + pruned_cancelled,"
      "       pruned_completed + pruned_failed + pruned_cancelled"
      "  FROM awa.queue_counts()",
      count_of },
};

awa_status
final_record(PGconn *conn, awa_error *err)
{
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        AUTO(pgresult) PGresult *res = query(conn, questions[i].sql, 0, NULL);

        if (!succeeded(res))
            return awa__fail_pg(err, conn, res, "chaos: final");
        for (int row = 0; row < PQntuples(res); row++) {
            struct record r = questions[i].make(res, row);

            r.phase = PHASE_OK;
            record_write(r);
        }
    }
    return AWA_OK;
}
