/* SPDX-License-Identifier: MIT */
/*
 * Claim with gaps: producers that draw, get ids, commit or roll back in any order; claimers of
 * one lane; a leader who sweeps gaps that were moved aside; an operator who cancels a waiting
 * job. The rules are G1 to G6 of docs/engine.md, and the lock of the lane.
 *
 * Steps of one claim that may run at once: the lock with the head; the snapshot; each gap; the
 * window above the cursor; what lies in it; the write; the return with the commit. Merged are only
 * statements between which nothing can happen that a neighbouring place does not show as well.
 *
 * holds: no position is forgotten while its transaction may commit, nor if it has committed
 * holds: no position is handed out twice, or after it was cancelled; in the end all are
 * holds: what is handed out is what was recorded; the cursor never goes back
 * holds: what a claim sees above the cursor and leaves does not become a gap
 *
 * run: 3 producers of one position each, 2 claimers of 2 claims, of at most 1 and 2 positions
 * run LONG: 4 producers that withdraw nothing, a claimer of 3 claims of at most 2 positions
 * run SWEEP: the same, but 2 claims of 1 position and a sweep; gaps beyond 1 move aside
 * run SWEEP ALL: the same, and all gaps move aside
 * run CANCEL: 2 producers, 2 claimers of one claim, an operator who cancels position 0
 *
 * twin NO_G1: a producer draws its position before it has an id
 * twin NO_G2_OWN_ID: old gaps are dated by the snapshot's xmax instead of the claimer's own id
 * twin NO_G2_LATE_ID: old gaps are dated by an id that the claimer's transaction had before
 * twin NO_G2_GENERATIONS LONG: one generation: young gaps are forgotten together with old ones
 * twin NO_G3_BEFORE: the snapshot is taken after the search
 * twin NO_G3_COMPLETE: a search that was cut by its limit forgets
 * twin NO_G4: what is returned is what is visible by then, not what was recorded
 * twin NO_G5: all statements of a claim see what its first one saw (REPEATABLE READ)
 * twin NO_G6_EXACT SWEEP: gaps beyond the limit are dropped
 * twin NO_G6_BACK SWEEP: what the sweep finds is not given back to the head
 * twin NO_G6_XID SWEEP: the sweep forgets without asking whether the owners have ended
 * twin NO_G3_SWEEP SWEEP: the sweep takes its snapshot after its search
 * twin NO_SWEEP_LOCK SWEEP ALL: the sweep does without the lock of the lane
 * twin NO_G5_SWEEP SWEEP ALL: the sweep sees what its first statement saw
 * twin NO_LANE_LOCK: claimers do without the lock of the lane
 * twin NO_HEAD_AFTER_LOCK: the head is read before the lock is obtained
 * twin NO_CUT: the cursor passes all that a claim looked at, instead of what it took
 * twin NO_CANCEL_LOCK CANCEL: a waiting job is cancelled without the lock of the lane
 */
#include "pg.h"

#if defined(SWEEP)
#define PRODUCERS 4
#define OTHERS 2 /* processes that rest() waits for */
#ifdef ALL
#define MAX_GAPS 0
#else
#define MAX_GAPS 1
#endif
#elif defined(LONG)
#define PRODUCERS 4 /* two gaps, each below an entry that was seen */
#define OTHERS 1
#define MAX_GAPS 4
#elif defined(CANCEL)
#define PRODUCERS 2
#define OTHERS 3
#define MAX_GAPS 4
#else
#define PRODUCERS 3
#define OTHERS 2
#define MAX_GAPS 4
#endif

byte begun = 0; /* producers, in the order of their first step: they are all alike */
byte ended = 0;
byte over = 0;      /* other processes that came to their end */
byte drawn = 0;     /* the lane's sequence: positions 0 .. drawn - 1 are out */
byte committed = 0; /* sets of positions: visible entries */
byte withdrawn = 0; /* visible tombstones */
byte rolled_back = 0;
byte handed = 0;
bool lane = false; /* the lock */

/* The head of the lane, as committed; every writer of it holds the lock. */
byte cursor = 0; /* positions below it were passed */
byte young = 0, old = 0, old_xid = 0;
byte aside[2], aside_xid[2]; /* rows of awa.lane_gaps */

#define ASIDE (aside[0] | aside[1])
#define LIVE (committed & ~withdrawn)
#define BELOW(n) (BIT(n) - 1)
/* The islands in a set of positions below 4. */
#define ISLANDS(s) \
    ((((s) & 1) != 0) + (((s) & 3) == 2) + (((s) & 6) == 4) + (((s) & 12) == 8))

inline nothing_is_forgotten()
{
    assert((BELOW(cursor) & ~(handed | withdrawn | rolled_back | young | old | ASIDE)) == 0)
}

proctype producer(byte i)
{
    byte xid = 0, pos = 0;

#ifdef NO_G1
    d_step { begun == i -> begun++; pos = drawn; drawn++ }
#else
    d_step { begun == i -> begun++; assign_xid(xid) } /* pg_current_xact_id() */
    d_step { pos = drawn; drawn++ }                   /* nextval() */
#endif
    d_step { assign_xid(xid) } /* INSERT: a first write gets an id at the latest */
    if
    :: d_step { committed = committed | BIT(pos); end_xid(xid); ended++ }
#if !defined(SWEEP) && !defined(LONG)
    :: d_step { /* cancel_job() of a deferred job: its entry comes with a tombstone */
        committed = committed | BIT(pos);
        withdrawn = withdrawn | BIT(pos);
        end_xid(xid);
        ended++
    }
#endif
    :: d_step { rolled_back = rolled_back | BIT(pos); end_xid(xid); ended++ }
    fi
}

/* What a claim keeps in its variables. */
#define CLAIM_VARIABLES                                                                         \
    byte xid = 0, xmin = 0, max = 0, pos = 0, n = 0, seen = 0, rows = 0;                        \
    byte h_cursor = 0, h_young = 0, h_old = 0, h_old_xid = 0; /* the head that was read */      \
    byte gaps = 0, late = 0, fresh = 0, top = 0;                                                \
    byte v_young = 0, v_old = 0, v_old_xid = 0, v_aside = 0;                                    \
    byte s_live = 255, s_committed = 255; /* the snapshot of REPEATABLE READ */                 \
    bool complete = false, changed = false

#define SEEN_LIVE (LIVE & s_live)
#define SEEN_WITHDRAWN (committed & s_committed & ~SEEN_LIVE)

inline read_head()
{
    h_cursor = cursor;
    h_young = young;
    h_old = old;
    h_old_xid = old_xid
}

inline forget_variables()
{
    xid = 0; xmin = 0; pos = 0; n = 0; seen = 0; rows = 0;
    h_cursor = 0; h_young = 0; h_old = 0; h_old_xid = 0;
    gaps = 0; late = 0; fresh = 0; top = 0;
    v_young = 0; v_old = 0; v_old_xid = 0; v_aside = 0;
    s_live = 255; s_committed = 255; complete = false
}

/* awa.search_lane(), the gaps */
inline search_gaps(may_fail)
{
    if
    :: complete = true
    :: may_fail && gaps != 0 -> complete = false /* wide gaps are searched seldom */
    fi;
    do
    :: complete && pos < h_cursor -> d_step { /* find_runs(), find_withdrawn() */
        do
        :: pos < h_cursor && !((h_young | h_old) & BIT(pos)) -> pos++
        :: else -> break
        od;
        if
        :: pos < h_cursor ->
            n = n + ((SEEN_LIVE & BIT(pos)) != 0);
            late = late | (SEEN_LIVE & BIT(pos));
            gaps = gaps & ~late & ~(SEEN_WITHDRAWN & BIT(pos));
#ifndef NO_G3_COMPLETE
            complete = n < max;
#endif
            pos = (n < max -> pos + 1 : h_cursor)
        :: else
        fi;
        skip
    }
    :: else -> break
    od;
    top = h_cursor
}

/* The same, above the cursor: the end of the window; then what lies in it. */
inline search_fresh()
{
    do
    :: n < max ->
        d_step { /* the lowest so many, withdrawn or not; from the second time on, many */
            rows = (top > h_cursor -> PRODUCERS : max - n);
            pos = top;
            seen = 0;
            do
            :: pos < PRODUCERS && rows > 0 ->
                seen = ((committed & s_committed & BIT(pos)) -> pos + 1 : seen);
                rows = rows - ((committed & s_committed & BIT(pos)) != 0);
                pos++
            :: else -> break
            od;
            rows = 0;
            pos = top
        }
        if
        :: seen == 0 -> break
        :: else
        fi;
        d_step { /* find_runs(), at most so many; the cursor's new place; find_withdrawn() */
            do
            :: pos < seen ->
                fresh = fresh | (n < max -> SEEN_LIVE & BIT(pos) : 0);
                n = n + (n < max && (SEEN_LIVE & BIT(pos)));
                pos++;
#ifndef NO_CUT
                seen = (n < max -> seen : pos)
#endif
            :: else -> break
            od;
            gaps = gaps | (BELOW(seen) & ~BELOW(top));
            gaps = gaps & ~fresh & ~(SEEN_WITHDRAWN & BELOW(seen) & ~BELOW(top));
            assert((gaps & SEEN_LIVE & ~BELOW(top)) == 0);
            top = seen;
            seen = 0;
            pos = 0
        }
        if
        :: n > 0 -> break
        :: else
        fi
    :: else -> break
    od;
    seen = 0;
    pos = 0
}

/* awa.write_claim() */
inline write_head()
{
    v_old = h_old & gaps;
    v_young = gaps & ~h_old;
    v_old_xid = h_old_xid;
    if
    :: ISLANDS(v_young) + ISLANDS(v_old) > MAX_GAPS ->
        assign_xid(xid);
        v_aside = v_young | v_old;
        v_young = 0;
        v_old = 0;
        v_old_xid = 0
    :: else ->
        if
        :: complete && (v_young | v_old) != 0 && (h_old_xid == 0 || xmin >= h_old_xid) ->
#ifdef NO_G2_GENERATIONS
            v_old = (h_old_xid == 0 -> gaps : 0);
#else
            v_old = v_young;
#endif
            v_young = 0;
#ifdef NO_G2_OWN_ID
            v_old_xid = newest_completed + 1
#else
            assign_xid(xid);
            v_old_xid = xid
#endif
        :: else
        fi
    fi;
    changed = n > 0 || v_young != h_young || v_old != h_old || top != h_cursor;
    if
    :: changed -> assign_xid(xid) /* INSERT */
    :: else
    fi;
    skip
}

/* awa.claim_jobs() and its commit; with may_fail it may skip wide gaps, and roll back */
inline claim(may_fail)
{
    changed = false;
#ifdef NO_G2_LATE_ID
    d_step { assign_xid(xid) }
#endif
#if defined(NO_HEAD_AFTER_LOCK)
    d_step { read_head() }
    atomic { !lane -> lane = true }
#elif defined(NO_G5)
    d_step { read_head(); s_live = LIVE; s_committed = committed }
    atomic { !lane -> lane = true }
#elif defined(NO_LANE_LOCK)
    d_step { read_head() }
#else
    d_step { !lane -> lane = true; read_head() }
#endif
    if
    :: drawn > h_cursor || (h_young | h_old) != 0 ->
        d_step { gaps = h_young | h_old; snapshot_xmin(xmin) } /* G3 */
        search_gaps(may_fail);
        search_fresh();
#ifdef NO_G3_BEFORE
        d_step { snapshot_xmin(xmin) }
#endif
        d_step { write_head() }
    :: else
    fi;
    if
    :: changed -> d_step { /* what is returned, read once more (G4); COMMIT */
#ifdef NO_G4
        rows = late | (n > 0 -> SEEN_LIVE & BELOW(top) & ~BELOW(h_cursor) : 0);
#else
        rows = SEEN_LIVE & (late | fresh);
#endif
        assert((handed & rows) == 0);
        assert((withdrawn & rows) == 0);
        handed = handed | rows;
        assert(top >= cursor);
        cursor = top;
        young = v_young;
        old = v_old;
        old_xid = v_old_xid;
#ifndef NO_G6_EXACT
        seen = aside[0] != 0; /* a free row */
        assert(v_aside == 0 || aside[seen] == 0);
        aside_xid[seen] = (v_aside != 0 -> xid : aside_xid[seen]);
        aside[seen] = aside[seen] | v_aside;
#endif
        nothing_is_forgotten();
        assert(rows == (late | fresh));
        end_xid(xid);
        lane = false;
        forget_variables()
    }
    :: !changed || may_fail -> d_step { end_xid(xid); lane = false; forget_variables() }
    fi
}

/* awa.sweep_gaps() */
inline sweep()
{
#if defined(NO_SWEEP_LOCK)
    d_step { read_head(); snapshot_xmin(xmin) }
#elif defined(NO_G5_SWEEP)
    d_step { read_head() }
    d_step { !lane -> lane = true; snapshot_xmin(xmin) }
#else
    d_step { !lane -> lane = true; read_head(); snapshot_xmin(xmin) }
#endif
    d_step { gaps = ASIDE; late = ASIDE & LIVE; seen = ASIDE & SEEN_WITHDRAWN }
#ifdef NO_G3_SWEEP
    d_step { snapshot_xmin(xmin) }
#endif
    d_step { /* INSERT, DELETE, UPDATE; COMMIT */
        assign_xid(xid);
        if
        :: late != 0 ->
            assert(h_cursor >= cursor);
            cursor = h_cursor;
            old = h_old;
            old_xid = h_old_xid;
#ifdef NO_G6_BACK
            young = h_young
#else
            young = h_young | late
#endif
        :: else
        fi;
#ifdef NO_G6_XID
        xmin = 255;
#endif
        aside[0] = (xmin >= aside_xid[0] -> 0 : aside[0] & ~(late | seen));
        aside[1] = (xmin >= aside_xid[1] -> 0 : aside[1] & ~(late | seen));
        aside_xid[0] = (aside[0] == 0 -> 0 : aside_xid[0]);
        aside_xid[1] = (aside[1] == 0 -> 0 : aside_xid[1]);
        nothing_is_forgotten();
        end_xid(xid);
        lane = false;
        forget_variables()
    }
}

proctype claimer(byte limit; byte claims)
{
    CLAIM_VARIABLES;

    max = limit;
    do
    :: claims > 0 -> claim(true); claims--
    :: else -> break
    od;
    over++
}

proctype sweeper()
{
    CLAIM_VARIABLES;

    if
    :: ASIDE != 0 -> sweep()
    :: ended == PRODUCERS
    fi;
    over++
}

proctype canceller()
{
    bool waits = false;

    (committed & BIT(0)) || ended == PRODUCERS;
#ifndef NO_CANCEL_LOCK
    atomic { !lane -> lane = true }
#endif
    waits = (LIVE & ~handed & BIT(0)) != 0; /* get_job() */
    d_step {
        assert(!waits || !(handed & BIT(0)));
        withdrawn = (waits -> withdrawn | BIT(0) : withdrawn);
#ifndef NO_CANCEL_LOCK
        lane = false;
#endif
        over++
    }
}

/* In the end, claims and sweeps that go on find everything that is left. */
proctype rest()
{
    CLAIM_VARIABLES;

    atomic {
        ended == PRODUCERS && over == OTHERS;
        max = 2;
        do
        :: claim(false);
            if
            :: ASIDE != 0 -> sweep()
            :: ASIDE == 0 && !changed -> break
            :: else
            fi
        od;
        assert(handed == LIVE)
    }
}

init {
    byte i = 0;

    atomic {
        do
        :: i < PRODUCERS -> run producer(i); i++
        :: else -> break
        od;
#if defined(SWEEP)
        run claimer(1, 2);
        run sweeper();
#elif defined(LONG)
        run claimer(2, 3);
#elif defined(CANCEL)
        run claimer(1, 1);
        run claimer(2, 1);
        run canceller();
#else
        run claimer(1, 2);
        run claimer(2, 2);
#endif
        run rest()
    }
}
