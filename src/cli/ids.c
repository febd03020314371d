/* SPDX-License-Identifier: MIT */
/* See ids.h. */
#include "cli/ids.h"

#include <errno.h>

#include "cli/output.h"
#include "cli/session.h"

bool
id_read(const struct call *call, const char *text, int64_t *ret_id)
{
    char *end;

    errno = 0;
    *ret_id = strtoll(text, &end, 10);
    if (errno == 0 && *ret_id > 0 && *end == '\0' && *text >= '0' && *text <= '9')
        return true;
    usage_error("%s: '%s' is no id of a job", call->words, text);
    return false;
}

int
ids_open(const struct call *call, PGconn **ret_conn)
{
    awa_error err;
    int64_t id;

    for (int i = 0; i < call->nargs; i++)
        if (!id_read(call, call->args[i], &id))
            return EXIT_USAGE;
    return session_open_engine(call, ret_conn, &err) == AWA_OK ? EXIT_DONE : report(&err);
}

int
ids_each(const struct call *call, PGconn *conn, id_verb *verb, const void *arg, const char *done,
         const char *nothing)
{
    int code = EXIT_DONE;
    awa_error err;

    for (int i = 0; i < call->nargs; i++) {
        awa_status s = verb(conn, strtoll(call->args[i], NULL, 10), arg, &err);

        if (s == AWA_OK) {
            say(call, "job %s: %s", call->args[i], done);
            continue;
        }
        if (s == AWA_ENOTFOUND)
            (void)awa__fail(&err, s, "job %s: %s", call->args[i], nothing);
        code = report(&err);
        if (s == AWA_ECONN)
            break;
    }
    return code;
}
