/* SPDX-License-Identifier: MIT */
/* See test_model.h. */
#include "test_model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const model_states[MODEL_STATES] = {
    [MODEL_AVAILABLE] = "available",
    [MODEL_SCHEDULED] = "scheduled",
    [MODEL_RETRYABLE] = "retryable",
    [MODEL_RUNNING] = "running",
    [MODEL_WAITING_EXTERNAL] = "waiting_external",
    [MODEL_COMPLETED] = "completed",
    [MODEL_FAILED] = "failed",
    [MODEL_CANCELLED] = "cancelled",
    [MODEL_DEAD] = "dead",
};

void
model_trouble(struct model *m, const char *format, ...)
{
    va_list args;

    if (m->trouble[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(m->trouble, sizeof m->trouble, format, args);
    va_end(args);
}

/* ---- Jobs -------------------------------------------------------------------------------- */

/* The place of the first job whose id is not smaller. */
static int
place_of(const struct model *m, int64_t id)
{
    int low = 0, high = m->n;

    while (low < high) {
        int middle = (low + high) / 2;

        if (m->jobs[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct model_job *
model_find(struct model *m, int64_t id)
{
    int at = place_of(m, id);

    return at < m->n && m->jobs[at].id == id ? &m->jobs[at] : NULL;
}

void
model_add(struct model *m, struct model_job job)
{
    int at = place_of(m, job.id);

    if (m->n == MODEL_JOBS_MAX) {
        model_trouble(m, "the model is full");
        return;
    }
    if (at < m->n && m->jobs[at].id == job.id) {
        model_trouble(m, "two jobs got the id %" PRId64, job.id);
        return;
    }
    memmove(&m->jobs[at + 1], &m->jobs[at], sizeof m->jobs[0] * (size_t)(m->n - at));
    m->jobs[at] = job;
    m->n++;
}

void
model_remove(struct model *m, struct model_job *job)
{
    size_t after = (size_t)(&m->jobs[m->n] - (job + 1));

    memmove(job, job + 1, sizeof *job * after);
    m->n--;
}

int
model_count(const struct model *m, unsigned states)
{
    int n = 0;

    for (int i = 0; i < m->n; i++)
        n += MODEL_IS(&m->jobs[i], states);
    return n;
}

void
model_prune(struct model *m, int slot)
{
    for (int i = m->n - 1; i >= 0; i--) {
        struct model_job *j = &m->jobs[i];

        if (j->slot != slot)
            continue;
        if (MODEL_IS(j, MODEL_ALIVE)) {
            model_trouble(m, "job %" PRId64 " was %s in slot %d, which was pruned", j->id,
                          model_states[j->state], slot);
            return;
        }
        m->pruned[j->queue][j->state - MODEL_COMPLETED]++;
        model_remove(m, j);
    }
}

/* ---- Comparing --------------------------------------------------------------------------- */

static enum model_state
state_named(const char *name)
{
    int s = 0;

    while (s < MODEL_STATES && strcmp(name, model_states[s]) != 0)
        s++;
    return (enum model_state)s;
}

/* Whether job is as it was seen. One that may have changed, and has, is changed. */
static bool
agrees(struct model *m, struct model_job *job, const struct model_job *seen)
{
    if (job->may && seen->state == job->may_state && seen->slot == job->may_slot &&
        seen->attempt == job->attempt) {
        m->ends += MODEL_IS(job, MODEL_LIVE) && (MODEL_IN(job->may_state) & MODEL_LIVE) == 0;
        job->state = job->may_state;
        job->slot = job->may_slot;
        m->may_n--;
        return true;
    }
    return seen->state == job->state && seen->attempt == job->attempt && seen->slot == job->slot;
}

static void
compare_jobs(struct model *m, const char *text)
{
    char name[20];
    int at = 0, read;
    struct model_job seen;

    for (; sscanf(text, "%" SCNd64 " %19s %d %d%n", &seen.id, name, &seen.attempt, &seen.slot,
                  &read) == 4;
         text += read) {
        struct model_job *job = &m->jobs[at];

        seen.state = state_named(name);
        if (at < m->n && job->id < seen.id)
            model_trouble(m, "job %" PRId64 " is lost; it was %s, attempt %d, slot %d", job->id,
                          model_states[job->state], job->attempt, job->slot);
        else if (at == m->n || job->id > seen.id)
            model_trouble(m, "job %" PRId64 " should not be there, or not twice; it is %s", seen.id,
                          name);
        else if (!agrees(m, job, &seen))
            model_trouble(m,
                          "job %" PRId64 " should be %s, attempt %d, slot %d;"
                          " it is %s, attempt %d, slot %d",
                          job->id, model_states[job->state], job->attempt, job->slot, name,
                          seen.attempt, seen.slot);
        job->may = false;
        at++;
        if (m->trouble[0] != '\0')
            return;
    }
    if (at < m->n)
        model_trouble(m, "job %" PRId64 " is lost; it was %s", m->jobs[at].id,
                      model_states[m->jobs[at].state]);
    if (m->may_n != 0)
        model_trouble(m, "%" PRId64 " jobs more should have changed", m->may_n);
}

/* A row of awa.queue_counts() as it should be. */
static void
write_counts(const struct model *m, int queue, char *ret, size_t size)
{
    int64_t of[MODEL_STATES] = { 0 };
    size_t len = (size_t)snprintf(ret, size, "(q%d", queue);

    for (int i = 0; i < m->n; i++)
        if (m->jobs[i].queue == queue)
            of[m->jobs[i].state]++;
    for (int s = 0; s < MODEL_STATES && len < size; s++)
        len += (size_t)snprintf(ret + len, size - len, ",%" PRId64, of[s]);
    for (int s = 0; s < 3 && len < size; s++)
        len += (size_t)snprintf(ret + len, size - len, ",%" PRId64, m->pruned[queue][s]);
    if (len < size)
        snprintf(ret + len, size - len, ")");
}

void
model_compare(struct model *m, const char *counts, const char *jobs)
{
    char want[MODEL_QUEUES][200], all[sizeof want + 3];

    compare_jobs(m, jobs);
    for (int q = 0; q < MODEL_QUEUES; q++)
        write_counts(m, q, want[q], sizeof want[q]);
    snprintf(all, sizeof all, "%s %s %s", want[0], want[1], want[2]);
    if (strcmp(counts, all) != 0)
        model_trouble(m, "awa.queue_counts() should be\n%s; it is\n%s", all, counts);
}
