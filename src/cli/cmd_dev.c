/* SPDX-License-Identifier: MIT */
/* awa dev: the private cluster. */
#include "cli/binaries.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"

static int
cmd_dev_start(struct call *call)
{
    AUTO(cluster) struct cluster *c = NULL;
    awa_error err;
    awa_status s = dev_cluster(call, &c, &err);

    if (s == AWA_OK)
        s = dev_start(call, c, &err);
    if (s != AWA_OK)
        return report(&err);
    puts(cluster_dsn(c)); /* psql "$(awa dev start)" */
    return EXIT_DONE;
}

static int
cmd_dev_stop(struct call *call)
{
    AUTO(cluster) struct cluster *c = NULL;
    bool stopped = false;
    awa_error err;
    awa_status s = dev_cluster(call, &c, &err);

    if (s == AWA_OK)
        s = cluster_stop(c, &stopped, &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "dev: %s in %s", stopped ? "stopped the private cluster" : "nothing runs",
        cluster_dir(c));
    return EXIT_DONE;
}

static void
print_state(const struct cluster *c, const struct cluster_state *state)
{
    printf("state    %s\n", state->pid != 0 ? "running" : state->exists ? "stopped" : "none");
    printf("dir      %s\n", cluster_dir(c));
    if (!state->exists)
        return;
    printf("version  PostgreSQL %d\n", state->major);
    printf("size     %lld MB\n", (long long)state->bytes >> 20);
    if (state->pid != 0)
        printf("pid      %d\ndsn      %s\n", state->pid, cluster_dsn(c));
}

/* Other JSON comes from Postgres, but a cluster that does not run cannot answer. */
static void
print_state_json(const struct cluster *c, const struct cluster_state *state)
{
    printf("{\"running\": %s, \"exists\": %s, \"pid\": %d, \"version\": %d, \"bytes\": %lld, ",
           state->pid != 0 ? "true" : "false", state->exists ? "true" : "false", state->pid,
           state->major, (long long)state->bytes);
    fputs("\"dir\": ", stdout);
    print_json_string(stdout, cluster_dir(c));
    fputs(", \"dsn\": ", stdout);
    print_json_string(stdout, cluster_dsn(c));
    puts("}");
}

static int
cmd_dev_status(struct call *call)
{
    AUTO(cluster) struct cluster *c = NULL;
    struct cluster_state state;
    awa_error err;
    awa_status s = dev_cluster(call, &c, &err);

    if (s != AWA_OK)
        return report(&err);
    cluster_look(c, &state);
    if (call_flag(call, "json"))
        print_state_json(c, &state);
    else
        print_state(c, &state);
    return EXIT_DONE;
}

/* Becomes psql; returns only if that fails. */
static awa_status
become_psql(const struct call *call, const char *dsn, awa_error *err)
{
    AUTO(free) char *program = NULL;
    AUTO(free) const char **argv = calloc((size_t)call->nargs + 3, sizeof *argv);
    awa_status s;

    if (argv == NULL)
        return awa__fail(err, AWA_ENOMEM, "dev: out of memory");
    s = pg_client_program("psql", &program, err);
    if (s != AWA_OK)
        return s;

    argv[0] = program;
    argv[1] = dsn;
    for (int i = 0; i < call->nargs; i++)
        argv[i + 2] = call->args[i];
    execv(program, (char **)(uintptr_t)argv);
    return awa__fail(err, AWA_ESYS, "dev: cannot run %s: %m", program);
}

static int
cmd_dev_psql(struct call *call)
{
    AUTO(cluster) struct cluster *c = NULL;
    awa_error err;
    awa_status s = dev_cluster(call, &c, &err);

    if (s == AWA_OK)
        s = dev_start(call, c, &err);
    if (s == AWA_OK)
        s = become_psql(call, cluster_dsn(c), &err);
    return report(&err);
}

static int
cmd_dev_reset(struct call *call)
{
    AUTO(cluster) struct cluster *c = NULL;
    awa_error err;
    awa_status s = dev_cluster(call, &c, &err);

    if (s != AWA_OK)
        return report(&err);
    if (!call_flag(call, "yes"))
        return usage_error("%s: deletes all data in %s; say --yes", call->words, cluster_dir(c));
    s = cluster_remove(c, &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "dev: deleted %s", cluster_dir(c));
    return EXIT_DONE;
}

#define DIR_OPTION                                                                              \
    {                                                                                           \
        .name = "dir", .value = "DIR", .env = "AWA_DEV_DIR", .help = "where the cluster lives", \
        .type = OPTION_TEXT                                                                     \
    }

static const struct option_spec dir_options[] = { DIR_OPTION, { 0 } };

static const struct option_spec reset_options[] = {
    DIR_OPTION,
    { .name = "yes", .letter = 'y', .help = "do not ask: delete all data" },
    { 0 },
};

const struct command dev_commands[] = {
    { .name = "start",
      .summary = "start it, making it on first use; prints how to connect",
      .options = dir_options,
      .examples = "psql \"$(awa dev start)\"",
      .run = cmd_dev_start },
    { .name = "stop",
      .summary = "stop it; open transactions are rolled back",
      .options = dir_options,
      .run = cmd_dev_stop },
    { .name = "status",
      .summary = "is it running, where, how large",
      .options = dir_options,
      .run = cmd_dev_status },
    { .name = "psql",
      .summary = "start it and open psql",
      .args = "[-- PSQL-ARGUMENT...]",
      .max_args = -1,
      .options = dir_options,
      .examples = "awa dev psql -- -c 'SELECT count(*) FROM awa.jobs'",
      .run = cmd_dev_psql },
    { .name = "reset",
      .summary = "stop it and delete all its data",
      .options = reset_options,
      .examples = "awa dev reset --yes",
      .run = cmd_dev_reset },
    { 0 },
};
