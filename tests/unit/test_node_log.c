// LINK: @node @status tests/lib/node_one.c
/* One node driven by hand: log bytes that are replaced, fetched or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "raftd/node/node.h"
#include "raftd/node/peer.h"
#include "raftd/node/replica.h"
#include "raftd/node/writes.h"
#include "raftd/base/rcu.h"
#include "tests/lib/node_one.h"

/* The disk reads entries 1..100 of term 1 for the node's state machine; meanwhile the leader of term
 * 2 replaces those from 80 on, so many that the first of them leave the cache. What the disk read is
 * right only up to what was committed when it was asked. */
static void apply_across_replacement(bool fetch_first)
{
    struct tape *old = tape_new(), *new = tape_new();
    tape_puts(old, 100, 1, 'o', 10);
    tape_puts(new, 79, 1, 'o', 10);
    tape_puts(new, 200, 2, 'n', 1024);
    struct node_config cfg = {.cache_bytes = 65536};
    struct world *w = world_new(old, &cfg);

    probe(w, 2, 2, 1, 79, 1);
    lead(w, 2, 2, 1, 79);
    flush(w);
    persisted(w); /* the term */
    flush(w);
    assert_int_equal(raft_of(w)->commit_index, 79);
    size_t read = read_disk(w, 0, old);

    stream(w, 2, 2, 1, new, 79, 0, stream_len(new, 79, 200));
    lead(w, 2, 2, 1, 200);
    flush(w);
    assert_true(w->batch != 0);
    assert_true(raft_of(w)->trail.last > 100);
    assert_true(raft_of(w)->trail.last < 200); /* the cache is full */
    if (fetch_first) {                         /* one wakeup of the loop brings both */
        fetched(w, 0, read);
        persisted(w);
    } else {
        persisted(w);
        fetched(w, 0, read);
    }
    settle(w, new);
    assert_int_equal(raft_of(w)->trail.last, 200);
    lead(w, 2, 2, 1, 200);
    settle(w, new);
    assert_int_equal(applied(w), 200);
    for (uint64_t i = 1; i <= 200; i++)
        check_value(w, i, i < 80 ? 'o' : 'n');
    assert_int_equal(stream_drops(w), 0);
    world_free(w);
    tape_free(old);
    tape_free(new);
}

/* No room for entries, which cut the log and replace what is on disk: they wait, and the batches
 * without them say of the log what the disk has. */
static void test_votes_while_entries_wait_for_room(void **state)
{
    (void)state;
    enum { KEPT = 30 };
    struct tape *old = tape_new(), *new = tape_new();
    tape_puts(old, 40, 1, 'o', 10);
    tape_puts(new, KEPT, 1, 'o', 10);
    tape_puts(new, 50, 2, 'n', 10);
    struct node_config cfg = {0};
    struct world *w = world_new(old, &cfg);
    uint8_t head[RECORD_HASH_BYTES];
    record_hash(old->bytes + old->at[KEPT], old->at[KEPT + 1] - old->at[KEPT], head);

    follow_leader(w, 2, 2, 1, KEPT, 1);
    stream(w, 2, 2, 1, new, KEPT, 0, stream_len(new, KEPT, 50));
    lead(w, 2, 2, 1, KEPT);
    flush(w);
    assert_true(w->written.truncate && w->written.last_index == 50);
    no_room(w);
    flush(w);
    assert_int_equal(w->batch, 0); /* nothing that has to be written now */
    unsigned answered = w->answered;
    write_one(w);
    flush(w);
    assert_int_equal(w->answered, answered + 1); /* no room for new writes, either */

    struct raft_msg m = {.type = RAFT_MSG_VOTE_REQ, .from = 3, .term = 3};
    m.vote_req.vote_term = 3;
    m.vote_req.last_index = 60;
    m.vote_req.last_term = 2;
    w->now += T_US;
    tell(w, m);
    flush(w);
    assert_true(w->batch != 0);
    assert_int_equal(w->written.term, 3);
    assert_int_equal(w->written.vote, 3);
    assert_int_equal(w->written.first_index, 0);
    assert_true(w->written.truncate);
    assert_int_equal(w->written.truncate_to, KEPT);
    assert_int_equal(w->written.last_term, 1);
    assert_memory_equal(w->written.head, head, sizeof head);
    assert_false(w->peers[1].has[RAFT_MSG_VOTE_RSP]);
    persisted(w);
    flush(w);
    assert_true(w->peers[1].has[RAFT_MSG_VOTE_RSP]);
    assert_true(w->peers[1].newest[RAFT_MSG_VOTE_RSP].vote_rsp.granted);

    for (unsigned i = 0; i < 20 && w->batch == 0; i++) { /* a second later; no seal before */
        w->now += T_US;
        flush(w);
    }
    assert_int_equal(w->seals, 0);
    assert_int_equal(w->written.first_index, KEPT + 1);
    assert_int_equal(w->written.last_index, 50);
    assert_false(w->written.truncate);
    settle(w, new);
    assert_int_equal(raft_of(w)->durable_index, 50);
    world_free(w);
    tape_free(old);
    tape_free(new);
}

static void test_apply_after_replacement(void **state)
{
    (void)state;
    apply_across_replacement(true);
    apply_across_replacement(false);
}

/* A leader has entries in its cache that its disk does not have yet. Whatever a read for a peer
 * brings in their place is not sent. (With a disk that works in order the old versions are dead
 * before the node leads; the stream does not rely on that.) */
static void test_stream_only_durable_from_disk(void **state)
{
    (void)state;
    enum { KEPT = 79, SHARED = 50, NEW_LAST = 120 };
    struct tape *old = tape_new(), *new = tape_new();
    tape_puts(old, 100, 1, 'o', 10);
    tape_puts(new, KEPT, 1, 'o', 10);
    tape_puts(new, NEW_LAST, 2, 'n', 10);
    struct node_config cfg = {.batch_bytes = 1}; /* the disk takes one entry at a time */
    struct world *w = world_new(old, &cfg);
    follow_leader(w, 2, 2, 1, KEPT, 1);
    stream(w, 2, 2, 1, new, KEPT, 0, stream_len(new, KEPT, NEW_LAST));
    assert_int_equal(raft_of(w)->trail.last, NEW_LAST);
    flush(w);
    make_leader(w);
    uint64_t durable = raft_of(w)->durable_index;
    assert_true(durable >= KEPT && durable < 100);

    answer_probe(w, 1, SHARED, 1); /* node 3 has 50 entries of term 1 */
    flush(w);
    answer_probe(w, 1, 0, 0);
    flush(w);
    /* The same bytes as in our log up to what is durable; behind them the old ones. */
    struct tape *disk = tape_new();
    tape_puts(disk, KEPT, 1, 'o', 10);
    tape_puts(disk, durable, 2, 'n', 10);
    tape_puts(disk, 100, 1, 'o', 10);
    assert_int_equal(w->fetch[3].pos.index, SHARED + 1);
    size_t read = read_disk(w, 3, disk);
    fetched(w, 3, read);
    flush(w);
    ack(w, 1, 0); /* the window opens, should it have been closed */
    settle(w, disk);

    const struct peer_seen *p = &w->peers[1];
    uint64_t next = SHARED + 1;
    for (size_t at = 0, size; at < p->end; at += size, next++) {
        struct record rec;
        assert_int_equal(record_decode(p->bytes + at, p->end - at, &rec, &size), RECORD_OK);
        assert_int_equal(rec.index, next);
        assert_int_equal(rec.term, next <= KEPT ? 1 : next <= NEW_LAST ? 2 : 3);
    }
    assert_int_equal(next, NEW_LAST + 2); /* and the leader's no-op */
    world_free(w);
    tape_free(old);
    tape_free(new);
    tape_free(disk);
}

/* The stream was refused: an acknowledgement says so, and the next probe starts another. */
static void check_refused(struct world *w, uint16_t leader, uint64_t last)
{
    struct peer_seen *p = &w->peers[leader - 2];
    assert_int_equal(stream_drops(w), 1);
    assert_int_equal(raft_of(w)->trail.last, last);
    p->has[RAFT_MSG_ACK] = false;
    flush(w);
    assert_true(p->has[RAFT_MSG_ACK]);
    assert_true(p->newest[RAFT_MSG_ACK].ack.need_probe);
    assert_int_equal(p->newest[RAFT_MSG_ACK].ack.epoch, 1);
}

/* A leader that leads again numbers its streams from 1 again. A late piece of the stream of its earlier term
 * is none of the present one, though all but the term is the same. */
static void test_piece_of_an_earlier_term(void **state)
{
    (void)state;
    enum { LAST = 3 };
    struct tape *t = tape_new(), *other = tape_new();
    tape_puts(t, LAST, 2, 'o', 100);
    tape_puts(other, LAST, 3, 'n', 100);
    struct world *w = world_new(NULL, &(struct node_config){0});
    probe(w, 2, 2, 1, 0, 0);
    settle(w, t);
    probe(w, 2, 3, 1, 0, 0);
    settle(w, t);
    assert_int_equal(raft_of(w)->term, 3);
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, LAST));
    assert_int_equal(raft_of(w)->trail.last, 0);
    stream(w, 2, 3, 1, other, 0, 0, stream_len(other, 0, LAST));
    lead(w, 2, 3, 1, LAST);
    settle(w, other);
    check_value(w, LAST, 'n');
    world_free(w);
    tape_free(t);
    tape_free(other);
}

/* Whole, intact records whose data make no sense must not enter the log: every node would end when it
 * applies them, again after each restart. */
static void check_malformed(uint8_t type)
{
    struct tape *bad = tape_new(), *good = tape_new();
    tape_puts(bad, 1, 2, 'v', 10);
    memset(bad->bytes + bad->len + RECORD_HEAD_BYTES, 0xee, 40);
    tape_seal(bad, 2, type, 40);
    tape_puts(bad, 3, 2, 'v', 10);
    tape_puts(good, 3, 2, 'v', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    follow_leader(w, 2, 2, 1, 0, 0);
    stream(w, 2, 2, 1, bad, 0, 0, stream_len(bad, 0, 3));
    check_refused(w, 2, 1);
    probe(w, 2, 2, 2, 1, 2);
    stream(w, 2, 2, 2, good, 1, 0, stream_len(good, 1, 3));
    lead(w, 2, 2, 2, 3);
    settle(w, good);
    assert_int_equal(applied(w), 3);
    assert_int_equal(stream_drops(w), 1);
    world_free(w);
    tape_free(bad);
    tape_free(good);
}

static void test_malformed_data_refused(void **state)
{
    (void)state;
    check_malformed(RECORD_COMMAND);
    check_malformed(RECORD_MEMBERS);
}

/* The cache takes ENTRIES_MAX entries. The first of these are not on disk yet when a gap in the
 * stream closes and more small entries than that are there at once. */
static void test_many_small_records(void **state)
{
    (void)state;
    const size_t window = RECORD_MAX_BYTES + NODE_WINDOW_BYTES; /* of the stream */
    const size_t noop = record_size(0);
    uint64_t waiting = window / noop - 1, early = 10000, last = early + waiting;
    assert_true(last > ENTRIES_MAX);
    struct tape *t = tape_new();
    tape_noops(t, last, 2);
    struct node_config cfg = {.max_value_bytes = 1 << 20};
    struct world *w = world_new(NULL, &cfg);
    probe(w, 2, 2, 1, 0, 0);
    lead(w, 2, 2, 1, 0);
    flush(w);
    persisted(w);
    stream(w, 2, 2, 1, t, 0, 0, early * noop);
    flush(w); /* their batch is with the disk, and stays there */
    assert_int_equal(raft_of(w)->trail.last, early);
    stream(w, 2, 2, 1, t, 0, early * noop + 1, last * noop);
    assert_int_equal(raft_of(w)->trail.last, early);
    stream(w, 2, 2, 1, t, 0, early * noop, early * noop + 1);
    assert_true(raft_of(w)->trail.last > early);
    assert_true(raft_of(w)->trail.last <= ENTRIES_MAX);
    settle(w, t);
    assert_int_equal(raft_of(w)->trail.last, last);
    lead(w, 2, 2, 1, last);
    settle(w, t);
    assert_int_equal(raft_of(w)->durable_index, last);
    assert_int_equal(applied(w), last);
    assert_int_equal(stream_drops(w), 0);
    world_free(w);
    tape_free(t);
}

/* Node 3's log differs from ours from entry `same` + 1 on, up to entry 5 with the index and term of ours:
 * two logs that only look alike. It streams from behind entry `from`; nothing may be cut on its word. */
static void refuse_other_history(uint64_t last, uint64_t same, uint64_t from)
{
    struct tape *own = tape_new(), *other = tape_new();
    tape_puts(own, last, 2, 'a', 10);
    tape_puts(other, same, 2, 'a', 10);
    tape_puts(other, 5, 2, 'b', 10);
    tape_puts(other, 8, 3, 'b', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    probe(w, 2, 2, 1, 0, 0);
    stream(w, 2, 2, 1, own, 0, 0, stream_len(own, 0, last));
    settle(w, own);
    assert_int_equal(raft_of(w)->durable_index, last);
    probe(w, 3, 3, 1, from, 2);
    settle(w, own); /* the term */
    stream(w, 3, 3, 1, other, from, 0, stream_len(other, from, 8));
    check_refused(w, 3, last);
    assert_int_equal(raft_term_at(raft_of(w), last), 2);
    world_free(w);
    tape_free(own);
    tape_free(other);
}

/* Entry 6 of the new leader would replace ours, but it names an entry 5 that is not ours. */
static void test_conflict_with_other_history(void **state)
{
    (void)state;
    refuse_other_history(10, 0, 5);
}

/* The same one entry later in a stream: its entry 5 has index and term of ours, so ours stays, but
 * entry 6 names the other one. Our log ends with 5, or goes on. */
static void test_other_history_inside_a_stream(void **state)
{
    (void)state;
    refuse_other_history(5, 4, 4);
    refuse_other_history(10, 4, 4);
}

/* Two new entries of one stream: the second does not name the first. */
static void test_broken_chain_refused(void **state)
{
    (void)state;
    struct tape *bad = tape_new();
    tape_puts(bad, 2, 2, 'a', 10);
    bad->hash[2][0] ^= 1;
    tape_puts(bad, 3, 2, 'a', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    follow_leader(w, 2, 2, 1, 0, 0);
    stream(w, 2, 2, 1, bad, 0, 0, stream_len(bad, 0, 3));
    check_refused(w, 2, 2);
    world_free(w);
    tape_free(bad);
}

/* Cluster time that falls: inside a stream, behind what is in memory, and behind what recovery found. */
static void test_cluster_time_does_not_fall(void **state)
{
    (void)state;
    for (uint64_t base = 0; base <= 4; base += 2) {
        struct tape *t = tape_new();
        t->ms = 1000;
        tape_puts(t, 2, 2, 'a', 10);
        tape_puts(t, 4, 2, 'a', 10);
        t->ms--;
        tape_puts(t, 6, 2, 'a', 10);
        struct world *w = world_new(NULL, &(struct node_config){0});
        follow_leader(w, 2, 2, 1, 0, 0);
        if (base > 0) {
            stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, base));
            settle(w, t);
            assert_int_equal(raft_of(w)->durable_index, base);
            probe(w, 3, 3, 1, base, 2);
            settle(w, t);
        }
        uint16_t leader = base > 0 ? 3 : 2;
        stream(w, leader, leader, 1, t, base, 0, stream_len(t, base, 6));
        check_refused(w, leader, 4);
        world_free(w);
        tape_free(t);
    }
    struct tape *t = tape_new();
    t->ms = 1000;
    tape_puts(t, 1, 1, 'a', 10);
    struct world *w = world_new(t, &(struct node_config){0});
    t->ms--;
    tape_puts(t, 2, 2, 'a', 10);
    follow_leader(w, 2, 2, 1, 1, 1);
    stream(w, 2, 2, 1, t, 1, 0, stream_len(t, 1, 2));
    check_refused(w, 2, 1);
    world_free(w);
    tape_free(t);
}

/* Cluster time goes on where the log's last entry left it, by the clock of whoever leads then. */
static void test_cluster_time_goes_on(void **state)
{
    (void)state;
    struct tape *t = tape_new();
    t->ms = UINT64_C(77000000);
    tape_puts(t, 3, 1, 'a', 10);
    struct world *w = world_new(t, &(struct node_config){0});
    uint64_t before = w->now;
    make_leader(w);
    uint64_t since = w->now;
    w->now += 50000;
    write_one(w);
    flush(w);
    size_t size;
    uint64_t noop = record_cluster_ms(entries_at(replica_log(node_replica(w->n)), 4, &size));
    uint64_t command = record_cluster_ms(entries_at(replica_log(node_replica(w->n)), 5, &size));
    assert_true(noop >= t->ms && noop <= t->ms + (since - before) / 1000);
    assert_true(command >= noop + 50 && command <= t->ms + 50 + (since - before) / 1000);
    world_free(w);
    tape_free(t);
}

/* What a leader says of its time counts if the end of the log is of that leader. */
static void test_cluster_time_heard(void **state)
{
    (void)state;
    struct tape *t = tape_new();
    t->ms = 1000;
    tape_puts(t, 3, 2, 'a', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    const struct cluster_time *time = replica_time(node_replica(w->n));
    struct raft_msg m = {.type = RAFT_MSG_LEAD, .from = 2, .term = 2};
    m.lead.round = 1;
    m.lead.cluster_ms = 5000000;
    follow_leader(w, 2, 2, 1, 0, 0);
    tell(w, m); /* the log has nothing of that leader yet */
    assert_true(cluster_time_ms(time, w->now) < 5000000);
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, 3));
    settle(w, t);
    assert_int_equal(raft_of(w)->trail.last, 3);
    m.lead.round = 2;
    tell(w, m);
    assert_true(cluster_time_ms(time, w->now) == 5000000);
    m = (struct raft_msg){.type = RAFT_MSG_LEAD, .from = 3, .term = 3};
    m.lead.round = 1;
    m.lead.cluster_ms = 9000000;
    tell(w, m); /* another leader's */
    assert_true(cluster_time_ms(time, w->now) < 6000000);
    world_free(w);
    tape_free(t);
}

/* A leader says what its time is when the message leaves. */
static void test_cluster_time_told(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){0});
    make_leader(w);
    for (unsigned i = 0; i < 3; i++) {
        w->peers[0].has[RAFT_MSG_LEAD] = false;
        w->now = node_deadline(w->n, w->now);
        flush(w);
        if (w->peers[0].has[RAFT_MSG_LEAD])
            assert_true(w->peers[0].newest[RAFT_MSG_LEAD].lead.cluster_ms ==
                        cluster_time_ms(replica_time(node_replica(w->n)), w->now));
    }
    assert_true(w->peers[0].newest[RAFT_MSG_LEAD].lead.cluster_ms > 0);
    world_free(w);
}

/* A peer that has acknowledged part of an entry falls so far behind that this entry leaves the cache:
 * the disk is asked for the rest of it, and the stream goes on where it was. */
static void test_falls_behind_in_an_entry(void **state)
{
    (void)state;
    struct world *w = world_new(NULL, &(struct node_config){.cache_bytes = 16384});
    make_leader(w);
    answer_probe(w, 0, 0, 0);
    answer_probe(w, 1, 0, 0);
    for (int i = 0; i < 20; i++)
        write_one(w);
    pass(w, T_US / 4);
    struct peer_seen *p = &w->peers[1];
    size_t end = p->end;
    assert_int_equal(end, w->peers[0].end);
    p->end = end / 2 + 4;
    ack(w, 1, 0);
    p->end = end;
    for (int i = 0; i < 400; i++) {
        write_one(w);
        pass(w, 100);
    }
    struct tape *t = tape_of_peer(w);
    const struct wal_pos *pos = &w->fetch[3].pos;
    assert_non_null(w->fetch[3].buf);
    assert_int_equal(t->at[pos->index] + pos->skip, end / 2 + 4);
    assert_true(pos->skip > 0 && t->at[pos->index + 1] > end / 2 + 4);
    const struct stream_tx_stats *stats = &node_peer(w->n, 3)->log.flow.tx.stats;
    uint64_t timeouts = stats->timeouts;
    pass(w, 4 * T_US); /* a disk that takes its time is no silent peer */
    assert_int_equal(stats->timeouts, timeouts);
    for (int i = 0; i < 100 && p->end < t->len; i++) {
        if (w->fetch[3].buf != NULL)
            fetched(w, 3, read_disk(w, 3, t));
        pass(w, 1000);
        ack(w, 1, 0);
    }
    assert_int_equal(p->end, w->peers[0].end);
    assert_memory_equal(p->bytes, w->peers[0].bytes, p->end);
    world_free(w);
    tape_free(t);
}

/* The disk reads for a peer's stream while that peer asks for another one. What it brings then is of
 * no use; nor is more asked of it before. */
static void test_fetch_for_a_stream_that_is_no_more(void **state)
{
    (void)state;
    enum { LAST = 100, FIRST_BASE = 20, SECOND_BASE = 60 };
    struct tape *t = tape_new();
    tape_puts(t, LAST, 1, 'o', 100);
    struct world *w = world_new(t, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 1, FIRST_BASE, 1);
    flush(w);
    answer_probe(w, 1, 0, 0);
    flush(w);
    uint8_t *buf = w->fetch[3].buf;
    assert_non_null(buf);
    assert_int_equal(w->fetch[3].pos.index, FIRST_BASE + 1);
    w->peers[1].newest[RAFT_MSG_LEAD].lead.epoch = raft_of(w)->peers[1].epoch;
    refuse(w, 1, SECOND_BASE);
    flush(w);
    answer_probe(w, 1, 0, 0);
    flush(w);
    assert_int_equal(raft_of(w)->peers[1].base_index, SECOND_BASE);
    assert_ptr_equal(w->fetch[3].buf, buf);
    assert_int_equal(w->fetch[3].pos.index, FIRST_BASE + 1);
    fetched(w, 3, read_disk(w, 3, t));
    flush(w);
    assert_non_null(w->fetch[3].buf);
    assert_int_equal(w->fetch[3].pos.index, SECOND_BASE + 1);
    ack(w, 1, 0);
    settle(w, t);
    const struct peer_seen *p = &w->peers[1];
    size_t len = stream_len(t, SECOND_BASE, LAST);
    assert_int_equal(p->end, len + record_size(0)); /* and the leader's no-op */
    assert_memory_equal(p->bytes, t->bytes + t->at[SECOND_BASE + 1], len);
    world_free(w);
    tape_free(t);
}

/* A leader reads old entries for a peer while somebody, with the key and against all rules, leads a later
 * term and cuts our log: what the disk brings then is nobody's. */
static void test_fetch_comes_after_the_leadership(void **state)
{
    (void)state;
    enum { LAST = 100, CUT = 50 };
    struct tape *t = tape_new(), *other = tape_new();
    tape_puts(t, LAST, 1, 'o', 100);
    tape_puts(other, CUT, 1, 'o', 100);
    tape_puts(other, CUT + 1, 3, 'n', 100);
    struct world *w = world_new(t, &(struct node_config){0});
    make_leader(w);
    answer_probe(w, 1, 20, 1);
    flush(w);
    answer_probe(w, 1, 0, 0);
    flush(w);
    assert_non_null(w->fetch[3].buf);
    probe(w, 2, 3, 1, CUT, 1);
    stream(w, 2, 3, 1, other, CUT, 0, stream_len(other, CUT, CUT + 1));
    assert_int_equal(raft_of(w)->trail.last, CUT + 1);
    fetched(w, 3, read_disk(w, 3, t));
    flush(w);
    assert_null(node_peer(w->n, 3)->log.window.buf); /* and the memory is not kept */
    world_free(w);
    tape_free(t);
    tape_free(other);
}

/* Lets the node's seal come due. */
static void seal_time(struct world *w)
{
    w->now += NODE_SEAL_US;
    flush(w);
}

/* What a node learns to be committed after its last batch is brought to the disk by an idle one of its
 * own, once, and not before an earlier one is done. */
static void test_late_commit_index_is_sealed(void **state)
{
    (void)state;
    struct tape *t = tape_new();
    tape_puts(t, 3, 2, 'x', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    probe(w, 2, 2, 1, 0, 0);
    lead(w, 2, 2, 1, 0);
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, 3));
    settle(w, t);
    assert_int_equal(raft_of(w)->durable_index, 3);
    seal_time(w);
    assert_int_equal(w->seals, 1);
    assert_int_equal(w->disk_commit, 0);

    lead(w, 2, 2, 1, 3);
    flush(w);
    seal_time(w);
    assert_int_equal(raft_of(w)->commit_index, 3);
    assert_int_equal(w->seals, 1); /* the first one is still on its way */
    node_persisted(w->n, w->now, 0);
    flush(w);
    seal_time(w);
    assert_int_equal(w->seals, 2);
    assert_int_equal(w->disk_commit, 3);
    node_persisted(w->n, w->now, 0);
    flush(w);
    seal_time(w);
    assert_int_equal(w->seals, 2);
    world_free(w);
    tape_free(t);
}

/* A node that restarts alone replays what it knew to be committed, and no more, a part at a time; until
 * then it shows nothing. */
static void replay(size_t value_len)
{
    enum { KNOWN = 3 * NODE_APPLY_MAX / 2, LAST = KNOWN + 100 };
    struct tape *t = tape_new();
    tape_puts(t, LAST, 1, 'x', value_len);
    struct world *w = world_restarted(t, KNOWN);
    unsigned parts = 0;
    while (applied(w) < KNOWN) {
        uint64_t before = applied(w);
        assert_false(node_local_reads(w->n));
        if (w->fetch[0].buf != NULL)
            fetched(w, 0, read_disk(w, 0, t));
        else
            assert_int_equal(node_deadline(w->n, w->now), w->now); /* more is waiting */
        flush(w);
        parts += applied(w) > before;
        uint64_t part = applied(w) - before; /* the last one of them may have more */
        assert_true(part <= NODE_APPLY_MAX && part * value_len < NODE_APPLY_BYTES_MAX + value_len);
        assert_true(parts <= 100);
    }
    assert_true(parts > 1);
    assert_true(node_local_reads(w->n));
    settle(w, t);
    assert_int_equal(applied(w), KNOWN);
    check_value(w, KNOWN, 'x');
    world_free(w);
    tape_free(t);
}

static void test_replay_before_local_reads(void **state)
{
    (void)state;
    replay(10);
    replay(4000);
}

/* One that never knew anything waits for a leader, and then for all that it was told to be there. */
static void test_new_node_shows_nothing(void **state)
{
    (void)state;
    struct tape *t = tape_new();
    tape_puts(t, 9, 2, 'x', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    w->now += 10 * T_US;
    flush(w);
    assert_false(node_local_reads(w->n));
    probe(w, 2, 2, 1, 0, 0);
    lead(w, 2, 2, 1, 9);
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, 5));
    settle(w, t);
    assert_int_equal(applied(w), 5);
    assert_false(node_local_reads(w->n));
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, 9));
    settle(w, t);
    assert_int_equal(applied(w), 9);
    assert_true(node_local_reads(w->n));
    world_free(w);
    tape_free(t);
}

/* Stopped between two flushes, with entries that the disk has not been given: no idle batch names them. */
static void test_stop_before_entries_are_written(void **state)
{
    (void)state;
    struct tape *t = tape_new();
    tape_puts(t, 6, 2, 'x', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    probe(w, 2, 2, 1, 0, 0);
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, 3));
    settle(w, t);
    lead(w, 2, 2, 1, 3);
    stream(w, 2, 2, 1, t, 0, stream_len(t, 0, 3), stream_len(t, 0, 6));
    assert_int_equal(raft_of(w)->trail.last, 6);
    assert_int_equal(raft_of(w)->commit_index, 3);
    node_stopping(w->n);
    assert_int_equal(w->seals, 0);
    world_free(w);
    tape_free(t);
}

/* What is known when the node is stopped is on its disk when it is started again. */
static void test_stop_keeps_the_commit_index(void **state)
{
    (void)state;
    struct tape *t = tape_new();
    tape_puts(t, 3, 2, 'x', 10);
    struct world *w = world_new(NULL, &(struct node_config){0});
    probe(w, 2, 2, 1, 0, 0);
    stream(w, 2, 2, 1, t, 0, 0, stream_len(t, 0, 3));
    settle(w, t);
    node_stopping(w->n);
    assert_int_equal(w->seals, 0); /* nothing to tell */
    lead(w, 2, 2, 1, 3);
    flush(w);
    node_stopping(w->n);
    assert_int_equal(w->seals, 1);
    assert_int_equal(w->disk_commit, 3);
    world_free(w);
    tape_free(t);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply_after_replacement),
        cmocka_unit_test(test_votes_while_entries_wait_for_room),
        cmocka_unit_test(test_stream_only_durable_from_disk),
        cmocka_unit_test(test_piece_of_an_earlier_term),
        cmocka_unit_test(test_malformed_data_refused),
        cmocka_unit_test(test_many_small_records),
        cmocka_unit_test(test_conflict_with_other_history),
        cmocka_unit_test(test_other_history_inside_a_stream),
        cmocka_unit_test(test_broken_chain_refused),
        cmocka_unit_test(test_cluster_time_does_not_fall),
        cmocka_unit_test(test_cluster_time_goes_on),
        cmocka_unit_test(test_cluster_time_heard),
        cmocka_unit_test(test_cluster_time_told),
        cmocka_unit_test(test_falls_behind_in_an_entry),
        cmocka_unit_test(test_fetch_for_a_stream_that_is_no_more),
        cmocka_unit_test(test_fetch_comes_after_the_leadership),
        cmocka_unit_test(test_late_commit_index_is_sealed),
        cmocka_unit_test(test_replay_before_local_reads),
        cmocka_unit_test(test_new_node_shows_nothing),
        cmocka_unit_test(test_stop_before_entries_are_written),
        cmocka_unit_test(test_stop_keeps_the_commit_index),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
