/* SPDX-License-Identifier: MIT */
/* What is done to queues and to the ring, and ways of looking. */
#include "world.h"

#include <inttypes.h>
#include <string.h>

/* ---- Queues ------------------------------------------------------------------------------ */

/* If not all, the engine chooses. */
void
drain(struct world *w, unsigned *seed)
{
    const struct verb *v = verb_named("drain");
    int queue = below(seed, MODEL_QUEUES), max = chance(seed, 2) ? 2 : 1000, n = 0;

    if (w->held_until > 0)
        return;
    ask(w, w->operator, "SELECT awa.drain_queue('q%d', %d)", queue, max);
    for (int i = 0; i < w->m.n; i++) {
        struct model_job *j = &w->m.jobs[i];

        if (j->queue != queue || !MODEL_IS(j, v->from))
            continue;
        may_apply(w, v, j);
        n++;
    }
    w->m.may_n = n < max ? n : max;
    expect(w, "%" PRId64, w->m.may_n);
}

void
pause_or_resume(struct world *w, unsigned *seed)
{
    int queue = below(seed, MODEL_QUEUES);

    w->paused[queue] = !w->paused[queue];
    ask(w, w->operator, "SELECT awa.%s_queue('q%d')", w->paused[queue] ? "pause" : "resume", queue);
}

void
switch_dlq(struct world *w, unsigned *seed)
{
    int queue = below(seed, MODEL_QUEUES);

    w->dlq[queue] = !w->dlq[queue];
    ask(w, w->operator, "SELECT awa.set_queue('q%d', p_dlq_enabled => %s)", queue,
        w->dlq[queue] ? "true" : "false");
}

/* As awa.seal_full_lanes() does when 90 % of a lane's positions are used. */
void
seal(struct world *w, unsigned *seed)
{
    ask(w, w->db,
        "UPDATE awa.lanes SET sealed = true WHERE lane_id = %d"
        " AND (SELECT count(*) < 30 FROM awa.lanes)",
        1 + below(seed, 20));
}

/* ---- Maintenance ------------------------------------------------------------------------- */

void
promote(struct world *w, unsigned *seed)
{
    const struct verb *v = verb_named("promote");
    int hours = 2 * below(seed, 3), max = chance(seed, 3) ? 2 : 1000, n = 0;

    ask(w, w->worker,
        "SELECT promoted FROM awa.promote_jobs(p_max => %d, p_now => clock_timestamp()"
        " + interval '%d h 1 min')",
        max, hours);
    for (int i = 0; i < w->m.n; i++) {
        struct model_job *j = &w->m.jobs[i];

        if (!MODEL_IS(j, v->from) || j->due > hours || j->id == w->held_id)
            continue;
        may_apply(w, v, j);
        n++;
    }
    w->m.may_n = n < max ? n : max;
    expect(w, "%" PRId64, w->m.may_n);
}

void
rotate(struct world *w, unsigned *seed)
{
    (void)seed;
    ask(w, w->db, "SELECT awa.rotate_ring(true)");
    if (w->answer[0] == '\0')
        return;
    w->slot = (int)strtol(w->answer, NULL, 10);
    for (int i = 0; i < w->m.n; i++)
        if (w->m.jobs[i].slot == w->slot)
            model_trouble(&w->m, "%s\nopened slot %d, in which there are jobs", w->sql, w->slot);
}

/* What would be lost with a slot may move to the current one; of each sort at most max. */
static int
may_carry(struct world *w, int slot, unsigned states, int max)
{
    int n = 0;

    for (int i = 0; i < w->m.n; i++) {
        struct model_job *j = &w->m.jobs[i];

        if (j->slot != slot || !MODEL_IS(j, states))
            continue;
        may_apply(w, verb_named("carry"), j);
        n++;
    }
    return n < max ? n : max;
}

static int
count_in(const struct world *w, int slot, unsigned states)
{
    int n = 0;

    for (int i = 0; i < w->m.n; i++)
        n += w->m.jobs[i].slot == slot && MODEL_IS(&w->m.jobs[i], states);
    return n;
}

static bool
prune(struct world *w, int slot, const char *later, unsigned kept)
{
    ask(w, w->worker, "SELECT awa.prune_slot(%d::smallint, clock_timestamp() + interval '%s')",
        slot, later);
    if (strcmp(w->answer, "busy") == 0 && (w->old_until > 0 || w->late_until > 0))
        return false;
    if (strcmp(w->answer, "snapshots") == 0 && w->old_until > 0)
        return false;
    expect(w, count_in(w, slot, MODEL_ALIVE | kept) > 0 ? "alive" : "pruned");
    if (strcmp(w->answer, "pruned") != 0)
        return false;
    model_prune(&w->m, slot);
    return true;
}

/* What is alive moves to the current slot; of failed jobs only the number is left. */
static bool
prune_later(struct world *w, int slot)
{
    ask(w, w->worker, "SELECT awa.checkpoint_heads(%d::smallint)", slot);
    ask(w, w->worker,
        "SELECT awa.carry_forward(%d::smallint, 1000, clock_timestamp() + interval '1 year')",
        slot);
    for (int i = 0; i < w->m.n; i++)
        if (w->m.jobs[i].slot == slot && MODEL_IS(&w->m.jobs[i], MODEL_ALIVE))
            verb_apply(verb_named("carry"), &w->m.jobs[i], w->slot, false);
    return prune(w, slot, "1 year", 0);
}

/* Empty a sealed slot; a year from now, failed jobs are not kept. */
void
empty_slot(struct world *w, unsigned *seed)
{
    int slot = (w->slot + 1 + below(seed, SLOTS - 1)) % SLOTS, max = chance(seed, 3) ? 2 : 1000;
    bool keep = !chance(seed, 6);
    const char *later = keep ? "0 s" : "1 year";
    unsigned kept = keep ? MODEL_IN(MODEL_FAILED) : 0;

    if (w->held_until > 0)
        return;
    ask(w, w->worker, "SELECT awa.checkpoint_heads(%d::smallint)", slot);
    expect(w, "0");
    ask(w, w->worker,
        "SELECT awa.carry_forward(%d::smallint, %d, clock_timestamp() + interval '%s')", slot, max,
        later);
    w->m.may_n = may_carry(w, slot, MODEL_ALIVE, max) + may_carry(w, slot, kept, max);
    expect(w, "%" PRId64, w->m.may_n);
    if (chance(seed, 2)) /* each truncate costs every session its plans */
        return;
    compare(w, false);
    (void)prune(w, slot, later, kept);
}

/* A year from now, dead letters are forgotten. */
void
fold(struct world *w, unsigned *seed)
{
    bool later = chance(seed, 30) && w->held_until == 0;

    ask(w, w->worker, "SELECT opened FROM awa.turn_ring(clock_timestamp() + interval '%s')",
        later ? "1 year" : "2 min");
    expect(w, "%s", "");
    for (int i = w->m.n - 1; later && i >= 0; i--)
        if (w->m.jobs[i].state == MODEL_DEAD)
            apply(w, verb_named("delete"), &w->m.jobs[i]);
}

void
rebuild(struct world *w, unsigned *seed)
{
    ask(w, w->operator, "SELECT coalesce(sum(corrected), 0) FROM awa.rebuild_terminal_counters(%s)",
        chance(seed, 2) ? "true" : "false");
    expect(w, "0");
}

/* Wrong counters are found and put right; or they go with their slot, and nobody learns of them. */
void
poison(struct world *w, unsigned *seed)
{
    int slot = below(seed, SLOTS);

    if (w->held_until > 0)
        return;
    ask(w, w->db,
        "INSERT INTO awa.queue_terminal_live_counts (completed, failed, cancelled, deltas_xid,"
        " lane_id, priority, enqueue_shard, ready_slot, queue, cover) SELECT 3, -2, 1, '0',"
        " l.lane_id, l.priority, l.enqueue_shard, %d, l.queue, '{}' FROM awa.lanes AS l"
        " ORDER BY l.lane_id LIMIT 1",
        slot);
    if (strcmp(w->answer, "0") == 0 || (slot != w->slot && prune_later(w, slot)))
        return;
    ask(w, w->operator, "SELECT sum(corrected) FROM awa.rebuild_terminal_counters(true)");
    expect(w, "6");
    ask(w, w->operator, "SELECT sum(corrected) FROM awa.rebuild_terminal_counters()");
    expect(w, "6");
}

/* Until the next rebuild readers scan. */
void
distrust(struct world *w, unsigned *seed)
{
    (void)seed;
    ask(w, w->db, "UPDATE awa.settings SET terminal_counters_trusted_at = NULL");
}

/* What is forgotten has not ended. */
void
reset(struct world *w, unsigned *seed)
{
    int64_t ends = w->m.ends;

    (void)seed;
    if (w->late_until > 0 || w->held_until > 0 || w->old_until > 0)
        return;
    count_followed(w);
    ask(w, w->operator, "SELECT awa.reset_storage(current_database())");
    for (int i = w->m.n - 1; i >= 0; i--)
        apply(w, verb_named("delete"), &w->m.jobs[i]);
    w->m.ends = ends;
    memset(w->m.pruned, 0, sizeof w->m.pruned);
    w->ntaken = 0;
}

void
sweep(struct world *w, unsigned *seed)
{
    (void)seed;
    ask(w, w->worker, "SELECT awa.sweep_gaps()");
}

/* ---- Looking ----------------------------------------------------------------------------- */

void
begin_old(struct world *w, unsigned *seed)
{
    if (w->old_until > 0)
        return;
    w->old_until = w->step + 1 + below(seed, 30);
    w->then[0] = '\0';
    ask(w, w->old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    compare_old(w, true);
}

void
end_old(struct world *w)
{
    if (w->old_until == 0)
        return;
    w->old_until = 0;
    ask(w, w->old, "COMMIT");
}

/* Each way of reading finds what awa.jobs has. */
void
look(struct world *w, unsigned *seed)
{
    const struct model_job *j = pick(w, seed, MODEL_ANY);
    enum model_state state = (enum model_state)below(seed, MODEL_DEAD);
    unsigned wanted = MODEL_IN(state) | (state == MODEL_FAILED ? MODEL_IN(MODEL_DEAD) : 0);
    char want[ROOM * 8] = "";
    size_t len = 0;

    if (j != NULL) {
        ask(w, w->operator, "SELECT state, attempt, kind FROM awa.get_job(%" PRId64 ")", j->id);
        expect(w, "%s|%d|k%d", told_state(j), j->attempt, j->kind);
    }
    for (int i = w->m.n - 1; i >= 0; i--)
        if (MODEL_IS(&w->m.jobs[i], wanted) && len < sizeof want)
            len += (size_t)snprintf(want + len, sizeof want - len, "%s%" PRId64, len > 0 ? " " : "",
                                    w->m.jobs[i].id);
    count_followed(w);
    ask(w, w->operator, "SELECT id FROM awa.list_jobs('%s', p_limit => 1000)", model_states[state]);
    expect(w, "%s", want);
}
