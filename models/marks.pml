/* SPDX-License-Identifier: MIT */
/*
 * Taking back a terminal job: two operators retry it, while the leader carries it out of slot 0
 * into slot 1 because it is kept. It failed (its entry has a closure) or was cancelled before
 * anybody ran it (its entry has a tombstone). The second mark takes an entry back; both kinds of
 * marks are unique, so who inserts one waits for another's and does nothing if that committed.
 *
 * holds: a job that was retried lives exactly once; one that was not is terminal exactly once
 *
 * run FAILED: two retries, a carry
 * run CANCELLED: two retries
 *
 * twin NO_MARK_RETRY FAILED: a retry goes on although the mark was not its own
 * twin NO_MARK_RETRY CANCELLED: the same for a cancelled job
 * twin NO_MARK_CARRY FAILED: a carry copies what it meant to mark, not what it marked
 * twin NO_RETRY_AGAIN FAILED: a retry that lost its mark to a carry does not look again
 */
bool entry[2], closure[2], tombstone[2]; /* per slot */
byte marking[2];                         /* transactions that are inserting the second mark */
byte lives = 0;                          /* new entries of the job */
byte over = 0;
byte gave_up = 0;

#define TERMINAL(s) (entry[s] && closure[s] != tombstone[s])

proctype retry()
{
    byte slot = 2;
    bool taken = false;

    do
    :: !taken ->
        slot = (TERMINAL(0) -> 0 : (TERMINAL(1) -> 1 : 2)); /* get_job() */
        if
        :: slot == 2 -> break
        :: else
        fi;
        d_step { /* add_tombstones() or add_closure() */
            !marking[slot] ->
            taken = !(closure[slot] && tombstone[slot]);
            marking[slot] = taken
        }
#if defined(NO_RETRY_AGAIN) || defined(NO_MARK_RETRY)
        break
#endif
    :: else -> break
    od;
#ifdef NO_MARK_RETRY
    if
    :: slot < 2 && !taken -> lives++
    :: else
    fi;
#endif
    if
    :: taken -> d_step { /* the new entry; COMMIT */
        marking[slot] = 0;
        closure[slot] = true;
        tombstone[slot] = true;
        lives++;
        over++
    }
    :: taken -> d_step { marking[slot] = 0; gave_up++; over++ } /* ROLLBACK: JQ004 */
    :: !taken -> over++
    fi
}

/* awa.carry_forward(), the part for failed jobs within their retention */
proctype carry()
{
    bool kept = false, mine = false;

    kept = TERMINAL(0); /* kept_entries() */
    if
    :: kept ->
        d_step { !marking[0] -> mine = !tombstone[0]; marking[0] = mine }
        d_step {
#ifdef NO_MARK_CARRY
            entry[1] = true;
            closure[1] = true;
#else
            entry[1] = mine;
            closure[1] = mine;
#endif
            tombstone[0] = true;
            marking[0] = (mine -> 0 : marking[0])
        }
    :: else
    fi;
    over++
}

#ifdef FAILED
#define OTHERS 3
#else
#define OTHERS 2
#endif

proctype judge()
{
    over == OTHERS;
    assert(lives <= 1);
    assert(lives + TERMINAL(0) + TERMINAL(1) == 1);
    assert(lives == 1 || gave_up == 2)
}

init {
    atomic {
        entry[0] = true;
#ifdef FAILED
        closure[0] = true;
        run carry();
#else
        tombstone[0] = true;
#endif
        run retry();
        run retry();
        run judge()
    }
}
