/* SPDX-License-Identifier: MIT */
/*
 * Rescue: what a worker holds when it is given up for dead, while a claim of it is in flight, a
 * handler of it is ending position 0 in its own transaction, and the leader carries the entries
 * out of slot 0 into slot 1. The worker claims position 0, then position 1; it may be found dead
 * at any moment. Once the rescue has marked it as empty nobody looks at it again.
 *
 * Or the worker lives and loses the answers to its claims, from some moment on, and gives back
 * what it does not know of, while both of its claims may still be in flight. Once it is told that
 * this is done, it does not ask again.
 *
 * holds: a worker that is marked as empty holds no open attempt, and never will
 * holds: a worker that is told so holds no open attempt but those it knows of, and never will
 * holds: an attempt ends once; in the end a rescue that goes on has ended all
 *
 * run: two claims, a handler, two leaders that rescue, a carry
 * run RECONCILE: two claims, a handler, a leader that rescues, a carry, and the worker gives back
 *
 * twin NO_FENCE_LOCK: a claim does not hold the worker's lock
 * twin NO_ENDED_CHECK: a claim does not ask whether its worker was given up
 * twin NO_SECOND_LOOK: the rescue marks the worker as empty without looking once more
 * twin NO_ONE_SNAPSHOT: a look reads claims in one statement and closures in another
 * twin NO_RECONCILE_LOCK RECONCILE: what is given back is looked for without the worker's lock
 * twin NO_STOP RECONCILE: a worker that has given back goes on claiming under its number
 * twin NO_LOOK_BACK RECONCILE: the worker is told so without another look
 * twin NO_KNOWN RECONCILE: what the worker knows of is given back as well
 */
byte claims[2], closed[2], writing[2]; /* per slot: held by the worker; closures; in flight */
bool worker_ended = false, worker_empty = false; /* the columns of awa.workers */
byte claiming = 0;                               /* the worker's lock, shared */
bool rescuing = false;                           /* and exclusive */
byte known = 0;                                  /* positions whose claims were answered */
bool lost = false;                               /* no answer comes any more */
bool no_queues = false;                          /* the worker's queues were taken away */
bool reconciled = false;                         /* and it was told so */
byte ended = 0;                                  /* ghost */
byte over = 0;
#define OTHERS 5

#define OPEN ((claims[0] & ~closed[0]) | (claims[1] & ~closed[1]))

inline check()
{
    assert(!worker_empty || OPEN == 0);
    assert(!reconciled || (OPEN & ~known) == 0)
}

/* awa.claim_jobs(), of the positions 0 and 1 */
proctype claimer()
{
    byte pos = 0;
    bool refused = false;

    do
    :: pos < 2 && !refused ->
#ifndef NO_FENCE_LOCK
        atomic { !rescuing -> claiming++ } /* enter_worker() */
#endif
#ifndef NO_ENDED_CHECK
        refused = worker_ended || no_queues;
#endif
        d_step { /* the write, its commit, and the answer */
            claims[0] = (refused -> claims[0] : claims[0] | (1 << pos));
            known = (refused || lost -> known : known | (1 << pos));
#ifndef NO_FENCE_LOCK
            claiming--;
#endif
            pos++;
            check()
        }
    :: else -> break
    od;
    over++
}

/* awa.complete_job() of position 0, in the slot where it is */
proctype handler()
{
    byte slot = 0;

    if
    :: d_step { (claims[0] & ~closed[0] & 1) && !(writing[0] & 1) -> slot = 0; writing[0] = writing[0] | 1 }
    :: d_step { (claims[1] & ~closed[1] & 1) && !(writing[1] & 1) -> slot = 1; writing[1] = writing[1] | 1 }
    :: over >= 1 && slot == 0 -> slot = 2
    fi;
    if
    :: slot < 2 -> d_step {
        assert(!(ended & 1));
        ended = ended | 1;
        closed[slot] = closed[slot] | 1;
        writing[slot] = writing[slot] & ~1;
        check()
    }
    :: slot < 2 -> writing[slot] = writing[slot] & ~1
    :: slot == 2
    fi;
    over++
}

/* awa.open_positions(), without what this transaction has closed itself */
inline look()
{
#ifdef NO_ONE_SNAPSHOT
    d_step { held[0] = claims[0]; held[1] = claims[1] }
    held[0] = held[0] & ~closed[0] & ~mine[0];
    held[1] = held[1] & ~closed[1] & ~mine[1]
#else
    d_step {
        held[0] = claims[0] & ~closed[0] & ~mine[0];
        held[1] = claims[1] & ~closed[1] & ~mine[1]
    }
#endif
}

/* awa.try_end_attempts() in a slot: nothing, if it had to wait too long; else one by one */
inline end_attempts(s, p)
{
    d_step {
        mine[s] = mine[s] | (1 << p) & held[s] & ~closed[s] & ~writing[s];
        writing[s] = writing[s] | mine[s]
    }
}

/* the commit */
inline end_mine()
{
    ended = ended | mine[0] | mine[1];
    closed[0] = closed[0] | mine[0];
    closed[1] = closed[1] | mine[1];
    writing[0] = writing[0] & ~mine[0];
    writing[1] = writing[1] & ~mine[1]
}

inline forget()
{
    mine[0] = 0; mine[1] = 0; held[0] = 0; held[1] = 0
}

/* awa.rescue_jobs() */
inline rescue()
{
    if
    :: d_step { claiming == 0 && !rescuing && !worker_empty -> rescuing = true }
        look();
        end_attempts(0, 0);
        end_attempts(0, 1);
        end_attempts(1, 0);
        end_attempts(1, 1);
#ifdef NO_SECOND_LOOK
        d_step { held[0] = 0; held[1] = 0 }
#else
        look();
#endif
        d_step {
            assert((ended & (mine[0] | mine[1])) == 0);
            end_mine();
            worker_ended = true;
            worker_empty = (held[0] | held[1]) == 0;
            check();
            rescuing = false;
            forget()
        }
    :: claiming > 0 || rescuing || worker_empty /* a claim is in flight: next time */
    fi
}

proctype leader()
{
    byte held[2], mine[2];

    rescue();
    over++
}

/* awa.reconcile_worker() */
inline reconcile()
{
    if
#ifdef NO_RECONCILE_LOCK
    :: true
#else
    :: d_step { claiming == 0 && !rescuing -> rescuing = true }
#endif
        look();
#ifndef NO_KNOWN
        d_step { held[0] = held[0] & ~known; held[1] = held[1] & ~known }
#endif
        end_attempts(0, 0);
        end_attempts(0, 1);
        end_attempts(1, 0);
        end_attempts(1, 1);
#ifdef NO_LOOK_BACK
        d_step { held[0] = 0; held[1] = 0 }
#else
        look();
#endif
        d_step {
            assert(((ended | known) & (mine[0] | mine[1])) == 0);
            end_mine();
#ifndef NO_STOP
            no_queues = true;
#endif
            reconciled = ((held[0] | held[1]) & ~known) == 0;
            check();
#ifndef NO_RECONCILE_LOCK
            rescuing = false;
#endif
            forget()
        }
    :: claiming > 0 || rescuing /* asked again later */
    fi
}

proctype worker()
{
    byte held[2], mine[2];

    lost = true;
    reconcile();
    over++
}

/* awa.carry_lane(): what runs in slot 0, with its claim, into slot 1; may come to nothing */
proctype carry()
{
    byte mine = 0;

    if
    :: d_step {
        claims[0] != 0 ->
        mine = claims[0] & ~closed[0] & ~writing[0];
        writing[0] = writing[0] | mine
    }
    :: claims[0] == 0 && over >= 3
    fi;
    d_step {
        closed[0] = closed[0] | mine;
        writing[0] = writing[0] & ~mine;
        claims[1] = claims[1] | mine;
        mine = 0;
        over++;
        check()
    }
}

proctype rest()
{
    byte held[2], mine[2];

    atomic {
        over == OTHERS;
#ifdef RECONCILE
        do
        :: !reconciled -> reconcile()
        :: else -> break
        od;
#endif
        do
        :: !worker_empty -> rescue()
        :: else -> break
        od;
        assert(OPEN == 0)
    }
}

init {
    atomic {
        run claimer();
        run handler();
        run leader();
#ifdef RECONCILE
        run worker();
#else
        run leader();
#endif
        run carry();
        run rest()
    }
}
