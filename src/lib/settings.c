/* SPDX-License-Identifier: MIT */
/* Changes the settings of a queue, and the common settings. */
#include "pg/pg.h"

#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "lib/options.h"
#include "statements_lib.h"

/*
 * In the order of the parameters of queue_set.sql that follow the queue. All but the first are also
 * common settings, in the order of the parameters of defaults_set.sql.
 */
enum { SHARDS, DEADLINE, AGING, DLQ, COMPLETED, FAILED, DEAD, SETTINGS };

static const char *const names[SETTINGS] = {
    [SHARDS] = "enqueue_shards",
    [DEADLINE] = "deadline",
    [AGING] = "aging_interval",
    [DLQ] = "dlq_enabled",
    [COMPLETED] = "completed_retention",
    [FAILED] = "failed_retention",
    [DEAD] = "dlq_retention",
};

/* The given settings as parameters: each has a value, or its name in `defaults`, or neither. */
struct change {
    char texts[SETTINGS][24];
    const char *values[SETTINGS]; /* NULL: stays as it is */
    struct buffer defaults;       /* names of settings that become the common ones; an array */
};

static awa_status
take(struct change *c, int which, int64_t v, awa_error *err)
{
    bool is_switch = which == DLQ;

    if (v == 0)
        return AWA_OK;
    if (v == AWA_SETTING_DEFAULT) {
        buffer_array_text(&c->defaults, names[which]);
        return AWA_OK;
    }
    if (v < 0 && v != AWA_SETTING_NONE)
        return awa__fail(err, AWA_EINVAL, "%s: want 0 or more, AWA_SETTING_DEFAULT or _NONE",
                         names[which]);
    if (v == AWA_SETTING_NONE)
        v = 0;
    if (is_switch && v > 1)
        return awa__fail(err, AWA_EINVAL, "%s: want 1 or AWA_SETTING_NONE", names[which]);
    snprintf(c->texts[which], sizeof c->texts[which], "%" PRId64, v);
    c->values[which] = c->texts[which];
    return AWA_OK;
}

static awa_status
read_settings(const awa_settings *settings, struct change *c, awa_error *err)
{
    awa_settings o;
    awa_status s = AWA_OK;

    if (!awa__options_read(&o, sizeof o, settings, settings != NULL ? settings->size : 0))
        return awa__fail(err, AWA_EINVAL, "set: build the settings with AWA_SETTINGS()");
    const int64_t given[SETTINGS] = {
        [SHARDS] = o.enqueue_shards,
        [DEADLINE] = o.deadline_ms,
        [AGING] = o.aging_ms,
        [DLQ] = o.dlq,
        [COMPLETED] = o.completed_retention_ms,
        [FAILED] = o.failed_retention_ms,
        [DEAD] = o.dlq_retention_ms,
    };
    buffer_array_begin(&c->defaults);
    for (int i = 0; i < SETTINGS && s == AWA_OK; i++)
        s = take(c, i, given[i], err);
    buffer_array_end(&c->defaults);
    if (s == AWA_OK && c->defaults.failed)
        return awa__fail(err, AWA_ENOMEM, "set: out of memory");
    return s;
}

awa_status
awa_queue_set(PGconn *conn, const char *queue, const awa_settings *settings, awa_error *reterr)
{
    struct change c = { 0 };
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = read_settings(settings, &c, reterr);

    if (s == AWA_OK && (conn == NULL || queue == NULL))
        s = awa__fail(reterr, AWA_EINVAL, "set: want a connection and a queue");
    if (s == AWA_OK) {
        const char *params[] = {
            queue,           c.values[SHARDS],    c.values[DEADLINE], c.values[AGING],
            c.values[DLQ],   c.values[COMPLETED], c.values[FAILED],   c.values[DEAD],
            c.defaults.data,
        };

        s = awa__query(conn, SQL_QUEUE_SET, params, &res, reterr);
    }
    buffer_done(&c.defaults);
    return s;
}

awa_status
awa_defaults_set(PGconn *conn, const awa_settings *settings, awa_error *reterr)
{
    struct change c = { 0 };
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = read_settings(settings, &c, reterr);

    if (s == AWA_OK && conn == NULL)
        s = awa__fail(reterr, AWA_EINVAL, "defaults: want a connection");
    if (s == AWA_OK && strcmp(c.defaults.data, "{}") != 0)
        s = awa__fail(reterr, AWA_EINVAL, "defaults: a default has no default");
    if (s == AWA_OK && c.values[SHARDS] != NULL)
        s = awa__fail(reterr, AWA_EINVAL, "defaults: enqueue_shards: each queue has its own");
    if (s == AWA_OK)
        s = awa__query(conn, SQL_DEFAULTS_SET, &c.values[DEADLINE], &res, reterr);
    buffer_done(&c.defaults);
    return s;
}
