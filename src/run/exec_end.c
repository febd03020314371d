/* SPDX-License-Identifier: MIT */
/* Keeps what a program has printed, and decides how its attempt ends; see exec.h. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "run/exec_run.h"

/*
 * Whether a text may be a JSON value. Postgres decides, and wraps other text as keep_output() does.
 * This saves Postgres the work for most plain text.
 */
static bool
looks_like_json(const char *text, size_t len)
{
    static const char space[] = " \t\r\n";
    size_t begin = strspn(text, space);

    while (len > begin && strchr(space, text[len - 1]) != NULL)
        len--;
    if (len == begin)
        return false;
    switch (text[begin]) {
    case '{':
        return text[len - 1] == '}';
    case '[':
        return text[len - 1] == ']';
    case '"':
        return len - begin > 1 && text[len - 1] == '"';
    default:
        return strspn(text + begin, "+-.0123456789eE") == len - begin ||
               (len - begin == 4 && strncmp(text + begin, "true", 4) == 0) ||
               (len - begin == 4 && strncmp(text + begin, "null", 4) == 0) ||
               (len - begin == 5 && strncmp(text + begin, "false", 5) == 0);
    }
}

static void
keep_output(struct run *r)
{
    AUTO(buffer) struct buffer wrapped = { 0 };
    size_t len;
    const char *text = tail_text(&r->output, &len);

    if (len == 0)
        return;
    if (!r->output.cut && looks_like_json(text, len)) {
        awa__ignore(awa_attempt_set_output(r->job, text, len));
        return;
    }
    buffer_text(&wrapped, "{\"stdout\":");
    buffer_json_string(&wrapped, text);
    buffer_text(&wrapped, r->output.cut ? ",\"cut\":true}" : "}");
    if (!wrapped.failed)
        awa__ignore(awa_attempt_set_output(r->job, wrapped.data, wrapped.len));
}

static const char *
why_told(const struct run *r)
{
    static const char *const reasons[] = {
        [AWA_GO_ON] = "",                       /* not told */
        [AWA_CANCEL_LOST] = "the job was lost", /* only the log has this: the end is stale */
        [AWA_CANCEL_DEADLINE] = "the deadline passed",
        [AWA_CANCEL_STOPPING] = "the worker stopped",
    };

    return reasons[awa_attempt_cancelled(r->job)];
}

/* Says in words how the program ended. */
static void
describe_end(const struct run *r, int status, struct buffer *b)
{
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

    if (r->told)
        buffer_format(b, "%s after %.1f s; ", why_told(r),
                      (double)(clock_ms() - r->started_at) / 1000);
    if (WIFEXITED(status))
        buffer_format(b, "exit code %d", WEXITSTATUS(status));
    else if (name != NULL)
        buffer_format(b, "killed by signal %d (SIG%s)", WTERMSIG(status), name);
    else
        buffer_format(b, "killed by signal %d", WTERMSIG(status));
}

static void
say_that_it_failed(const struct run *r, const char *why)
{
    char line[1000];
    int len;

    if (r->exec->log == NULL)
        return;
    len = snprintf(line, sizeof line, "job %lld (%s): attempt %lld of %lld: %s",
                   (long long)awa_attempt_id(r->job), awa_attempt_kind(r->job),
                   (long long)awa_attempt_number(r->job),
                   (long long)awa_attempt_max_attempts(r->job), why);
    awa__one_line(line, len >= (int)sizeof line);
    r->exec->log(r->exec->log_userdata, line);
}

static void
keep_error(struct run *r, int status)
{
    AUTO(buffer) struct buffer b = { 0 };
    size_t len;
    const char *text = tail_text(&r->error, &len);

    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        len--;
    describe_end(r, status, &b);
    if (len > 0) {
        buffer_text(&b, r->error.cut ? ": ..." : ": ");
        buffer_add(&b, text, len);
    }
    if (!b.failed)
        awa__ignore(awa_attempt_set_error(r->job, b.data));
    say_that_it_failed(r, b.failed ? "failed" : b.data);
}

/*
 * A program that was told to end and exits with 0 may not have done its job, so the job is retried.
 */
awa_outcome
exec_conclude(struct run *r, int status)
{
    keep_output(r);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !r->told)
        return AWA_COMPLETE;
    keep_error(r, status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXEC_FAIL)
        return AWA_FAIL;
    if (r->told && awa_attempt_cancelled(r->job) != AWA_CANCEL_DEADLINE)
        awa_attempt_set_delay(r->job, 0); /* without backoff: the program did not fail */
    return AWA_RETRY;
}
