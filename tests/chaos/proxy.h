/* SPDX-License-Identifier: MIT */
/*
 * A process between clients and the server, one link for each client: a folder with a socket in
 * it. It takes orders from the conductor through its standard input.
 */
#ifndef CHAOS_PROXY_H
#define CHAOS_PROXY_H

#include <stdint.h>

enum { LINKS_MAX = 16 };

enum order {
    ORDER_PASS,       /* everything goes through, also what has been held back */
    ORDER_CUT,        /* both ends of every session are closed, now */
    ORDER_CUT_BEFORE, /* the next message of a client is swallowed, its session closed */
    ORDER_CUT_AFTER,  /* the next one goes through; its answer is swallowed, the session closed */
    ORDER_CUT_COMMIT, /* the same with the next message that says COMMIT */
    ORDER_DELAY,      /* everything takes arg ms more */
    ORDER_HOLE,       /* nothing goes through, and sockets stay open; new ones wait as well */
};

struct order_message {
    uint32_t link, order, arg;
};

#endif
