#include "tests/lib/seal_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "net/seal/session_impl.h"
#include "raftd/base/bytes.h"
#include "tests/lib/pair.h"

uint64_t seal_rnd(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void fill(void *ctx, void *buf, size_t len)
{
    uint8_t *p = buf;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)seal_rnd(ctx);
}

struct session_keys seal_keys(unsigned first, unsigned second)
{
    struct session_keys keys;
    memset(&keys, 0, sizeof keys);
    keys.has[0] = true;
    memset(keys.key[0], (int)first, sizeof keys.key[0]);
    keys.has[1] = second != 0;
    memset(keys.key[1], (int)second, sizeof keys.key[1]);
    return keys;
}

uint16_t seal_id(unsigned node)
{
    return (uint16_t)(node + 1);
}

unsigned seal_slot(unsigned node, unsigned peer)
{
    return peer < node ? peer : peer - 1;
}

static void stop_all(struct seal_world *w)
{
    for (unsigned i = 0; i < w->n; i++)
        sessions_free(w->s[i]);
}

void seal_world_renew(struct seal_world *w, unsigned n, uint64_t seed, uint64_t rekey_us)
{
    stop_all(w);
    for (unsigned i = 0; i < w->n; i++)
        for (unsigned j = 0; j < w->n; j++)
            memset(w->seen[i][j], 0, w->said[i][j]);
    memset(w, 0, offsetof(struct seal_world, queue));
    w->n = n;
    w->seed = seed;
    w->now = seal_rnd(&w->seed) >> 1; /* a clock starts anywhere */
    w->delay_us = 5000;
    for (unsigned i = 0; i < n; i++) {
        w->random[i] = seal_rnd(&w->seed);
        w->keys[i] = seal_keys(1, 0);
        w->own[i] = pair_of(i + 1);
        w->cfg[i].cluster = 77;
        w->cfg[i].self = (uint16_t)(i + 1);
        w->cfg[i].voters = 7;
        w->cfg[i].rekey_us = rekey_us;
        w->cfg[i].random = fill;
        w->cfg[i].random_ctx = &w->random[i];
    }
}

struct seal_world *seal_world_new(unsigned n, uint64_t seed, uint64_t rekey_us)
{
    struct seal_world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    seal_world_renew(w, n, seed, rekey_us);
    return w;
}

void seal_world_free(struct seal_world *w)
{
    stop_all(w);
    free(w);
}

void seal_start(struct seal_world *w, unsigned node)
{
    assert_null(w->s[node]);
    w->cfg[node].boot = 1000 * (node + 1) + ++w->boots;
    w->keys[node].own = w->own[node];
    w->s[node] = sessions_new(&w->cfg[node], &w->keys[node]);
    assert_non_null(w->s[node]);
    for (unsigned i = 0; i < w->n; i++)
        assert_true(i == node || sessions_add_peer(w->s[node], seal_id(i), w->now));
}

void seal_stop(struct seal_world *w, unsigned node)
{
    sessions_free(w->s[node]);
    w->s[node] = NULL;
}

static void record(struct seal_world *w, const struct seal_datagram *d)
{
    if (!w->recording)
        return;
    assert_true(w->n_record < SEAL_RECORD);
    w->record[w->n_record++] = *d;
}

static void put(struct seal_world *w, unsigned from, unsigned to, const uint8_t *buf, size_t len)
{
    struct seal_datagram d = {w->now + w->delay_us, from, to, len, {0}};
    assert_true(len <= sizeof d.buf);
    memcpy(d.buf, buf, len);
    if (w->jitter_us > 0)
        d.at += seal_rnd(&w->seed) % w->jitter_us;
    uint64_t number = w->sent++;
    unsigned kind = buf[0] & 0x0F;
    if (w->hold[from][to] == kind || w->hold[from][to] == SEAL_ALL) {
        memmove(w->held + 1, w->held, sizeof w->held - sizeof w->held[0]);
        w->held[0] = d;
        if (w->n_held < sizeof w->held / sizeof w->held[0])
            w->n_held++;
        return;
    }
    bool lost = w->cut[from][to] || w->lose_kind[from][to] == kind ||
                seal_rnd(&w->seed) % 100 < w->loss;
    if (lost || (number < 64 && w->lose_mask >> number & 1)) {
        if (kind != SESSION_KIND_DATA)
            record(w, &d);
        return;
    }
    assert_true(w->n_queue < SEAL_QUEUE);
    w->queue[w->n_queue++] = d;
}

void seal_pump(struct seal_world *w)
{
    for (unsigned i = 0; i < w->n; i++) {
        for (unsigned j = 0; w->s[i] != NULL && j < w->n; j++) {
            uint8_t buf[SESSION_HELLO_BYTES];
            size_t len = 0;
            unsigned burst = 0;
            while (j != i &&
                   (len = sessions_output(w->s[i], seal_id(j), w->now, buf, sizeof buf)) > 0) {
                assert_true(len <= sizeof buf && ++burst <= 8);
                put(w, i, j, buf, len);
            }
        }
    }
}

static void follow(struct seal_world *w, unsigned from, unsigned to, const uint8_t *payload,
                   size_t len)
{
    assert_true(len >= SEAL_SHORT && payload[8] == from && payload[9] == to);
    uint64_t number = get_u64(payload);
    assert_true(number < SEAL_NUMBERS && number < w->said[from][to]);
    assert_int_equal(w->seen[from][to][number], 0); /* never twice */
    w->seen[from][to][number]++;
    w->got[from][to]++;
}

enum drop seal_deliver(struct seal_world *w, unsigned from, unsigned to, const uint8_t *buf,
                       size_t len)
{
    uint8_t copy[SEAL_BYTES];
    uint8_t *payload = NULL;
    size_t payload_len = 0;
    assert_true(len <= sizeof copy);
    memcpy(copy, buf, len);
    enum drop result = sessions_open(w->s[to], seal_id(from), w->now, copy, len, &payload,
                                     &payload_len);
    w->drops[to][result]++;
    assert_true((result == DATAGRAM_DATA) == (payload != NULL));
    if (payload != NULL) {
        assert_true(payload >= copy && payload + payload_len <= copy + len && payload_len > 0);
        follow(w, from, to, payload, payload_len);
    }
    return result;
}

bool seal_say(struct seal_world *w, unsigned from, unsigned to, size_t len)
{
    uint8_t buf[SEAL_BYTES] = {0};
    uint8_t *payload = buf + SESSION_HEAD_BYTES;
    assert_true(len >= SEAL_SHORT && len + SESSION_EXTRA_BYTES <= sizeof buf);
    put_u64(payload, w->said[from][to]);
    payload[8] = (uint8_t)from;
    payload[9] = (uint8_t)to;
    size_t total = sessions_seal(w->s[from], seal_id(to), w->now, buf, len);
    if (total == 0)
        return false;
    assert_int_equal(total, len + SESSION_EXTRA_BYTES);
    w->said[from][to]++;
    put(w, from, to, buf, total);
    return true;
}

/* The first of all that happens next. */
static uint64_t next_time(const struct seal_world *w)
{
    uint64_t at = UINT64_MAX;
    for (unsigned i = 0; i < w->n_queue; i++)
        at = w->queue[i].at < at ? w->queue[i].at : at;
    for (unsigned i = 0; i < w->n; i++) {
        uint64_t one = w->s[i] != NULL ? sessions_deadline(w->s[i]) : UINT64_MAX;
        at = one < at ? one : at;
    }
    return at > w->now ? at : w->now;
}

static void deliver_due(struct seal_world *w)
{
    for (unsigned i = 0; i < w->n_queue;) {
        if (w->queue[i].at > w->now) {
            i++;
            continue;
        }
        struct seal_datagram d = w->queue[i];
        memmove(w->queue + i, w->queue + i + 1, (--w->n_queue - i) * sizeof d);
        if (w->s[d.to] == NULL)
            continue;
        record(w, &d);
        (void)seal_deliver(w, d.from, d.to, d.buf, d.len);
    }
}

static bool never(struct seal_world *w)
{
    (void)w;
    return false;
}

void seal_run(struct seal_world *w, uint64_t until)
{
    (void)seal_run_until(w, until, never);
}

uint64_t seal_run_until(struct seal_world *w, uint64_t until, bool (*done)(struct seal_world *))
{
    unsigned idle = 0; /* wake-ups in a row at one time: a deadline must lead to something */
    for (;;) {
        seal_pump(w);
        if (done(w))
            return w->now;
        uint64_t at = next_time(w);
        if (at > until)
            break;
        assert_true(at > w->now || ++idle < 100);
        idle = at > w->now ? 0 : idle;
        w->now = at;
        deliver_due(w);
    }
    w->now = until;
    return until + 1;
}

struct session_info seal_info(const struct seal_world *w, unsigned node, unsigned peer)
{
    struct session_info info;
    sessions_info(w->s[node], seal_id(peer), &info);
    return info;
}

bool seal_ready(const struct seal_world *w, unsigned node, unsigned peer)
{
    return w->s[node] != NULL && sessions_ready(w->s[node], seal_id(peer));
}

bool seal_both_ready(struct seal_world *w)
{
    return seal_ready(w, 0, 1) && seal_ready(w, 1, 0);
}

static const struct session *current(const struct seal_world *w, unsigned node, unsigned peer)
{
    return &w->s[node]->peers[seal_slot(node, peer)]->current;
}

bool seal_settled(struct seal_world *w)
{
    if (!seal_both_ready(w))
        return false;
    const struct session *a = current(w, 0, 1);
    const struct session *b = current(w, 1, 0);
    return a->index == b->peer_index && b->index == a->peer_index && a->initiator != b->initiator &&
           memcmp(a->send, b->receive, sizeof a->send) == 0 &&
           memcmp(a->receive, b->send, sizeof a->send) == 0;
}

uint64_t seal_current(const struct seal_world *w, unsigned node, unsigned peer)
{
    const struct session *x = current(w, node, peer);
    return x->live ? (uint64_t)x->index << 32 | x->peer_index : 0;
}
