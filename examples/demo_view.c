/* SPDX-License-Identifier: MIT */
/*
 * Shows the progress: as a block on a terminal, which is drawn again and again; as lines elsewhere.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "demo.h"

enum {
    DRAW_MS = 125, /* between two drawings of the block */
    LINE_MS = 1000,
    WIDTH_MAX = 120,
};

#define GREEN  "32"
#define RED    "31"
#define YELLOW "33"
#define DIM    "2"

/* A line of the block, which must not be wider than the terminal. */
struct line {
    FILE *out;
    int left; /* columns */
    bool color;
};

void
view_init(struct view *v)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

    (void)setlocale(LC_CTYPE, "");
    v->start_ms = now_ms();
    v->terminal = isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
    v->color = v->terminal && (no_color == NULL || no_color[0] == '\0');
    v->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static int
width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size = { 0 };
    long n = columns != NULL ? strtol(columns, NULL, 10) : 0;

    if (n <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        n = size.ws_col;
    if (n <= 0)
        n = 80;
    return n < WIDTH_MAX ? (int)n : WIDTH_MAX;
}

/* ---- Pieces of a line -------------------------------------------------------------------- */

/* Adds ASCII text, cut at the end of the line; sgr NULL: no color. */
static void __attribute__((format(printf, 3, 4)))
put(struct line *l, const char *sgr, const char *format, ...)
{
    char text[160];
    va_list args;
    int len;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    len = (int)strnlen(text, (size_t)l->left);
    l->left -= len;
    if (sgr != NULL && l->color)
        fprintf(l->out, "\033[%sm%.*s\033[m", sgr, len, text);
    else
        fprintf(l->out, "%.*s", len, text);
}

static void
put_number(struct line *l, const char *sgr, const char *what, int64_t n)
{
    char text[32];

    put(l, n != 0 ? sgr : NULL, "%s %s", what, grouped(n, text));
    put(l, NULL, "   ");
}

/* Adds a bar of so many columns; its last block is drawn in eighths. */
static void
put_bar(struct line *l, const struct view *v, int columns, int64_t done, int64_t total)
{
    static const char *const eighths[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    int64_t filled = total > 0 ? done * columns * 8 / total : 0;

    if (columns < 0)
        return;
    l->left -= columns;
    fputs(v->color ? "\033[32m" : "", l->out);
    for (int i = 0; i < columns; i++) {
        int64_t part = filled - (int64_t)i * 8;

        if (!v->utf8)
            fputc(part >= 8 ? '#' : '.', l->out);
        else
            fputs(part >= 8 ? "█" : part > 0 ? eighths[part] : "·", l->out);
    }
    fputs(v->color ? "\033[m" : "", l->out);
}

static void
put_states(struct line *l, const struct progress *p)
{
    put_number(l, NULL, "available", p->states[NOTE_NONE]);
    put_number(l, NULL, "running", p->states[NOTE_RUNNING]);
    put_number(l, YELLOW, "retryable", p->states[NOTE_RETRYABLE]);
    put_number(l, GREEN, "completed", p->states[NOTE_COMPLETED]);
    put_number(l, RED, "failed", p->states[NOTE_FAILED]);
}

static void
put_rates(struct line *l, const struct progress *p)
{
    put_number(l, GREEN, "jobs/s now", p->rate);
    put_number(l, NULL, "mean", p->mean_rate);
    put(l, NULL, "MB/s %lld.%lld   ", (long long)p->byte_rate / 1000000,
        (long long)p->byte_rate / 100000 % 10);
}

static void
put_pickup(struct line *l, const struct progress *p)
{
    put(l, NULL, "pickup p50 %d ms, p99 %d ms   ", p->pickup_p50, p->pickup_p99);
    put_number(l, YELLOW, "retries", p->retries);
}

static void
put_workers(struct line *l, const struct progress *p)
{
    static const struct {
        const char *sgr, *word;
    } states[] = {
        [MEMBER_NONE] = { DIM, "none" },     [MEMBER_ALIVE] = { GREEN, "alive" },
        [MEMBER_KILLED] = { RED, "KILLED" }, [MEMBER_ENDED] = { DIM, "ended" },
        [MEMBER_LOST] = { RED, "LOST" },
    };

    put(l, NULL, "workers");
    for (int i = 0; i < WORKERS; i++) {
        enum member_state state = p->crew->members[i].state;

        put(l, NULL, " %d ", i + 1);
        put(l, states[state].sgr, "%s", states[state].word);
    }
}

/* ---- All of it --------------------------------------------------------------------------- */

typedef void put_row(struct line *l, const struct progress *p);

static put_row *const rows[] = { put_rates, put_states, put_pickup, put_workers };

enum { ROWS = sizeof rows / sizeof rows[0], BESIDE_BAR = 42 };

static int
percent(const struct progress *p)
{
    return p->total > 0 ? (int)(p->done * 100 / p->total) : 0;
}

static void
erase(struct view *v, FILE *out)
{
    if (v->lines > 0)
        fprintf(out, "\033[%dA\r\033[J", v->lines);
    v->lines = 0;
}

static void
draw_bar(const struct view *v, FILE *out, const struct progress *p)
{
    struct line l = { .out = out, .left = width() - 1, .color = v->color };
    int64_t ms = now_ms() - v->start_ms;
    char done[32], total[32];

    put_bar(&l, v, l.left - BESIDE_BAR, p->done, p->total);
    put(&l, NULL, " %3d %%  %s of %s", percent(p), grouped(p->done, done),
        grouped(p->total, total));
    put(&l, NULL, "  %lld.%lld s", (long long)ms / 1000, (long long)ms / 100 % 10);
    fputc('\n', out);
}

/* Draws the block in one write, so that it does not flicker. */
static void
draw(struct view *v, const struct progress *p)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return;
    erase(v, out);
    draw_bar(v, out, p);
    for (int row = 0; row < ROWS; row++) {
        struct line l = { .out = out, .left = width() - 1, .color = v->color };

        rows[row](&l, p);
        fputc('\n', out);
    }
    v->lines = ROWS + 1;
    (void)fclose(out);
    fwrite(text, 1, len, stdout);
    fflush(stdout);
    free(text);
}

static void
print_time(const struct view *v)
{
    int64_t ms = now_ms() - v->start_ms;

    printf("%5lld.%lld s  ", (long long)ms / 1000, (long long)ms / 100 % 10);
}

static void
print_line(const struct view *v, const struct progress *p)
{
    struct line l = { .out = stdout, .left = INT_MAX };
    char done[32], total[32];

    print_time(v);
    printf("%3d %%  %s of %s   ", percent(p), grouped(p->done, done), grouped(p->total, total));
    for (int row = 0; row < ROWS; row++)
        rows[row](&l, p);
    puts("");
    fflush(stdout);
}

bool
view_is_due(const struct view *v)
{
    return now_ms() - v->drawn_ms >= (v->terminal ? DRAW_MS : LINE_MS);
}

void
view_draw(struct view *v, const struct progress *p)
{
    v->drawn_ms = now_ms();
    if (v->terminal)
        draw(v, p);
    else
        print_line(v, p);
}

void
view_keep(struct view *v)
{
    v->lines = 0;
}

/* ---- Lines that stay --------------------------------------------------------------------- */

void
view_event(struct view *v, const char *format, ...)
{
    va_list args;

    view_erase(v);
    print_time(v);
    fputs(v->color ? "\033[33m" : "", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fputs(v->color ? "\033[m\n" : "\n", stdout);
    fflush(stdout);
    v->drawn_ms = v->terminal ? 0 : v->drawn_ms; /* the block is due again */
}

void
view_status(struct view *v, const char *format, ...)
{
    va_list args;

    if (!v->terminal)
        return;
    view_erase(v);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fputc('\n', stdout);
    fflush(stdout);
    v->lines = 1;
}

void
view_erase(struct view *v)
{
    erase(v, stdout);
}
