/* SPDX-License-Identifier: MIT */
/*
 * Claim with gaps: producers that get ids, draw, commit or roll back in any order; claimers of
 * one lane; a leader who sweeps gaps that were moved aside; an operator who cancels a waiting
 * job. The rules are G1 to G6 of docs/engine.md, and the lock of the lane.
 *
 * Steps of one claim that may run at once: the lock with the head; the question who may own its gaps;
 * each gap; the window above the cursor; what lies in it; the write; the return with the commit. Merged
 * are only statements between which nothing can happen that a neighbouring place does not show as well.
 * Owners are kept for each position here, and for groups of positions with the same owners there.
 *
 * holds: no position is forgotten while its transaction may commit, nor if it has committed
 * holds: no position is handed out twice, or after it was cancelled; in the end all are
 * holds: what is handed out is what was recorded; the cursor never goes back
 * holds: what a claim sees above the cursor and leaves does not become a gap
 * holds: in the end no gap is left
 *
 * run: 3 producers of one position each, 2 claimers of 2 claims, of at most 1 and 2 positions
 * run LONG: 4 producers that withdraw nothing, a claimer of 3 claims of at most 2 positions
 * run SWEEP: the same, but 2 claims of 1 position and a sweep; gaps beyond 1 move aside
 * run SWEEP ALL: the same, and all gaps move aside
 * run CANCEL: 2 producers, 2 claimers of one claim, an operator who cancels position 0
 *
 * twin NO_G1: a producer draws its position before it has an id
 * twin NO_G2_ASK: gaps whose owners are not known are taken to have none
 * twin NO_G2_ALL: of several who have drawn, only one is taken to be the owner
 * twin NO_G2_NEWS: gaps whose owners are known are not searched when one of them has ended
 * twin NO_G3_BEFORE: the owners are asked for after the search
 * twin NO_G3_COMPLETE: a search that was cut by its limit takes over the owners that it asked for
 * twin NO_G4: what is returned is what is visible by then, not what was recorded
 * twin NO_G5: all statements of a claim see what its first one saw (REPEATABLE READ)
 * twin NO_G6_EXACT SWEEP: gaps beyond the limit are dropped
 * twin NO_G6_BACK SWEEP: what the sweep finds is not given back to the head
 * twin NO_G6_OWNERS SWEEP: the sweep forgets without asking whether the owners have ended
 * twin NO_G3_SWEEP SWEEP ALL: the sweep asks for the owners after its search
 * twin NO_SWEEP_LOCK SWEEP ALL: the sweep does without the lock of the lane
 * twin NO_G5_SWEEP SWEEP ALL: the sweep sees what its first statement saw
 * twin NO_LANE_LOCK: claimers do without the lock of the lane
 * twin NO_HEAD_AFTER_LOCK: the head is read before the lock is obtained
 * twin NO_CUT: the cursor passes all that a claim looked at, instead of what it took
 * twin NO_CANCEL_LOCK CANCEL: a waiting job is cancelled without the lock of the lane
 */
#define BIT(p) (1 << (p))

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

/* Sets of producers: who has an id, and who has the lock on the lane's sequence, which nextval() took. */
byte ids = 0, drawers = 0;

/* awa.living_drawers() */
#define LIVING (ids & drawers)
#define UNKNOWN 255

/* The head of the lane, as committed; every writer of it holds the lock. */
byte cursor = 0;             /* positions below it were passed */
byte gaps = 0;               /* set of positions */
byte owners[4] = UNKNOWN;    /* of each gap: a set of producers, or not known */
byte aside = 0;              /* awa.lane_gaps */
byte aside_owners[4] = UNKNOWN;

#define LIVE (committed & ~withdrawn)
#define BELOW(n) (BIT(n) - 1)
/* The islands in a set of positions below 4. */
#define ISLANDS(s) \
    ((((s) & 1) != 0) + (((s) & 3) == 2) + (((s) & 6) == 4) + (((s) & 12) == 8))

inline nothing_is_forgotten()
{
    assert((BELOW(cursor) & ~(handed | withdrawn | rolled_back | gaps | aside)) == 0)
}

inline end_producer(i)
{
    ids = ids & ~BIT(i);
    drawers = drawers & ~BIT(i);
    ended++
}

proctype producer(byte i)
{
    byte pos = 0;

#ifdef NO_G1
    d_step { begun == i -> begun++; pos = drawn; drawn++; drawers = drawers | BIT(i) }
    d_step { ids = ids | BIT(i) } /* INSERT: a first write gets an id at the latest */
#else
    d_step { begun == i -> begun++; ids = ids | BIT(i) } /* pg_current_xact_id() */
    d_step { pos = drawn; drawn++; drawers = drawers | BIT(i) } /* nextval() */
#endif
    if
    :: d_step { committed = committed | BIT(pos); end_producer(i) }
#if !defined(SWEEP) && !defined(LONG)
    :: d_step { /* cancel_job() of a deferred job: its entry comes with a tombstone */
        committed = committed | BIT(pos);
        withdrawn = withdrawn | BIT(pos);
        end_producer(i)
    }
#endif
    :: d_step { rolled_back = rolled_back | BIT(pos); end_producer(i) }
    fi
}

/* What a claim keeps in its variables. */
#define CLAIM_VARIABLES                                                                         \
    byte max = 0, pos = 0, n = 0, seen = 0, rows = 0;                                           \
    byte h_cursor = 0, h_gaps = 0; /* the head that was read */                                 \
    byte h_owners[4] = UNKNOWN, v_owners[4] = UNKNOWN; /* as they were, and as they are now */  \
    byte news = 0, v_gaps = 0, late = 0, fresh = 0, top = 0, v_aside = 0;                       \
    byte s_live = 255, s_committed = 255; /* the snapshot of REPEATABLE READ */                 \
    bool complete = false, changed = false

#define SEEN_LIVE (LIVE & s_live)
#define SEEN_WITHDRAWN (committed & s_committed & ~SEEN_LIVE)

#define copy_owners(to, from) \
    to[0] = from[0]; to[1] = from[1]; to[2] = from[2]; to[3] = from[3]
#define unknown_owners(whose) \
    whose[0] = UNKNOWN; whose[1] = UNKNOWN; whose[2] = UNKNOWN; whose[3] = UNKNOWN

inline read_head()
{
    h_cursor = cursor;
    h_gaps = gaps;
    copy_owners(h_owners, owners)
}

inline forget_variables()
{
    pos = 0; n = 0; seen = 0; rows = 0;
    h_cursor = 0; h_gaps = 0;
    unknown_owners(h_owners); unknown_owners(v_owners);
    news = 0; v_gaps = 0; late = 0; fresh = 0; top = 0; v_aside = 0;
    s_live = 255; s_committed = 255; complete = false
}

/* awa.ask_owners(), for one position; of several drawers NO_G2_ALL knows the first. */
inline ask_owner(p)
{
    v_owners[p] = (h_owners[p] == UNKNOWN -> LIVING : h_owners[p] & ids);
#ifdef NO_G2_ASK
    v_owners[p] = (h_owners[p] == UNKNOWN -> 0 : v_owners[p]);
#endif
#ifdef NO_G2_ALL
    v_owners[p] = (h_owners[p] == UNKNOWN && (LIVING & 1) -> 1 : v_owners[p]);
#endif
}

inline ask_owners(set)
{
    pos = 0;
    do
    :: pos < 4 ->
        if
        :: set & BIT(pos) -> ask_owner(pos)
        :: else -> v_owners[pos] = UNKNOWN
        fi;
        pos++
    :: else -> break
    od;
    pos = 0
}

/* awa.news() */
inline find_news(set)
{
    news = 0;
    pos = 0;
    do
    :: pos < 4 ->
#ifdef NO_G2_NEWS
        news = news | ((set & BIT(pos)) && h_owners[pos] == UNKNOWN -> BIT(pos) : 0);
#else
        news = news | ((set & BIT(pos)) && h_owners[pos] != v_owners[pos] -> BIT(pos) : 0);
#endif
        pos++
    :: else -> break
    od;
    pos = 0
}

/* What is left of a set of gaps: without those found, and those that nobody owns. */
inline settle_owners(set)
{
    pos = 0;
    do
    :: pos < 4 ->
        if
        :: (set & BIT(pos)) && v_owners[pos] == 0 -> set = set & ~BIT(pos)
        :: else
        fi;
        if
        :: !(set & BIT(pos)) -> v_owners[pos] = UNKNOWN
        :: else
        fi;
        pos++
    :: else -> break
    od;
    pos = 0
}

/* awa.search_gaps() */
inline search_gaps(may_fail)
{
    v_gaps = h_gaps;
    if
    :: complete = true
    :: may_fail && h_gaps != 0 -> complete = false /* searched less than 10 ms ago */
    fi;
    pos = 0;
#ifdef NO_G3_BEFORE
    news = h_gaps;
#else
    d_step { ask_owners(h_gaps); find_news(h_gaps); seen = 0 }
#endif
    do
    :: complete && pos < h_cursor -> d_step { /* find_runs(), find_withdrawn() */
        do
        :: pos < h_cursor && !(news & BIT(pos)) -> pos++
        :: else -> break
        od;
        if
        :: pos < h_cursor ->
            n = n + ((SEEN_LIVE & BIT(pos)) != 0);
            late = late | (SEEN_LIVE & BIT(pos));
            v_gaps = v_gaps & ~late & ~(SEEN_WITHDRAWN & BIT(pos));
            complete = n < max;
            pos = (n < max -> pos + 1 : h_cursor)
        :: else
        fi;
        skip
    }
    :: else -> break
    od;
    top = h_cursor;
#ifdef NO_G3_BEFORE
    d_step { ask_owners(h_gaps) }
#endif
    d_step {
#ifndef NO_G3_COMPLETE
        if
        :: !complete -> copy_owners(v_owners, h_owners)
        :: else
        fi;
#endif
        settle_owners(v_gaps);
        news = 0
    }
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
            v_gaps = v_gaps | (BELOW(seen) & ~BELOW(top));
            v_gaps = v_gaps & ~fresh & ~(SEEN_WITHDRAWN & BELOW(seen) & ~BELOW(top));
            assert((v_gaps & SEEN_LIVE & ~BELOW(top)) == 0);
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

/* awa.write_claim(); awa.bound_gaps(), which moves all that are too many */
inline write_head()
{
    if
    :: ISLANDS(v_gaps) > MAX_GAPS -> v_aside = v_gaps; v_gaps = 0
    :: else
    fi;
    changed = n > 0 || v_aside != 0 || v_gaps != h_gaps || top != h_cursor ||
              v_owners[0] != h_owners[0] || v_owners[1] != h_owners[1] ||
              v_owners[2] != h_owners[2] || v_owners[3] != h_owners[3]
}

/* Into awa.lane_gaps; in a head they have no owners any more. */
inline move_aside()
{
    pos = 0;
    do
    :: pos < 4 ->
#ifndef NO_G6_EXACT
        if
        :: v_aside & BIT(pos) ->
            assert(!(aside & BIT(pos)));
            aside = aside | BIT(pos);
            aside_owners[pos] = v_owners[pos];
            v_owners[pos] = UNKNOWN
        :: else
        fi;
#endif
        pos++
    :: else -> break
    od
}

/* awa.claim_jobs() and its commit; with may_fail it may come too early to search, and roll back */
inline claim(may_fail)
{
    changed = false;
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
    :: drawn > h_cursor || h_gaps != 0 ->
        search_gaps(may_fail);
        search_fresh();
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
        gaps = v_gaps;
        move_aside();
        copy_owners(owners, v_owners);
        nothing_is_forgotten();
        assert(rows == (late | fresh));
        lane = false;
        forget_variables()
    }
    :: !changed || may_fail -> d_step { lane = false; forget_variables() }
    fi
}

/* awa.sweep_gaps() */
inline sweep()
{
#if defined(NO_SWEEP_LOCK)
    d_step { read_head() }
#else
    d_step { !lane -> lane = true; read_head() }
#endif
#if defined(NO_G5_SWEEP)
    d_step { late = LIVE; seen = SEEN_WITHDRAWN; copy_owners(h_owners, aside_owners); v_gaps = aside }
    d_step { ask_owners(v_gaps) }
#elif defined(NO_G3_SWEEP)
    d_step { copy_owners(h_owners, aside_owners); v_gaps = aside }
    d_step { late = LIVE; seen = SEEN_WITHDRAWN }
    d_step { ask_owners(v_gaps) }
#else
    d_step { copy_owners(h_owners, aside_owners); v_gaps = aside; ask_owners(v_gaps); seen = 0 }
    d_step { late = LIVE; seen = SEEN_WITHDRAWN }
#endif
    d_step { /* DELETE, INSERT; COMMIT */
#ifdef NO_G6_OWNERS
        v_owners[0] = 0; v_owners[1] = 0; v_owners[2] = 0; v_owners[3] = 0;
#endif
        late = late & v_gaps;
        v_gaps = v_gaps & ~late & ~seen;
        settle_owners(v_gaps);
        aside = v_gaps;
        copy_owners(aside_owners, v_owners);
        if
        :: late != 0 ->
            assert(h_cursor >= cursor);
            cursor = h_cursor;
            gaps = h_gaps;
#ifndef NO_G6_BACK
            gaps = gaps | late; /* owners not known */
#endif
        :: else
        fi;
        nothing_is_forgotten();
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
    :: aside != 0 -> sweep()
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
            :: aside != 0 -> sweep()
            :: aside == 0 && !changed -> break
            :: else
            fi
        od;
        assert(handed == LIVE);
        assert((gaps | aside) == 0)
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
