/* SPDX-License-Identifier: MIT */
/* See test_jobs.h. */
#include "test_jobs.h"

#include <string.h>

PGconn *
test_worker_at(PGconn *db, int64_t worker, const char *file, int line)
{
    PGconn *conn = test_connect_at(db, "worker", file, line);

    test_exec_at(conn,
                 test_format("SELECT awa.register_worker(%lld, 'w%lld', '{default}')",
                             (long long)worker, (long long)worker),
                 file, line);
    return conn;
}

static int
claim_from(PGconn *conn, int64_t worker, const char *queue, int max, struct attempt *ret,
           const char *file, int line)
{
    const char *rows = test_rows_at(conn,
                                    test_format("SELECT id, claim_id, pos, ready_slot, attempt"
                                                " FROM awa.claim_jobs(%lld, '%s', %d)",
                                                (long long)worker, queue, max),
                                    file, line);
    int n = 0;

    while (*rows != '\0' && n < 16) {
        long long id, claim, pos;
        int slot, number, read;

        if (sscanf(rows, "%lld|%lld|%lld|%d|%d%n", &id, &claim, &pos, &slot, &number, &read) != 5)
            fail_msg("odd row: %s", rows);
        ret[n++] = (struct attempt){ worker, id, claim, pos, slot, number };
        rows += read + (rows[read] == ' ');
    }
    return n;
}

int
test_claim_at(PGconn *conn, int64_t worker, int max, struct attempt *ret, const char *file,
              int line)
{
    return claim_from(conn, worker, "default", max, ret, file, line);
}

struct attempt
test_claim_one_at(PGconn *conn, int64_t worker, const char *file, int line)
{
    struct attempt all[16] = { 0 };
    int n = test_claim_at(conn, worker, 16, all, file, line);

    if (n != 1) {
        print_error("%s:%d: want one job, got %d\n", file, line, n);
        _fail(file, line);
    }
    return all[0];
}

const char *
test_close_sql(const struct attempt *a, const char *outcome, const char *rest)
{
    return test_format("SELECT coalesce(state, '!' || error) FROM awa.close_jobs(%lld, '{%d}',"
                       " '{%lld}', '{%lld}', '{%s}'%s%s)",
                       (long long)a->worker, a->slot, (long long)a->claim, (long long)a->pos,
                       outcome, *rest != '\0' ? ", " : "", rest);
}

const char *
test_attempt_sql(const char *text, const struct attempt *a)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "<worker>", a->worker },
                    { "<slot>", a->slot },
                    { "<claim>", a->claim },
                    { "<pos>", a->pos },
                    { "<id>", a->id } };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        for (const char *at; (at = strstr(text, numbers[i].name)) != NULL;)
            text = test_format("%.*s%lld%s", (int)(at - text), text, (long long)numbers[i].value,
                               at + strlen(numbers[i].name));
    return text;
}

void
test_wait_settled(PGconn *db)
{
    const char *last = test_text(db, "SELECT pg_current_xact_id()");

    test_wait_until(
        db, test_format("SELECT pg_snapshot_xmin(pg_current_snapshot()) > '%s'::xid8", last),
        60000);
}

const char *
test_state(PGconn *db, int64_t id)
{
    return test_text(db, test_format("SELECT CASE count(*) WHEN 0 THEN 'none' WHEN 1 THEN"
                                     " min(state::text) ELSE 'several' END"
                                     " FROM awa.jobs WHERE id = %lld",
                                     (long long)id));
}

/* ---- Shaking ----------------------------------------------------------------------------- */

static const char *const outcomes[] = { "completed", "completed", "failed",   "cancelled",
                                        "retried",   "snoozed",   "released", "expired" };

static void
claim_some(PGconn *db, unsigned *seed)
{
    struct attempt a[16];
    int n;

    n = claim_from(db, 7, test_format("q%d", rand_r(seed) % 3), 1 + rand_r(seed) % 4, a, __FILE__,
                   __LINE__);
    for (int i = 0; i < n; i++)
        if (rand_r(seed) % 4 != 0)
            test_text(db, test_close_sql(&a[i], outcomes[rand_r(seed) % 8],
                                         rand_r(seed) % 2 ? "'{why}', NULL, '{1 h}'" : ""));
}

static void
turn_some(PGconn *db, unsigned *seed)
{
    int64_t slot = test_int(db, "SELECT awa.current_slot()");

    if (rand_r(seed) % 3 == 0) {
        test_exec(db, "SELECT awa.rotate_ring(true)");
        return;
    }
    if (slot == 0)
        return;
    slot = rand_r(seed) % slot;
    test_exec(db, test_format("SELECT awa.checkpoint_heads(%d::smallint),"
                              " awa.carry_forward(%d::smallint, 5)",
                              (int)slot, (int)slot));
    if (rand_r(seed) % 2 == 0)
        test_text(db, test_format("SELECT awa.prune_slot(%d::smallint)", (int)slot));
}

static void
shake_once(PGconn *db, unsigned *seed)
{
    const char *id = test_format("1 + floor(random() * awa.newest_id())::bigint");

    switch (rand_r(seed) % 12) {
    case 0:
    case 1:
        test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k%d'::text, '{3}'),"
                                  " p_queues => '{q0,q1,q2}', p_priorities => '{1,2,2}',"
                                  " p_tags => '{\"[\\\"t%d\\\"]\",NULL,NULL}', p_delays =>"
                                  " '{NULL,NULL,%d h}')",
                                  rand_r(seed) % 3, rand_r(seed) % 2, rand_r(seed) % 2));
        break;
    case 2:
        test_exec(db, "BEGIN; SELECT awa.insert_job('k0', p_queue => 'q0'); ROLLBACK");
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        claim_some(db, seed);
        break;
    case 7:
        test_exec(db, test_format("SELECT awa.cancel_job(%s)", id));
        break;
    case 8:
    case 9:
        test_exec(db, test_format("SELECT awa.retry_job(%s)", id));
        break;
    case 10:
        test_exec(db, "SELECT awa.promote_jobs(p_max => 2, p_now => now() + interval '2 h')");
        break;
    default:
        turn_some(db, seed);
    }
}

void
test_shake(PGconn *db, unsigned seed, int steps)
{
    test_exec(db, test_format("SELECT setseed(%g)", seed / 1000.0));
    test_exec(db, "SET ROLE awa_owner; SELECT awa.register_worker(7, 'w', '{q0,q1,q2}'); RESET"
                  " ROLE");
    for (int i = 0; i < steps; i++)
        shake_once(db, &seed);
}
