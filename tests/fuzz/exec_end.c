/* SPDX-License-Identifier: MIT */
/*
 * How a program ended, and what becomes of its job. Bytes 0 to 2: how it ended, whether and why it
 * was told to, how its streams come; then its output, a form feed, its standard error.
 */
#include "fuzz_job.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "base/utf8.h"
#include "run/exec_run.h"

enum { EXITED = 1 << 8, OUTPUT_MAX = 64, ERROR_BYTES_MAX = 8192 };

static const int statuses[] = { 0,       1 * EXITED, 65 * EXITED, 75 * EXITED,   255 * EXITED,
                                SIGTERM, SIGKILL,    64,          SIGSEGV | 0x80 };
static const awa_cancel reasons[] = { AWA_CANCEL_LOST, AWA_CANCEL_DEADLINE, AWA_CANCEL_STOPPING };

static void
stream(struct tail *t, const char *text, size_t len, size_t piece)
{
    int ends[2];

    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;

        REQUIRE(write(ends[1], text + at, n) == (ssize_t)n);
        for (int i = 0; i < 3; i++)
            REQUIRE(tail_read(t, ends[0]));
    }
    (void)close(ends[1]);
    REQUIRE(!tail_read(t, ends[0]));
    (void)close(ends[0]);
}

/* What becomes of the words on their way to the database: a bad byte is a question mark. */
static char *
clean(const char *text, size_t len)
{
    char *copy = calloc(1, len + 1);

    REQUIRE(copy != NULL);
    for (size_t i = 0, width; i < len; i += width) {
        width = utf8_width(text + i, len - i);
        if (width == 0 || text[i] == '\0') {
            copy[i] = '?';
            width = 1;
        } else {
            memcpy(copy + i, text + i, width);
        }
    }
    return copy;
}

static void
check_output(const awa_attempt *job, const struct run *r)
{
    AUTO(free) char *want = clean(r->output.data != NULL ? r->output.data : "", r->output.len);
    AUTO(free) char *got = NULL;
    const char *at = job->output;

    REQUIRE((at == NULL) == (r->output.len == 0));
    if (at == NULL)
        return;
    REQUIRE(utf8_is_valid(at));
    if (!r->output.cut && strcmp(at, want) == 0)
        return;
    REQUIRE(fuzz_is_json(at) && strncmp(at, "{\"stdout\":", 10) == 0);
    at += 10;
    got = fuzz_json_string(&at);
    REQUIRE(got != NULL && strcmp(got, want) == 0);
    REQUIRE(strcmp(at, r->output.cut ? ",\"cut\":true}" : "}") == 0);
}

static awa_outcome
expected(const struct run *r, int status)
{
    if (status == 0 && !r->told)
        return AWA_COMPLETE;
    return status == 65 * EXITED ? AWA_FAIL : AWA_RETRY;
}

static void
check_end(struct fuzz_job *j, struct run *r, int status)
{
    awa_outcome outcome = exec_conclude(r, status);
    const char *error = j->job->error;

    REQUIRE(outcome == expected(r, status));
    REQUIRE((error == NULL) == (outcome == AWA_COMPLETE));
    REQUIRE(j->logged == (error != NULL));
    if (error != NULL) {
        REQUIRE(utf8_is_valid(error) && strlen(error) <= ERROR_BYTES_MAX);
        REQUIRE(strstr(error, "exit code ") != NULL || strstr(error, "killed by signal ") != NULL);
    }
    check_output(j->job, r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_words words = { "k", "q", "{}", NULL, NULL, 0, 0 };
    struct feed f = { data, size };
    int status = statuses[feed_byte(&f) % (sizeof statuses / sizeof statuses[0])];
    uint8_t told = feed_byte(&f) % 4;
    size_t piece = 1 + feed_byte(&f) % 100, len = 0;
    AUTO(free) char *output = feed_text(&f, '\f', &len);
    struct run r = { .output.max = OUTPUT_MAX, .error.max = EXEC_ERROR_MAX, .told = told > 0 };
    struct fuzz_job j;

    if (size > 40000)
        return 0;
    fuzz_job_init(&j, &words);
    r.job = j.job;
    r.exec = &(struct exec){ .log = fuzz_job_log, .log_userdata = &j };
    if (told > 0)
        atomic_store(&j.job->cancelled, reasons[told - 1]);
    if (output != NULL)
        stream(&r.output, output, len, piece);
    stream(&r.error, (const char *)f.at, f.left, piece);
    check_end(&j, &r, status);
    tail_done(&r.output);
    tail_done(&r.error);
    fuzz_job_done(&j);
    return 0;
}
