/* SPDX-License-Identifier: MIT */
/* What nobody should send: a clear word about it, and no harm to its neighbours. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

/* JSON texts, as SQL expressions, that are none or that Postgres does not keep. */
static const char *const bad_json[] = {
    "''",
    "'{'",
    "'nope'",
    "'NaN'",
    "'1 2'",
    "'{\"a\": \"\\u0000\"}'",
    "'\"\\ud800\"'",
    "'\"\\udc00\\ud800\"'",
    "'1e999999'",
    "repeat('[', 20000) || repeat(']', 20000)",
    "repeat('{\"a\":', 20000) || '1' || repeat('}', 20000)",
};
enum { BAD_JSON = sizeof bad_json / sizeof bad_json[0] };

static bool
begins_with(const char *text, const char *head)
{
    return strncmp(text, head, strlen(head)) == 0;
}

static void
bad_json_is_refused_by_name_and_its_neighbours_go_in(void **state)
{
    static const char *const fields[] = { "args", "metadata", "tags" };
    PGconn *producer = test_connect(*state, "producer");
    int64_t good = 0;

    for (size_t f = 0; f < 3; f++)
        for (size_t i = 0; i < BAD_JSON; i++) {
            const char *got =
                test_rows(producer, test_format("SELECT id IS NOT NULL, error FROM awa.insert_jobs("
                                                "'{a,b,c}', p_%s => ARRAY[NULL, %s, NULL],"
                                                " p_strict => false) ORDER BY ord",
                                                fields[f], bad_json[i]));

            if (!begins_with(got, test_format("t| f|%s: ", fields[f])) ||
                strcmp(got + strlen(got) - 3, " t|") != 0)
                fail_msg("%s %s: got %s", fields[f], bad_json[i], got);
            good += 2;
        }
    assert_int_equal(test_count(*state, "available"), good);
}

static void
two_megabytes_are_refused_by_name(void **state)
{
    PGconn *producer = test_connect(*state, "producer");

    assert_string_equal(test_rows(producer,
                                  "SELECT id IS NOT NULL, error FROM awa.insert_jobs('{a,b,c}',"
                                  " ARRAY['1', '\"' || repeat('x', 2097152) || '\"', '3'],"
                                  " p_strict => false) ORDER BY ord"),
                        "t| f|args: want at most 1048576 bytes, got 2097154 t|");
}

static void
a_time_beyond_all_times_is_refused_by_name(void **state)
{
    static const struct {
        const char *option, *want;
    } cases[] = {
        { "p_run_ats => ARRAY[NULL, 'infinity'::timestamptz, NULL]", "run_at: " },
        { "p_delays => ARRAY[NULL, '300000 years'::interval, NULL]", "delay: " },
        { "p_delays => ARRAY[NULL, '-300000 years'::interval, NULL]", "delay: " },
    };
    PGconn *producer = test_connect(*state, "producer");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got =
            test_rows(producer, test_format("SELECT id IS NOT NULL, error FROM awa.insert_jobs("
                                            "'{a,b,c}', %s, p_strict => false) ORDER BY ord",
                                            cases[i].option));

        if (!begins_with(got, test_format("t| f|%s", cases[i].want)))
            fail_msg("%s: got %s", cases[i].option, got);
    }
}

/* A wrong value as a C program would send it, and the word that the message must have. */
static void
what_c_programs_get_wrong_is_named(void **state)
{
    static const char *const bad_tags[] = { "\xff" };
    static const struct {
        awa_job_options job;
        const char *want;
    } cases[] = {
        { { .kind = "" }, "kind" },
        { { .kind = "\xff" }, "kind" },
        { { .kind = "k", .queue = "" }, "queue" },
        { { .kind = "k", .queue = "\xc3\x28" }, "queue" },
        { { .kind = "k", .priority = 5 }, "priority" },
        { { .kind = "k", .priority = INT64_MAX }, "priority" },
        { { .kind = "k", .priority = (INT64_C(1) << 32) + 1 }, "priority" },
        { { .kind = "k", .max_attempts = 1001 }, "max_attempts" },
        { { .kind = "k", .max_attempts = 65536 + 25 }, "max_attempts" },
        { { .kind = "k", .max_attempts = INT64_MAX }, "max_attempts" },
        { { .kind = "k", .args_json = "" }, "args" },
        { { .kind = "k", .args_json = "{" }, "args" },
        { { .kind = "k", .args_json = "\"\\u0000\"" }, "args" },
        { { .kind = "k", .args_json = "\"\xed\xa0\x80\"" }, "args" },
        { { .kind = "k", .metadata_json = "[]" }, "metadata" },
        { { .kind = "k", .metadata_json = "{\"a\":\"\\u0000\"}" }, "metadata" },
        { { .kind = "k", .metadata_json = "{\"a\":\"\xff\"}" }, "metadata" },
        { { .kind = "k", .tags = bad_tags, .ntags = 1 }, "tags" },
        { { .kind = "k", .unique_key = "" }, "unique_key" },
        { { .kind = "k", .unique_key = "\xff" }, "unique_key" },
        { { .kind = "k", .ordering_key = "\xff" }, "ordering_key" },
        { { .kind = "k", .run_at_ms = 1, .delay_ms = 1 }, "delay" },
        { { .kind = "k", .run_at_ms = INT64_MAX }, "run_at" },
        { { .kind = "k", .delay_ms = INT64_MAX }, "delay" },
    };
    PGconn *producer = test_connect(*state, "producer"), *bulk = test_connect(*state, "bulk");
    int unclear = 0;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        awa_job_options job = cases[i].job;
        awa_error errors[3] = { 0 };
        awa_status got[3];

        job.size = sizeof job;
        got[0] = awa_job_insert(producer, &job, NULL, &errors[0]);
        got[1] = awa_jobs_insert(producer, &job, 1, NULL, &errors[1]);
        got[2] = awa_jobs_copy(bulk, &job, 1, NULL, &errors[2]);
        for (int d = 0; d < 3; d++)
            if (got[d] != AWA_EINVAL || strstr(errors[d].message, cases[i].want) == NULL) {
                print_error("case %zu, door %d: want EINVAL and \"%s\", got %d and \"%s\"\n", i, d,
                            cases[i].want, got[d], errors[d].message);
                unclear++;
            }
    }
    assert_int_equal(unclear, 0);
    assert_int_equal(test_int(*state, "SELECT count(*) FROM awa.jobs"), 0);
}

/* ---- The ends of jobs -------------------------------------------------------------------- */

/* Claims three jobs and closes them in one call, with something odd about the second. */
static const char *
close_three(PGconn *db, PGconn *worker, const char *middle, int64_t *ret_ids)
{
    struct attempt a[3];

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    for (int i = 0; i < 3; i++)
        ret_ids[i] = a[i].id;
    return test_rows(worker,
                     test_format("SELECT coalesce(state, '!'), error FROM awa.close_jobs(7,"
                                 " '{%d,%d,%d}', '{%lld,%lld,%lld}', '{%lld,%lld,%lld}', %s)",
                                 a[0].slot, a[1].slot, a[2].slot, (long long)a[0].claim,
                                 (long long)a[1].claim, (long long)a[2].claim, (long long)a[0].pos,
                                 (long long)a[1].pos, (long long)a[2].pos, middle));
}

static void
a_bad_end_stays_open_and_its_neighbours_end(void **state)
{
    static const struct {
        const char *middle, *want;
    } cases[] = {
        { "'{failed,nonsense,completed}'",
          "failed| !|outcome: a worker cannot say nonsense completed|" },
        { "'{retried,retried,retried}', p_delays => '{1 s,300000 years,1 s}'",
          "retryable| !|timestamp out of range retryable|" },
        { "'{failed,NULL,failed}'", NULL },
        /* these close a position without doing what belongs to it: the job would be gone */
        { "'{failed,carried,failed}'", NULL },
        { "'{failed,removed,failed}'", NULL },
        { "'{failed,parked,failed}'", NULL },
        { "'{failed,rescued,failed}'", NULL },
    };
    PGconn *worker = test_worker(*state, 7);
    int wrong = 0;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ids[3];
        const char *got = close_three(*state, worker, cases[i].middle, ids);

        if ((cases[i].want != NULL && strcmp(got, cases[i].want) != 0) ||
            strcmp(test_state(*state, ids[1]), "running") != 0 ||
            strcmp(test_state(*state, ids[0]), "running") == 0 ||
            strcmp(test_state(*state, ids[2]), "running") == 0) {
            print_error("%s: got %s, the second is %s\n", cases[i].middle, got,
                        test_state(*state, ids[1]));
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* What says something about a row, and what says something about the moment. */
static void
an_error_that_passes_is_that_of_the_call(void **state)
{
    static const char *const permanent[] = { "22P02", "22021", "22008", "23514", "23502",
                                             "23505", "54000", "54023", "JQ001", "P0001" };
    static const char *const passing[] = { "53100", "53200", "53300", "55P03", "40001", "40P01",
                                           "57014", "57P03", "58030", "25006", "25P02", "XX000",
                                           "XX001", "42883", "42501", "0A000", "08006", "JQ006" };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    int64_t ids[3];

    test_exec(db,
              "CREATE TABLE code (code text); GRANT SELECT ON code TO awa_owner;"
              " CREATE OR REPLACE FUNCTION awa.read_output(p_output text) RETURNS jsonb LANGUAGE"
              " plpgsql IMMUTABLE AS $$ DECLARE v_code text := (SELECT code FROM public.code);"
              " BEGIN IF p_output = '\"bad\"' THEN RAISE 'no' USING ERRCODE = v_code; END IF;"
              " RETURN p_output; END $$; INSERT INTO code VALUES ('')");
    for (size_t i = 0; i < sizeof permanent / sizeof permanent[0]; i++) {
        test_exec(db, test_format("UPDATE code SET code = '%s'", permanent[i]));
        assert_string_equal(
            close_three(db, worker,
                        "'{completed,completed,completed}', NULL, ARRAY['1', '\"bad\"', '3']", ids),
            "completed| !|no completed|");
    }
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        struct attempt a;
        const char *got;

        test_exec(db, test_format("UPDATE code SET code = '%s'", passing[i]));
        test_insert(db);
        a = test_claim_one(worker, 7);
        got = test_error(worker, test_close_sql(&a, "completed", "NULL, ARRAY['\"bad\"']"));
        if (strcmp(got, test_format("%s no", passing[i])) != 0)
            fail_msg("%s: got %s", passing[i], got);
        assert_string_equal(test_state(db, a.id), "running");
    }
    test_exec(db, "UPDATE code SET code = '53100'"); /* neither do its neighbours end */
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    assert_string_equal(
        test_error(worker,
                   "SELECT awa.close_jobs(7, array_agg(c.ready_slot), array_agg(c.claim_id),"
                   " array_agg(c.pos), '{completed,completed,completed}', NULL,"
                   " ARRAY['1', '\"bad\"', '3']) FROM awa.claim_jobs(7, 'default', 3) AS c"),
        "53100 no");
    assert_int_equal(test_count(db, "available"), 3); /* the claim was rolled back as well */
}

static void
a_conflict_in_one_end_leaves_its_neighbours_alone(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    int64_t ids[3];

    /* the id of the second is taken where a retry would put it */
    test_exec(db, "INSERT INTO awa.deferred_jobs (id, run_at, created_at, state, priority,"
                  " enqueue_shard, attempt, max_attempts, queue, kind, args)"
                  " SELECT s.last_value + 2, now(), now(), 'scheduled', 2, 0, 0, 25, 'other', 'k',"
                  " '{}' FROM awa.job_ids AS s");
    test_exec(db, "SELECT setval('awa.job_ids', 1)");
    test_exec(db, "UPDATE awa.deferred_jobs SET id = 3");
    assert_string_equal(close_three(db, worker, "'{retried,retried,retried}'", ids),
                        "retryable| !|duplicate key value violates unique constraint"
                        " \"deferred_jobs_pkey\" retryable|");
    assert_int_equal(ids[1], 3);
}

static void
no_output_costs_a_finished_job_its_end(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (size_t i = 0; i < BAD_JSON; i++) {
        int64_t ids[3];
        const char *got =
            close_three(db, worker,
                        test_format("'{completed,completed,completed}', NULL, ARRAY['1', %s, '3']",
                                    bad_json[i]),
                        ids);

        assert_string_equal(got, "completed| completed| completed|");
        assert_string_equal(
            test_rows(db,
                      test_format("SELECT output = jsonb_build_object('stdout', %s) FROM awa.jobs"
                                  " WHERE id = %" PRId64,
                                  bad_json[i], ids[1])),
            "t");
        assert_string_equal(test_text(db, test_format("SELECT output FROM awa.jobs WHERE id = "
                                                      "%" PRId64,
                                                      ids[2])),
                            "3");
    }
}

static void
too_long_an_output_is_cut(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    int64_t ids[3];

    close_three(
        db, worker,
        "'{completed,completed,completed}', NULL, ARRAY['\"' || repeat('xé', 1000000) ||"
        " 'the end', '\"' || repeat('x', 1048574) || '\"', '[' || repeat('1,', 500000) || '1]']",
        ids);
    assert_string_equal(
        test_rows(db, "SELECT length(output ->> 'stdout'), right(output ->> 'stdout', 8),"
                      " output -> 'cut' FROM awa.jobs ORDER BY id"),
        "262144|éthe end|true || 1000003|1,1,1,1]|");
    assert_int_equal(test_int(db, test_format("SELECT octet_length(output::text) FROM awa.jobs"
                                              " WHERE id = %" PRId64,
                                              ids[1])),
                     1048576);
}

static void
an_error_may_be_any_text_and_is_cut(void **state)
{
    static const char *const texts[] = {
        "'\\u0000'", "'\\ud800'", "'{\"'", "''", "E'\\x01\\x7f\\n'", "repeat('é', 9000)",
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t ids[3];

        assert_string_equal(
            close_three(db, worker,
                        test_format("'{failed,failed,failed}', ARRAY['a', %s, 'c']", texts[i]),
                        ids),
            "failed| failed| failed|");
        assert_string_equal(
            test_text(db,
                      test_format("SELECT errors -> 0 ->> 'error' = left(%s, 8192) FROM awa.jobs"
                                  " WHERE id = %" PRId64,
                                  texts[i], ids[1])),
            "t");
    }
}

static void
odd_sets_of_positions_complete_nothing(void **state)
{
    static const char *const sets[] = { "{}", "{(,)}", "{(,5)}", "{[5,)}", "{[-5,5)}" };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        assert_string_equal(
            test_text(worker,
                      test_format("SELECT awa.complete_jobs(7, '{0}', '{%lld}', '{\"%s\"}')",
                                  (long long)a.claim, sets[i])),
            "{}");
    assert_string_equal(test_text(worker, "SELECT awa.complete_jobs(7, '{}', '{}', '{}')"), "{}");
    assert_string_equal(test_state(db, a.id), "running");
}

/* ---- Rows that come by COPY -------------------------------------------------------------- */

enum {
    POS,
    ID,
    ENQUEUED_AT,
    SLOT,
    ATTEMPT,
    MAX_ATTEMPTS,
    KIND,
    ARGS,
    TAGS,
    METADATA,
    KEY,
    ERRORS,
    CREATED_AT,
    COLUMNS
};

/* A row of ready_entries at a reserved position, with one value of the caller's; what became of it.
 */
static const char *
copy_row(PGconn *bulk, int column, const char *value)
{
    const char *row[COLUMNS] = { [ENQUEUED_AT] = "2026-01-01",
                                 [ATTEMPT] = "0",
                                 [KIND] = "k",
                                 [MAX_ATTEMPTS] = "25",
                                 [ARGS] = "{}" };
    const char *line = "", *constraint;
    PGresult *res;

    test_exec(bulk, "BEGIN");
    row[POS] = test_rows(bulk, "SELECT first_pos, first_id, ready_slot FROM"
                               " awa.reserve_positions('{default}', '{2}', '{NULL}', '{1}')");
    row[ID] = strchr(row[POS], '|') + 1;
    row[SLOT] = strchr(row[ID], '|') + 1;
    row[POS] = test_format("%.*s", (int)(row[ID] - row[POS] - 1), row[POS]);
    row[ID] = test_format("%.*s", (int)(row[SLOT] - row[ID] - 1), row[ID]);
    row[column] = value;
    for (int i = 0; i < COLUMNS; i++)
        line = test_format("%s%s%s", line, i > 0 ? "\t" : "", row[i] != NULL ? row[i] : "\\N");
    line = test_format("%s\n", line);
    PQclear(PQexec(bulk, "COPY awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt,"
                         " max_attempts, kind, args, tags, metadata, unique_key, errors,"
                         " created_at) FROM STDIN"));
    assert_int_equal(PQputCopyData(bulk, line, (int)strlen(line)), 1);
    assert_int_equal(PQputCopyEnd(bulk, NULL), 1);
    res = PQgetResult(bulk);
    constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    constraint = test_format("%s", PQresultStatus(res) == PGRES_COMMAND_OK ? "taken"
                                   : constraint != NULL                    ? constraint
                                                        : PQresultErrorMessage(res));
    PQclear(res);
    while ((res = PQgetResult(bulk)) != NULL)
        PQclear(res);
    test_exec(bulk, "COMMIT");
    return constraint;
}

/*
 * One such row would make every claim of its lane fail, or every list of jobs. What is taken
 * instead, odd as it may be, can be claimed, seen and ended.
 */
static void
a_row_that_no_claim_could_hand_out_is_refused(void **state)
{
    static const struct {
        int column;
        const char *value, *want;
    } cases[] = {
        { ATTEMPT, "32767", "max_attempts" },
        { ATTEMPT, "1001", "max_attempts" },
        { ATTEMPT, "-1", "max_attempts" },
        { ATTEMPT, "1000", "taken" },
        { MAX_ATTEMPTS, "0", "max_attempts" },
        { MAX_ATTEMPTS, "1001", "max_attempts" },
        { KIND, "", "kind" },
        { POS, "-1", "max_attempts" },
        { ENQUEUED_AT, "infinity", "max_attempts" },
        { ENQUEUED_AT, "-infinity", "max_attempts" },
        { CREATED_AT, "infinity", "max_attempts" },
        { CREATED_AT, "2025-01-01", "taken" },
        { TAGS, "{a,NULL}", "taken" },
        { TAGS, "{{a},{b}}", "taken" },
        { METADATA, "[]", "taken" },
        { METADATA, "null", "taken" },
        { KEY, "", "taken" },
        { ERRORS, "{}", "taken" },
        { ERRORS, "[1, null]", "taken" },
    };
    PGconn *db = *state;
    PGconn *bulk = test_connect(db, "bulk"), *worker = test_worker(db, 7);
    PGconn *viewer = test_connect(db, "viewer");
    int taken = 0;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = copy_row(bulk, cases[i].column, cases[i].value);

        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: want %s, got %s", cases[i].value, cases[i].want, got);
        taken += strcmp(got, "taken") == 0;
    }
    assert_int_equal(test_int(viewer, "SELECT count(*) FROM awa.list_jobs()"), taken);
    test_exec(viewer, "SELECT awa.explain_job(id) FROM awa.list_jobs()");
    test_end(worker, "default", 100, "failed");
    assert_int_equal(test_count(db, "failed"), taken);
    assert_int_equal(test_int(viewer, "SELECT count(*) FROM awa.list_jobs('failed')"), taken);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(bad_json_is_refused_by_name_and_its_neighbours_go_in),
        TEST_DB(two_megabytes_are_refused_by_name),
        TEST_DB(a_time_beyond_all_times_is_refused_by_name),
        TEST_DB(what_c_programs_get_wrong_is_named),
        TEST_DB(a_bad_end_stays_open_and_its_neighbours_end),
        TEST_DB(an_error_that_passes_is_that_of_the_call),
        TEST_DB(a_conflict_in_one_end_leaves_its_neighbours_alone),
        TEST_DB(no_output_costs_a_finished_job_its_end),
        TEST_DB(too_long_an_output_is_cut),
        TEST_DB(an_error_may_be_any_text_and_is_cut),
        TEST_DB(odd_sets_of_positions_complete_nothing),
        TEST_DB(a_row_that_no_claim_could_hand_out_is_refused),
    };

    return TEST_RUN(tests);
}
