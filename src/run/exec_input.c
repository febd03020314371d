/* SPDX-License-Identifier: MIT */
/* What a program gets to know about its job: environment and standard input; see exec.h. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buffer.h"
#include "run/exec_run.h"

void
auto_environment(struct environment *e)
{
    for (int i = 0; i < EXEC_VARIABLES; i++)
        free(e->own[i]);
    free(e->all);
}

static char *variable(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes a text "NAME=value". NULL: out of memory. */
static char *
variable(const char *format, ...)
{
    va_list args;
    char *text;
    int n;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    return n >= 0 ? text : NULL;
}

/* Whether two texts "NAME=value" set the same variable. */
static bool
same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");

    return strncmp(a, b, len) == 0 && b[len] == '=';
}

static bool
is_own(const struct environment *e, const char *text)
{
    static const char deadline[] = "AWA_DEADLINE="; /* may be of a job in which the worker runs */

    for (int i = 0; i < EXEC_VARIABLES && e->own[i] != NULL; i++)
        if (same_name(e->own[i], text))
            return true;
    return same_name(deadline, text);
}

bool
environment_init(struct environment *e, const awa_attempt *job)
{
    int64_t deadline = awa_attempt_deadline_ms(job);
    size_t n = 0, m = 0;
    int own = 0;

    e->own[own++] = variable("AWA_JOB_ID=%lld", (long long)awa_attempt_id(job));
    e->own[own++] = variable("AWA_KIND=%s", awa_attempt_kind(job));
    e->own[own++] = variable("AWA_QUEUE=%s", awa_attempt_queue(job));
    e->own[own++] = variable("AWA_ATTEMPT=%lld", (long long)awa_attempt_number(job));
    e->own[own++] = variable("AWA_MAX_ATTEMPTS=%lld", (long long)awa_attempt_max_attempts(job));
    e->own[own++] = variable("AWA_RUN_LEASE=%lld", (long long)awa_attempt_run_lease(job));
    if (deadline != 0)
        e->own[own++] = variable("AWA_DEADLINE=%lld", (long long)deadline / 1000);
    for (int i = 0; i < own; i++)
        if (e->own[i] == NULL)
            return false;

    while (environ[n] != NULL)
        n++;
    e->all = calloc((size_t)own + n + 1, sizeof *e->all);
    if (e->all == NULL)
        return false;
    for (int i = 0; i < own; i++)
        e->all[m++] = e->own[i];
    for (size_t i = 0; i < n; i++)
        if (!is_own(e, environ[i]))
            e->all[m++] = environ[i];
    return true;
}

static void
describe_tags(struct buffer *b, const awa_attempt *job)
{
    for (size_t i = 0; i < awa_attempt_ntags(job); i++) {
        buffer_text(b, i > 0 ? "," : "");
        buffer_json_string(b, awa_attempt_tag(job, i));
    }
}

static void
describe(struct buffer *b, const awa_attempt *job)
{
    const char *metadata = awa_attempt_metadata(job);
    size_t len;
    const char *args = awa_attempt_args(job, &len);

    buffer_format(b, "{\"id\":%lld,\"kind\":", (long long)awa_attempt_id(job));
    buffer_json_string(b, awa_attempt_kind(job));
    buffer_text(b, ",\"queue\":");
    buffer_json_string(b, awa_attempt_queue(job));
    buffer_format(b, ",\"attempt\":%lld,\"max_attempts\":%lld,\"run_lease\":%lld",
                  (long long)awa_attempt_number(job), (long long)awa_attempt_max_attempts(job),
                  (long long)awa_attempt_run_lease(job));
    buffer_format(
        b, ",\"enqueued_ms\":%lld,\"deadline_ms\":", (long long)awa_attempt_enqueued_ms(job));
    if (awa_attempt_deadline_ms(job) != 0)
        buffer_format(b, "%lld", (long long)awa_attempt_deadline_ms(job));
    else
        buffer_text(b, "null");
    buffer_text(b, ",\"tags\":[");
    describe_tags(b, job);
    buffer_text(b, "],\"metadata\":");
    buffer_text(b, metadata != NULL ? metadata : "null");
    buffer_text(b, ",\"args\":");
    buffer_add(b, args, len);
    buffer_text(b, "}\n");
}

static bool
write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* A file in memory, not a pipe: we must not wait for a program that does not read its input. */
awa_status
exec_open_input(const awa_attempt *job, int *ret_fd, awa_error *err)
{
    AUTO(buffer) struct buffer text = { 0 };
    AUTO(fd) int fd = memfd_create("awa job", MFD_CLOEXEC);

    describe(&text, job);
    if (text.failed)
        return awa__fail(err, AWA_ENOMEM, "exec: out of memory");
    if (fd < 0 || !write_all(fd, text.data, text.len) || lseek(fd, 0, SEEK_SET) != 0)
        return awa__fail(err, AWA_ESYS, "exec: cannot write the job: %m");
    *ret_fd = fd;
    fd = -1;
    return AWA_OK;
}
