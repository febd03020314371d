/* SPDX-License-Identifier: MIT */
/*
 * Jobs from lines, against a database that is a list of lines: its first byte decides what a line
 * does to the statement that carries it. Whatever fails, in whichever batch: no line is lost, none
 * is in twice, they keep their order, and the report says what is there. Byte 0: 's' is --strict.
 * A byte 2 stands for 1000 lines `k`.
 *
 *   !  is refused by jobs_read     %  makes jobs_read fail       #  is nested too deeply for it
 *   s  wants what COPY cannot      d  is a duplicate (and 's')   r  is refused by insert (and 's')
 *   c  makes COPY fail             p  COPY is not allowed
 *   @  breaks the session          ^  takes the last memory
 */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/utf8.h"
#include "cli/job_input.h"
#include "statements_cli.h"
#include "statements_lib.h"

enum { MANY = 1000, TEXT_LIMIT = 64 * 1024, LINES_LIMIT = 40000 };

awa_status __wrap_awa__query(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                             PGresult **ret_res, awa_error *err);
awa_status __wrap_awa__exec(PGconn *conn, const char *what, const char *text, awa_error *err);
awa_status __wrap_awa_jobs_copy(PGconn *conn, const awa_job_options *jobs, size_t n,
                                int64_t *ret_ids, awa_error *err);

/* ---- The database ------------------------------------------------------------------------ */

struct mark {
    const char *name; /* of a savepoint; "" is the transaction's beginning */
    size_t n;
};

static struct {
    uint64_t *hashes; /* of the lines that are in */
    size_t n;
    struct mark marks[64];
    size_t nmarks; /* 0: no transaction */
    bool aborted, broken;
} db;

static uint64_t
hash(const char *text, size_t len)
{
    uint64_t h = 14695981039346656037U;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)text[i]) * 1099511628211U;
    return h;
}

static void
db_add(const char *line)
{
    REQUIRE(db.n < LINES_LIMIT);
    db.hashes[db.n++] = hash(line, strlen(line));
}

static awa_status
db_fail(awa_error *err, awa_status status, const char *sqlstate)
{
    db.aborted = db.nmarks > 0;
    db.broken |= status == AWA_ECONN;
    (void)awa__fail(err, status, "statement: %s", sqlstate);
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    return status;
}

static PGresult *
make_rows(int columns)
{
    static char name[] = "c";
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attributes[COLUMNS];

    for (int i = 0; i < columns; i++)
        attributes[i] = (PGresAttDesc){ .name = name, .typid = 25 };
    REQUIRE(rows != NULL && PQsetResultAttrs(rows, columns, attributes));
    return rows;
}

static void
set(PGresult *rows, int row, int column, const char *text, size_t len)
{
    REQUIRE(PQsetvalue(rows, row, column, (char *)(uintptr_t)text, text != NULL ? (int)len : -1));
}

static void
read_line(PGresult *rows, int row, const char *line, size_t len)
{
    for (int c = 0; c < COLUMNS; c++)
        set(rows, row, c, NULL, 0);
    if (*line == '!')
        set(rows, row, PROBLEM, "bad", 3);
    set(rows, row, KIND, line, len);
    if (strchr("sdr", *line) != NULL)
        set(rows, row, RUN_AT, "now", 3);
}

/* jobs_read.sql; the check of the defaults is a line of its own. */
static awa_status
read_jobs(const char *text, PGresult **ret_res, awa_error *err)
{
    AUTO(pgresult) PGresult *rows = make_rows(COLUMNS);

    for (int row = 0; *text != '\0'; row++) {
        size_t len = strcspn(text, "\n");

        if (*text == '%')
            return db_fail(err, AWA_EINVAL, "22P02");
        if (*text == '#')
            return db_fail(err, AWA_EDB, "54001");
        if (*text == '@')
            return db_fail(err, AWA_ECONN, "");
        read_line(rows, row, text, len);
        text += len + (text[len] != '\0');
    }
    *ret_res = TAKE(rows);
    return AWA_OK;
}

/* jobs_insert.sql; the kinds are an array of quoted texts. */
static awa_status
insert_jobs(const char *kinds, PGresult **ret_res, awa_error *err)
{
    AUTO(pgresult) PGresult *rows = make_rows(2);
    const char *at = kinds + 1;

    for (int row = 0; *at == '"'; row++) {
        AUTO(free) char *line = calloc(1, strlen(at) + 1);
        size_t n = 0;

        REQUIRE(line != NULL);
        for (at++; *at != '"'; at++) {
            at += *at == '\\';
            line[n++] = *at;
        }
        at += 2;
        if (*line == '^')
            return db_fail(err, AWA_ENOMEM, "");
        set(rows, row, 0, strchr("drc", *line) == NULL ? "1" : NULL, 1);
        set(rows, row, 1, strchr("rc", *line) != NULL ? "refused" : NULL, 7);
        if (strchr("drc", *line) == NULL)
            db_add(line);
    }
    *ret_res = TAKE(rows);
    return AWA_OK;
}

awa_status
__wrap_awa__query(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                  PGresult **ret_res, awa_error *err)
{
    size_t before = db.n;
    awa_status s;

    (void)conn;
    REQUIRE(!db.aborted && !db.broken);
    REQUIRE(sql == SQL_JOBS_READ || sql == SQL_JOBS_INSERT);
    s = sql == SQL_JOBS_READ ? read_jobs(params[0], ret_res, err)
                             : insert_jobs(params[0], ret_res, err);
    if (s != AWA_OK)
        db.n = before;
    return s;
}

awa_status
__wrap_awa_jobs_copy(PGconn *conn, const awa_job_options *jobs, size_t n, int64_t *ret_ids,
                     awa_error *err)
{
    size_t before = db.n;

    (void)conn, (void)ret_ids;
    REQUIRE(!db.aborted && !db.broken && n > 0);
    for (size_t i = 0; i < n; i++) {
        const char *sqlstate = *jobs[i].kind == 'p' ? "42501" : *jobs[i].kind == 'c' ? "23514" : "";
        bool memory = *jobs[i].kind == '^';

        REQUIRE(strchr("sdr", *jobs[i].kind) == NULL);
        if (*sqlstate == '\0' && !memory) {
            db_add(jobs[i].kind);
            continue;
        }
        db.n = before;
        return db_fail(err, memory ? AWA_ENOMEM : AWA_EINVAL, sqlstate);
    }
    return AWA_OK;
}

/* The newest savepoint of that name; everything above it goes. */
static struct mark *
back_to(const char *name)
{
    while (db.nmarks > 1 && strcmp(db.marks[db.nmarks - 1].name, name) != 0)
        db.nmarks--;
    REQUIRE(db.nmarks > 1);
    return &db.marks[db.nmarks - 1];
}

static void
begin(const char *name)
{
    REQUIRE(db.nmarks < sizeof db.marks / sizeof db.marks[0]);
    db.marks[db.nmarks++] = (struct mark){ name, db.n };
}

awa_status
__wrap_awa__exec(PGconn *conn, const char *what, const char *text, awa_error *err)
{
    static const char save[] = "SAVEPOINT ", release[] = "RELEASE SAVEPOINT ",
                      back[] = "ROLLBACK TO SAVEPOINT ";

    (void)conn, (void)what;
    if (strcmp(text, "ROLLBACK") == 0) {
        REQUIRE(db.nmarks > 0);
        db.n = db.marks[0].n;
        db.nmarks = 0;
        db.aborted = false;
        return db.broken ? awa__fail(err, AWA_ECONN, "rollback: no session") : AWA_OK;
    }
    REQUIRE(!db.broken);
    if (strncmp(text, back, strlen(back)) == 0) {
        db.n = back_to(text + strlen(back))->n;
        db.aborted = false;
        return AWA_OK;
    }
    REQUIRE(!db.aborted);
    if (strncmp(text, "BEGIN", 5) == 0) {
        REQUIRE(db.nmarks == 0);
        begin("");
    } else if (strcmp(text, "COMMIT") == 0) {
        REQUIRE(db.nmarks > 0);
        db.nmarks = 0;
    } else if (strncmp(text, save, strlen(save)) == 0) {
        REQUIRE(db.nmarks > 0);
        begin(text + strlen(save));
    } else {
        REQUIRE(strncmp(text, release, strlen(release)) == 0);
        (void)back_to(text + strlen(release));
        db.nmarks--;
    }
    return AWA_OK;
}

/* ---- What must come of it ---------------------------------------------------------------- */

static struct {
    uint64_t *hashes;
    size_t n;
    int64_t lines, duplicates, bad;
    bool fatal; /* something that ends everything */
} want;

static bool
is_text(const char *line, size_t len)
{
    for (size_t i = 0, width; i < len; i += width) {
        width = utf8_width(line + i, len - i);
        if (width == 0 || line[i] == '\0')
            return false;
    }
    return true;
}

static void
expect_line(const char *line, size_t len)
{
    char first = *line;

    if (len == strspn(line, " \t\r"))
        return;
    want.lines++;
    if (!is_text(line, len) || strchr("!%#rc", first) != NULL) {
        want.bad++;
    } else if (strchr("@^", first) != NULL) {
        want.fatal = true;
    } else if (first == 'd') {
        want.duplicates++;
    } else {
        REQUIRE(want.n < LINES_LIMIT);
        want.hashes[want.n++] = hash(line, len);
    }
}

static void
expect_all(const char *text, size_t len)
{
    want.n = 0;
    want.lines = want.duplicates = want.bad = 0;
    want.fatal = false;
    while (len > 0) {
        const char *feed = memchr(text, '\n', len);
        size_t n = feed != NULL ? (size_t)(feed - text) : len;
        char *line = malloc(n + 1);

        REQUIRE(line != NULL);
        memcpy(line, text, n);
        line[n] = '\0';
        expect_line(line, n);
        free(line);
        n += feed != NULL;
        text += n;
        len -= n;
    }
}

static void
check(awa_status s, bool strict, const struct lines_report *r)
{
    bool good = !want.fatal && (!strict || want.bad == 0);

    REQUIRE((s == AWA_OK) == good && db.nmarks == 0);
    REQUIRE(r->inserted == (int64_t)db.n && !r->interrupted);
    REQUIRE(r->inserted + r->duplicates + r->bad <= r->lines && r->lines <= want.lines);
    REQUIRE(db.n <= want.n);
    REQUIRE(db.n == 0 || memcmp(db.hashes, want.hashes, db.n * sizeof *db.hashes) == 0);
    if (strict && !good)
        REQUIRE(db.n == 0 && r->duplicates == 0);
    if (good)
        REQUIRE(db.n == want.n && r->lines == want.lines && r->bad == want.bad &&
                r->duplicates == want.duplicates);
}

static int
file_of(const uint8_t *data, size_t size, char **ret_text, size_t *ret_len)
{
    AUTO(file) FILE *out = open_memstream(ret_text, ret_len);
    int fd = memfd_create("lines", MFD_CLOEXEC);
    int many = 0;

    REQUIRE(out != NULL && fd >= 0);
    for (size_t i = 0; i < size; i++)
        if (data[i] == 2 && many++ < 12)
            for (int n = 0; n < MANY; n++)
                fputs("k\n", out);
        else
            fputc(data[i], out);
    REQUIRE(fflush(out) == 0 && write(fd, *ret_text, *ret_len) == (ssize_t)*ret_len);
    REQUIRE(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct option_spec strict_option = { .name = "strict" };
    static struct call call;
    struct feed f = { data, size };
    bool strict = feed_byte(&f) == 's';
    struct lines_report report = { 0 };
    AUTO(free) char *text = NULL;
    AUTO(fd) int fd = -1;
    size_t len;
    awa_error err;

    if (size > TEXT_LIMIT / 4)
        return 0;
    fuzz_be_quiet();
    if (want.hashes == NULL) {
        want.hashes = calloc(LINES_LIMIT, sizeof *want.hashes);
        db.hashes = calloc(LINES_LIMIT, sizeof *db.hashes);
    }
    REQUIRE(want.hashes != NULL && db.hashes != NULL);
    db.n = db.nmarks = 0;
    db.aborted = db.broken = false;
    call.ngiven = strict;
    call.given[0] = (struct given_option){ .spec = &strict_option };
    fd = file_of(f.at, f.left, &text, &len);
    expect_all(text, len);
    check(job_lines_insert(&call, NULL, fd, &report, &err), strict, &report);
    return 0;
}
