/* SPDX-License-Identifier: MIT */
#include "bench/report.h"

#include <math.h>
#include <string.h>

enum { TEXT_OID = 25, NUMERIC_OID = 1700, CELL_MAX = 64 };

/* ---- JSON -------------------------------------------------------------------------------- */

static void
add_number(struct buffer *out, double value, int decimals)
{
    if (isfinite(value))
        buffer_format(out, "%.*f", decimals, value);
    else
        buffer_text(out, "null");
}

static bool
same_group(const struct metric *a, const struct metric *b)
{
    return a->group != NULL && b->group != NULL && strcmp(a->group, b->group) == 0;
}

/* "a": 1, "b": {"c": 2} */
static void
add_metrics(struct buffer *out, const struct report *r, const double *values)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct metric *m = &r->metrics[i];
        bool goes_on = i > 0 && same_group(m, m - 1);

        if (i > 0)
            buffer_text(out, ", ");
        if (m->group != NULL && !goes_on)
            buffer_format(out, "\"%s\": {", m->group);
        buffer_format(out, "\"%s\": ", m->name);
        add_number(out, values[i], m->decimals);
        if (m->group != NULL && (i + 1 == r->n || !same_group(m, m + 1)))
            buffer_text(out, "}");
    }
}

static void
add_server(struct buffer *out, const PGresult *server)
{
    buffer_text(out, "\"server\": {");
    for (int i = 0; i < PQntuples(server); i++) {
        if (i > 0)
            buffer_text(out, ", ");
        buffer_json_string(out, PQgetvalue(server, i, 0));
        buffer_text(out, ": ");
        buffer_json_string(out, PQgetvalue(server, i, 1));
    }
    buffer_text(out, "}");
}

void
report_json(const struct report *r, struct buffer *out)
{
    buffer_format(out, "{\"mode\": \"%s\", \"rounds\": %lld, ", r->mode, (long long)r->rounds);
    add_metrics(out, r, r->overall);
    if (r->rounds > 1) {
        buffer_text(out, ", \"min\": {");
        add_metrics(out, r, r->min);
        buffer_text(out, "}, \"max\": {");
        add_metrics(out, r, r->max);
        buffer_text(out, "}");
    }
    buffer_format(out, ", \"options\": %s, ", r->options);
    add_server(out, r->server);
    buffer_text(out, "}\n");
}

/* ---- Table ------------------------------------------------------------------------------- */

static void
put(PGresult *res, int row, int column, const char *text)
{
    /* libpq only reads the text; without memory, the cell stays empty. */
    (void)PQsetvalue(res, row, column, (char *)(uintptr_t)text, (int)strlen(text));
}

static void
put_number(PGresult *res, int row, int column, double value, int decimals)
{
    char text[CELL_MAX] = "-";

    if (isfinite(value))
        snprintf(text, sizeof text, "%.*f", decimals, value);
    put(res, row, column, text);
}

static void
put_metric(const struct report *r, PGresult *res, size_t i)
{
    const struct metric *m = &r->metrics[i];
    int row = PQntuples(res);
    char label[CELL_MAX];

    if (!isfinite(r->overall[i]))
        return;
    snprintf(label, sizeof label, "%s%s%s", m->group != NULL ? m->group : "",
             m->group != NULL ? " " : "", m->name);
    put(res, row, 0, label);
    put_number(res, row, 1, r->overall[i], m->decimals);
    if (r->rounds <= 1)
        return;
    put_number(res, row, 2, r->min[i], m->decimals);
    put_number(res, row, 3, r->max[i], m->decimals);
}

PGresult *
report_table(const struct report *r)
{
    PGresAttDesc columns[] = {
        { .name = (char[]){ "measured" }, .typid = TEXT_OID },
        { .name = r->rounds > 1 ? (char[]){ "median" } : (char[]){ "value" },
          .typid = NUMERIC_OID },
        { .name = (char[]){ "min" }, .typid = NUMERIC_OID },
        { .name = (char[]){ "max" }, .typid = NUMERIC_OID },
    };
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    if (res == NULL || !PQsetResultAttrs(res, r->rounds > 1 ? 4 : 2, columns)) {
        PQclear(res);
        return NULL;
    }
    for (size_t i = 0; i < r->n; i++)
        put_metric(r, res, i);
    return res;
}
