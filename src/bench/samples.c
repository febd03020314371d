/* SPDX-License-Identifier: MIT */
#include "bench/samples.h"

#include <math.h>

#include "pg/pg.h"

enum { SAMPLES_MAX = 1 << 27 };

void
samples_done(struct samples *s)
{
    free(s->us);
    *s = (struct samples){ 0 };
}

void
samples_add(struct samples *s, int64_t us)
{
    if (s->n == s->size) {
        size_t size = s->size > 0 ? 2 * s->size : 1024;
        uint32_t *more = size <= SAMPLES_MAX ? reallocarray(s->us, size, sizeof *more) : NULL;

        if (more == NULL)
            return;
        s->us = more;
        s->size = size;
    }
    s->us[s->n++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void
samples_join(struct samples *s, const struct samples *more)
{
    for (size_t i = 0; i < more->n; i++)
        samples_add(s, more->us[i]);
}

static int
compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

void
samples_sort(struct samples *s)
{
    if (s->n > 0)
        qsort(s->us, s->n, sizeof *s->us, compare);
}

double
samples_percentile_ms(const struct samples *s, double share)
{
    double rank = ceil(share / 100 * (double)s->n);

    if (s->n == 0)
        return NAN;
    return s->us[rank < 1 ? 0 : (size_t)rank - 1] / 1000.0;
}
