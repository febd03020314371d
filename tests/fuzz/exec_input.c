/* SPDX-License-Identifier: MIT */
/*
 * What a program is told about its job: kind, queue, and then tags, one on each line. Whatever
 * these texts are, the input is one JSON object that gives them back, and so does the environment.
 */
#include "fuzz_job.h"

#include <string.h>

#include "run/exec_run.h"

enum { TAGS_MAX = 20, TEXT_MAX = 200 };

static char *
read_input(const awa_attempt *job)
{
    AUTO(fd) int fd = -1;
    awa_error err;
    off_t len;
    char *text;

    REQUIRE(exec_open_input(job, &fd, &err) == AWA_OK);
    len = lseek(fd, 0, SEEK_END);
    text = calloc(1, (size_t)len + 1);
    REQUIRE(text != NULL && pread(fd, text, (size_t)len, 0) == len);
    REQUIRE(len > 0 && strlen(text) == (size_t)len && text[len - 1] == '\n');
    return text;
}

/* Moves *at behind a string that must come next. */
static void
expect(const char **at, const char *text)
{
    REQUIRE(strncmp(*at, text, strlen(text)) == 0);
    *at += strlen(text);
}

static void
expect_string(const char **at, const char *text)
{
    AUTO(free) char *got = fuzz_json_string(at);

    REQUIRE(got != NULL && strcmp(got, text) == 0);
}

static void
check_input(const awa_attempt *job, const struct fuzz_words *words)
{
    AUTO(free) char *text = read_input(job);
    const char *at = text;

    REQUIRE(fuzz_is_json(text));
    expect(&at, "{\"id\":8,\"kind\":");
    expect_string(&at, words->kind);
    expect(&at, ",\"queue\":");
    expect_string(&at, words->queue);
    expect(&at, ",\"attempt\":2,\"max_attempts\":3,\"run_lease\":9,\"enqueued_ms\":946684800000,"
                "\"deadline_ms\":");
    at = strchr(at, '[');
    REQUIRE(at != NULL);
    at++;
    for (size_t i = 0; i < words->ntags; i++) {
        expect(&at, i > 0 ? "," : "");
        expect_string(&at, words->tags[i]);
    }
    expect(&at, "],\"metadata\":");
}

static bool
has(char *const *all, const char *name, const char *value)
{
    AUTO(free) char *want = NULL;
    int found = 0;
    bool same = false;

    REQUIRE(asprintf(&want, "%s=%s", name, value) > 0);
    for (; *all != NULL; all++)
        if (strncmp(*all, want, strlen(name) + 1) == 0) {
            found++;
            same = strcmp(*all, want) == 0;
        }
    return found == 1 && same;
}

static void
check_environment(const awa_attempt *job, const struct fuzz_words *words)
{
    AUTO(environment) struct environment env = { 0 };

    (void)setenv("AWA_KIND", "of a job around us", 1);
    REQUIRE(environment_init(&env, job));
    REQUIRE(has(env.all, "AWA_KIND", words->kind) && has(env.all, "AWA_QUEUE", words->queue));
    REQUIRE(has(env.all, "AWA_JOB_ID", "8") && has(env.all, "AWA_ATTEMPT", "2"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    char *tags[TAGS_MAX] = { NULL };
    int64_t deadline_us = feed_byte(&f) * INT64_C(1000000);
    AUTO(free) char *kind = feed_text(&f, '\n', NULL);
    AUTO(free) char *queue = feed_text(&f, '\n', NULL);
    struct fuzz_words words = { kind, queue, "[1]", NULL, NULL, 0, deadline_us };
    struct fuzz_job j;

    if (queue == NULL)
        return 0;
    while (words.ntags < TAGS_MAX && (tags[words.ntags] = feed_text(&f, '\n', NULL)) != NULL) {
        char *tag = tags[words.ntags++];

        if (strlen(tag) > TEXT_MAX)
            tag[TEXT_MAX] = '\0'; /* the engine takes no longer ones */
    }
    words.tags = (const char *const *)tags;
    fuzz_job_init(&j, &words);
    REQUIRE(awa_attempt_ntags(j.job) == words.ntags && awa_attempt_tag(j.job, words.ntags) == NULL);
    check_input(j.job, &words);
    check_environment(j.job, &words);
    fuzz_job_done(&j);
    while (words.ntags > 0)
        free(tags[--words.ntags]);
    return 0;
}
