/* SPDX-License-Identifier: MIT */
/*
 * See interrupt.h. The handlers do all the work, and call only what a handler may call; PQcancel()
 * is meant for that. A cancel that comes before its statement has no effect, so it is repeated.
 */
#include "pg/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/clock.h"

enum {
    REPEAT_S = 1, /* between two cancels */
    LEAVE_S = 3,  /* for the last cancel */
};

enum mode { LEAVE, NOTE, NOTE_AND_CANCEL };

static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

static _Atomic(PGcancel *) statement;
static volatile sig_atomic_t mode = LEAVE;
static volatile sig_atomic_t came;       /* the first signal that was caught */
static volatile sig_atomic_t cancelling; /* the statement gets no more time */
static volatile sig_atomic_t leaving;    /* the signal that we shall die of */
static _Atomic int64_t last_ms;          /* when a signal last counted */
static int note = -1;                    /* eventfd */

/* ---- In the handlers --------------------------------------------------------------------- */

static void
cancel_statement(void)
{
    PGcancel *c = statement;
    char problem[256];

    if (c != NULL)
        (void)PQcancel(c, problem, sizeof problem);
}

static void
cancel_again_and_again(void)
{
    cancelling = 1;
    cancel_statement();
    (void)alarm(REPEAT_S);
}

void
interrupt_leave(int signal)
{
    static const struct sigaction standard = { .sa_handler = SIG_DFL };
    sigset_t set;

    (void)sigaction(signal, &standard, NULL);
    sigemptyset(&set);
    sigaddset(&set, signal);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)kill(getpid(), signal);
    _exit(128 + signal);
}

static void
cancel_and_leave(int signal)
{
    leaving = signal;
    (void)alarm(LEAVE_S);
    cancel_statement();
    interrupt_leave(signal);
}

static void
take_first(int signal)
{
    came = signal;
    (void)eventfd_write(note, 1);
    if (mode == NOTE_AND_CANCEL)
        (void)alarm(INTERRUPT_PATIENCE_S);
}

static void
handle(int signal)
{
    int64_t now = clock_ms();
    int saved = errno;

    if (mode == LEAVE)
        cancel_and_leave(signal);
    if (came != 0 && now - last_ms < INTERRUPT_ONE_MS)
        return;
    last_ms = now;
    if (came == 0)
        take_first(signal);
    else if (mode == NOTE_AND_CANCEL && !cancelling)
        cancel_again_and_again();
    else
        cancel_and_leave(signal);
    errno = saved;
}

static void
handle_alarm(int signal)
{
    int saved = errno;

    (void)signal;
    if (leaving != 0)
        interrupt_leave(leaving);
    cancel_again_and_again();
    errno = saved;
}

/* ---- Outside ----------------------------------------------------------------------------- */

/*
 * While a handler of these signals runs, the others are blocked. SIGALRM is not: it ends the
 * process if a cancel takes too long.
 */
void
interrupt_begin(void)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    struct sigaction on_alarm = { .sa_handler = handle_alarm, .sa_flags = SA_RESTART };
    struct sigaction old;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&action.sa_mask, numbers[i]);
    (void)sigaction(SIGALRM, &on_alarm, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(numbers[i], &action, NULL);
}

void
interrupt_watch(PGconn *conn)
{
    PQfreeCancel(atomic_exchange(&statement, PQgetCancel(conn)));
}

void
interrupt_catch(bool cancelling_too)
{
    if (note < 0)
        note = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mode = cancelling_too ? NOTE_AND_CANCEL : NOTE;
}

int
interrupt_signal(void)
{
    return came;
}

int
interrupt_fd(void)
{
    return note;
}

awa_status
interrupt_check(awa_error *err)
{
    return came == 0 ? AWA_OK : awa__fail(err, AWA_ESYS, "interrupted");
}
