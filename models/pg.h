/* SPDX-License-Identifier: MIT */
/*
 * PostgreSQL as the models see it, for the models in which transaction ids matter.
 *
 * A transaction id is assigned at the first write and not earlier. A snapshot knows the newest
 * id that has completed; whatever is younger is invisible to it, and its xmin is the oldest id
 * that still runs, but never above newest completed + 1: ids beyond it are running, and not seen.
 * A commit makes all that a transaction wrote visible at once, and then gives its locks back;
 * here both are one step. A statement of READ COMMITTED takes a new snapshot.
 */
#define BIT(p) (1 << (p))

byte next_xid = 1;
byte newest_completed = 0;
short running = 0; /* set of ids */

inline assign_xid(x)
{
    next_xid = next_xid + (x == 0);
    x = (x == 0 -> next_xid - 1 : x);
    running = running | BIT(x)
}

inline end_xid(x)
{
    running = running & ~BIT(x);
    newest_completed = (x > newest_completed -> x : newest_completed)
}

/* pg_snapshot_xmin(pg_current_snapshot()) */
inline snapshot_xmin(x)
{
    x = 1;
    do
    :: x <= newest_completed && !(running & BIT(x)) -> x++
    :: else -> break
    od;
    skip
}
