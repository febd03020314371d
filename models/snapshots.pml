/* SPDX-License-Identifier: MIT */
/*
 * Old snapshots and the truncation of a slot, which takes rows away from every snapshot: one slot that
 * is opened, gets a job, loses it (closed, or carried into another slot) and is truncated; transactions
 * that take a snapshot at any moment, read by it later, and end. ring.pml has what else a prune asks.
 *
 * holds: whoever saw the job alive in his snapshot finds it in the slot whenever he looks
 * holds: a prune waits for nobody whose snapshot is older than the slot
 *
 * run: two readers, a leader that tries to prune again and again
 *
 * twin NO_WAIT: a prune waits for no snapshot
 * twin NO_ORDER: who has a snapshot is read before the look whether something lives in the slot
 * twin NO_SETTLED: a prune asks who has a snapshot, not who has had one since the job went
 * twin NO_OPENED: it does not leave out those who had one as the slot was opened
 */
#define READERS 2
#define BIT(p) (1 << (p))

bool open = false, truncated = false;
bool alive = false; /* the job, in this slot */
bool born = false;

/* Sets of readers: who has a snapshot now (awa.snapshot_holders()); what the table says. */
byte holders = 0, opened = 0, settled = 0;
bool known = false; /* settled IS NOT NULL */
byte older = 0;     /* ghost: whose snapshot is older than the slot */
byte ended = 0;

proctype reader(byte i)
{
    bool sees = false;

    d_step {
        holders = holders | BIT(i);
        older = (open -> older : older | BIT(i));
        sees = alive
    }
    d_step { assert(!sees || !truncated) }
    d_step { holders = holders & ~BIT(i); ended++ }
}

proctype job()
{
    open;
    d_step { alive = true; born = true }
    alive = false
}

proctype leader()
{
    byte now = 0, waits = 0;
    bool settles = false;

    d_step { opened = holders; open = true } /* awa.rotate_ring() */
    do
    :: !truncated ->
#ifdef NO_ORDER
        now = holders;
#endif
        d_step { settles = born && !alive; waits = 0 }
        if
        :: settles ->
#ifdef NO_ORDER
            d_step { settled = (known -> settled : now); known = true }
#else
            d_step { settled = (known -> settled : holders); known = true }
#endif
            d_step {
#if defined(NO_WAIT)
                waits = 0;
#elif defined(NO_SETTLED)
                waits = holders;
#elif defined(NO_OPENED)
                waits = holders & settled;
#else
                waits = holders & settled & ~opened;
#endif
                assert((waits & older) == 0)
            }
            if
            :: waits == 0 -> truncated = true
            :: else
            fi
        :: else
        fi
    :: truncated -> break
    od
}

init {
    byte i = 0;

    atomic {
        do
        :: i < READERS -> run reader(i); i++
        :: else -> break
        od;
        run job();
        run leader()
    }
}
