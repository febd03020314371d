/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <fcntl.h>
#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/help.h"

/* ---- A tree of our own ------------------------------------------------------------------- */

static struct call seen; /* the last call that ran */

static int
run(struct call *call)
{
    seen = *call;
    return EXIT_DONE;
}

static const struct option_spec options[] = {
    { .name = "limit", .letter = 'n', .value = "N", .standard = "10", .type = OPTION_NUMBER },
    { .name = "every", .value = "TIME", .env = "TEST_EVERY", .type = OPTION_DURATION },
    { .name = "tag", .letter = 't', .value = "TAG", .type = OPTION_TEXT },
    { .name = "force", .letter = 'f' },
    { 0 },
};

static const struct command job_verbs[] = {
    { .name = "list", .summary = "x", .options = options, .max_args = 0, .run = run },
    { .name = "retry", .summary = "x", .args = "ID...", .min_args = 1, .max_args = -1, .run = run },
    { 0 },
};

static const struct command commands[] = {
    { .name = "job", .summary = "x", .children = job_verbs },
    { .name = "queue", .summary = "x", .max_args = 1, .args = "[NAME]", .run = run },
    { 0 },
};

static const struct command tree = { .name = "t", .summary = "x", .children = commands };

enum { ARGS_MAX = 16 };

/* Runs a command line; words are separated by single spaces. */
static int
call(const char *line)
{
    AUTO(free) char *words = strdup(line);
    char *argv[ARGS_MAX] = { (char[]){ "t" } };
    int argc = 1;
    char *rest = words;
    char *word;

    assert_non_null(words);
    seen = (struct call){ 0 };
    while (argc < ARGS_MAX - 1 && (word = strsep(&rest, " ")) != NULL)
        if (*word != '\0')
            argv[argc++] = word;
    return command_main(&tree, argc, argv);
}

static bool
did_run(const char *words)
{
    return strcmp(seen.words, words) == 0;
}

/* ---- Tests ------------------------------------------------------------------------------- */

static void
words_lead_to_a_command(void **state)
{
    (void)state;
    assert_int_equal(call("job list"), EXIT_DONE);
    assert_true(did_run("t job list"));
    assert_int_equal(call("queue mail"), EXIT_DONE);
    assert_true(did_run("t queue"));
    assert_int_equal(seen.nargs, 1);
}

static void
global_options_may_stand_anywhere(void **state)
{
    static const char *const lines[] = {
        "--json --dsn x job list", "job --json --dsn=x list",         "job list --json --dsn x",
        "--json job --dsn x list", "job list --dsn y --json --dsn x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (call(lines[i]) != EXIT_DONE || !call_flag(&seen, "json"))
            fail_msg("%s", lines[i]);
        assert_int_equal(strcmp(seen.given[seen.ngiven - 1].text, "10"), 0);
    }
}

static void
wrong_words_are_usage_errors(void **state)
{
    static const char *const lines[] = {
        "",
        "job",
        "nothing",
        "job lsit",
        "job list extra",
        "job retry",
        "job list --nothing",
        "job list -x",
        "--limit 5 job list", /* not yet known there */
        "job list --limit",
        "job list --limit five",
        "job list --limit -5",
        "job list --limit 99999999999999999999",
        "job list --limit 5x",
        "job list --force=1",
        "job list --every 5",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (call(lines[i]) != EXIT_USAGE || seen.command != NULL)
            fail_msg("'%s' was taken", lines[i]);
}

static void
options_carry_values_of_their_type(void **state)
{
    (void)state;
    assert_int_equal(call("job list -n 5 --every 2m -f"), EXIT_DONE);
    assert_int_equal(call_number(&seen, "limit"), 5);
    assert_int_equal(call_number(&seen, "every"), 120000);
    assert_true(call_flag(&seen, "force"));
    assert_null(call_text(&seen, "tag"));
}

static void
the_last_one_counts_unless_each_is_asked_for(void **state)
{
    AUTO(free) char *text = NULL;
    char *argv[] = { "t", "job", "list", "-t", "a", "--tag", "b", "-n", "1", "-n", "2", NULL };
    size_t next = 0;

    (void)state;
    assert_int_equal(command_main(&tree, 11, argv), EXIT_DONE);
    assert_int_equal(call_number(&seen, "limit"), 2);
    assert_string_equal(call_text(&seen, "tag"), "b");
    assert_string_equal(call_each(&seen, "tag", &next), "a");
    assert_string_equal(call_each(&seen, "tag", &next), "b");
    assert_null(call_each(&seen, "tag", &next));
}

static void
the_option_goes_before_the_environment_before_the_default(void **state)
{
    (void)state;
    assert_int_equal(call("job list"), EXIT_DONE);
    assert_int_equal(call_number(&seen, "limit"), 10);
    assert_int_equal(call_number(&seen, "every"), -1);

    setenv("TEST_EVERY", "3s", 1);
    assert_int_equal(call("job list"), EXIT_DONE);
    assert_int_equal(call_number(&seen, "every"), 3000);
    assert_int_equal(call("job list --every 1s"), EXIT_DONE);
    assert_int_equal(call_number(&seen, "every"), 1000);

    setenv("TEST_EVERY", "3", 1);
    assert_int_equal(call("job list"), EXIT_USAGE);
    unsetenv("TEST_EVERY");
}

static void
words_after_two_dashes_are_no_options(void **state)
{
    char *argv[] = { "t", "job", "retry", "--", "--json", "-5", NULL };

    (void)state;
    assert_int_equal(command_main(&tree, 6, argv), EXIT_DONE);
    assert_int_equal(seen.nargs, 2);
    assert_false(call_flag(&seen, "json"));
    assert_string_equal(seen.args[0], "--json");
}

static void
more_options_than_fit_are_refused(void **state)
{
    static char *argv[2 * GIVEN_MAX];
    int argc = 0;

    (void)state;
    argv[argc++] = "t";
    argv[argc++] = "job";
    argv[argc++] = "list";
    while (argc < GIVEN_MAX + 10)
        argv[argc++] = "--json";
    assert_int_equal(command_main(&tree, argc, argv), EXIT_USAGE);
}

static void
a_mistyped_word_has_a_suggestion(void **state)
{
    static const struct {
        const char *word, *want;
    } cases[] = {
        { "jb", "job" },      { "jobs", "job" }, { "quue", "queue" },
        { "Queue", "queue" }, { "xyz", NULL },   { "q", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct command *near = command_nearest(&tree, cases[i].word);
        const char *got = near != NULL ? near->name : NULL;

        if ((got == NULL) != (cases[i].want == NULL) ||
            (got != NULL && strcmp(got, cases[i].want) != 0))
            fail_msg("%s: got %s", cases[i].word, got != NULL ? got : "nothing");
    }
}

/* ---- The real tree ----------------------------------------------------------------------- */

/* Every command is either a group or does something, and says what. */
static void
check(const struct command *c, const char *words)
{
    if ((c->run == NULL) == (c->children == NULL) || c->summary == NULL)
        fail_msg("%s: wants run or children, and a summary", words);
    if (c->max_args != 0 && c->args == NULL)
        fail_msg("%s: takes arguments that its help does not name", words);
    if (strlen(words) >= WORDS_MAX)
        fail_msg("%s: too long", words);
    for (const struct option_spec *o = c->options; o != NULL && o->name != NULL; o++) {
        if (o->help == NULL || (o->value == NULL) != (o->type == OPTION_FLAG))
            fail_msg("%s --%s: wants help, and a value unless it is a flag", words, o->name);
        for (const struct option_spec *g = global_options; g->name != NULL; g++)
            if (strcmp(g->name, o->name) == 0 || (g->letter != 0 && g->letter == o->letter))
                fail_msg("%s --%s: hides a global option", words, o->name);
    }
}

static size_t
longest_line(const char *text)
{
    size_t longest = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");

        longest = len > longest ? len : longest;
        text += len + (text[len] == '\n');
    }
    return longest;
}

static void
check_help(const struct command *c, const char *words)
{
    AUTO(free) char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    help_print(out, words, c);
    assert_int_equal(fclose(out), 0);
    if (longest_line(text) > 100)
        fail_msg("%s --help has a line of %zu columns", words, longest_line(text));
}

static void
check_tree(const struct command *c, const char *words)
{
    check(c, words);
    check_help(c, words);
    for (const struct command *child = c->children; child != NULL && child->name != NULL; child++)
        check_tree(child, test_format("%s %s", words, child->name));
}

static void
every_command_explains_itself_in_100_columns(void **state)
{
    (void)state;
    check_tree(&awa_command, awa_command.name);
}

/* Usage errors are what is tested here; nobody wants to read them. */
static void
hide_messages(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null < 0 || freopen("/dev/null", "w", stderr) == NULL)
        exit(1);
    (void)close(null);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(words_lead_to_a_command),
        TEST(global_options_may_stand_anywhere),
        TEST(wrong_words_are_usage_errors),
        TEST(options_carry_values_of_their_type),
        TEST(the_last_one_counts_unless_each_is_asked_for),
        TEST(the_option_goes_before_the_environment_before_the_default),
        TEST(words_after_two_dashes_are_no_options),
        TEST(more_options_than_fit_are_refused),
        TEST(a_mistyped_word_has_a_suggestion),
        TEST(every_command_explains_itself_in_100_columns),
    };

    hide_messages();
    return TEST_RUN(tests);
}
