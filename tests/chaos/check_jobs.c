/* SPDX-License-Identifier: MIT */
/*
 * Job by job: what was accepted has come to its end, once for each reason to run it, and with one
 * effect.
 *
 * The ring forgets jobs that have ended, so a job need not be in the tables in the end. Then its
 * end is taken from what its handler returned, or an operator was told. That alone would believe
 * a handler whose result the engine had lost: so in the end each queue's own count of all jobs,
 * pruned ones included, must be the number of jobs that exist, less the deleted ones.
 */
#include "final.h"
#include "verbs.h"
#include "verdict.h"

enum {
    RUNS_MAX = 400,
    STOCK_NS = 1000000000, /* from its claim to its beginning, if nothing holds the process up */
};

/* One job's story. */
struct story {
    const struct insert *insert;
    uint64_t key;
    const struct record *const *events;
    size_t n;
    const struct record *runs[RUNS_MAX]; /* its STARTs, by time */
    size_t nruns;
    const struct record *job, *effect; /* in the end */
    bool ended;                        /* by a handler's return or an operator */
    bool operated;                     /* an operator has, or may have, changed it */
    bool cancelled;                    /* and the last thing that he did was to cancel it */
    bool business, exists, output;
    unsigned effects;
};

/* ---- Reading the story ------------------------------------------------------------------- */

/* The answer to an INVOKE; NULL: there was none. */
static const struct record *
answer_of(const struct story *s, const struct record *r)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->events[i]->op == OP_OPERATE && s->events[i]->proc == r->proc &&
            s->events[i]->id == r->id && s->events[i]->phase != PHASE_INVOKE)
            return s->events[i];
    return NULL;
}

/* Whether an operation has, or may have, changed something: each once, by its last record. */
static bool
has_happened(const struct story *s, const struct record *r)
{
    return r->phase == PHASE_INVOKE ? answer_of(s, r) == NULL : r->phase != PHASE_FAIL;
}

static void
read_operation(struct story *s, struct verdict *v, const struct record *r)
{
    const struct verb *verb = &verbs[r->res];

    if (!has_happened(s, r))
        return;
    s->operated = true;
    s->exists |= r->phase == PHASE_OK;
    if (verb->to == MODEL_CANCELLED) {
        s->ended = true;
        s->cancelled = r->phase == PHASE_OK;
        v->cancels += r->phase == PHASE_OK;
    } else if (verb->to == MODEL_GONE) {
        s->ended = true;
        v->deleted[key_queue(s->key)] += r->phase == PHASE_OK;
        v->maybe_deleted[key_queue(s->key)] += r->phase != PHASE_OK;
    } else {
        s->cancelled = false;
    }
}

static void
read_event(struct story *s, struct verdict *v, const struct record *r)
{
    int64_t last = key_max_attempts(s->key);

    switch (r->op) {
    case OP_START:
        s->exists = true;
        s->ended |= r->aux >= last; /* taken from a dead worker, it has failed */
        if (s->nruns < RUNS_MAX)
            s->runs[s->nruns++] = r;
        if (r->res != 0)
            break_rule(v, RULE_CHANGED, "key %llx", (unsigned long long)s->key);
        break;
    case OP_END:
        s->ended |= r->res == AWA_COMPLETE || r->res == AWA_FAIL || r->res == AWA_CANCEL;
        break;
    case OP_OPERATE:
        read_operation(s, v, r);
        break;
    case OP_JOB:
        s->job = r;
        s->exists = true;
        break;
    case OP_EFFECT:
        s->effect = r;
        s->effects++;
        break;
    case OP_OUTPUT:
        s->output = true;
        break;
    default:
        s->business = true;
    }
}

/* ---- Why it ran again -------------------------------------------------------------------- */

static const struct record *
end_of(const struct story *s, const struct record *run)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct record *r = s->events[i];

        if (r->op == OP_END && r->proc == run->proc && r->claim == run->claim &&
            r->position == run->position && r->mono_ns >= run->mono_ns)
            return r;
    }
    return NULL;
}

static bool
revives(const struct verb *verb)
{
    return verb->sort == VERB_BY_ID && verb->to == MODEL_AVAILABLE;
}

/* An operator who may have revived it at some time in [from, to]. */
static bool
operator_between(const struct story *s, uint64_t from_ns, uint64_t to_ns)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct record *r = s->events[i], *answer;

        if (r->op != OP_OPERATE || r->phase != PHASE_INVOKE || r->mono_ns > to_ns ||
            !revives(&verbs[r->res]))
            continue;
        answer = answer_of(s, r);
        if (answer == NULL || (answer->phase != PHASE_FAIL && answer->mono_ns >= from_ns))
            return true;
    }
    return false;
}

/* retry_failed() does not say which jobs it took; only hopeless ones fail. */
static bool
may_be_retried_unseen(const struct story *s)
{
    return key_kind(s->key) == KIND_HOPELESS;
}

/*
 * The attempt that came first, whenever it began to run: a job that becomes runnable again gets a
 * higher position in its lane. Claims of one position rise, too, but a crash may set them back.
 */
static bool
is_older(const struct history *h, const struct record *a, const struct record *b)
{
    if (a->position != b->position && a->position >> 44 == b->position >> 44)
        return a->position < b->position;
    if (outage_between(h, a->mono_ns, b->mono_ns))
        return a->mono_ns <= b->mono_ns;
    return a->claim <= b->claim;
}

static void
judge_attempt_numbers(const struct story *s, struct verdict *v, const struct record *old,
                      const struct record *new, bool given_back)
{
    bool anew = operator_between(s, 0, new->mono_ns) || may_be_retried_unseen(s);

    if (anew || new->aux > old->aux || (given_back && new->aux == old->aux))
        return;
    break_rule(v, RULE_ATTEMPTS, "key %llx: attempt %u of process %u after attempt %u of %u",
               (unsigned long long)s->key, new->aux, new->proc, old->aux, old->proc);
}

/*
 * The first moment at which an attempt may have been claimed: some time before it began to run, for
 * workers keep some in stock; or when its process or everybody was held up, if that was just
 * before.
 */
static uint64_t
claimed_since(const struct history *h, const struct record *run)
{
    uint64_t since = run->mono_ns - STOCK_NS;

    for (size_t i = 0; i < h->ntroubles && h->troubles[i].from_ns <= run->mono_ns; i++) {
        const struct trouble *t = &h->troubles[i];

        if (t->to_ns > run->mono_ns - 5000000000ull && t->from_ns < since &&
            (stops_everybody(t->fault) ||
             (concerns(h, t, run->proc) && (t->fault == FAULT_PAUSE || t->fault == FAULT_FREEZE ||
                                            t->fault == FAULT_HOLE || t->fault == FAULT_DELAY))))
            since = t->from_ns;
    }
    return since;
}

/*
 * Whether it had succeeded, and its worker lived on and came back, while nothing happened to it and
 * to the server but a full disk. A crash may forget a claim, for claims are not waited for; then
 * the next attempt has the same number. But one that is not forgotten must be ended by its worker.
 */
static bool
was_lost_with_the_disk(const struct history *h, const struct story *s, const struct record *old,
                       const struct record *end, const struct record *new)
{
    bool full = false;

    if (end == NULL || end->res != AWA_COMPLETE || key_kind(s->key) == KIND_EFFECT ||
        new->aux <= old->aux || new->mono_ns < end->mono_ns || (old->mode & MODE_ZOMBIE) != 0)
        return false;
    for (size_t i = 0; i < h->ntroubles && h->troubles[i].from_ns <= new->mono_ns; i++) {
        const struct trouble *t = &h->troubles[i];

        if (t->to_ns < old->mono_ns || t->fault == FAULT_CLOCK)
            continue;
        full |= t->fault == FAULT_DISK;
        if (t->fault != FAULT_DISK && (stops_everybody(t->fault) || concerns(h, t, old->proc) ||
                                       (t->fault >= FAULT_CLAIMER && t->fault <= FAULT_LEADER)))
            return false;
    }
    return full && (h->ended_ns[old->proc % PROCS_MAX] == 0 ||
                    h->ended_ns[old->proc % PROCS_MAX] > new->mono_ns);
}

/* Why an attempt was followed by another. */
static void
judge_repetition(struct history *h, const struct story *s, struct verdict *v,
                 const struct record *old, const struct record *new)
{
    const struct record *end = end_of(s, old);
    uint64_t claimed = claimed_since(h, old);
    uint64_t first = claimed < new->mono_ns ? claimed : new->mono_ns;
    uint64_t last = old->mono_ns < new->mono_ns ? new->mono_ns : old->mono_ns;
    bool late = old->mono_ns > new->mono_ns; /* so it was in stock for nobody knows how long */
    bool snoozed = end != NULL && end->res == AWA_SNOOZE;
    bool crash = outage_between(h, first, last);

    if (old->claim == new->claim && old->position == new->position &&
        (!crash || old->hash == new->hash))
        break_rule(v, RULE_TOKEN, "key %llx: claim %llu, position %llu by processes %u and %u",
                   (unsigned long long)s->key, (unsigned long long)old->claim,
                   (unsigned long long)old->position, old->proc, new->proc);
    if (end != NULL && end->mono_ns <= new->mono_ns && end->res != AWA_COMPLETE) {
        v->by_own++;
        judge_attempt_numbers(s, v, old, new, snoozed || crash);
    } else if (operator_between(s, late ? 0 : first, last)) {
        v->by_operator++;
    } else if (was_lost_with_the_disk(h, s, old, end, new)) {
        break_rule(v, RULE_DOUBLE, "key %llx: attempt %u of process %u had succeeded at %llu ms",
                   (unsigned long long)s->key, old->aux, old->proc,
                   (unsigned long long)(end->mono_ns / 1000000));
    } else if (crash) { /* the claim may be forgotten; if not, there was a rescue */
        v->by_crash++;
        v->lawful_duplicates++;
    } else if (deadlines_between(h, first, last)) {
        v->by_deadline++;
        v->lawful_duplicates++;
        judge_attempt_numbers(s, v, old, new, false);
    } else if (key_kind(s->key) == KIND_EFFECT && end != NULL &&
               trouble_between(h, old->mono_ns, last)) {
        v->by_unknown++; /* its COMMIT was not answered, so the worker reported a retry */
        v->lawful_duplicates++;
    } else if (h->rescued[old->proc % PROCS_MAX] > 0) {
        h->rescued[old->proc % PROCS_MAX]--;
        v->by_rescue++;
        v->lawful_duplicates++;
        judge_attempt_numbers(s, v, old, new, false);
    } else {
        break_rule(v, RULE_DOUBLE,
                   "key %llx (%s): attempt %u of process %u, claim %llu, at %llu ms, end %d; then "
                   "attempt %u of process %u, claim %llu, at %llu ms",
                   (unsigned long long)s->key, kind_name(key_kind(s->key)), old->aux, old->proc,
                   (unsigned long long)old->claim, (unsigned long long)(old->mono_ns / 1000000),
                   end != NULL ? end->res : -1, new->aux, new->proc, (unsigned long long)new->claim,
                   (unsigned long long)(new->mono_ns / 1000000));
    }
}

/*
 * From the death of its worker until it runs again, if nothing else was in the way: neither an
 * outage or a lack of connections, nor a low priority, nor another worker that had claimed it and
 * died as well, or froze.
 */
static void
measure_recovery(const struct history *h, const struct story *s, struct verdict *v,
                 const struct record *old, const struct record *new)
{
    uint64_t killed = h->killed_ns[old->proc % PROCS_MAX];

    if (killed == 0 || end_of(s, old) != NULL || new->mono_ns < killed ||
        key_priority(s->key) > 2 || stop_between(h, killed, new->mono_ns) ||
        new->aux != old->aux + 1 || (old->mode & MODE_ZOMBIE) != 0)
        return;
    figure_add(&v->recovery[FAULT_KILL], (double)(new->mono_ns - killed) / 1e6);
}

/*
 * Attempts that nobody has seen, before or between those that were: they were burnt by rescues of
 * jobs that were claimed and had not begun, or by a clock that was set past their deadlines; by
 * nothing else. judge_burnt() counts.
 */
static uint64_t
unseen_between(const struct history *h, const struct story *s, const struct record *old,
               const struct record *new)
{
    uint32_t last = old != NULL ? old->aux : 0;

    if (may_be_retried_unseen(s) || operator_between(s, 0, new->mono_ns) || new->aux <= last + 1 ||
        deadlines_between(h, s->insert->invoke_ns, new->mono_ns))
        return 0;
    return new->aux - last - 1;
}

static void
judge_runs(struct history *h, const struct story *s, struct verdict *v)
{
    v->runs += s->nruns;
    for (size_t i = 0; i < s->nruns; i++)
        if (s->runs[i]->aux < 1 || s->runs[i]->aux > key_max_attempts(s->key))
            break_rule(v, RULE_ATTEMPTS, "key %llx: attempt %u of %lld", (unsigned long long)s->key,
                       s->runs[i]->aux, (long long)key_max_attempts(s->key));
    for (size_t i = 1; i < s->nruns; i++) {
        const struct record *a = s->runs[i - 1], *b = s->runs[i];
        bool in_order = is_older(h, a, b);

        judge_repetition(h, s, v, in_order ? a : b, in_order ? b : a);
        measure_recovery(h, s, v, a, b);
        v->burnt += unseen_between(h, s, in_order ? a : b, in_order ? b : a);
    }
    if (s->nruns > 0)
        v->burnt += unseen_between(h, s, NULL, s->runs[0]);
}

/* ---- What is left of it ------------------------------------------------------------------ */

/* After a crash that forgot a claim, another worker may have got its number. */
static const struct record *
run_of_effect(const struct story *s)
{
    for (size_t i = 0; i < s->nruns; i++)
        if (s->runs[i]->claim == s->effect->claim && s->runs[i]->position == s->effect->position &&
            s->runs[i]->hash == s->effect->hash && (s->runs[i]->mode & MODE_ZOMBIE) == 0)
            return s->runs[i];
    return NULL;
}

/* Of a kind that ends in no other way, unless an operator ends it. */
static bool
has_completed(const struct story *s)
{
    return s->exists && (!s->operated || (s->job != NULL && s->job->res == STATE_COMPLETED));
}

static void
judge_output(const struct story *s, struct verdict *v)
{
    if (key_has_output(s->key) && has_completed(s) && !s->output)
        break_rule(v, RULE_OUTPUT, "key %llx (%s): no output, %zu runs", (unsigned long long)s->key,
                   kind_name(key_kind(s->key)), s->nruns);
}

static void
judge_effect(const struct history *h, const struct story *s, struct verdict *v)
{
    const struct record *run = s->effect != NULL ? run_of_effect(s) : NULL;
    unsigned long long key = s->key;

    if (s->effect == NULL) {
        if (key_kind(s->key) == KIND_EFFECT && has_completed(s))
            break_rule(v, RULE_EFFECT, "key %llx: no effect, %zu runs", key, s->nruns);
        return;
    }
    if (s->effects > 1 || key_kind(s->key) != KIND_EFFECT || run == NULL)
        break_rule(v, RULE_EFFECT, "key %llx: %u effects, the last of claim %llu", key, s->effects,
                   (unsigned long long)s->effect->claim);
    else if (s->cancelled)
        break_rule(v, RULE_EFFECT, "key %llx: an effect, although it was cancelled", key);
    for (size_t i = 0; run != NULL && i < s->nruns; i++)
        if (s->runs[i] != run && s->runs[i]->mono_ns > run->mono_ns && is_older(h, run, s->runs[i]))
            break_rule(v, RULE_EFFECT, "key %llx: ran again after its effect was committed", key);
}

/*
 * A job that may run three times only may also end because workers died that had claimed it and had
 * not begun: how many of its attempts must have gone that way.
 */
static uint64_t
unseen_attempts(const struct history *h, const struct story *s)
{
    uint64_t seen = 0;

    if (deadlines_between(h, s->insert->invoke_ns, UINT64_MAX))
        return 0;
    for (size_t i = 0; i < s->nruns; i++)
        if (s->runs[i]->aux > seen)
            seen = s->runs[i]->aux;
    return (uint64_t)key_max_attempts(s->key) - seen;
}

static void
judge_existence(const struct history *h, struct story *s, struct verdict *v)
{
    bool accepted = s->insert->phase == PHASE_OK;
    bool with_business = (s->insert->mode & MODE_MASK) == MODE_TRANSACTION;

    s->exists |= accepted || (with_business && s->business);
    if (s->insert->phase == PHASE_FAIL && s->exists) {
        break_rule(v, RULE_NOWHERE, "key %llx was refused or rolled back, and is there",
                   (unsigned long long)s->key);
        return;
    }
    if (s->insert->phase == PHASE_INFO && !s->exists)
        v->unresolved++;
    if (!s->exists)
        return;
    v->jobs++;
    v->existing[key_queue(s->key)]++;
    if (with_business && !s->business)
        break_rule(v, RULE_TORN, "key %llx: no business row", (unsigned long long)s->key);
    if (s->job == NULL && !s->ended && key_kind(s->key) == KIND_HOPELESS)
        v->burnt += unseen_attempts(h, s);
    else if (s->job != NULL ? s->job->res == STATE_OTHER : !s->ended)
        break_rule(v, RULE_LOST, "key %llx (%s, mode %u): %zu runs", (unsigned long long)s->key,
                   kind_name(key_kind(s->key)), s->insert->mode, s->nruns);
}

static void
judge(struct history *h, struct verdict *v, struct story *s)
{
    for (size_t i = 0; i < s->n; i++)
        read_event(s, v, s->events[i]);
    judge_existence(h, s, v);
    judge_runs(h, s, v);
    judge_effect(h, s, v);
    judge_output(s, v);
}

/* ---- All of them ------------------------------------------------------------------------- */

static void
judge_insert(struct history *h, struct verdict *v, const struct insert *insert, size_t *at)
{
    static struct story story;

    v->refused += insert->phase == PHASE_FAIL ? insert->n : 0;
    v->unknown += insert->phase == PHASE_INFO ? insert->n : 0;
    for (uint32_t i = 0; i < insert->n; i++) {
        size_t first;

        for (; *at < h->nof_keys && h->of_keys[*at]->key < insert->key + i; (*at)++)
            break_rule(v, RULE_NOWHERE, "key %llx, op %u", (unsigned long long)h->of_keys[*at]->key,
                       h->of_keys[*at]->op);
        first = *at;
        while (*at < h->nof_keys && h->of_keys[*at]->key == insert->key + i)
            (*at)++;
        story = (struct story){
            .insert = insert, .key = insert->key + i, .events = h->of_keys + first, .n = *at - first
        };
        judge(h, v, &story);
    }
}

/* What each queue says that it has had, against what we know that it got. */
static void
judge_counts(const struct history *h, struct verdict *v)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct record *r = &h->records[i];
        uint64_t high, low;

        if (r->op != OP_COUNT)
            continue;
        v->pruned += r->position;
        if (r->lane >= QUEUES) {
            if (r->job > 0)
                break_rule(v, RULE_NOWHERE, "%llu jobs in a queue of nobody",
                           (unsigned long long)r->job);
            continue;
        }
        high = v->existing[r->lane] - v->deleted[r->lane] + v->unresolved;
        low = v->existing[r->lane] - v->deleted[r->lane] - v->maybe_deleted[r->lane];
        if (r->job < low || r->job > high)
            break_rule(v, RULE_MISCOUNTED, "queue %s counts %llu, not %llu to %llu",
                       queue_name((enum queue)r->lane), (unsigned long long)r->job,
                       (unsigned long long)low, (unsigned long long)high);
    }
}

static void
judge_writes(const struct history *h, struct verdict *v)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct record *r = &h->records[i];

        if (r->op != OP_WRITE || r->phase == PHASE_INVOKE)
            continue;
        v->stale_tried++;
        v->stale_refused += r->phase == PHASE_FAIL;
        if (r->phase == PHASE_OK)
            break_rule(v, RULE_STALE, "%s%s by process %u: key %llx, claim %llu, position %llu",
                       (r->mode & MODE_FOREIGN) != 0 ? "foreign " : "", verbs[r->res].name, r->proc,
                       (unsigned long long)r->key, (unsigned long long)r->claim,
                       (unsigned long long)r->position);
    }
}

/* Attempts that nobody has seen were taken from the dead: by rescues that no other one explains. */
static void
judge_burnt(const struct history *h, struct verdict *v)
{
    uint64_t unexplained = 0;

    for (uint32_t proc = 0; proc < PROCS_MAX; proc++)
        unexplained += h->rescued[proc] > 0 ? (uint64_t)h->rescued[proc] : 0;
    if (v->burnt > unexplained)
        break_rule(v, RULE_ATTEMPTS, "%llu attempts nobody has seen, and %llu rescues",
                   (unsigned long long)v->burnt, (unsigned long long)unexplained);
}

void
check_jobs(const struct history *h, struct verdict *v)
{
    AUTO(free) struct history *mine = malloc(sizeof *mine);
    size_t at = 0;

    if (mine == NULL)
        return;
    *mine = *h; /* its rescues are used up here */
    for (size_t i = 0; i < h->ninserts; i++)
        judge_insert(mine, v, &h->inserts[i], &at);
    for (; at < h->nof_keys; at++)
        break_rule(v, RULE_NOWHERE, "key %llx", (unsigned long long)h->of_keys[at]->key);
    judge_burnt(mine, v);
    judge_counts(h, v);
    judge_writes(h, v);
}
