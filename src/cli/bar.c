/* SPDX-License-Identifier: MIT */
/* See bar.h. */
#include "cli/bar.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/spawn.h"

enum {
    EVERY_MS = 100,
    BAR = 24, /* columns */
};

void
bar_begin(struct bar *b, const struct call *call, int64_t total)
{
    *b = (struct bar){
        .on = isatty(STDERR_FILENO) && !call_flag(call, "quiet"),
        .began_at = now_ms(),
        .total = total,
    };
}

static void
print_bar(int64_t part, int64_t whole)
{
    int filled = (int)(part < whole ? part * BAR / whole : BAR);

    fputs("  [", stderr);
    for (int i = 0; i < BAR; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %d%%", (int)(part < whole ? part * 100 / whole : 100));
}

/* False: the line was printed less than EVERY_MS ago, or is off. */
static bool
begin_line(struct bar *b, int64_t jobs)
{
    int64_t now = now_ms();
    int64_t passed = now > b->began_at ? now - b->began_at : 1;

    if (!b->on || now - b->shown_at < EVERY_MS)
        return false;
    b->shown_at = now;
    fprintf(stderr, "\r\033[K%lld jobs  %lld/s", (long long)jobs,
            (long long)(jobs * 1000 / passed));
    return true;
}

static void
end_line(const struct bar *b, int64_t part)
{
    if (b->total > 0)
        print_bar(part, b->total);
    fflush(stderr);
}

void
bar_show(struct bar *b, int64_t jobs, int64_t bytes)
{
    if (!begin_line(b, jobs))
        return;
    fprintf(stderr, "  %.1f MB", (double)bytes / 1e6);
    end_line(b, bytes);
}

void
bar_show_jobs(struct bar *b, int64_t jobs)
{
    if (begin_line(b, jobs))
        end_line(b, jobs);
}

void
bar_clear(struct bar *b)
{
    if (b->on && b->shown_at != 0)
        fputs("\r\033[K", stderr);
    b->shown_at = 0;
}
