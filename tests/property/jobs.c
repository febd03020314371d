/* SPDX-License-Identifier: MIT */
/* What producers, workers and operators do to jobs. */
#include "world.h"

#include <inttypes.h>
#include <string.h>

/* ---- Enqueue ----------------------------------------------------------------------------- */

static struct model_job
random_job(struct world *w, unsigned *seed)
{
    struct model_job j = { .state = MODEL_AVAILABLE, .slot = w->slot, .since = w->step };

    j.queue = below(seed, MODEL_QUEUES);
    j.kind = below(seed, KINDS);
    j.max_attempts = 1 + below(seed, 3);
    j.tag = below(seed, 3);
    j.key = chance(seed, 3) ? 1 + below(seed, KEYS) : 0;
    if (chance(seed, 4)) {
        j.state = MODEL_SCHEDULED;
        j.slot = MODEL_NO_SLOT;
        j.due = chance(seed, 2) ? 1 : 3;
    }
    return j;
}

/* Few lanes: q0 has two priorities, and q1 two shards. */
static int
random_priority(const struct model_job *job, unsigned *seed)
{
    return job->queue == 0 ? 1 + below(seed, 2) : 2;
}

static bool
is_full(const struct world *w)
{
    return w->m.n >= ROOM;
}

/* A job was inserted, as this id; as 0 if a live job holds its key. */
static void
inserted(struct world *w, struct model_job job, int64_t id)
{
    bool wanted = may_live(w, &job);

    if (wanted != (id > 0))
        model_trouble(&w->m, "%s\nthe key u%d was %s", w->sql, job.key,
                      wanted ? "free" : "a live job's");
    job.id = id;
    if (id > 0)
        model_add(&w->m, job);
}

enum { LITERAL = 24 };

/* A name and a number as a text of SQL, NULL for 0. */
static const char *
literal(char *ret, const char *before, int n, const char *after)
{
    if (n == 0)
        return "NULL";
    snprintf(ret, LITERAL, "'%s%d%s'", before, n, after);
    return ret;
}

void
insert_one(struct world *w, unsigned *seed)
{
    struct model_job j = random_job(w, seed);
    char tag[LITERAL], key[LITERAL];

    if (is_full(w))
        return;
    ask(w, w->producer,
        "SELECT awa.insert_job('k%d', p_queue => 'q%d', p_priority => %d, p_max_attempts => %d,"
        " p_delay => nullif(%d, 0) * interval '1 h', p_tags => %s::text[],"
        " p_unique_key => %s, p_ordering_key => 'o%d')",
        j.kind, j.queue, random_priority(&j, seed), j.max_attempts, j.due,
        literal(tag, "{t", j.tag, "}"), literal(key, "u", j.key, ""), below(seed, 8));
    inserted(w, j, strtoll(w->answer, NULL, 10));
}

/* INSERT INTO awa.jobs. */
void
insert_sql(struct world *w, unsigned *seed)
{
    struct model_job j = random_job(w, seed);
    char tag[LITERAL], key[LITERAL];

    if (is_full(w))
        return;
    ask(w, w->operator,
        "INSERT INTO awa.jobs (kind, queue, priority, max_attempts, run_at, tags, unique_key)"
        " VALUES ('k%d', 'q%d', %d, %d, now() + nullif(%d, 0) * interval '1 h', %s::text[],"
        " %s) RETURNING id",
        j.kind, j.queue, random_priority(&j, seed), j.max_attempts, j.due,
        literal(tag, "{t", j.tag, "}"), literal(key, "u", j.key, ""));
    inserted(w, j, strtoll(w->answer, NULL, 10));
}

/* One argument of awa.insert_jobs(): "p_name => ARRAY[...]". */
struct list {
    char text[700];
    size_t len;
};

static void list_add(struct list *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
list_add(struct list *l, const char *format, ...)
{
    va_list args;

    if (l->len > 0 && l->len + 1 < sizeof l->text)
        l->text[l->len++] = ',';
    va_start(args, format);
    l->len += (size_t)vsnprintf(l->text + l->len, sizeof l->text - l->len, format, args);
    va_end(args);
    assert_true(l->len < sizeof l->text);
}

/* The text of a call for n jobs: what insert_one() asks for, in arrays. */
static void
insert_list(struct world *w, PGconn *conn, unsigned *seed, const struct model_job *jobs, int n)
{
    enum { KIND, QUEUE, PRIORITY, MAX_ATTEMPTS, DUE, TAGS, KEY, ORDERING, LISTS };
    struct list lists[LISTS] = { 0 };
    char key[LITERAL];

    for (int i = 0; i < n; i++) {
        list_add(&lists[KIND], "'k%d'", jobs[i].kind);
        list_add(&lists[QUEUE], "'q%d'", jobs[i].queue);
        list_add(&lists[PRIORITY], "%d", random_priority(&jobs[i], seed));
        list_add(&lists[MAX_ATTEMPTS], "%d", jobs[i].max_attempts);
        list_add(&lists[DUE], "nullif(%d, 0) * interval '1 h'", jobs[i].due);
        list_add(&lists[TAGS], jobs[i].tag > 0 ? "'[\"t%d\"]'" : "NULL", jobs[i].tag);
        list_add(&lists[KEY], "%s", literal(key, "u", jobs[i].key, ""));
        list_add(&lists[ORDERING], "'o%d'", below(seed, 8));
    }
    ask(w, conn,
        "SELECT coalesce(id, 0) FROM awa.insert_jobs(ARRAY[%s], p_queues => ARRAY[%s],"
        " p_priorities => ARRAY[%s], p_max_attempts => ARRAY[%s],"
        " p_delays => ARRAY[%s], p_tags => ARRAY[%s]::text[],"
        " p_unique_keys => ARRAY[%s]::text[], p_ordering_keys => ARRAY[%s]) ORDER BY ord",
        lists[KIND].text, lists[QUEUE].text, lists[PRIORITY].text, lists[MAX_ATTEMPTS].text,
        lists[DUE].text, lists[TAGS].text, lists[KEY].text, lists[ORDERING].text);
}

void
insert_batch(struct world *w, unsigned *seed)
{
    struct model_job jobs[4] = { 0 };
    int n = 1 + below(seed, 4);
    char *next;

    if (is_full(w))
        return;
    for (int i = 0; i < n; i++)
        jobs[i] = random_job(w, seed);
    insert_list(w, w->producer, seed, jobs, n);
    next = w->answer;
    for (int i = 0; i < n; i++)
        inserted(w, jobs[i], strtoll(next, &next, 10));
}

/* As libawa does it: positions first, then a COPY. */
void
insert_reserved(struct world *w, unsigned *seed)
{
    struct model_job j = { .state = MODEL_AVAILABLE, .slot = w->slot, .max_attempts = 25 };
    int n = 1 + below(seed, 3);
    int64_t id;

    j.queue = below(seed, MODEL_QUEUES);
    j.kind = below(seed, KINDS);
    if (is_full(w))
        return;
    ask(w, w->bulk,
        "WITH r AS MATERIALIZED (SELECT * FROM awa.reserve_positions('{q%d}', '{%d}', '{o%d}',"
        " '{%d}')), e AS (INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt,"
        " max_attempts, kind, args) SELECT first_pos + i, first_id + i, now(), ready_slot, 0,"
        " max_attempts, 'k%d', '{}' FROM r, generate_series(0, %d) AS i) SELECT first_id FROM r",
        j.queue, random_priority(&j, seed), below(seed, 8), n, j.kind, n - 1);
    id = strtoll(w->answer, NULL, 10);
    for (int i = 0; i < n; i++)
        inserted(w, j, id + i);
}

/* Jobs without keys, which nobody sees for a while. */
void
begin_late(struct world *w, unsigned *seed)
{
    char *next = w->answer;

    if (w->late_until > 0 || is_full(w))
        return;
    w->late_until = w->step + 1 + below(seed, 30);
    w->npending = 1 + below(seed, 4);
    for (int i = 0; i < w->npending; i++) {
        w->pending[i] = random_job(w, seed);
        w->pending[i].key = 0;
    }
    ask(w, w->late, "BEGIN");
    insert_list(w, w->late, seed, w->pending, w->npending);
    for (int i = 0; i < w->npending; i++)
        w->pending[i].id = strtoll(next, &next, 10);
}

void
end_late(struct world *w, bool commit)
{
    if (w->late_until == 0)
        return;
    w->late_until = 0;
    ask(w, w->late, commit ? "COMMIT" : "ROLLBACK");
    for (int i = 0; commit && i < w->npending; i++) {
        w->pending[i].since = 0;
        model_add(&w->m, w->pending[i]);
    }
}

/* What is rolled back has never been, but for its positions, which are gaps now. */
void
roll_back(struct world *w, unsigned *seed)
{
    static const char *const others[] = { "SELECT awa.drain_queue('q1')",
                                          "DELETE FROM awa.jobs WHERE queue = 'q0'" };
    struct model_job jobs[2] = { random_job(w, seed), random_job(w, seed) };
    bool operates = chance(seed, 2);
    PGconn *conn = operates ? w->operator: w->producer;

    if (operates && w->held_until > 0)
        return;
    ask(w, conn, "BEGIN");
    if (operates)
        ask(w, conn, "%s",
            chance(seed, 3) ? others[below(seed, 2)] : pick_verb(seed, VERB_BY_FILTER, false)->sql);
    else
        insert_list(w, conn, seed, jobs, 2);
    ask(w, conn, "ROLLBACK");
}

/* ---- Claim and close --------------------------------------------------------------------- */

/* A lane is in order: nobody who waited already has seen a higher position go, in this claim or in
 * an earlier one. */
static bool
was_overtaken(const struct world *w, const struct model_job *j, int64_t pos)
{
    for (int i = 0; i < w->ntaken && i < TAKEN_MAX && j->since > 0; i++)
        if (w->taken[i].pos >> 44 == pos >> 44 && w->taken[i].pos > pos &&
            w->taken[i].step > j->since)
            return true;
    return false;
}

int
claimed(struct world *w, int64_t worker, int queue)
{
    struct model_job row;
    const char *next = w->answer;
    int n = 0, read;

    while (sscanf(next, "%" SCNd64 "|%" SCNd64 "|%" SCNd64 "|%d|%d%n", &row.id, &row.claim,
                  &row.pos, &row.slot, &row.attempt, &read) == 5) {
        struct model_job *j = model_find(&w->m, row.id);

        if (j == NULL || j->state != MODEL_AVAILABLE || j->queue != queue || w->paused[queue] ||
            j->slot != row.slot || j->attempt + 1 != row.attempt) {
            model_trouble(&w->m, "%s\nhanded out job %" PRId64 ", attempt %d, slot %d", w->sql,
                          row.id, row.attempt, row.slot);
            return n;
        }
        if (was_overtaken(w, j, row.pos))
            model_trouble(&w->m, "%s\njob %" PRId64 ", which waited since step %d, was overtaken",
                          w->sql, row.id, j->since);
        w->taken[w->ntaken++ % TAKEN_MAX] = (struct taken){ row.pos, w->step };
        apply(w, verb_named("claim"), j);
        j->worker = worker;
        j->claim = row.claim;
        j->pos = row.pos;
        j->claim_slot = row.slot;
        j->has_deadline = queue == 2;
        next += read;
        n++;
    }
    return n;
}

void
claim(struct world *w, unsigned *seed)
{
    int64_t worker = w->workers[below(seed, WORKERS)];
    int queue = below(seed, MODEL_QUEUES);

    ask(w, w->worker,
        "SELECT id, claim_id, pos, ready_slot, attempt FROM awa.claim_jobs(%" PRId64 ", 'q%d', %d)",
        worker, queue, 1 + below(seed, 5));
    (void)claimed(w, worker, queue);
}

/* Up to max running jobs of one worker. */
static int
running(struct world *w, unsigned *seed, int max, struct model_job **ret)
{
    struct model_job *first = pick(w, seed, MODEL_IN(MODEL_RUNNING));
    int n = 0;

    for (int i = 0; first != NULL && i < w->m.n && n < max; i++)
        if (w->m.jobs[i].state == MODEL_RUNNING && w->m.jobs[i].worker == first->worker &&
            !chance(seed, 3))
            ret[n++] = &w->m.jobs[i];
    return n;
}

/* The compact way. */
void
complete(struct world *w, unsigned *seed)
{
    struct model_job *jobs[8];
    struct list slots = { 0 }, claims = { 0 }, positions = { 0 };
    int n = running(w, seed, 8, jobs);

    if (n == 0)
        return;
    for (int i = 0; i < n; i++) {
        list_add(&slots, "%d", jobs[i]->claim_slot);
        list_add(&claims, "%" PRId64, jobs[i]->claim);
        list_add(&positions, "\"{[%" PRId64 ",%" PRId64 "]}\"", jobs[i]->pos, jobs[i]->pos);
    }
    ask(w, w->worker,
        "SELECT sum(upper(r) - lower(r)) FROM unnest(awa.complete_jobs(%" PRId64
        ", '{%s}', '{%s}', '{%s}')) AS r",
        jobs[0]->worker, slots.text, claims.text, positions.text);
    expect(w, "%d", n);
    for (int i = 0; i < n; i++)
        apply(w, verb_named("close"), jobs[i]);
}

/* One by one, in one call. */
void
close_some(struct world *w, unsigned *seed)
{
    struct model_job *jobs[4];
    struct list slots = { 0 }, claims = { 0 }, positions = { 0 }, asked = { 0 }, errors = { 0 };
    struct list outputs = { 0 }, delays = { 0 };
    const struct verb *how[4];
    char want[200] = "";
    int due[4], n = running(w, seed, 4, jobs);

    if (n == 0)
        return;
    for (int i = 0; i < n; i++) {
        how[i] = pick_verb(seed, VERB_BY_ATTEMPT, true);
        due[i] = how[i]->to == MODEL_RETRYABLE || chance(seed, 2) ? 1 : 0;
        if (due[i] > 0 && strcmp(how[i]->outcome, "released") == 0)
            how[i] = verb_named("close_postponed");
        list_add(&slots, "%d", jobs[i]->claim_slot);
        list_add(&claims, "%" PRId64, jobs[i]->claim);
        list_add(&positions, "%" PRId64, jobs[i]->pos);
        list_add(&asked, "%s", how[i]->outcome);
        list_add(&errors, "%s", chance(seed, 2) ? "why" : "NULL");
        list_add(&outputs, "%s", chance(seed, 2) ? "1" : "NULL");
        list_add(&delays, "%d h", due[i]);
    }
    ask(w, w->worker,
        "SELECT coalesce(state, error) FROM awa.close_jobs(%" PRId64
        ", '{%s}', '{%s}', '{%s}', '{%s}', '{%s}', '{%s}', '{%s}')",
        jobs[0]->worker, slots.text, claims.text, positions.text, asked.text, errors.text,
        outputs.text, delays.text);
    for (int i = 0; i < n; i++) {
        size_t len = strlen(want);

        apply(w, how[i], jobs[i]);
        jobs[i]->due = due[i];
        snprintf(want + len, sizeof want - len, "%s%s", i > 0 ? " " : "",
                 verb_answer(how[i], jobs[i]));
    }
    expect(w, "%s", want);
}

/* In the handler's own transaction, which may be rolled back. */
void
complete_inside(struct world *w, unsigned *seed)
{
    struct model_job *j = pick(w, seed, MODEL_IN(MODEL_RUNNING));
    bool commit = !chance(seed, 3);

    if (j == NULL)
        return;
    ask(w, w->worker, "BEGIN");
    ask(w, w->worker, "SELECT awa.complete_job(%" PRId64 ", %" PRId64 ", %" PRId64 "%s)", j->worker,
        j->claim, j->pos, chance(seed, 2) ? ", '1'" : "");
    ask(w, w->worker, commit ? "COMMIT" : "ROLLBACK");
    if (commit)
        apply(w, verb_named("complete"), j);
}

/* An attempt that ended long ago, or was taken away, tries to end its job. */
void
close_again(struct world *w, unsigned *seed)
{
    const struct verb *const ways[] = { verb_named("close"), verb_named("complete"),
                                        pick_verb(seed, VERB_BY_ATTEMPT, true) };
    const struct verb *v = ways[below(seed, 3)];
    int known = w->npast < PAST_MAX ? w->npast : PAST_MAX;
    const struct model_job *j;
    char sql[400];

    if (known == 0)
        return;
    j = &w->past[below(seed, known)];
    try(w, w->worker, "%s",
        attempt_sql(
            sql, sizeof sql, v->sql,
            &(struct attempt){
                .worker = j->worker, .claim = j->claim, .pos = j->pos, .slot = j->claim_slot }));
    expect(w, "%s", v->idle);
}

/* ---- Workers ----------------------------------------------------------------------------- */

void
hire(struct world *w, int which)
{
    w->workers[which] = ++w->last_worker;
    ask(w, w->worker,
        "SELECT awa.register_worker(%" PRId64 ", 'w', '{q0,q1,q2}', p_session => false,"
        " p_lease => '100 d')",
        w->workers[which]);
}

/* Jobs of a worker, or of all (0), are taken away; those with a deadline only, or all. */
static int
take_away(struct world *w, int64_t worker, bool late, const struct verb *v)
{
    int n = 0;

    for (int i = 0; i < w->m.n; i++) {
        struct model_job *j = &w->m.jobs[i];

        if (j->state == MODEL_RUNNING && (worker == 0 || j->worker == worker) &&
            (j->has_deadline || !late)) {
            apply(w, v, j);
            n++;
        }
    }
    return n;
}

void
crash_one(struct world *w, unsigned *seed)
{
    int which = below(seed, WORKERS);

    if (chance(seed, 2))
        ask(w, w->worker, "SELECT awa.deregister_worker(%" PRId64 ")", w->workers[which]);
    else
        ask(w, w->db,
            "UPDATE awa.workers SET seen_ms = 0 WHERE worker_id = %" PRId64
            "; SELECT setval('awa.outage_ended', 0)",
            w->workers[which]);
    ask(w, w->worker, "SELECT awa.rescue_jobs()");
    expect(w, "%d", take_away(w, w->workers[which], false, verb_named("rescue")));
    hire(w, which);
}

void
crash_all(struct world *w, unsigned *seed)
{
    (void)seed;
    ask(w, w->worker, "SELECT awa.rescue_jobs(clock_timestamp() + interval '1 year')");
    expect(w, "%d", take_away(w, 0, false, verb_named("rescue")));
    for (int i = 0; i < WORKERS; i++)
        hire(w, i);
}

/* A worker has lost the answer to a claim: it knows of some of its jobs, and goes on anew. */
void
lose_claim(struct world *w, unsigned *seed)
{
    int which = below(seed, WORKERS), n = 0;
    char known[2000] = "";
    size_t len = 0;

    for (int i = 0; i < w->m.n; i++) {
        struct model_job *j = &w->m.jobs[i];

        if (j->state != MODEL_RUNNING || j->worker != w->workers[which])
            continue;
        if (len < sizeof known - 60 && chance(seed, 2)) {
            len += (size_t)snprintf(known + len, sizeof known - len, "%s[%" PRId64 ",%" PRId64 "]",
                                    len > 0 ? "," : "", j->pos, j->pos);
            continue;
        }
        apply(w, verb_named("reconcile"), j);
        n++;
    }
    ask(w, w->worker, "SELECT awa.reconcile_worker(%" PRId64 ", '{%s}')", w->workers[which], known);
    expect(w, "%d", n);
    try(w, w->worker, "SELECT awa.claim_jobs(%" PRId64 ", 'q0', 1)", w->workers[which]);
    expect(w, "JQ003");
    hire(w, which);
}

/* Only jobs of q2 have a deadline. */
void
expire(struct world *w, unsigned *seed)
{
    bool late = !chance(seed, 3);

    ask(w, w->worker, "SELECT awa.expire_jobs(p_now => clock_timestamp() + interval '%d h')",
        late ? 2 : 0);
    expect(w, "%d", late ? take_away(w, 0, true, verb_named("expire")) : 0);
}

/* ---- Single jobs ------------------------------------------------------------------------- */

/* Whether a verb may not bring a job back to life, because another one holds its key. */
static bool
conflicts(const struct world *w, const struct verb *v, const struct model_job *j)
{
    return MODEL_IS(j, v->from) && !MODEL_IS(j, MODEL_LIVE) &&
           (MODEL_IN(v->to) & MODEL_LIVE) != 0 && !may_live(w, j);
}

/* The answer of a verb on one job must be right; then so is the model. Returns whether it acted. */
static bool
has_acted(struct world *w, const struct verb *v, struct model_job *j)
{
    bool acts = MODEL_IS(j, v->from);

    if (conflicts(w, v, j)) {
        expect(w, "JQ004");
        return false;
    }
    expect(w, "%s", acts || MODEL_IS(j, v->hastens) ? v->did : v->idle);
    if (MODEL_IS(j, v->hastens))
        j->due = 0;
    if (acts)
        apply(w, v, j);
    return acts;
}

/* Mostly in a state from which it acts. */
void
on_one(struct world *w, unsigned *seed)
{
    const struct verb *v = pick_verb(seed, VERB_BY_ID, true);
    struct model_job *j = pick(w, seed, chance(seed, 4) ? MODEL_ANY : v->from);
    char sql[400];

    if (j == NULL)
        return;
    try(w, w->operator, "%s",
        attempt_sql(sql, sizeof sql, v->sql, &(struct attempt){ .id = j->id }));
    (void)has_acted(w, v, j);
}

/* Later, or elsewhere. */
void
retry_dead(struct world *w, unsigned *seed)
{
    const struct verb *v = verb_named("retry_dlq");
    struct model_job *j = pick(w, seed, chance(seed, 8) ? MODEL_ANY : v->from);
    int queue = below(seed, 2 * MODEL_QUEUES), due = chance(seed, 3);
    char name[LITERAL];

    if (j == NULL || (!MODEL_IS(j, v->from) && j->key > 0))
        return;
    try(w, w->operator,
        "SELECT awa.retry_dlq(%" PRId64 ", now() + nullif(%d, 0) * interval '1 h', %s)", j->id, due,
        literal(name, "q", queue < MODEL_QUEUES ? queue : 0, ""));
    if (!has_acted(w, v, j))
        return;
    j->queue = queue > 0 && queue < MODEL_QUEUES ? queue : j->queue;
    if (due > 0) {
        j->state = MODEL_SCHEDULED;
        j->slot = MODEL_NO_SLOT;
        j->due = due;
    }
}

/* A verb on one job whose transaction stays open for a while. */
void
begin_held(struct world *w, unsigned *seed)
{
    static const struct {
        const char *verb;
        enum model_state from;
    } cases[] = { { "retry", MODEL_FAILED },
                  { "retry", MODEL_CANCELLED },
                  { "move_to_dlq", MODEL_FAILED },
                  { "cancel", MODEL_SCHEDULED },
                  { "delete_compat", MODEL_COMPLETED } };
    int which = below(seed, (int)(sizeof cases / sizeof cases[0]));
    const struct verb *v = verb_named(cases[which].verb);
    const struct model_job *j = pick(w, seed, MODEL_IN(cases[which].from));
    char sql[400];

    if (w->held_until > 0 || j == NULL || j->key > 0)
        return;
    w->held_until = w->step + 1 + below(seed, 10);
    w->held_id = j->id;
    w->held_verb = v;
    w->held_slot = w->slot;
    ask(w, w->held, "BEGIN");
    ask(w, w->held, "%s", attempt_sql(sql, sizeof sql, v->sql, &(struct attempt){ .id = j->id }));
    expect(w, "%s", v->did);
}

void
end_held(struct world *w, bool commit)
{
    struct model_job *j = model_find(&w->m, w->held_id);
    int before;

    if (w->held_until == 0)
        return;
    w->held_until = 0;
    w->held_id = 0;
    ask(w, w->held, commit ? "COMMIT" : "ROLLBACK");
    if (!commit || j == NULL)
        return;
    before = j->ends;
    verb_apply(w->held_verb, j, w->held_slot, w->dlq[j->queue]);
    w->m.ends += j->ends - before;
    j->since = 0;
    if (j->state == MODEL_GONE)
        model_remove(&w->m, j);
}

/* ---- Many jobs --------------------------------------------------------------------------- */

/* A filter of a bulk verb, mostly one that fits some job; and the jobs that it matches, newest
 * first. */
struct filter {
    char text[200];
    struct model_job *jobs[ROOM + 10];
    int n;
};

static struct filter
random_filter(struct world *w, unsigned *seed, unsigned states)
{
    struct filter f = { .n = 0 };
    const struct model_job *like = chance(seed, 8) ? NULL : pick(w, seed, states);
    int kind = like != NULL ? like->kind : below(seed, KINDS);
    int queue = like != NULL ? like->queue : below(seed, MODEL_QUEUES);
    int tag = like != NULL ? like->tag : 1;
    int by = below(seed, 5), limit = chance(seed, 2) ? 1 + below(seed, 3) : ROOM + 10;
    size_t len;

    if (by == 0 && tag > 0) {
        snprintf(f.text, sizeof f.text, "p_tag => 't%d'", tag);
        kind = queue = -1;
    } else if (by == 1) {
        snprintf(f.text, sizeof f.text, "p_queue => 'q%d'", queue);
        kind = tag = -1;
    } else if (by == 2) {
        snprintf(f.text, sizeof f.text, "p_kind => 'k%d'", kind);
        queue = tag = -1;
    } else if (by == 3) {
        snprintf(f.text, sizeof f.text, "p_kind => 'k%d', p_queue => 'q%d'", kind, queue);
        tag = -1;
    } else {
        snprintf(f.text, sizeof f.text, "p_all => true");
        kind = queue = tag = -1;
    }
    len = strlen(f.text);
    snprintf(f.text + len, sizeof f.text - len, ", p_limit => %d", limit);
    for (int i = w->m.n - 1; i >= 0 && f.n < limit; i--) {
        struct model_job *j = &w->m.jobs[i];

        if (MODEL_IS(j, states) && (kind < 0 || j->kind == kind) &&
            (queue < 0 || j->queue == queue) && (tag < 0 || j->tag == tag))
            f.jobs[f.n++] = j;
    }
    return f;
}

/* Takes out of a filter those whose key another live job holds, or a newer one of them will. */
static int
drop_conflicts(const struct world *w, const struct verb *v, struct filter *f)
{
    bool taken[KEYS + 1] = { false };
    int kept = 0, matched = f->n;

    for (int i = 0; i < matched; i++) {
        struct model_job *j = f->jobs[i];

        if (j->key > 0 && (taken[j->key] || conflicts(w, v, j)))
            continue;
        taken[j->key] = true;
        f->jobs[kept++] = j;
    }
    f->n = kept;
    return matched - kept;
}

/* queue: where they go; -1: they stay where they are. */
static void
call_bulk(struct world *w, unsigned *seed, const struct verb *v, const char *more, int queue)
{
    struct filter f = random_filter(w, seed, v->from), left = f;
    int refused = (MODEL_IN(v->to) & MODEL_LIVE) != 0 ? drop_conflicts(w, v, &left) : 0;
    bool dry = chance(seed, 6);

    if (w->held_until > 0)
        return;
    ask(w, w->operator, "SELECT matched, changed, conflicts FROM awa.%s(%s%s%s)", v->name, f.text,
        more, dry ? ", p_dry_run => true" : "");
    expect(w, "%d|%d|%d", f.n, dry ? 0 : left.n, dry ? 0 : refused);
    for (int i = 0; !dry && i < left.n; i++) { /* newest first, so that the others stay in place */
        left.jobs[i]->queue = queue >= 0 ? queue : left.jobs[i]->queue;
        apply(w, v, left.jobs[i]);
    }
}

void
on_many(struct world *w, unsigned *seed)
{
    call_bulk(w, seed, pick_verb(seed, VERB_BY_FILTER, true), "", -1);
}

void
retry_many_dead(struct world *w, unsigned *seed)
{
    int queue = below(seed, 2 * MODEL_QUEUES);
    bool elsewhere = queue < MODEL_QUEUES;
    char more[60] = "";

    if (elsewhere)
        snprintf(more, sizeof more, ", p_to_queue => 'q%d', p_to_priority => 2", queue);
    call_bulk(w, seed, verb_named("retry_dlq_jobs"), more, elsewhere ? queue : -1);
}

/* DELETE FROM awa.jobs; a dead letter's state is failed there. */
void
delete_many(struct world *w, unsigned *seed)
{
    static const enum model_state states[] = { MODEL_AVAILABLE, MODEL_SCHEDULED, MODEL_RETRYABLE,
                                               MODEL_RUNNING,   MODEL_COMPLETED, MODEL_COMPLETED,
                                               MODEL_FAILED,    MODEL_CANCELLED };
    enum model_state state = states[below(seed, 8)];
    int queue = below(seed, MODEL_QUEUES), n = 0;
    unsigned gone = MODEL_IN(state) | (state == MODEL_FAILED ? MODEL_IN(MODEL_DEAD) : 0);

    if (w->held_until > 0)
        return;
    ask(w, w->operator, "DELETE FROM awa.jobs WHERE state = '%s' AND queue = 'q%d'",
        model_states[state], queue);
    for (int i = w->m.n - 1; i >= 0; i--)
        if (MODEL_IS(&w->m.jobs[i], gone) && w->m.jobs[i].queue == queue) {
            apply(w, verb_named("delete"), &w->m.jobs[i]);
            n++;
        }
    expect(w, "%d", n);
}
