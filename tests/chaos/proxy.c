/* SPDX-License-Identifier: MIT */
/*
 * See proxy.h. One thread moves chunks of bytes; a client flushes a statement at once, so a chunk
 * is a message as far as cutting goes. Arguments: the number of links, the server's socket.
 */
#include "proxy.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "process.h"

enum { SESSIONS_MAX = 400, CHUNK = 65536 };

struct chunk {
    struct chunk *next;
    uint64_t due_ns;
    size_t n, sent;
    char bytes[];
};

/* One direction of a session. */
struct stream {
    int from, to;
    struct chunk *first, **last;
    bool ended; /* nothing more will be read */
};

struct session {
    uint32_t link;
    struct stream up, down; /* up: to the server */
    bool doomed;            /* closed as soon as the server says anything */
    bool dead;
};

struct link {
    int listener;
    enum order order;
    uint32_t arg;
};

static struct proxy {
    struct link links[LINKS_MAX];
    uint32_t nlinks;
    struct session *sessions[SESSIONS_MAX];
    size_t nsessions;
    struct sockaddr_un server;
} proxy;

/* ---- Sessions ---------------------------------------------------------------------------- */

static void
stream_init(struct stream *s, int from, int to)
{
    *s = (struct stream){ .from = from, .to = to };
    s->last = &s->first;
}

static void
stream_done(struct stream *s)
{
    while (s->first != NULL) {
        struct chunk *chunk = s->first;

        s->first = chunk->next;
        free(chunk);
    }
}

static void
close_session(struct session *s)
{
    (void)close(s->up.from);
    (void)close(s->up.to);
    stream_done(&s->up);
    stream_done(&s->down);
    free(s);
}

static void
bury_dead(void)
{
    size_t n = 0;

    for (size_t i = 0; i < proxy.nsessions; i++) {
        if (proxy.sessions[i]->dead)
            close_session(proxy.sessions[i]);
        else
            proxy.sessions[n++] = proxy.sessions[i];
    }
    proxy.nsessions = n;
}

static void
welcome(uint32_t link)
{
    int client = accept4(proxy.links[link].listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct session *s = calloc(1, sizeof *s);

    if (client < 0 || server < 0 || s == NULL || proxy.nsessions == SESSIONS_MAX ||
        connect(server, (struct sockaddr *)&proxy.server, sizeof proxy.server) != 0) {
        (void)close(client);
        (void)close(server);
        free(s);
        return;
    }
    s->link = link;
    stream_init(&s->up, client, server);
    stream_init(&s->down, server, client);
    proxy.sessions[proxy.nsessions++] = s;
}

/* ---- Bytes ------------------------------------------------------------------------------- */

/* What the link's order makes of a chunk from a client; false: it is swallowed. */
static bool
obey(struct session *s, const struct chunk *chunk)
{
    struct link *link = &proxy.links[s->link];

    switch (link->order) {
    case ORDER_CUT_BEFORE:
        link->order = ORDER_PASS;
        s->dead = true;
        return false;
    case ORDER_CUT_COMMIT:
        if (memmem(chunk->bytes, chunk->n, "COMMIT", 6) == NULL)
            return true;
        /* fall through */
    case ORDER_CUT_AFTER:
        link->order = ORDER_PASS;
        s->doomed = true;
        return true;
    default:
        return true;
    }
}

static void
take(struct session *s, struct stream *stream)
{
    static char bytes[CHUNK];
    const struct link *link = &proxy.links[s->link];
    ssize_t n = read(stream->from, bytes, sizeof bytes);
    struct chunk *chunk = n > 0 ? malloc(sizeof *chunk + (size_t)n) : NULL;

    if (chunk == NULL) {
        stream->ended = n >= 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    memcpy(chunk->bytes, bytes, (size_t)n);
    chunk->n = (size_t)n;
    chunk->sent = 0;
    chunk->next = NULL;
    chunk->due_ns = mono_ns() + (link->order == ORDER_DELAY ? link->arg * 1000000ull : 0);
    if (stream == &s->down ? s->doomed : !obey(s, chunk)) {
        s->dead = true;
        free(chunk);
        return;
    }
    *stream->last = chunk;
    stream->last = &chunk->next;
}

static void
give(struct session *s, struct stream *stream, uint64_t now)
{
    while (stream->first != NULL && stream->first->due_ns <= now) {
        struct chunk *chunk = stream->first;
        ssize_t n = send(stream->to, chunk->bytes + chunk->sent, chunk->n - chunk->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            s->dead = true;
            return;
        }
        chunk->sent += (size_t)n;
        if (chunk->sent < chunk->n)
            return;
        stream->first = chunk->next;
        if (stream->first == NULL)
            stream->last = &stream->first;
        free(chunk);
    }
    if (stream->first == NULL && stream->ended)
        s->dead = true;
}

/* ---- Orders ------------------------------------------------------------------------------ */

static void
take_order(void)
{
    struct order_message m;

    if (read(STDIN_FILENO, &m, sizeof m) != sizeof m)
        _exit(0); /* the conductor has gone */
    if (m.link >= proxy.nlinks)
        return;
    proxy.links[m.link].order = (enum order)m.order;
    proxy.links[m.link].arg = m.arg;
    if (m.order != ORDER_CUT)
        return;
    proxy.links[m.link].order = ORDER_PASS;
    for (size_t i = 0; i < proxy.nsessions; i++)
        proxy.sessions[i]->dead |= proxy.sessions[i]->link == m.link;
}

/* ---- The loop ---------------------------------------------------------------------------- */

static struct pollfd
poll_stream(const struct session *s, const struct stream *stream, uint64_t now, int *timeout)
{
    struct pollfd fd = { .fd = stream->from, .events = stream->ended ? 0 : POLLIN };

    if (proxy.links[s->link].order == ORDER_HOLE || stream->ended)
        fd.fd = -1;
    if (stream->first != NULL && stream->first->due_ns > now) {
        int left = (int)((stream->first->due_ns - now) / 1000000) + 1;

        *timeout = left < *timeout ? left : *timeout;
    } else if (stream->first != NULL) {
        *timeout = *timeout > 1 ? 1 : *timeout; /* the other side is slow to read */
    }
    return fd;
}

static void
turn(void)
{
    static struct pollfd fds[1 + LINKS_MAX + 2 * SESSIONS_MAX];
    uint64_t now = mono_ns();
    int timeout = 1000;
    size_t n = 0, sessions = proxy.nsessions;

    fds[n++] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
    for (uint32_t i = 0; i < proxy.nlinks; i++)
        fds[n++] =
            (struct pollfd){ .fd =
                                 proxy.links[i].order == ORDER_HOLE ? -1 : proxy.links[i].listener,
                             .events = POLLIN };
    for (size_t i = 0; i < sessions; i++) {
        fds[n++] = poll_stream(proxy.sessions[i], &proxy.sessions[i]->up, now, &timeout);
        fds[n++] = poll_stream(proxy.sessions[i], &proxy.sessions[i]->down, now, &timeout);
    }
    if (poll(fds, n, timeout) < 0)
        return;
    now = mono_ns();
    for (size_t i = 0; i < sessions; i++) {
        struct session *s = proxy.sessions[i];
        const struct pollfd *fd = &fds[1 + proxy.nlinks + 2 * i];

        if (fd[0].revents != 0)
            take(s, &s->up);
        if (fd[1].revents != 0 && !s->dead)
            take(s, &s->down);
        if (proxy.links[s->link].order == ORDER_HOLE)
            continue;
        if (!s->dead)
            give(s, &s->up, now);
        if (!s->dead)
            give(s, &s->down, now);
    }
    for (uint32_t i = 0; i < proxy.nlinks; i++)
        if (fds[1 + i].revents != 0)
            welcome(i);
    if (fds[0].revents != 0)
        take_order();
    bury_dead();
}

static bool
listen_at(const struct process *p, uint32_t link)
{
    struct sockaddr_un ours = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    size_t n;

    n = (size_t)snprintf(ours.sun_path, sizeof ours.sun_path, "%s/link%u", p->dir, link);
    if (fd < 0 || n + sizeof "/.s.PGSQL.5432" > sizeof ours.sun_path ||
        mkdir(ours.sun_path, 0700) != 0)
        return false;
    snprintf(ours.sun_path + n, sizeof ours.sun_path - n, "/.s.PGSQL.5432");
    proxy.links[link].listener = fd;
    return bind(fd, (struct sockaddr *)&ours, sizeof ours) == 0 && listen(fd, 64) == 0;
}

int
proxy_main(struct process *p)
{
    if (p->argc < 2)
        return 2;
    proxy.server.sun_family = AF_UNIX;
    snprintf(proxy.server.sun_path, sizeof proxy.server.sun_path, "%s", p->argv[1]);
    proxy.nlinks = (uint32_t)strtoul(p->argv[0], NULL, 10);
    for (uint32_t i = 0; i < proxy.nlinks; i++)
        if (!listen_at(p, i)) {
            fprintf(stderr, "proxy: link %u: %m\n", i);
            return 1;
        }
    while (!process_ends())
        turn();
    return 0;
}
