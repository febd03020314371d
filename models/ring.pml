/* SPDX-License-Identifier: MIT */
/*
 * The ring: rotate, checkpoint, carry forward, prune, against producers, a claimer and a worker
 * that closes; three slots, one lane. Leadership may overlap (lead.pml), so there are two leaders.
 *
 * A slot stands for its children of all ringed tables. A lane's head is a set: the positions that
 * no claim will look at again (gaps.pml shows that cursor and gaps describe it). Whatever names
 * awa.current_slot() does so in the snapshot of its statement, and waits for the lock of the child
 * only then. Locks on children last to the end of the transaction: readers of claims have
 * ACCESS SHARE on all of them, writers ROW EXCLUSIVE on one. The leaders' tasks do not wait.
 *
 * holds: of every committed job that has not ended there is exactly one living entry
 * holds: of every job that runs, the claim lies with the living entry
 * holds: the head of the lane never goes back, so no job is handed out twice
 * holds: the worker that holds a job can close it, wherever it was carried
 *
 * run WORK: a job that waits, a producer, 2 claims, a worker, a leader of 2 turns
 * run HEADS: a producer, 4 claims, a leader of 2 turns
 * run LEADERS: a job that waits, a claim, a worker, two leaders of 2 turns and 1 turn
 *
 * twin NO_SHARE WORK: a prune looks for living entries without SHARE on the slot's entries
 * twin NO_EXCLUSIVE HEADS: a prune looks for heads before it has ACCESS EXCLUSIVE
 * twin NO_ALIVE_CHECK WORK: a prune does not look for living entries
 * twin NO_HEAD_CHECK WORK: a prune does not look for heads
 * twin NO_CARRY_LOCK WORK: a carry does without the lock of the lane
 * twin NO_CARRY_CLAIM WORK: a carry copies a running entry without its claim
 * twin NO_CARRY_POS WORK: a carry gives a running entry a new position
 * twin NO_CARRY_WORKER WORK: a carry writes the claim in another worker's name
 * twin NO_CARRY_CLOSURE WORK: a carry does not close what runs in the old slot
 * twin NO_CARRY_TOMBSTONE WORK: a carry does not withdraw what waits in the old slot
 * twin NO_ONE_SLOT LEADERS: each statement of a carry asks for the current slot anew
 */
#define SLOTS 3
#define BIT(p) (1 << (p))

#if defined(WORK)
#define CLAIMS 2
#elif defined(HEADS)
#define CLAIMS 4
#else
#define CLAIMS 1
#endif

/* As committed, per slot: sets of positions 0 and 1. */
byte entries[SLOTS], tombstones[SLOTS], closures[SLOTS];
byte claims[SLOTS];  /* held by the worker */
byte head_id[SLOTS]; /* the newest claim of the slot, 0: none */
byte head_seen[SLOTS];
byte current = 0; /* slot */

/* What was written with a claim, for those who copy it. */
byte claim_id[2], claim_seen[2];
byte next_id = 1;

/* Locks. */
bool lane = false, maintenance = false;
byte readers = 0;             /* ACCESS SHARE on all children */
byte users[SLOTS];            /* other transactions with a lock on the slot */
byte inserting[SLOTS];        /* ROW EXCLUSIVE on its entries */
bool share[SLOTS];            /* SHARE on its entries */
bool exclusive[SLOTS];        /* ACCESS EXCLUSIVE on all of it */
byte closing[SLOTS];          /* closures in flight: the exclusion constraint */

byte committed = 0, ended = 0, handed = 0; /* ghosts */

#define ALIVE(s) (entries[s] & ~tombstones[s] & ~closures[s])
#define RUNS(s) (ALIVE(s) & claims[s])
#define LIVING (committed & ~ended)
#define NEWEST                                                                           \
    (head_id[0] >= head_id[1] && head_id[0] >= head_id[2]                                \
         -> 0 : (head_id[1] >= head_id[2] -> 1 : 2))

inline check()
{
    assert((ALIVE(0) & ALIVE(1)) == 0 && (ALIVE(0) & ALIVE(2)) == 0 && (ALIVE(1) & ALIVE(2)) == 0);
    assert((ALIVE(0) | ALIVE(1) | ALIVE(2)) == LIVING);
    assert((handed & ~ended & ~(RUNS(0) | RUNS(1) | RUNS(2))) == 0);
    assert((handed & ~head_seen[NEWEST]) == 0);
    assert(head_id[NEWEST] == next_id - 1)
}

proctype producer(byte job)
{
    byte slot = 0;

    slot = current; /* its own statement, or that of the INSERT */
    d_step { !share[slot] && !exclusive[slot] -> inserting[slot]++; users[slot]++ }
    d_step {
        entries[slot] = entries[slot] | BIT(job);
        committed = committed | BIT(job);
        inserting[slot]--;
        users[slot]--;
        check()
    }
}

/* awa.claim_jobs(), one position; if there is none it may write its head alone */
proctype claimer()
{
    byte calls = 0, seen = 0, slot = 0, pos = 0;

    do
    :: calls < CLAIMS ->
        calls++;
        d_step {
            !lane && !exclusive[0] && !exclusive[1] && !exclusive[2] ->
            lane = true;
            readers++;
            seen = head_seen[NEWEST]
        }
        d_step { /* the search */
            pos = 0;
            do
            :: pos < 2 && !((entries[0] & ~tombstones[0] | entries[1] & ~tombstones[1] |
                             entries[2] & ~tombstones[2]) & ~seen & BIT(pos)) -> pos++
            :: else -> break
            od;
            slot = 0;
            do
            :: pos < 2 && !(entries[slot] & ~tombstones[slot] & BIT(pos)) -> slot++
            :: else -> break
            od;
            skip
        }
        if
        :: pos < 2 -> d_step { /* COMMIT */
            assert(!(handed & BIT(pos)));
            handed = handed | BIT(pos);
            claims[slot] = claims[slot] | BIT(pos);
            head_id[slot] = next_id;
            head_seen[slot] = seen | BIT(pos);
            claim_id[pos] = next_id;
            claim_seen[pos] = seen | BIT(pos);
            next_id++;
            check();
            lane = false;
            readers--
        }
        :: pos == 2 ->
            slot = current; /* the statement's snapshot; then it gets its lock on the child */
            d_step {
                head_id[slot] = next_id;
                head_seen[slot] = seen;
                next_id++;
                check();
                lane = false;
                readers--
            }
        :: pos == 2 -> d_step { lane = false; readers-- }
        fi;
        d_step { slot = 0; pos = 0; seen = 0 }
    :: else -> break
    od
}

/* Closes position 0. */
proctype worker()
{
    byte slot = 0;
    bool done = false;

    (handed & 1) || next_id > 1;
    do
    :: (handed & 1) && !done ->
        d_step { /* open_in_slots() */
            !exclusive[0] && !exclusive[1] && !exclusive[2] ->
            slot = (claims[0] & ~closures[0] & 1
                    -> 0 : (claims[1] & ~closures[1] & 1 -> 1 : 2));
            assert(claims[slot] & ~closures[slot] & 1); /* else it would be told "stale" */
            readers++
        }
        d_step { /* INSERT, which waits for a carry in flight */
            !(closing[slot] & 1) ->
            done = !(closures[slot] & 1);
            closing[slot] = (done -> closing[slot] | 1 : closing[slot])
        }
        d_step {
            closures[slot] = (done -> closures[slot] | 1 : closures[slot]);
            closing[slot] = (done -> closing[slot] & ~1 : closing[slot]);
            ended = (done -> ended | 1 : ended);
            readers--;
            check()
        }
    :: else -> break
    od;
    slot = 0
}

#define BYTES(s) (entries[s] | tombstones[s] | closures[s] | head_id[s])

/* awa.rotate_ring() */
inline rotate()
{
    d_step {
        to = SLOTS;
        if
        :: !maintenance && BYTES(current) != 0 ->
            to = 0;
            do
            :: to < SLOTS && (to == current || BYTES(to) != 0 || users[to] != 0) -> to++
            :: else -> break
            od
        :: else
        fi;
        current = (to < SLOTS -> to : current);
        to = 0
    }
}

/* awa.checkpoint_heads() */
inline checkpoint(s)
{
    if
    :: d_step {
        s != current && !lane && head_id[s] != 0 && s == NEWEST &&
        !exclusive[0] && !exclusive[1] && !exclusive[2] ->
        lane = true;
        readers++;
        id = head_id[s];
        seen = head_seen[s]
    }
        to = current; /* the INSERT's snapshot; then it gets its lock on the child */
        d_step {
            head_seen[to] = (id >= head_id[to] -> seen : head_seen[to]);
            head_id[to] = (id >= head_id[to] -> id : head_id[to]);
            check();
            lane = false;
            readers--;
            id = 0; seen = 0; to = 0
        }
    :: else
    fi
}

/* The slot into which the next statement of a carry writes. */
inline write_to(slot)
{
#ifdef NO_ONE_SLOT
    slot = current
#else
    slot = to
#endif
}

/* awa.carry_forward(): one transaction; it gives up where it would wait long */
inline carry(s)
{
    if
    :: d_step { /* alive_entries() */
        s != current && !exclusive[s] && ALIVE(s) != 0 ->
        users[s]++;
        alive = ALIVE(s)
    }
        if
#ifdef NO_CARRY_LOCK
        :: true
#else
        :: d_step { !lane -> lane = true }
#endif
            to = current;
            d_step {
                running = alive & claims[s];
                waiting = alive & ~claims[s]
            }
            d_step { /* add_closure(): only what it closes itself */
                running = running & ~closures[s] & ~closing[s];
                closing[s] = closing[s] | running
            }
            write_to(to_entries);
            write_to(to_claims);
            d_step { waiting = waiting & ~tombstones[s] } /* add_tombstones() */
            if
            :: waiting != 0 && running == 0 -> write_to(to_entries)
            :: else
            fi;
            if
            :: d_step { /* COMMIT */
                !share[to_entries] && !exclusive[to_entries] && !exclusive[to_claims] ->
#ifndef NO_CARRY_CLOSURE
                closures[s] = closures[s] | running;
#endif
                closing[s] = closing[s] & ~running;
#ifndef NO_CARRY_TOMBSTONE
                tombstones[s] = tombstones[s] | waiting;
#endif
#ifdef NO_CARRY_POS
                entries[to_entries] = entries[to_entries] | waiting | running << 2;
                claims[to_claims] = claims[to_claims] | running << 2;
#else
                entries[to_entries] = entries[to_entries] | waiting | running;
#if defined(NO_CARRY_WORKER)
                claims[to_claims] = claims[to_claims] | running << 4;
#elif !defined(NO_CARRY_CLAIM)
                claims[to_claims] = claims[to_claims] | running;
#endif
#endif
                pos = 0;
                do
                :: pos < 2 ->
                    if
                    :: running & BIT(pos) && claim_id[pos] >= head_id[to_claims] ->
                        head_id[to_claims] = claim_id[pos];
                        head_seen[to_claims] = claim_seen[pos]
                    :: else
                    fi;
                    pos++
                :: else -> break
                od;
                pos = 0;
                check()
            }
            :: d_step { closing[s] = closing[s] & ~running } /* lock_timeout */
            fi;
#ifndef NO_CARRY_LOCK
            lane = false
#endif
#ifndef NO_CARRY_LOCK
        :: lane
#endif
        fi;
        d_step {
            users[s]--;
            alive = 0; running = 0; waiting = 0; to = 0; to_entries = 0; to_claims = 0
        }
    :: else
    fi
}

/* awa.prune_slot(): whatever is not as it should be, it comes back later */
inline prune(s)
{
    if
    :: d_step { !maintenance && s != current && BYTES(s) != 0 -> maintenance = true }
#ifndef NO_SHARE
        d_step { good = inserting[s] == 0; share[s] = good }
#else
        good = true;
#endif
#ifndef NO_ALIVE_CHECK
        good = good && ALIVE(s) == 0;
#endif
#if defined(NO_EXCLUSIVE)
        good = good && (head_id[s] == 0 || s != NEWEST);
#endif
        d_step { good = good && readers == 0 && users[s] == 0; exclusive[s] = good }
#if !defined(NO_EXCLUSIVE) && !defined(NO_HEAD_CHECK)
        good = good && (head_id[s] == 0 || head_id[(s + 1) % 3] >= head_id[s] ||
                        head_id[(s + 2) % 3] >= head_id[s]);
#endif
        d_step {
            if
            :: good -> /* TRUNCATE */
                entries[s] = 0;
                tombstones[s] = 0;
                closures[s] = 0;
                claims[s] = 0;
                head_id[s] = 0;
                head_seen[s] = 0;
                check()
            :: else
            fi;
            share[s] = false;
            exclusive[s] = false;
            maintenance = false;
            good = false
        }
    :: else
    fi
}

proctype leader(byte turns)
{
    byte s = 0, to = 0, id = 0, seen = 0, pos = 0;
    byte alive = 0, running = 0, waiting = 0, to_entries = 0, to_claims = 0;
    bool good = false;

    do
    :: turns > 0 ->
        turns--;
        rotate();
        if
        :: s = 0
        :: s = 1
        :: s = 2
        fi;
        checkpoint(s);
        carry(s);
        prune(s);
        s = 0
    :: else -> break
    od
}

init {
    atomic {
#ifdef HEADS
        run producer(0);
#else
        entries[0] = 1; /* it waits */
        committed = 1;
        run worker();
#endif
#ifdef WORK
        run producer(1);
#endif
#ifdef LEADERS
        run leader(1);
#endif
        run leader(2);
        run claimer()
    }
}
