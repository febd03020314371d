/* SPDX-License-Identifier: MIT */
/*
 * Crash: a server that forgets what was not flushed. Producers and claims commit without waiting
 * for the disk (synchronous_commit = off), closes wait. The log keeps the order in which things
 * were written; a crash keeps some prefix of it, at least what was flushed, and ends all sessions.
 * nextval() writes to the same log: what the log forgets, a sequence hands out again. (It logs 32
 * values ahead; one at a time is the worst case.)
 *
 * A worker keeps what it was told and may say so long afterwards: the zombie. Its handler goes on
 * through the crash. After one the worker registers under a new random number.
 *
 * holds: a close is accepted only from the attempt that holds the job now
 * holds: what was acknowledged as closed stays closed
 * holds: a position that is handed out again lies above the cursor, and no entry has it
 * holds: a claim id that is handed out again lies above that of the lane's head
 *
 * run: 2 jobs, 2 workers of 2 claims and 2 closes each, a crash
 * run SEQUENCE: 3 draws that may roll back, a worker of 2 claims and 2 closes, 2 crashes
 *
 * twin NO_FENCE_WORKER: the fence compares claim and position only
 * twin NO_NEW_NUMBER: a worker keeps its number when the server has restarted
 * twin NO_DURABLE_CLOSE: a close commits without waiting for the disk
 */
#define BIT(p) (1 << (p))
#define BELOW(p) (BIT(p) - 1)

#ifdef SEQUENCE
#define FIRST 0 /* entries that are there and flushed */
#define DRAWS 3
#define POSITIONS 3
#define ACTS 2
#define CRASHES 2
#define LOG 12
#else
#define FIRST 2
#define DRAWS 0
#define POSITIONS 2
#define ACTS 2
#define CRASHES 1
#define LOG 12
#endif

/* Records of the log. */
#define POSITION 1 /* a: the sequence of the lane */
#define ENTRY 2    /* a: position */
#define CLAIM_ID 3 /* a: the sequence of claims */
#define CLAIM 4    /* a: position, b: claim, c: worker, g: ghost, the how manieth of the position */
#define CLOSE 5    /* a: position */
byte kind[LOG], log_a[LOG], log_b[LOG], log_c[LOG], log_g[LOG];
byte written = 0, flushed = 0; /* records */

/* What the records amount to. */
byte drawn = 0, ids = 0;             /* sequences */
byte entries = 0, closed = 0;        /* sets of positions */
byte claim[POSITIONS], holder[POSITIONS], nth[POSITIONS];
byte cursor = 0, head = 0;

byte server = 0;                 /* which life of the server */
byte numbers = 0;                /* random numbers that were used up */
byte claimed[POSITIONS];         /* ghost: how often a position was claimed */
byte acknowledged = 0;           /* ghost: positions of which somebody was told that they closed */
byte over = 0;

inline write(k, a, b, c, g)
{
    kind[written] = k;
    log_a[written] = a;
    log_b[written] = b;
    log_c[written] = c;
    log_g[written] = g;
    written++
}

/* What record i does to the tables and sequences. */
inline apply(i)
{
    if
    :: kind[i] == POSITION -> drawn = log_a[i]
    :: kind[i] == ENTRY -> entries = entries | BIT(log_a[i])
    :: kind[i] == CLAIM_ID -> ids = log_a[i]
    :: kind[i] == CLAIM ->
        claim[log_a[i]] = log_b[i];
        holder[log_a[i]] = log_c[i];
        nth[log_a[i]] = log_g[i];
        cursor = log_a[i] + 1;
        head = log_b[i]
    :: kind[i] == CLOSE -> closed = closed | BIT(log_a[i])
    fi
}

proctype producer()
{
    byte draws = 0, pos = 0, life = 0;

    do
    :: draws < DRAWS && drawn < POSITIONS ->
        d_step { /* nextval() */
            draws++;
            life = server;
            pos = drawn;
            assert(pos >= cursor && !(entries & BIT(pos)));
            write(POSITION, pos + 1, 0, 0, 0);
            apply(written - 1)
        }
        if
        :: d_step { server == life -> write(ENTRY, pos, 0, 0, 0); apply(written - 1) }
        :: server != life
#ifdef SEQUENCE
        :: true /* ROLLBACK */
#endif
        fi
    :: else -> break
    od;
    over++
}

#define MAY_CLAIM(p) ((entries & BIT(p)) && cursor <= (p))

/* awa.complete_jobs() for what the worker remembers; then it forgets. */
inline close(at, id, number, how)
{
    closes++;
    if
    :: (entries & BIT(at)) && cursor > at && claim[at] == id &&
#ifndef NO_FENCE_WORKER
       holder[at] == number &&
#endif
       !(closed & BIT(at)) ->
        assert(nth[at] == how);
        write(CLOSE, at, 0, 0, 0);
        apply(written - 1);
#ifndef NO_DURABLE_CLOSE
        flushed = written;
#endif
        acknowledged = acknowledged | BIT(at)
    :: else /* stale */
    fi;
    at = 0;
    id = 0;
    number = 0;
    how = 0
}

proctype worker()
{
    byte claims = 0, closes = 0;
    byte number = 0, life = 0;             /* registered so, in that life of the server */
    byte a_pos = 0, a_claim = 0, a_worker = 0, a_nth = 0; /* the attempt that it runs */
    byte z_pos = 0, z_claim = 0, z_worker = 0, z_nth = 0; /* one from before the crash */

    d_step { numbers++; number = numbers }
    do
    :: life != server -> d_step { /* it registers again */
        life = server;
        z_pos = a_pos; z_claim = a_claim; z_worker = a_worker; z_nth = a_nth;
        a_pos = 0; a_claim = 0; a_worker = 0; a_nth = 0;
#ifndef NO_NEW_NUMBER
        numbers++;
        number = numbers;
#endif
        skip
    }
    :: claims < ACTS && life == server && a_worker == 0 -> d_step {
        claims++;
        a_pos = 0;
        do
        :: a_pos < POSITIONS && !MAY_CLAIM(a_pos) -> a_pos++
        :: else -> break
        od;
        if
        :: a_pos < POSITIONS ->
            assert(ids + 1 > head);
            write(CLAIM_ID, ids + 1, 0, 0, 0);
            apply(written - 1);
            claimed[a_pos]++;
            write(CLAIM, a_pos, ids, number, claimed[a_pos]);
            apply(written - 1);
            a_claim = ids;
            a_worker = number;
            a_nth = claimed[a_pos]
        :: else -> a_pos = 0
        fi
    }
    :: a_worker != 0 && closes < ACTS -> d_step { close(a_pos, a_claim, a_worker, a_nth) }
    :: z_worker != 0 && closes < ACTS -> d_step { close(z_pos, z_claim, z_worker, z_nth) }
    :: claims == ACTS && life == server &&
       (a_worker == 0 && z_worker == 0 || closes == ACTS) -> break
    :: over == 3 -> break
    od;
    over++
}

proctype crash()
{
    byte crashes = 0, i = 0;

    do
    :: crashes < CRASHES ->
        atomic {
            i = flushed;
            do
            :: i < written -> i++ /* in the background some more was flushed */
            :: break
            od;
            written = i;
            flushed = i;
            crashes++;
            server++;
            drawn = FIRST; ids = 0; entries = BELOW(FIRST); closed = 0; cursor = 0; head = 0;
            i = 0;
            do
            :: i < POSITIONS -> claim[i] = 0; holder[i] = 0; nth[i] = 0; i++
            :: else -> break
            od;
            i = 0;
            do
            :: i < written -> apply(i); i++
            :: i >= written && i < LOG ->
                kind[i] = 0; log_a[i] = 0; log_b[i] = 0; log_c[i] = 0; log_g[i] = 0; i++
            :: i == LOG -> break
            od;
            i = 0;
            assert((acknowledged & ~closed) == 0)
        }
    :: else -> break
    :: over == 3 -> break
    od
}

init {
    atomic {
        drawn = FIRST;
        entries = BELOW(FIRST);
#ifdef SEQUENCE
        over++;
        run producer();
#else
        over++;
        run worker();
#endif
        run worker();
        run crash()
    }
}
