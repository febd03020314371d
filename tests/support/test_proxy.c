/* SPDX-License-Identifier: MIT */
/* See test_proxy.h. One thread moves bytes between pairs of sockets. */
#include "test_proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { PAIRS_MAX = 32 };

static struct proxy {
    pthread_t thread;
    char dir[64];
    struct sockaddr_un ours, server;
    int listener, wake; /* wake: eventfd, something below has changed */
    bool runs;
    atomic_bool ends, mute, cut, refuse;
    atomic_int count;

    /* owned by the thread */
    struct pair {
        int client, server;
    } pairs[PAIRS_MAX];
    int npairs;
} proxy;

/* ---- The thread -------------------------------------------------------------------------- */

static void
close_pair(struct proxy *p, int i)
{
    (void)close(p->pairs[i].client);
    (void)close(p->pairs[i].server);
    p->pairs[i] = p->pairs[--p->npairs];
}

static void
welcome(struct proxy *p)
{
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    atomic_fetch_add(&p->count, 1);
    p->pairs[p->npairs++] = (struct pair){ client, server };
    if (client < 0 || server < 0 || atomic_load(&p->refuse) || p->npairs == PAIRS_MAX ||
        connect(server, (struct sockaddr *)&p->server, sizeof p->server) != 0)
        close_pair(p, p->npairs - 1);
}

/* False: one of both has gone. */
static bool
move(int from, int to)
{
    char bytes[65536];
    ssize_t n = read(from, bytes, sizeof bytes), written = 0;

    while (n > 0 && written < n) {
        ssize_t w = send(to, bytes + written, (size_t)(n - written), MSG_NOSIGNAL);

        if (w < 0 && errno != EINTR)
            return false;
        written += w > 0 ? w : 0;
    }
    return n > 0;
}

static void
turn(struct proxy *p)
{
    struct pollfd fds[2 + 2 * PAIRS_MAX] = { { .fd = p->listener, .events = POLLIN },
                                             { .fd = p->wake, .events = POLLIN } };
    bool mute = atomic_load(&p->mute);
    eventfd_t ignored;
    int n = p->npairs;

    for (int i = 0; i < n; i++) {
        fds[2 + 2 * i] = (struct pollfd){ .fd = p->pairs[i].client, .events = POLLIN };
        fds[3 + 2 * i] = (struct pollfd){ .fd = mute ? -1 : p->pairs[i].server, .events = POLLIN };
    }
    if (poll(fds, (nfds_t)(2 + 2 * n), -1) < 0)
        return;
    if (fds[1].revents != 0)
        (void)eventfd_read(p->wake, &ignored);
    for (int i = n - 1; i >= 0; i--) { /* from the end: what is closed is replaced by the last */
        struct pair pair = p->pairs[i];

        if ((fds[2 + 2 * i].revents != 0 && !move(pair.client, pair.server)) ||
            (fds[3 + 2 * i].revents != 0 && !move(pair.server, pair.client)))
            close_pair(p, i);
    }
    if (fds[0].revents != 0)
        welcome(p);
    if (atomic_load(&p->cut)) {
        while (p->npairs > 0)
            close_pair(p, 0);
        atomic_store(&p->cut, false);
    }
}

static void *
proxy_thread(void *arg)
{
    struct proxy *p = arg;

    while (!atomic_load(&p->ends))
        turn(p);
    while (p->npairs > 0)
        close_pair(p, 0);
    return NULL;
}

/* ---- From outside ------------------------------------------------------------------------ */

static void
listen_at(struct proxy *p, const char *port)
{
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p->wake = eventfd(0, EFD_CLOEXEC);
    snprintf(p->ours.sun_path, sizeof p->ours.sun_path, "%s/.s.PGSQL.%s", p->dir, port);
    p->ours.sun_family = p->server.sun_family = AF_UNIX;
    if (mkdir(p->dir, 0700) != 0 ||
        bind(p->listener, (struct sockaddr *)&p->ours, sizeof p->ours) != 0 ||
        listen(p->listener, 16) != 0)
        fail_msg("proxy: cannot listen in %s", p->dir);
}

const char *
test_proxy_start(PGconn *db, const char *role)
{
    static int number;
    struct proxy *p = &proxy;
    size_t fits;

    assert_false(p->runs);
    *p = (struct proxy){ 0 };
    snprintf(p->dir, sizeof p->dir, "/tmp/awa-proxy-%d-%d", (int)getpid(), number++);
    fits = (size_t)snprintf(p->server.sun_path, sizeof p->server.sun_path, "%s/.s.PGSQL.%s",
                            PQhost(db), PQport(db));
    assert_true(fits < sizeof p->server.sun_path);
    listen_at(p, PQport(db));
    assert_int_equal(pthread_create(&p->thread, NULL, proxy_thread, p), 0);
    p->runs = true;
    return test_format("host=%s port=%s dbname=%s user=test_%s", p->dir, PQport(db), PQdb(db),
                       role);
}

static void
wake(void)
{
    (void)eventfd_write(proxy.wake, 1);
}

void
test_proxy_stop(void)
{
    struct proxy *p = &proxy;

    if (!p->runs)
        return;
    atomic_store(&p->ends, true);
    wake();
    pthread_join(p->thread, NULL);
    (void)close(p->listener);
    (void)close(p->wake);
    (void)unlink(p->ours.sun_path);
    (void)rmdir(p->dir);
    p->runs = false;
}

void
test_proxy_mute(void)
{
    atomic_store(&proxy.mute, true);
    wake();
}

void
test_proxy_cut(bool refuse)
{
    atomic_store(&proxy.mute, false);
    atomic_store(&proxy.refuse, refuse);
    atomic_store(&proxy.cut, true);
    wake();
    while (atomic_load(&proxy.cut))
        (void)usleep(1000);
}

void
test_proxy_pass(void)
{
    atomic_store(&proxy.refuse, false);
    atomic_store(&proxy.mute, false);
    wake();
}

int
test_proxy_count(void)
{
    return atomic_load(&proxy.count);
}
