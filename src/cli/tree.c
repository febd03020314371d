/* SPDX-License-Identifier: MIT */
/* The tree of all commands. To add a command, add a row. */
#include "cli/commands.h"

static const struct command commands[] = {
    { .name = "migrate",
      .summary = "create, upgrade or mend schema awa",
      .options = migrate_options,
      .notes =
          "Run it after each restore, copy or upgrade of a database, too: it finds what did not\n"
          "come along, such as roles, owners, rights, functions and sequences, and mends it.",
      .examples = "awa migrate --dsn postgresql://admin@db.example/shop\n"
                  "awa migrate --dev\n"
                  "awa migrate --check --json",
      .run = cmd_migrate },
    { .name = "job", .summary = "jobs: insert, look at, change", .children = job_commands },
    { .name = "work",
      .summary = "run a program for each job",
      .args = "[-- ARGUMENT...]",
      .max_args = -1,
      .options = work_options,
      .notes =
          "The program gets its job as a JSON object on standard input: id, kind, queue, attempt,\n"
          "max_attempts, run_lease, enqueued_ms, deadline_ms, tags, metadata and args; and\n"
          "AWA_JOB_ID, AWA_KIND, AWA_QUEUE, AWA_ATTEMPT, AWA_MAX_ATTEMPTS, AWA_RUN_LEASE and\n"
          "AWA_DEADLINE (seconds since 1970) in its environment.\n"
          "Exit code 0: done. 65: failed for good. Others are errors: tried again after a\n"
          "backoff, while attempts are left.\n"
          "What it prints is kept as the job's output: as it is if all of it is JSON, else as\n"
          "{\"stdout\": ...}; of more than 64 KiB the end, with \"cut\": true. If the attempt\n"
          "fails, the end of its standard error is kept as its error.\n"
          "At the deadline, or when the job is cancelled, its process group gets SIGTERM, and\n"
          "SIGKILL 2 s later. SIGTERM to the worker finishes what runs; a second one, half a\n"
          "second later or more, stops it.\n"
          "A worker that is killed takes its programs along, but not what they have started.",
      .examples = "awa work --queue mail --kind send_mail --exec 'jq -r .args.to | xargs send-it'\n"
                  "awa work --queue reports --threads 2 --exec ./report -- --format pdf\n"
                  "awa work --until-empty --exec ./nightly   # for cron",
      .run = cmd_work },
    { .name = "queue",
      .summary = "queues: look at, pause, drain, set",
      .children = queue_commands },
    { .name = "follow",
      .summary = "rules: which jobs follow when others end",
      .children = follow_commands },
    { .name = "dlq", .summary = "dead letters: look at, retry, purge", .children = dlq_commands },
    { .name = "worker", .summary = "workers: look at", .children = worker_commands },
    { .name = "health",
      .summary = "is the whole well? exits with 1 if not",
      .examples = "awa health --json",
      .run = cmd_health },
    { .name = "storage",
      .summary = "storage: look at, repair, reset",
      .children = storage_commands },
    { .name = "dev", .summary = "the private cluster for development", .children = dev_commands },
    { .name = "bench",
      .summary = "measure on this machine, in a database of its own",
      .children = bench_commands },
    { .name = "completion", .summary = "completion for a shell", .children = completion_commands },
    { .name = "version", .summary = "print versions", .run = cmd_version },
    { .name = "help",
      .summary = "explain a command",
      .args = "[COMMAND...]",
      .max_args = -1,
      .examples = "awa help dev start",
      .run = cmd_help },
    { 0 },
};

const struct command awa_command = {
    .name = "awa",
    .summary = "a background job queue on PostgreSQL",
    .children = commands,
    .notes =
        "Times without a zone are in that of PGTZ, or TZ, or else the server's; commands say on\n"
        "standard error how they understood one.\n"
        "Exit codes:\n"
        "  0    done; work --until-empty: every attempt ended well\n"
        "  1    it could not be done, or not all of it: the server or the system refused; health\n"
        "       or a check found something; a line of job insert was bad; work had to stop\n"
        "       programs, or was told to end before the queues were empty\n"
        "  2    wrong options, or a value that is not allowed; nothing was done\n"
        "  3    there is no such job or queue\n"
        "  4    work --until-empty: all was tried, and an attempt failed\n"
        "  5    a live job holds the unique key\n"
        "  130  ended by SIGINT, 143 by SIGTERM, 129 by SIGHUP; work then drains, and exits with 0",
    .examples = "awa migrate --dev      # a database of your own, with schema awa\n"
                "awa job insert --dev --kind hello --args '{\"name\": \"ann\"}'\n"
                "awa work --dev --until-empty --exec 'cat; echo done'\n"
                "awa help dev",
};
