/* SPDX-License-Identifier: MIT */
/*
 * The identities under which this worker is registered. It claims under the newest one; an older
 * one stays until the jobs that were claimed under it are closed, and is then deregistered. An
 * identity is given up
 * - when the database does not know it any more, or is another server than before;
 * - when the answer to a claim was lost: then the database is told which jobs we know of, and takes
 *   the others back;
 * - when the end of a job was refused twice: then the job is rescued.
 */
#include <string.h>

#include <sys/random.h>

#include "base/clock.h"
#include "statements_worker.h"
#include "worker/identity.h"

enum {
    AGAIN_MS = 200, /* pause after a reconciliation that the database asks to repeat */
};

static int64_t
random_id(void)
{
    int64_t id = 0;

    while (id <= 0) {
        if (getrandom(&id, sizeof id, 0) != sizeof id)
            return 0;
        id &= INT64_MAX;
    }
    return id;
}

static struct identity *
new_identity(struct awa_worker *w, awa_error *err)
{
    struct identity *identity = calloc(1, sizeof *identity);

    if (identity == NULL || (identity->id = random_id()) == 0) {
        free(identity);
        (void)awa__fail(err, AWA_ENOMEM, "worker: cannot draw an identity");
        return NULL;
    }
    identity->next = w->identities;
    return identity;
}

/* The kinds that this worker runs, as an array; NULL: all kinds. */
static const char *
kinds_of(const struct awa_worker *w, struct buffer *kinds)
{
    if (w->nkinds == 0)
        return NULL;
    buffer_array_begin(kinds);
    for (size_t i = 0; i < w->nkinds; i++) {
        if (w->kinds[i].kind == NULL)
            return NULL;
        buffer_array_text(kinds, w->kinds[i].kind);
    }
    buffer_array_end(kinds);
    return kinds->data;
}

/* Registers under a new identity, which becomes the current one. Blocks. */
awa_status
identity_register(struct awa_worker *w, PGconn *pg, awa_error *err)
{
    AUTO(buffer) struct buffer queues = { 0 }, kinds = { 0 };
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(free) struct identity *identity = new_identity(w, err);
    const char *known = kinds_of(w, &kinds);
    char id[24];
    awa_status s;

    if (identity == NULL)
        return AWA_ENOMEM;
    worker_queue_names(w, &queues);
    if (queues.failed || kinds.failed)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    snprintf(id, sizeof id, "%lld", (long long)identity->id);
    s = awa__query_timed(
        pg, SQL_WORKER_REGISTER,
        (const char *[]){ id, w->name, queues.data, known, w->claims.pooled ? "f" : "t" }, &res,
        err);
    if (s != AWA_OK)
        return s;
    identity->number = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    w->server = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
    w->identities = TAKE(identity);
    w->identity_lost = false;
    atomic_store(&w->current_id, w->identities->id);
    return AWA_OK;
}

/* ---- A claim whose answer was lost ------------------------------------------------------- */

/* Notes that a claim of the current identity has no answer: it may hold jobs unknown to us. */
void
identity_lose_claim(struct awa_worker *w)
{
    w->identities->in_doubt++;
    w->identity_lost = true;
}

/* Adds the positions of the jobs of an identity that are not closed. */
static void
add_known(const struct awa_worker *w, const struct identity *identity, struct buffer *known)
{
    const char *comma = "";

    buffer_text(known, "{");
    for (const struct batch *b = w->batches; b != NULL; b = b->next)
        for (size_t i = 0; b->identity == identity && i < b->n; i++) {
            size_t last = i;

            if (b->jobs[i]->phase == JOB_CLOSED)
                continue;
            while (last + 1 < b->n && b->jobs[last + 1]->phase != JOB_CLOSED &&
                   b->jobs[last + 1]->pos == b->jobs[last]->pos + 1)
                last++;
            buffer_format(known, "%s[%lld,%lld)", comma, (long long)b->jobs[i]->pos,
                          (long long)b->jobs[last]->pos + 1);
            comma = ",";
            i = last;
        }
    buffer_text(known, "}");
}

static void
reconciled(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;
    struct identity *identity = tag;

    identity->asked = false;
    if (err != NULL) {
        if (err->status != AWA_ECONN)
            worker_complain(w, &w->complaints, "reconcile: %s", err->message);
        return;
    }
    if (PQgetisnull(*res, 0, 0)) {
        w->heartbeat_at = clock_ms() + AGAIN_MS;
        return;
    }
    if (strcmp(PQgetvalue(*res, 0, 0), "0") != 0)
        worker_log(w, "the answer to a claim was lost; jobs given back: %s",
                   PQgetvalue(*res, 0, 0));
    worker_doubt(w, -identity->in_doubt);
    identity->in_doubt = 0;
}

static awa_status
reconcile(struct awa_worker *w, struct identity *identity, const char *id, awa_error *err)
{
    AUTO(buffer) struct buffer known = { 0 };

    add_known(w, identity, &known);
    if (known.failed)
        return awa__fail(err, AWA_ENOMEM, "reconcile: out of memory");
    return conn_submit(&w->claims, SQL_WORKER_RECONCILE, (const char *[]){ id, known.data }, false,
                       reconciled, identity, err);
}

/* ---- Good-bye ---------------------------------------------------------------------------- */

static void
forget(struct awa_worker *w, struct identity *identity)
{
    struct identity **link = &w->identities;

    while (*link != identity)
        link = &(*link)->next;
    *link = identity->next;
    free(identity);
}

static void
deregistered(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;
    struct identity *identity = tag;

    (void)res;
    identity->asked = false;
    if (err == NULL)
        forget(w, identity);
    else if (err->status != AWA_ECONN)
        worker_complain(w, &w->complaints, "deregister: %s", err->message);
}

/* Sends what is due for each identity but the current one: to reconcile or to deregister it. */
awa_status
identity_turn(struct awa_worker *w, awa_error *err)
{
    awa_status s = AWA_OK;
    char id[24];

    for (struct identity *i = w->identities; i != NULL && s == AWA_OK; i = i->next) {
        if (i == w->identities || i->asked || (i->in_doubt == 0 && i->held > 0) ||
            conn_pending(&w->claims) + 2 > CONN_PENDING_MAX)
            continue;
        snprintf(id, sizeof id, "%lld", (long long)i->id);
        s = i->in_doubt > 0 ? reconcile(w, i, id, err)
                            : conn_submit(&w->claims, SQL_WORKER_DEREGISTER, (const char *[]){ id },
                                          false, deregistered, i, err);
        i->asked = s == AWA_OK;
    }
    return s;
}

/*
 * Deregisters every identity, outside the pipeline. Does nothing if there is no session, or if
 * answers are still to come. A failure is logged: the lease of the identity ends then.
 */
void
identity_bye(struct awa_worker *w)
{
    awa_error err;

    if (!conn_is_open(&w->claims) || !PQexitPipelineMode(w->claims.pg))
        return;
    (void)PQsetnonblocking(w->claims.pg, 0);
    for (struct identity *i = w->identities; i != NULL; i = i->next) {
        AUTO(pgresult) PGresult *res = NULL;
        char id[24];

        snprintf(id, sizeof id, "%lld", (long long)i->id);
        if (awa__query_timed(w->claims.pg, SQL_WORKER_DEREGISTER, (const char *[]){ id }, &res,
                             &err) != AWA_OK)
            worker_log(w, "deregister: %s", err.message);
    }
}
