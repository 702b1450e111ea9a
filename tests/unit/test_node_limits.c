// LINK: @node @status tests/lib/node_one.c
/* One node driven by hand, at the limits of its cached log, and with an acknowledgement of its last
 * leadership. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/seal/plain.h"
#include "raftd/node/node.h"
#include "raftd/node/peer.h"
#include "raftd/node/replica.h"
#include "raftd/node/writes.h"
#include "raftd/state/cmd.h"
#include "raftd/base/rcu.h"
#include "tests/lib/node_one.h"

enum { CACHE_BYTES = 65536, SENT = 40000 };

/* A follower gets entries 1..count; its disk takes them one by one. */
static struct world *fed(const struct tape *t, const struct node_config *cfg, uint64_t count)
{
    struct world *w = world_new(NULL, cfg);
    probe(w, 2, 2, 1, 0, 0);
    flush(w);
    persisted(w); /* the term */
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, count));
    return w;
}

/* As many entries of `len` bytes, or no-ops, as the cache can hold arrive, then the leader is silent.
 * The node is elected while nearly all of them wait for the disk, and appends its no-op. */
static void lead_with_a_full_cache(size_t len, const struct node_config *cfg, uint64_t sent)
{
    struct tape *t = tape_new();
    if (len > 0)
        tape_puts(t, sent, 2, 'x', len);
    else
        tape_noops(t, sent, 2);
    struct world *w = fed(t, cfg, sent);
    uint64_t last = raft_of(w)->trail.last;
    assert_in_range(last, 100, sent - 1);
    world_free(w);
    w = fed(t, cfg, last);
    assert_int_equal(raft_of(w)->trail.last, last);
    make_leader(w);
    assert_int_equal(raft_of(w)->trail.last, last + 1);
    assert_in_range(raft_of(w)->durable_index, 1, 20);
    const struct entries *e = replica_log(node_replica(w->n));
    size_t size;
    const uint8_t *p = entries_at(e, last, &size);
    struct record rec;
    assert_int_equal(record_decode(p, size, &rec, &size), RECORD_OK);
    assert_int_equal(rec.index, last);
    world_free(w);
    tape_free(t);
}

static void test_leads_with_a_full_cache(void **state)
{
    (void)state;
    struct node_config cfg = {.cache_bytes = CACHE_BYTES, .batch_bytes = 1};
    for (size_t len = 1; len < 200; len += 17)
        lead_with_a_full_cache(len, &cfg, 2000);
    lead_with_a_full_cache(0, &cfg, 2000);
    cfg.cache_bytes = 0;
    lead_with_a_full_cache(0, &cfg, SENT);
}

/* What is not committed fills at most half of the cache, however fast the own disk is: peers get it
 * from memory, and so does the one that is a little behind. */
static void test_uncommitted_fills_half(void **state)
{
    (void)state;
    struct node_config cfg = {.cache_bytes = CACHE_BYTES};
    struct world *w = world_new(NULL, &cfg);
    make_leader(w);
    flush(w);
    answer_probe(w, 0, 0, 0);
    for (unsigned i = 0; i < 2000; i++)
        write_one(w);
    for (unsigned i = 0; i < 100; i++) {
        flush(w);
        persisted(w);
    }
    const struct entries *e = replica_log(node_replica(w->n));
    assert_int_equal(raft_of(w)->commit_index, 0);
    assert_int_equal(e->first, 1);
    assert_in_range(e->ring.end - e->ring.start, CACHE_BYTES / 2 - 200, CACHE_BYTES / 2);
    const struct writes *writes = node_parts(w->n).writes;
    uint64_t waiting = writes->next - writes->send_next;
    assert_true(waiting > 0);
    /* Committed, it makes room. */
    ack(w, 0, raft_of(w)->trail.last);
    flush(w);
    assert_true(writes->next - writes->send_next < waiting);
    world_free(w);
}

static void sack(struct world *w, uint64_t term, uint32_t id, uint64_t contig)
{
    uint8_t buf[WIRE_DATAGRAM_BASE];
    struct wire_writer out;
    struct wire_sack s = {.stream = WIRE_STREAM_LOG, .id = id, .contig = contig, .rwnd = 1 << 18};
    wire_begin(&out, buf + PLAIN_HEAD_BYTES, sizeof buf - PLAIN_HEAD_BYTES, term);
    assert_true(wire_put_sack(&out, &s));
    finish_datagram(w, &out, 2);
}

/* Streams of every leadership are numbered from 1 on, and this one is of another. */
static void test_sack_of_the_last_leadership(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    make_leader(w);
    flush(w);
    answer_probe(w, 0, 0, 0);
    flush(w);
    uint64_t before = raft_of(w)->term;
    uint32_t epoch = node_peer(w->n, 2)->log.flow.id;
    assert_int_not_equal(epoch, 0);
    lead(w, 3, before + 1, 0, 0);
    flush(w);
    persisted(w);
    assert_int_equal(raft_of(w)->role, RAFT_FOLLOWER);
    make_leader(w);
    flush(w);
    answer_probe(w, 0, 0, 0);
    flush(w);
    const struct log_out *l = &node_peer(w->n, 2)->log;
    assert_int_equal(l->flow.id, epoch);
    assert_true(l->flow.tx.end > 0);
    sack(w, before, epoch, l->flow.tx.end);
    assert_int_equal(l->flow.tx.una, 0);
    sack(w, raft_of(w)->term, epoch, l->flow.tx.end);
    assert_int_equal(l->flow.tx.una, l->flow.tx.end);
    world_free(w);
}

/* A write has left for a leader when the data become full, and another leader comes. It is not refused by
 * this node: the copy that the first one had may yet find room. It is sent again, and what becomes of it is
 * told. */
static void test_full_after_it_was_sent(void **state)
{
    (void)state;
    enum { VALUES = 40, VALUE_BYTES = CMD_LIMIT_BYTES / VALUES };
    struct tape *t = tape_new();
    struct world *w = world_new(NULL, &(struct node_config){.max_data_bytes = CMD_LIMIT_BYTES});
    tape_puts(t, VALUES, 2, 'a', VALUE_BYTES);
    probe(w, 2, 2, 1, 0, 0);
    settle(w, t);
    write_one(w);
    flush(w);
    assert_int_equal(w->answered, 0);
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, VALUES));
    lead(w, 2, 2, 1, VALUES);
    settle(w, t);
    assert_int_equal(applied(w), VALUES);
    probe(w, 3, 3, 1, VALUES, 2);
    settle(w, t);
    assert_int_equal(raft_of(w)->leader, 3);
    write_one(w); /* of this one there is no copy */
    flush(w);
    assert_int_equal(w->answered, 1);
    assert_int_equal(writes_pending(node_parts(w->n).writes), 1);
    const struct flow_out *f = &node_parts(w->n).relay_out->flow;
    assert_true(f->term == 3 && f->tx.end > 0);
    world_free(w);
    tape_free(t);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leads_with_a_full_cache),
        cmocka_unit_test(test_uncommitted_fills_half),
        cmocka_unit_test(test_sack_of_the_last_leadership),
        cmocka_unit_test(test_full_after_it_was_sent),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
