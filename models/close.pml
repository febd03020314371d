/* SPDX-License-Identifier: MIT */
/*
 * Close: everybody who may end the attempts of one claim, at once. The claim holds two positions
 * of two lanes, which are closed by two rows. A worker completes both and sends the same flush
 * again because it lost the answer, while the server is still at the first; a handler completes
 * position 1 inside its own transaction, which may roll back; a rescue and an operator's cancel
 * end attempts; the leader carries the entries out of slot 0 into slot 1, and from there to 2.
 *
 * An exclusion constraint: whoever inserts a row waits while another transaction has inserted one
 * that overlaps and has not ended; then ON CONFLICT DO NOTHING does nothing if that committed.
 * A rescue and a carry wait no longer than their lock_timeout, so they may give up at any wait.
 *
 * holds: an attempt ends once; of all answers that say "you closed it", one is given for each
 * holds: nobody is told "stale" of an attempt that is still open
 * holds: no circle of waits; in the end every attempt has ended
 *
 * run FLUSH: the flush twice, the handler, the rescue
 * run CANCEL: the flush, the handler, the cancel, the rescue
 * run CARRY: the flush twice, the rescue, two carries
 * run HANDLER: the handler, the cancel, two carries
 *
 * twin NO_EXCLUSION FLUSH: who closes looks first and inserts then, without the constraint
 * twin NO_ORDER FLUSH: the repeated flush inserts its rows in the opposite order
 * twin NO_OTHER_SLOTS CARRY: a close looks in the slot that the worker remembers only
 * twin NO_LOOK_AGAIN CARRY: a close looks once for where its attempts were carried
 * twin NO_CARRIED_MARK CARRY: a carry does not close what it carries in the old slot
 */
#if defined(FLUSH)
#define CARRIES 0
#define OTHERS 4
#elif defined(CANCEL)
#define CARRIES 0
#define OTHERS 4
#elif defined(CARRY)
#define CARRIES 2
#define OTHERS 3
#else
#define CARRIES 2
#define OTHERS 2
#endif

/* A `skip` stands where Spin wants no d_step right behind a loop. */
#define SLOTS 3
#define HANDLER_RETRIES 3

/* Per slot: sets of positions, as committed. */
byte claims[SLOTS]; /* held by the claim */
byte closed[SLOTS]; /* closures, carried ones too */
byte writing[SLOTS]; /* closures of transactions that have not ended */

byte ended = 0;    /* ghost: attempts that ended */
byte accepted = 0; /* ghost: attempts of which a flush was told that it closed them */
byte over = 0;     /* processes that came to their end, without the carries */
byte carried = 0;

/* Attempts that are open, wherever they are. */
#define OPEN                                                                            \
    ((claims[0] & ~closed[0]) | (claims[1] & ~closed[1]) | (claims[2] & ~closed[2]))

#define VARIABLES                                                                       \
    byte mine[SLOTS]; /* closures of this transaction */                                \
    byte held = 0, open = 0, done = 0, slot = 0, p = 0, slots = 0

/* One round of awa.add_closure(): the INSERT. Waits; closed as far as nobody else did. */
inline insert_closure(s, impatient)
{
#ifdef NO_EXCLUSION
    done = done | open;
    mine[s] = mine[s] | open;
    open = 0
#else
    if
    :: d_step {
        (writing[s] & ~mine[s] & open) == 0 ->
        if
        :: (closed[s] & open) == 0 ->
            writing[s] = writing[s] | open;
            mine[s] = mine[s] | open;
            done = done | open;
            open = 0
        :: else
        fi;
        skip
    }
    :: impatient && (writing[s] & ~mine[s] & open) != 0 -> open = 0 /* lock_timeout */
    fi
#endif
}

/* awa.add_closure(): `open` in slot s. */
inline add_closure(s, impatient)
{
    do
    :: open != 0 ->
        insert_closure(s, impatient);
        open = open & ~closed[s] /* closed_positions() */
    :: else -> break
    od
}

inline forget()
{
    mine[0] = 0; mine[1] = 0; mine[2] = 0;
    held = 0; open = 0; slot = 0; p = 0; slots = 0
}

inline roll_back()
{
    d_step {
        writing[0] = writing[0] & ~mine[0];
        writing[1] = writing[1] & ~mine[1];
        writing[2] = writing[2] & ~mine[2];
        done = 0;
        forget()
    }
}

/* What this transaction closed has ended. */
inline commit()
{
    assert((ended & done) == 0);
    ended = ended | done;
    closed[0] = closed[0] | mine[0];
    closed[1] = closed[1] | mine[1];
    closed[2] = closed[2] | mine[2];
    writing[0] = writing[0] & ~mine[0];
    writing[1] = writing[1] & ~mine[1];
    writing[2] = writing[2] & ~mine[2];
    forget()
}

/* awa.complete_jobs(): both positions, in a remembered slot; then wherever they were carried. */
inline complete_jobs(first)
{
    done = 0;
    p = 0;
    do
    :: p < 2 ->
        open = claims[0] & (1 << (p ^ first)); /* held_positions() */
        add_closure(0, false);
        p++
    :: else -> break
    od;
#ifndef NO_OTHER_SLOTS
    do
    :: done != 3 ->
        /* complete_carried(): in which other slots does the claim hold something? */
        d_step { slots = 2 * (claims[1] != 0) + 4 * (claims[2] != 0); held = 0; slot = 1 }
        do
        :: slot < SLOTS ->
            if
            :: slots & (1 << slot) ->
                p = 0;
                do
                :: p < 2 ->
                    open = claims[slot] & ~done & (1 << (p ^ first));
                    add_closure(slot, false);
                    p++
                :: else -> break
                od
            :: else
            fi;
            slot++
        :: else -> break
        od;
#ifdef NO_LOOK_AGAIN
        break
#else
        /* Again, unless all that it did not close has been closed by others: open_in_slots(). */
        if
        :: (OPEN & ~done & ~(mine[0] | mine[1] | mine[2])) == 0 -> break
        :: else
        fi
#endif
    :: else -> break
    od;
#endif
    skip
}

proctype flush(byte first)
{
    VARIABLES;

    complete_jobs(first);
    if
    :: d_step {
        assert((OPEN & ~done) == 0); /* the others are told to be stale */
        assert((accepted & done) == 0);
        accepted = accepted | done;
        commit();
        done = 0;
        over++
    }
    :: roll_back(); over++ /* the connection was lost before the commit */
    fi
}

/* awa.complete_job() for position 1, with the handler's own writes */
proctype handler()
{
    VARIABLES;
    bool none = false;

    p = 0;
    do
    :: p < HANDLER_RETRIES && done == 0 && !none ->
        d_step { /* open_in_slots() */
            slot = 0;
            do
            :: slot < SLOTS && !(claims[slot] & ~closed[slot] & 2) -> slot++
            :: else -> break
            od;
            open = 2;
            none = slot == SLOTS
        }
        if
        :: none
        :: else -> add_closure(slot, false)
        fi;
        p++
    :: else -> break
    od;
    if
    :: done != 0 -> d_step { commit(); done = 0; over++ }
    :: done == 0 -> d_step { assert((OPEN & 2) == 0); forget(); over++ } /* JQ003 */
    :: roll_back(); over++
    fi;
    none = false
}

/* awa.rescue_jobs(): open_positions() by slot, then end_attempts(). */
proctype rescue()
{
    VARIABLES;

    held = (claims[0] != 0) + 2 * (claims[1] != 0) + 4 * (claims[2] != 0);
    do
    :: slot < SLOTS ->
        if
        :: held & (1 << slot) ->
            p = 0;
            do
            :: p < 2 ->
                open = claims[slot] & ~closed[slot] & (1 << p);
                add_closure(slot, true);
                p++
            :: else -> break
            od
        :: else
        fi;
        slot++
    :: else -> break
    od;
    skip;
    d_step { commit(); done = 0; over++ }
}

/* awa.cancel_job() of position 0, which runs */
proctype canceller()
{
    VARIABLES;

    do
    :: done == 0 && slot < SLOTS ->
        d_step { /* get_job() */
            slot = 0;
            do
            :: slot < SLOTS && !(claims[slot] & ~closed[slot] & 1) -> slot++
            :: else -> break
            od;
            open = 1
        }
        if
        :: slot < SLOTS -> add_closure(slot, false)
        :: else
        fi
    :: else -> break
    od;
    skip;
    d_step { commit(); done = 0; over++ }
}

/* awa.carry_lane() for both lanes */
proctype carry(byte from)
{
    VARIABLES;

    carried == from; /* a slot is sealed when the next one has been opened */
    held = 0;
    do
    :: p < 2 ->
        open = claims[from] & ~closed[from] & (1 << p);
#ifdef NO_CARRIED_MARK
        held = held | open;
        open = 0;
#else
        done = 0;
        add_closure(from, true);
        held = held | done;
#endif
        p++
    :: else -> break
    od;
    skip;
    d_step {
        claims[from + 1] = claims[from + 1] | held;
        done = 0;
        commit();
        carried++
    }
}

/* A flush is repeated until its answer has come. */
proctype rest()
{
    VARIABLES;

    atomic {
        over == OTHERS && carried == CARRIES ->
        complete_jobs(0);
        commit();
        assert(ended == 3)
    }
}

init {
    atomic {
        claims[0] = 3;
#if defined(FLUSH)
        run flush(0);
#ifdef NO_ORDER
        run flush(1);
#else
        run flush(0);
#endif
        run handler();
        run rescue();
#elif defined(CANCEL)
        run flush(0);
        run handler();
        run canceller();
        run rescue();
#elif defined(CARRY)
        run flush(0);
        run flush(0);
        run rescue();
        run carry(0);
        run carry(1);
#else
        run handler();
        run canceller();
        run carry(0);
        run carry(1);
#endif
        run rest()
    }
}
