// LINK: @clients tests/lib/clients_world.c tests/lib/resp_tree.c @rcu_alone -lcmocka -Wl,--wrap=clock_us
/* fuzz_clients.c: two connections of a whole instance that serves clients, on sockets, and a main loop that
 * answers when the input says so. What comes back is RESP, and when the connections have ended all that was
 * taken is given back.
 *
 * The input is what the connections send. A byte 0xff is followed by one that says what happens then: to
 * which of the two, by its lowest bit, and what, by the others.
 */
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/clients_impl.h"
#include "raftd/state/kv.h"
#include "tests/lib/clients_world.h"
#include "tests/lib/resp_tree.h"

enum {
    CONNS = 2,
    INPUTS = 200, /* then all begins anew, without keys */
    OUT_BYTES = 1 << 20,
    ESCAPE = 0xff,
};

static struct fake f;
static struct ev_loop *loop;
static struct clients *clients;
static uint64_t now_us = 1000000;
static int fds[CONNS];
static char out[CONNS][OUT_BYTES];
static size_t out_len[CONNS];

uint64_t __wrap_clock_us(void);
uint64_t __wrap_clock_us(void)
{
    return now_us;
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void iterate(unsigned n)
{
    while (n-- > 0)
        ev_run(loop, EVRUN_NOWAIT);
}

/* The main loop does all that it was asked for. */
static void answer_all(void)
{
    struct shared_reader *r = &f.shared.readers[0];
    struct cds_wfcq_node *node;
    while ((node = rcu_queue_pop(&f.shared.requests_head, &f.shared.requests_tail)) != NULL)
        world_answer(&f, rcu_container(node, struct request, link));
    atomic_store(&r->read_done, atomic_load(&r->read_want));
    r->wake(r->wake_ctx);
    iterate(2);
}

/* Takes what has come. Nothing but RESP may. */
static void read_all(unsigned i)
{
    static struct resp_tree tree;
    int64_t at = 0, next;
    ssize_t n;
    while (out_len[i] < OUT_BYTES &&
           (n = recv(fds[i], out[i] + out_len[i], OUT_BYTES - out_len[i], MSG_DONTWAIT)) > 0)
        out_len[i] += (size_t)n;
    for (;;) {
        tree.n = 0;
        next = out_len[i] > (size_t)at ? resp_tree_read(&tree, out[i], out_len[i], at) : 0;
        must(next >= 0);
        if (next == 0)
            break;
        at = next;
    }
    memmove(out[i], out[i] + at, out_len[i] - (size_t)at);
    out_len[i] -= (size_t)at;
    must(out_len[i] < OUT_BYTES); /* the longest answer to what fits into an input */
}

static void hang_up(unsigned i)
{
    close(fds[i]);
    out_len[i] = 0;
    iterate(2);
}

static void happen(uint8_t what)
{
    unsigned i = what & 1;
    switch (what >> 1 & 7) {
    case 0: iterate(1); break;
    case 1: answer_all(); break;
    case 2: read_all(i); break;
    case 3: (void)shutdown(fds[i], SHUT_WR); break;
    case 4:
        hang_up(i);
        fds[i] = dial(&f);
        break;
    case 5: now_us += 1000000; break;
    case 6: clients->timer_us = 0; break; /* it looks at what is due */
    case 7:
        atomic_store(&f.shared.lease_until_us, what & 1 ? 0 : UINT64_MAX / 2);
        clients->timer_us = 0;
        break;
    }
}

static void begin(void)
{
    world_share(&f, 1);
    f.machine = machine_new(f.shared.kv);
    must(f.machine != NULL);
    f.shared.claims = machine_claims(f.machine);
    loop = ev_loop_new(EVFLAG_NOENV);
    clients = clients_new(loop, &f.shared, 0, f.listener.fd);
    must(clients != NULL);
    atomic_store(&f.shared.lease_until_us, UINT64_MAX / 2);
}

static void end(void)
{
    clients_free(clients);
    ev_loop_destroy(loop);
    struct cds_wfcq_node *node; /* what was to be freed of connections that have ended */
    while ((node = rcu_queue_pop(&f.shared.requests_head, &f.shared.requests_tail)) != NULL)
        request_free(&f.shared, rcu_container(node, struct request, link));
    machine_free(f.machine);
    world_unshare(&f);
    memset(&f, 0, sizeof f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned inputs;
    if (inputs == 0)
        rcu_thread_begin();
    if (inputs > 0 && inputs % INPUTS == 0)
        end();
    if (inputs++ % INPUTS == 0)
        begin();
    for (unsigned i = 0; i < CONNS; i++)
        fds[i] = dial(&f);
    iterate(2);
    unsigned at = 0;
    for (const uint8_t *p = data, *last = data + size; p < last;) {
        const uint8_t *escape = memchr(p, ESCAPE, (size_t)(last - p));
        size_t n = (size_t)((escape != NULL ? escape : last) - p);
        if (n > 0)
            (void)send(fds[at], p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        iterate(1);
        p += n + 1;
        if (p < last) {
            at = *p & 1;
            happen(*p++);
        }
    }
    iterate(2);
    for (unsigned i = 0; i < CONNS; i++) {
        read_all(i);
        hang_up(i);
    }
    for (unsigned i = 0; i < 8 && clients->n_conns > 0; i++) {
        now_us += CLIENTS_LEFT_US + 1;
        clients->timer_us = 0;
        iterate(2);
    }
    answer_all();
    must(clients->n_conns == 0 && users_idle(&f.shared.users));
    must(f.shared.readers[0].watchers == 0);
    return 0;
}
