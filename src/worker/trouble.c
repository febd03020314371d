/* SPDX-License-Identifier: MIT */
/* See trouble.h. */
#include "worker/trouble.h"

#include "base/clock.h"

enum {
    PAUSE_MS = 250, /* doubles */
    PAUSE_MAX_MS = 10000,
};

void
trouble_pause(struct awa_worker *w, int64_t *backoff_ms)
{
    w->claim_after = clock_ms() + worker_back_off(backoff_ms, PAUSE_MS, PAUSE_MAX_MS);
}

void
trouble_note(struct awa_worker *w, const char *why)
{
    worker_complain(w, &w->complaints, "jobs cannot be begun here and are given back: %s",
                    why != NULL ? why : "out of memory");
    if (clock_ms() >= w->claim_after)
        trouble_pause(w, &w->trouble.backoff_ms);
    pthread_mutex_lock(&w->lock);
    w->in_trouble = true;
    w->begun = 0;
    w->trouble.most = w->running.n + 1;
    pthread_mutex_unlock(&w->lock);
    worker_release_waiting(w);
}

void
trouble_recover(struct awa_worker *w)
{
    size_t begun;

    if (w->trouble.most == 0)
        return;
    pthread_mutex_lock(&w->lock);
    begun = w->begun;
    w->begun = 0;
    w->in_trouble = begun == 0 || w->trouble.most + begun <= (size_t)atomic_load(&w->slots);
    pthread_mutex_unlock(&w->lock);
    if (begun == 0)
        return;
    w->trouble.backoff_ms = 0;
    w->trouble.most += begun;
    if (w->in_trouble)
        return;
    w->trouble.most = 0;
    worker_complain(w, &w->complaints, "jobs can be begun again");
}
