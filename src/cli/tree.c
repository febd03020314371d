/* SPDX-License-Identifier: MIT */
/* The command tree. To add a command, add a row. */
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
          "Exit code 0: done. 75: retry. 65: failed for good. Others are errors: retry.\n"
          "The end of its output is kept as the job's output, that of its errors as its error.\n"
          "At the deadline, or when the job is cancelled, its process group gets SIGTERM, and\n"
          "SIGKILL 2 s later. SIGTERM to the worker finishes what runs, a second one stops it.\n"
          "A worker that is killed takes its programs along, but not what they have started.",
      .examples = "awa work --queue mail --kind send_mail --exec 'jq -r .args.to | xargs send-it'\n"
                  "awa work --queue reports --threads 2 --exec ./report -- --format pdf\n"
                  "awa work --until-empty --exec ./nightly   # for cron",
      .run = cmd_work },
    { .name = "queue",
      .summary = "queues: look at, pause, drain, set",
      .children = queue_commands },
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
    .examples = "awa migrate --dev      # a database of your own, with schema awa\n"
                "awa job insert --dev --kind hello --args '{\"name\": \"ann\"}'\n"
                "awa work --dev --until-empty --exec 'cat; echo done'\n"
                "awa help dev",
};
