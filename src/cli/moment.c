/* SPDX-License-Identifier: MIT */
/* See moment.h. */
#include "cli/moment.h"

#include <string.h>

#include "cli/output.h"
#include "statements_cli.h"

awa_status
moment_read(const struct call *call, PGconn *conn, const char *option, bool ago, int64_t *ret_ms,
            awa_error *err)
{
    const char *text = call_text(call, option);
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    *ret_ms = 0;
    if (text == NULL)
        return AWA_OK;
    s = awa__query(conn, SQL_TIME_READ, (const char *[]){ text, ago ? "t" : "f" }, &res, err);
    if (s == AWA_EINVAL) {
        const char *why = strstr(err->message, ": "); /* after the name of the statement */

        return awa__fail(err, s, "--%s: %s", option, why != NULL ? why + 2 : err->message);
    }
    if (s == AWA_OK && PQgetisnull(res, 0, 0))
        return awa__fail(err, AWA_EINVAL, "--%s: want a finite time, got %s", option, text);
    if (s != AWA_OK)
        return s;
    if (!PQgetisnull(res, 0, 1) && !call_flag(call, "json"))
        say(call, "--%s %s", option, PQgetvalue(res, 0, 1));
    *ret_ms = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    return AWA_OK;
}
