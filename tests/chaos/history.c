/* SPDX-License-Identifier: MIT */
/* See history.h. */
#include "history.h"

#include <glob.h>
#include <sys/stat.h>

enum { DEADLINE_S = 300 }; /* of every attempt, as settings have it at first */

/* ---- Reading ----------------------------------------------------------------------------- */

/* A last record that was cut off by a kill does not count. */
static awa_status
read_file(struct history *h, size_t *room, const char *path, awa_error *err)
{
    AUTO(file) FILE *file = fopen(path, "re");
    struct stat st;
    size_t n;

    if (file == NULL || fstat(fileno(file), &st) != 0)
        return awa__fail(err, AWA_ESYS, "%s: %m", path);
    n = (size_t)st.st_size / sizeof(struct record);
    if (h->n + n > *room) {
        struct record *more = realloc(h->records, 2 * (h->n + n) * sizeof *more);

        if (more == NULL)
            return awa__fail(err, AWA_ENOMEM, "chaos: out of memory");
        h->records = more;
        *room = 2 * (h->n + n);
    }
    if (fread(h->records + h->n, sizeof(struct record), n, file) != n)
        return awa__fail(err, AWA_ESYS, "%s: cut off", path);
    h->n += n;
    return AWA_OK;
}

static awa_status
read_files(struct history *h, const char *dir, awa_error *err)
{
    char pattern[300];
    glob_t found = { 0 };
    size_t room = 0;
    awa_status s = AWA_OK;

    snprintf(pattern, sizeof pattern, "%s/events/*", dir);
    if (glob(pattern, 0, NULL, &found) != 0)
        s = awa__fail(err, AWA_ESYS, "%s: no histories", dir);
    for (size_t i = 0; i < found.gl_pathc && s == AWA_OK; i++)
        s = read_file(h, &room, found.gl_pathv[i], err);
    globfree(&found);
    return s;
}

/* ---- Orders ------------------------------------------------------------------------------ */

static int
compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int
by_time(const void *a, const void *b)
{
    return compare(((const struct record *)a)->mono_ns, ((const struct record *)b)->mono_ns);
}

static int
by_key(const void *a, const void *b)
{
    const struct record *const *r = a, *const *s = b;

    return (*r)->key != (*s)->key ? compare((*r)->key, (*s)->key)
                                  : compare((*r)->mono_ns, (*s)->mono_ns);
}

static int
by_first_key(const void *a, const void *b)
{
    return compare(((const struct insert *)a)->key, ((const struct insert *)b)->key);
}

static int
by_operation(const void *a, const void *b)
{
    const struct record *const *r = a, *const *s = b;
    int order = compare((*r)->proc, (*s)->proc);

    order = order != 0 ? order : compare((*r)->id, (*s)->id);
    return order != 0 ? order : compare((*r)->phase, (*s)->phase);
}

/* Records of one op, by process, operation and phase, so that INVOKE stands before its outcome. */
static const struct record **
operations(const struct history *h, enum op op, size_t *ret_n)
{
    const struct record **list = malloc((h->n + 1) * sizeof(struct record *));
    size_t n = 0;

    for (size_t i = 0; i < h->n && list != NULL; i++)
        if (h->records[i].op == op)
            list[n++] = &h->records[i];
    if (list != NULL)
        qsort(list, n, sizeof *list, by_operation);
    *ret_n = n;
    return list;
}

static bool
follows(const struct record **list, size_t i, size_t n)
{
    return i + 1 < n && list[i + 1]->proc == list[i]->proc && list[i + 1]->id == list[i]->id;
}

static bool
pair_inserts(struct history *h)
{
    size_t n;
    AUTO(free) const struct record **list = operations(h, OP_INSERT, &n);

    h->inserts = calloc(n + 1, sizeof *h->inserts);
    if (list == NULL || h->inserts == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool answered = follows(list, i, n);
        const struct record *end = list[i + answered];

        h->inserts[h->ninserts++] = (struct insert){
            .key = list[i]->key,
            .n = list[i]->aux,
            .hash = list[i]->hash,
            .mode = list[i]->mode,
            .invoke_ns = list[i]->mono_ns,
            .done_ns = answered ? end->mono_ns : UINT64_MAX,
            .phase = answered ? end->phase : PHASE_INFO,
            .res = end->res,
        };
        i += answered;
    }
    qsort(h->inserts, h->ninserts, sizeof *h->inserts, by_first_key);
    return true;
}

static int
by_beginning(const void *a, const void *b)
{
    return compare(((const struct trouble *)a)->from_ns, ((const struct trouble *)b)->from_ns);
}

static bool
pair_troubles(struct history *h)
{
    size_t n;
    AUTO(free) const struct record **list = operations(h, OP_FAULT, &n);

    h->troubles = calloc(n + 1, sizeof *h->troubles);
    if (list == NULL || h->troubles == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        bool ended = follows(list, i, n);

        h->troubles[h->ntroubles++] =
            (struct trouble){ .fault = list[i]->res,
                              .proc = (uint32_t)list[i]->key,
                              .from_ns = list[i]->mono_ns,
                              .to_ns = ended ? list[i + 1]->mono_ns : UINT64_MAX,
                              .step_s = (int64_t)list[i]->job,
                              .back_s = ended ? (int64_t)list[i + 1]->job : 0 };
        if (ended && list[i + 1]->phase == PHASE_FAIL) /* it hit nothing */
            h->ntroubles--;
        i += ended;
    }
    qsort(h->troubles, h->ntroubles, sizeof *h->troubles, by_beginning);
    return true;
}

static bool
concerns_a_key(const struct record *r)
{
    return r->key != 0 &&
           (r->op == OP_START || r->op == OP_END || r->op == OP_OPERATE || r->op == OP_JOB ||
            r->op == OP_EFFECT || r->op == OP_BUSINESS || r->op == OP_OUTPUT);
}

static bool
sort_by_key(struct history *h)
{
    h->of_keys = malloc((h->n + 1) * sizeof *h->of_keys);
    if (h->of_keys == NULL)
        return false;
    for (size_t i = 0; i < h->n; i++)
        if (concerns_a_key(&h->records[i]))
            h->of_keys[h->nof_keys++] = &h->records[i];
    qsort(h->of_keys, h->nof_keys, sizeof *h->of_keys, by_key);
    return true;
}

static void
note_processes(struct history *h)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct record *r = &h->records[i];
        uint32_t proc = (uint32_t)(r->key % PROCS_MAX);

        if (r->op == OP_RESCUED)
            h->rescued[proc] += r->aux;
        if (r->op == OP_PROCESS) {
            h->role[proc] = r->res;
            *(r->phase == PHASE_INVOKE ? &h->started_ns[proc] : &h->ended_ns[proc]) = r->mono_ns;
            if (r->phase == PHASE_INVOKE)
                h->link[proc] = r->aux;
        }
    }
    for (size_t i = 0; i < h->ntroubles; i++)
        if (h->troubles[i].fault == FAULT_KILL || h->troubles[i].fault == FAULT_KILL_LEADER)
            h->killed_ns[h->troubles[i].proc % PROCS_MAX] = h->troubles[i].from_ns;
}

awa_status
history_read(const char *dir, struct history *ret, awa_error *err)
{
    awa_status s = read_files(ret, dir, err);

    if (s != AWA_OK)
        return s;
    qsort(ret->records, ret->n, sizeof *ret->records, by_time);
    if (!pair_inserts(ret) || !pair_troubles(ret) || !sort_by_key(ret))
        return awa__fail(err, AWA_ENOMEM, "chaos: out of memory");
    note_processes(ret);
    return AWA_OK;
}

void
history_done(struct history *h)
{
    free(h->records);
    free(h->inserts);
    free(h->of_keys);
    free(h->troubles);
}

/* ---- Questions --------------------------------------------------------------------------- */

const struct insert *
insert_of(const struct history *h, uint64_t key)
{
    size_t low = 0, high = h->ninserts;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (h->inserts[middle].key + h->inserts[middle].n <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < h->ninserts && h->inserts[low].key <= key ? &h->inserts[low] : NULL;
}

bool
concerns(const struct history *h, const struct trouble *t, uint32_t proc)
{
    uint32_t link = h->link[proc % PROCS_MAX];

    return t->proc == proc || ((t->fault == FAULT_HOLE || t->fault == FAULT_DELAY) && link != 0 &&
                               link == h->link[t->proc % PROCS_MAX]);
}

static bool
any_between(const struct history *h, uint64_t from_ns, uint64_t to_ns, bool (*is)(enum fault))
{
    for (size_t i = 0; i < h->ntroubles && h->troubles[i].from_ns <= to_ns; i++)
        if (is(h->troubles[i].fault) && h->troubles[i].to_ns >= from_ns)
            return true;
    return false;
}

bool
outage_between(const struct history *h, uint64_t from_ns, uint64_t to_ns)
{
    return any_between(h, from_ns, to_ns, is_outage);
}

bool
stop_between(const struct history *h, uint64_t from_ns, uint64_t to_ns)
{
    return any_between(h, from_ns, to_ns, stops_everybody);
}

bool
deadlines_between(const struct history *h, uint64_t from_ns, uint64_t to_ns)
{
    for (size_t i = 0; i < h->ntroubles; i++) {
        const struct trouble *t = &h->troubles[i];

        if ((t->step_s >= DEADLINE_S && t->from_ns >= from_ns && t->from_ns <= to_ns) ||
            (t->back_s >= DEADLINE_S && t->to_ns >= from_ns && t->to_ns <= to_ns))
            return true;
    }
    return false;
}

static bool
may_cost_an_answer(enum fault fault)
{
    return is_outage(fault) || fault == FAULT_STALL || fault == FAULT_READONLY ||
           fault == FAULT_THIEF || /* it may win a deadlock */
           (fault >= FAULT_CLAIMER && fault <= FAULT_HOLE);
}

bool
trouble_between(const struct history *h, uint64_t from_ns, uint64_t to_ns)
{
    return any_between(h, from_ns, to_ns, may_cost_an_answer);
}
