/* SPDX-License-Identifier: MIT */
/* awa follow: the standing rules for jobs that follow when others end. */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "statements_cli.h"

static awa_status
list_json(PGconn *conn, const void *nothing, char **ret_json, awa_error *err)
{
    (void)nothing;
    return awa_follow_rules_list(conn, ret_json, err);
}

static int
cmd_follow_list(struct call *call)
{
    if (call_flag(call, "json"))
        return query_json(call, list_json, NULL);
    return query_show(call, SQL_FOLLOW_RULES_LIST, NULL);
}

static int
cmd_follow_set(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_error err;
    awa_status s;

    if (call_text(call, "on") == NULL || call_text(call, "job") == NULL)
        return usage_error("%s: wants --on EVENT and --job JSON; see %s --help", call->words,
                           call->words);
    s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = awa_follow_rule_set(conn,
                                AWA_FOLLOW_RULE(.name = call->args[0], .on = call_text(call, "on"),
                                                .job_json = call_text(call, "job"),
                                                .queue = call_text(call, "queue"),
                                                .kind = call_text(call, "kind")),
                                &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "follow: rule %s counts for jobs that end from now on", call->args[0]);
    return EXIT_DONE;
}

static int
cmd_follow_remove(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_error err;
    awa_status s = session_open_engine(call, &conn, &err);

    if (s == AWA_OK)
        s = awa_follow_rule_remove(conn, call->args[0], &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "follow: rule %s removed", call->args[0]);
    return EXIT_DONE;
}

static const struct option_spec set_options[] = {
    { .name = "on",
      .value = "EVENT",
      .help = "completed, failed, cancelled, ended (any of these), retried or rescued",
      .type = OPTION_TEXT },
    { .name = "job",
      .value = "JSON",
      .help = "the job that follows; see awa job insert --help, about --follow",
      .type = OPTION_TEXT },
    { .name = "queue",
      .value = "QUEUE",
      .help = "of jobs of this queue only",
      .type = OPTION_TEXT },
    { .name = "kind", .value = "KIND", .help = "of jobs of this kind only", .type = OPTION_TEXT },
    { 0 },
};

const struct command follow_commands[] = {
    { .name = "list",
      .summary = "the rules",
      .examples = "awa follow list --json",
      .run = cmd_follow_list },
    { .name = "set",
      .summary = "make or change a rule",
      .args = "NAME",
      .min_args = 1,
      .max_args = 1,
      .options = set_options,
      .notes = "The job is inserted in the transaction that ends the other one, whoever ends it.\n"
               "A job that cannot be inserted is written down in the errors of the other one.",
      .examples = "awa follow set alarm --on failed --queue mail --job '{\"kind\": \"alarm\",\n"
                  "  \"args\": {\"id\": {\"$path\": \"$.job.id\"}, \"error\": {\"$path\": "
                  "\"$.error\"}}}'",
      .run = cmd_follow_set },
    { .name = "remove",
      .summary = "remove a rule",
      .args = "NAME",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa follow remove alarm",
      .run = cmd_follow_remove },
    { 0 },
};
