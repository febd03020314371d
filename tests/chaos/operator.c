/* SPDX-License-Identifier: MIT */
/*
 * An operator: cancels, retries, deletes now and then, moves failed jobs to the dead letters and
 * back, pauses queues for a while; and writes down what it was told.
 */
#include "process.h"
#include "verbs.h"

enum { LISTED = 12 };

struct clerk {
    struct process *p;
    PGconn *conn;
    struct dice dice;
};

static bool
reconnect(struct clerk *c)
{
    if (c->conn != NULL && PQstatus(c->conn) == CONNECTION_OK)
        return true;
    PQfinish(TAKE(c->conn));
    c->conn = process_session(c->p, "SET lock_timeout = '2s'");
    return c->conn != NULL;
}

/* A verb on one job. */
static void
operate(struct clerk *c, const struct verb *v, uint64_t key, const char *id)
{
    struct record r = { .op = OP_OPERATE,
                        .res = (uint8_t)(v - verbs),
                        .key = key,
                        .lane = key_queue(key),
                        .job = strtoull(id, NULL, 10) };
    AUTO(pgresult) PGresult *res = NULL;
    enum phase_of phase;
    char sql[400];

    r = record_begin(r);
    res = query(c->conn,
                attempt_sql(sql, sizeof sql, v->sql, &(struct attempt){ .id = (int64_t)r.job }), 0,
                NULL);
    if (!succeeded(res))
        phase = phase_of_failure(c->conn, res);
    else
        phase = strcmp(PQgetvalue(res, 0, 0), v->did) == 0 ? PHASE_OK : PHASE_FAIL;
    record_end(r, phase);
}

/* One verb on some of the newest jobs in a state. */
static void
operate_on(struct clerk *c, const char *state, const char *verb, int most)
{
    const struct verb *v = verb_named(verb);
    const char *dead = v->from == MODEL_IN(MODEL_DEAD) ? "t" : "f";
    AUTO(pgresult)
    PGresult *res = query(c->conn,
                          "SELECT id, args FROM awa.list_jobs($1::awa.job_state, p_limit => 12)"
                          " WHERE ($2 = 'f') = (dlq_at IS NULL) ORDER BY random()",
                          2, (const char *[]){ state, dead });

    for (int i = 0; i < PQntuples(res) && i < most && PQstatus(c->conn) == CONNECTION_OK; i++) {
        bool good;
        uint64_t key = key_read(PQgetvalue(res, i, 1), &good);

        operate(c, v, key, PQgetvalue(res, i, 0));
    }
}

/* All failed jobs of a kind that are not dead letters; which ones, nobody says. */
static void
retry_all(struct clerk *c)
{
    struct record r = { .op = OP_OPERATE, .res = (uint8_t)(verb_named("retry_failed") - verbs) };
    AUTO(pgresult) PGresult *res = NULL;

    r = record_begin(r);
    res = query(c->conn,
                "SELECT (awa.retry_failed(p_kind => 'hopeless', p_queue => 'bulk',"
                " p_limit => 20)).changed",
                0, NULL);
    record_end(r, succeeded(res) ? PHASE_OK : phase_of_failure(c->conn, res));
}

static void
pause_a_queue(struct clerk *c)
{
    const char *queue = queue_name((enum queue)dice_below(&c->dice, QUEUES));
    AUTO(pgresult) PGresult *paused = query(c->conn, "SELECT awa.pause_queue($1)", 1, &queue);

    sleep_ms(dice_between(&c->dice, 100, 1000));
    while (!process_ends() && reconnect(c)) {
        AUTO(pgresult) PGresult *res = query(c->conn, "SELECT awa.resume_queue($1)", 1, &queue);

        if (succeeded(res))
            return;
        sleep_ms(100);
    }
}

static const char *const states[] = { "available", "running", "scheduled", "retryable" };

static void
act(struct clerk *c)
{
    const char *state = states[dice_below(&c->dice, 4)];

    switch (dice_below(&c->dice, 20)) {
    case 0:
        pause_a_queue(c);
        break;
    case 1:
        operate_on(c, state, "delete_compat", 1);
        break;
    case 2:
        operate_on(c, "failed", "delete_compat", 1);
        break;
    case 3:
        retry_all(c);
        break;
    case 4:
    case 5:
        operate_on(c, "failed", "move_to_dlq", 3);
        break;
    case 6:
    case 7:
        operate_on(c, "failed", "retry_dlq", 3);
        break;
    case 8:
    case 9:
    case 10:
        operate_on(c, dice_below(&c->dice, 2) == 0 ? "failed" : "cancelled", "retry", 3);
        break;
    default:
        operate_on(c, state, "cancel", 2);
    }
}

int
operator_main(struct process *p)
{
    struct clerk c = { .p = p, .dice = { mix(p->seed) + p->proc } };

    while (!process_ends() && reconnect(&c)) {
        act(&c);
        sleep_ms(200);
    }
    PQfinish(c.conn);
    return 0;
}
