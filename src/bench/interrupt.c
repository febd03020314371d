/* SPDX-License-Identifier: MIT */
#include "bench/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t came;

static void
note(int number)
{
    came = number;
}

void
interrupt_catch(void)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESETHAND };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

int
interrupt_signal(void)
{
    return came;
}

awa_status
interrupt_check(awa_error *err)
{
    return came == 0 ? AWA_OK : awa__fail(err, AWA_ESYS, "bench: interrupted");
}
