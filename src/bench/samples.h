/* SPDX-License-Identifier: MIT */
/* Measured times, in microseconds, and their percentiles. */
#ifndef AWA_BENCH_SAMPLES_H
#define AWA_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
    uint32_t *us; /* owned */
    size_t n, size;
};

void samples_done(struct samples *s);

/* Adds a sample. It is dropped if there is no memory, or if there are very many. */
void samples_add(struct samples *s, int64_t us);
void samples_join(struct samples *s, const struct samples *more);

/* After this, percentiles can be asked for. */
void samples_sort(struct samples *s);

/*
 * The smallest time that at least this share of all samples (0 to 100) does not exceed. NAN: there
 * is no sample.
 */
double samples_percentile_ms(const struct samples *s, double share);

static inline void
auto_samples(struct samples *s)
{
    samples_done(s);
}

#endif
