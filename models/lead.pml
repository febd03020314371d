/* SPDX-License-Identifier: MIT */
/*
 * Leadership: workers that ask awa.lead() now and then, sleep too long, resign, die. A clock of
 * small numbers that goes on at any moment; a lease of LEASE of them. The term is a row, seen when
 * committed; leader_until is a sequence, seen at once and kept by a rollback.
 *
 * What is promised: a worker that was told to lead knows it until the lease that it was given
 * has passed; that much is safe to believe. A task that takes longer may run beside those of the
 * next leader, so each task must be safe on its own (the other models).
 *
 * holds: no two workers believe at one moment that they lead
 * holds: a term belongs to one worker; terms rise; a leader that overslept learns that it is none
 *
 * run: 3 workers of 2 calls each, 5 ticks, a lease of 2
 *
 * twin NO_LOCK: a decision is taken without the lock
 * twin NO_LEASE: a leader is replaced although its lease has not passed
 * twin NO_TERM_CHECK: whoever asks renews the term, if it is his or not
 * twin NO_NOW_AFTER_LOCK: the time is read before the lock is obtained
 */
#define WORKERS 3
#define CALLS 2
#define LEASE 2
#define TICKS 5

byte now = 1;
byte until = 0;             /* awa.leader_until */
byte term = 0, term_of = 9; /* the newest row of awa.leaders */
bool lock = false;
byte believes[WORKERS];     /* until when a worker believes that it leads; 0: not at all */

inline at_most_one()
{
    assert((believes[0] > now) + (believes[1] > now) + (believes[2] > now) <= 1)
}

proctype clock()
{
    do
    :: now < TICKS -> now++
    :: else -> break
    od
}

proctype worker(byte me)
{
    byte calls = 0, v_now = 0, v_until = 0, v_term = 0, v_of = 9, lead = 0;

    do
    :: calls < CALLS ->
        calls++;
#ifdef NO_NOW_AFTER_LOCK
        v_now = now;
#endif
        if
#ifdef NO_LOCK
        :: true
#else
        :: d_step { !lock -> lock = true }
#endif
#ifndef NO_NOW_AFTER_LOCK
            v_now = now;
#endif
            v_until = until;
            d_step { v_term = term; v_of = term_of };
            lead = 1;
            if
#ifdef NO_TERM_CHECK
            :: v_of != 9
#else
            :: v_of == me
#endif
            :: else ->
#ifndef NO_LEASE
                if
                :: v_until > v_now && v_until <= v_now + LEASE -> lead = 0
                :: else
                fi;
#endif
                v_term = (lead -> v_term + 1 : v_term)
            fi;
            if
            :: lead -> until = v_now + LEASE /* setval(): seen at once */
            :: v_of == me -> d_step { believes[me] = 0; lead = 2; until = 0 } /* it resigns */
            :: else
            fi;
            if
            :: d_step { /* COMMIT */
                if
                :: lead == 1 ->
                    assert(v_term > term || v_term == term && term_of == me);
                    term = v_term;
                    term_of = me;
                    believes[me] = v_now + LEASE
                :: else -> believes[me] = 0
                fi;
                at_most_one();
                lock = false
            }
            :: d_step { lock = false } /* the session died: rolled back, nothing was told */
            fi
#ifndef NO_LOCK
        :: lock -> believes[me] = 0 /* another is just deciding */
#endif
        fi;
        d_step { v_now = 0; v_until = 0; v_term = 0; v_of = 9; lead = 0 }
    :: else -> break
    od
}

init {
    byte i = 0;

    atomic {
        run clock();
        do
        :: i < WORKERS -> run worker(i); i++
        :: else -> break
        od
    }
}
