// LINK: @sim tests/lib/node_calm.c
/* Snapshots between whole nodes: when they are taken and what goes from the log, how a peer gets one, and
 * that it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "raftd/base/rcu.h"
#include "tests/lib/node_calm.h"
#include "tests/sim/impl.h"

enum { VALUE = 10000, SEGMENT = 64 << 10 };

struct world {
    struct sim *s;
    unsigned leader, away, other;
};

static struct world cluster(uint64_t seed, uint64_t log_max_bytes)
{
    struct sim_options o = calm(3, seed);
    o.segment_bytes = SEGMENT;
    o.max_value_bytes = VALUE;
    o.batch_bytes = 20000;
    o.log_max_bytes = log_max_bytes;
    struct world w = {.s = sim_new(&o)};
    run_until_leader(w.s);
    w.leader = (unsigned)sim_leader(w.s);
    w.away = (w.leader + 1) % 3;
    w.other = (w.leader + 2) % 3;
    return w;
}

static const struct images *images_of(const struct world *w, unsigned node)
{
    return node_parts(w->s->m[node].node).images;
}

static struct snap_out *out_of(const struct world *w)
{
    return &node_peer(w->s->m[w->leader].node, (uint16_t)(w->away + 1))->snapshot;
}

static void puts_of(struct world *w, unsigned count, uint64_t pause_us)
{
    for (unsigned i = 0; i < count; i++) {
        sim_put(w->s, w->leader, VALUE, SECOND);
        sim_run(w->s, pause_us);
    }
    sim_run(w->s, SECOND);
}

/* Until the peer says that it has so much of the snapshot. */
static void run_until_has(struct world *w, uint64_t bytes)
{
    for (unsigned i = 0; i < 20000; i++, sim_run(w->s, MS))
        if (out_of(w)->flow.id != 0 && out_of(w)->flow.tx.heard && out_of(w)->flow.tx.una >= bytes)
            return;
    fail_msg("the peer takes no snapshot");
}

static bool caught_up(const struct world *w)
{
    return sim_raft(w->s, w->away)->durable_index == sim_raft(w->s, w->leader)->trail.last;
}

/* The entry of the members is gone from the log: the snapshot knows them, and so does a restarted node. */
static void check_members(struct world *w, unsigned at)
{
    struct wal_base base;
    struct members_at m = *replica_members(node_replica(w->s->m[at].node));
    assert_true(m.index > 0 && m.index <= sim_raft(w->s, at)->commit_index);
    assert_true(m.index < sim_raft(w->s, at)->trail.base_index);
    assert_int_equal(sim_snap_base(w->s->m[at].disk, &base), 0);
    assert_memory_equal(&base.members, &m, sizeof m);
    sim_crash(w->s, at);
    sim_restart(w->s, at);
    assert_memory_equal(replica_members(node_replica(w->s->m[at].node)), &m, sizeof m);
}

/* The log stays within the last snapshot and a few segments, and what is read of it is there. */
static void test_log_stays_short(void **state)
{
    (void)state;
    struct world w = cluster(1, 0);
    for (unsigned round = 0; round < 8; round++) {
        puts_of(&w, 100, 5 * MS);
        const struct images *im = images_of(&w, w.leader);
        /* The tail, what calls for the next snapshot, and a segment at either end. Segments have a third
         * of their bytes left over, for batches of this size. */
        uint64_t most = im->newest.size / 4 + im->newest.size + 7 * SEGMENT;
        assert_in_range(images_log_bytes(im), SEGMENT, most);
        assert_in_range(wal_stats(w.s->m[w.leader].wal).log_bytes, SEGMENT, most / 2 * 3);
    }
    assert_in_range(w.s->t.snapshots, 9, 30); /* ever rarer, as the state grows */
    assert_int_equal(w.s->m[w.leader].hurries, 0);
    assert_true(sim_raft(w.s, w.leader)->trail.base_index > 300);
    converge(w.s);
    check_members(&w, w.leader);
    sim_free(w.s);
}

/* A node that was away too long gets a snapshot, and the log behind it, while clients go on writing: it
 * does not need the next snapshot when it has the first. */
static void test_install_beside_writes(void **state)
{
    (void)state;
    struct world w = cluster(2, 0);
    sim_crash(w.s, w.away);
    puts_of(&w, 300, 2 * MS);
    assert_true(sim_raft(w.s, w.leader)->trail.base_index > 1);
    sim_restart(w.s, w.away);
    uint64_t begun = sim_now(w.s);
    while (!caught_up(&w)) {
        sim_put(w.s, w.leader, VALUE, SECOND);
        sim_run(w.s, 5 * MS);
        assert_true(sim_now(w.s) - begun < 20 * SECOND);
    }
    assert_int_equal(w.s->t.installs, 1);
    assert_true(w.s->t.snapshots > 0);
    converge(w.s);
    sim_free(w.s);
}

/* It goes on where it was: after a restart of the receiver, and with another leader. */
static void test_resumes(void **state)
{
    (void)state;
    struct world w = cluster(3, 0);
    sim_crash(w.s, w.away);
    puts_of(&w, 300, 2 * MS);
    node_snapshot(w.s->m[w.leader].node);
    node_snapshot(w.s->m[w.other].node);
    sim_run(w.s, SECOND);
    assert_int_equal(images_of(&w, w.leader)->newest.index, images_of(&w, w.other)->newest.index);
    sim_thin(w.s, w.leader, w.away, 300000); /* so that it takes a while */
    sim_thin(w.s, w.other, w.away, 300000);
    sim_restart(w.s, w.away);
    uint64_t size = images_of(&w, w.leader)->newest.size;
    run_until_has(&w, size / 3);
    sim_crash(w.s, w.away);
    sim_restart(w.s, w.away);
    run_until_has(&w, 1);
    assert_true(out_of(&w)->flow.tx.una > size / 3 - 5 * SNAP_WRITE_BYTES - NODE_WINDOW_BYTES);
    run_until_has(&w, size / 3 * 2);
    sim_crash(w.s, w.leader); /* the other one has the same snapshot */
    while (sim_leader(w.s) < 0)
        sim_run(w.s, MS);
    assert_int_equal(sim_leader(w.s), w.other);
    w.leader = w.other;
    run_until_has(&w, size / 3 * 2);
    for (unsigned i = 0; i < 10000 && !caught_up(&w); i++)
        sim_run(w.s, MS);
    assert_true(caught_up(&w));
    assert_int_equal(w.s->t.installs, 1);
    sim_free(w.s);
}

/* A peer that has all of it, but not on its disk, which hangs, is not asked again and again. */
static void test_disk_of_receiver_hangs(void **state)
{
    (void)state;
    struct world w = cluster(11, 0);
    sim_crash(w.s, w.away);
    puts_of(&w, 300, 2 * MS);
    sim_thin(w.s, w.leader, w.away, 300000); /* so that its end is not missed */
    sim_restart(w.s, w.away);
    run_until_has(&w, images_of(&w, w.leader)->newest.size - 100000);
    sim_thin(w.s, w.leader, w.away, 0);
    w.s->m[w.away].stall_until = w.s->now + 5 * SECOND;
    uint64_t datagrams = w.s->t.datagrams;
    sim_run(w.s, 4 * SECOND);
    assert_true(node_parts(w.s->m[w.away].node).images->newest.index == 0);
    assert_in_range(w.s->t.datagrams - datagrams, 50, 1500);
    sim_run(w.s, 4 * SECOND);
    assert_true(caught_up(&w));
    sim_free(w.s);
}

/* A leader whose state may be wrong gives it to nobody. */
static void test_disputed_is_not_given(void **state)
{
    (void)state;
    struct world w = cluster(8, 0);
    sim_crash(w.s, w.away);
    puts_of(&w, 300, 2 * MS);
    assert_true(sim_raft(w.s, w.leader)->trail.base_index > 1);
    sim_spoil(w.s, w.other);
    puts_of(&w, 1, MS);
    node_snapshot(w.s->m[w.leader].node);
    sim_run(w.s, SECOND);
    assert_true(sim_raft(w.s, w.leader)->differs);
    sim_restart(w.s, w.away);
    sim_run(w.s, 5 * SECOND);
    assert_int_equal(sim_leader(w.s), w.leader);
    assert_int_equal(w.s->t.installs, 0);
    sim_crash(w.s, w.other); /* its memory was wrong, not its disk */
    sim_restart(w.s, w.other);
    converge(w.s);
    assert_int_equal(w.s->t.installs, 1);
    sim_free(w.s);
}

/* When a snapshot is offered anew, what the peer said of it before counts no more, however late it
 * comes: it may have less of it by now. */
static void test_late_answer(void **state)
{
    (void)state;
    struct world w = cluster(6, 0);
    sim_crash(w.s, w.away);
    puts_of(&w, 300, 2 * MS);
    sim_thin(w.s, w.leader, w.away, 300000);
    sim_restart(w.s, w.away);
    run_until_has(&w, 100000);
    uint16_t peer = (uint16_t)(w.away + 1);
    struct flows *flows = &node_peer(w.s->m[w.leader].node, peer)->flows;
    struct stream_tx *tx = &out_of(&w)->flow.tx;
    struct wire_sack late = {
        .stream = WIRE_STREAM_SNAPSHOT, .id = out_of(&w)->flow.id, .contig = tx->una};
    tx->timeouts = STREAM_DEAF_TIMEOUTS;
    (void)flows_sync(flows, w.s->now, peer);
    assert_false(tx->heard);
    assert_true(flows_acked(flows, w.s->now, peer, &late, 0));
    assert_false(tx->heard);
    for (unsigned i = 0; i < 10000 && !caught_up(&w); i++)
        sim_run(w.s, MS);
    assert_true(caught_up(&w));
    assert_int_equal(w.s->t.installs, 1);
    sim_free(w.s);
}

/* A node that is away for a moment finds what it lacks in the tail of the log. */
static void test_tail(void **state)
{
    (void)state;
    struct world w = cluster(6, 0);
    puts_of(&w, 100, 5 * MS);
    for (unsigned round = 0; round < 20; round++) {
        sim_crash(w.s, w.away);
        puts_of(&w, 2, MS);
        node_snapshot(w.s->m[w.leader].node);
        puts_of(&w, 2, MS);
        sim_restart(w.s, w.away);
        converge(w.s);
    }
    assert_true(sim_raft(w.s, w.leader)->trail.base_index > 100);
    assert_int_equal(w.s->t.installs, 0);
    sim_free(w.s);
}

/* The client of a node that learns of its write by a snapshot alone is told that it was done. */
static void test_write_in_a_snapshot(void **state)
{
    (void)state;
    struct world w = cluster(7, 8 * SEGMENT); /* no log waits for a peer for ever */
    sim_run(w.s, SECOND);
    sim_cut(w.s, w.leader, w.away, true);
    sim_cut(w.s, w.other, w.away, true);
    uint64_t write = sim_raft(w.s, w.leader)->commit_index + 1;
    sim_put(w.s, w.away, 100, 60 * SECOND);
    sim_run(w.s, 100 * MS);
    assert_int_equal(sim_raft(w.s, w.leader)->commit_index, write); /* it is there */
    assert_int_equal(sim_acked(w.s), 0);
    puts_of(&w, 100, 5 * MS);
    assert_true(sim_raft(w.s, w.leader)->trail.base_index > write);
    sim_cut(w.s, w.leader, w.away, false);
    sim_cut(w.s, w.other, w.away, false);
    for (unsigned i = 0; i < 20000 && w.s->t.installs == 0; i++)
        sim_run(w.s, 10);
    assert_int_equal(w.s->t.installs, 1);
    assert_int_equal(sim_acked(w.s), 101); /* at once: it asks nobody */
    converge(w.s);
    sim_free(w.s);
}

/* A disk that can't take a snapshot bounds the log: then new writes are refused, and only then. */
static void test_log_max(void **state)
{
    (void)state;
    enum { MOST = 16 * SEGMENT };
    struct world w = cluster(4, MOST);
    puts_of(&w, 300, 2 * MS); /* far more than that */
    assert_int_equal(sim_acked(w.s), 300);
    for (unsigned i = 0; i < 3; i++)
        w.s->m[i].image_never = true;
    puts_of(&w, 300, 2 * MS);
    assert_in_range(images_log_bytes(images_of(&w, w.leader)), MOST, MOST + 2 * SEGMENT);
    assert_in_range(sim_acked(w.s), 320, 450);
    assert_true(w.s->t.refused > 100);
    uint64_t refused = w.s->t.refused;
    sim_put(w.s, w.leader, VALUE, 60 * SECOND); /* which nobody waits for */
    sim_run(w.s, MS);
    assert_int_equal(w.s->t.refused, refused + 1);
    assert_true(w.s->m[w.leader].hurries > 0); /* all wait for it */
    for (unsigned i = 0; i < 3; i++)
        w.s->m[i].image_never = false;
    sim_run(w.s, 7 * SECOND);
    unsigned acked = sim_acked(w.s);
    puts_of(&w, 10, 2 * MS);
    assert_int_equal(sim_acked(w.s), acked + 10);
    sim_free(w.s);
}

/* Writes on their way to a leader whose log gets full are refused there: their clients know that nothing was
 * done. They go on when there is room. */
static void test_log_max_relayed(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost <= 200000; lost += 100000) {
        struct world w = cluster(4, 16 * SEGMENT);
        const struct relay_out *out = node_parts(w.s->m[w.away].node).relay_out;
        uint64_t term = node_raft(w.s->m[w.away].node)->term;
        w.s->o.rate[SIM_LOSS] = lost;
        w.s->o.delay_min_us = 10 * MS;
        w.s->o.delay_max_us = 11 * MS;
        for (unsigned i = 0; i < 3; i++)
            w.s->m[i].image_never = true;
        for (unsigned i = 0; i < 600; i++) {
            sim_put(w.s, w.away, VALUE / 2 + i, 20 * SECOND);
            sim_run(w.s, MS);
        }
        sim_run(w.s,
                15 * SECOND); /* each stream that is shut refuses what it holds: some ten of them */
        assert_true(lost > 0 || (out->streams > 1 && w.s->t.refused > 0));
        /* What another leader may have got before is not known, and a full leader hands over if it can. */
        bool one_leader = node_raft(w.s->m[w.away].node)->term == term;
        assert_true(one_leader || lost > 0);
        assert_true(!one_leader || (w.s->t.unknown == 0 && sim_pending(w.s) == 0));
        sim_run(w.s, 6 * SECOND);
        assert_int_equal(sim_pending(w.s), 0);
        w.s->o.rate[SIM_LOSS] = 0;
        for (unsigned i = 0; i < 3; i++)
            w.s->m[i].image_never = false;
        sim_run(w.s, 7 * SECOND);
        unsigned acked = sim_acked(w.s);
        sim_put(w.s, w.away, VALUE, 5 * SECOND);
        converge(w.s);
        assert_int_equal(sim_acked(w.s), acked + 1);
        sim_free(w.s);
    }
}

/* Images that take too much memory, one after the other, are not begun at once again and again, although the
 * log is long. */
static void test_images_outgrow(void **state)
{
    (void)state;
    struct world w = cluster(8, 16 * SEGMENT);
    struct images *im = node_parts(w.s->m[w.leader].node).images;
    unsigned begun = 0;
    w.s->m[w.leader].image_never = true;
    puts_of(&w, 300, 2 * MS);
    for (uint64_t end = w.s->now + 60 * SECOND; w.s->now < end; sim_run(w.s, MS / 10)) {
        begun += im->open != NULL && !im->stopping;
        im->stopping |= im->open != NULL; /* as if it took too much */
    }
    assert_in_range(begun, 4, 8);
    w.s->m[w.leader].image_never = false;
    while (images_of(&w, w.leader)->newest.index == 0)
        sim_run(w.s, SECOND);
    assert_int_equal(im->outgrown, 0);
    puts_of(&w, 10, 2 * MS);
    converge(w.s);
    sim_free(w.s);
}

/* A snapshot that can't be read is looked at although nothing was written since, one that is only asked for
 * is not. */
static void test_same_again(void **state)
{
    (void)state;
    struct world w = cluster(10, 0);
    puts_of(&w, 3, 2 * MS);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t snapshots = w.s->t.snapshots;
        if (i < 2)
            node_snapshot(w.s->m[w.leader].node);
        else
            node_snap_read(w.s->m[w.leader].node, w.s->now, (struct node_fetch){.peer = 0}, 0);
        sim_run(w.s, SECOND);
        assert_int_equal(w.s->t.snapshots, snapshots + (i != 1));
        assert_int_equal(images_of(&w, w.leader)->newest.index,
                         sim_raft(w.s, w.leader)->trail.last);
    }
    sim_free(w.s);
}

/* A node for which a snapshot never arrives whole has it sent less and less often. */
static void test_install_never_works(void **state)
{
    (void)state;
    struct world w = cluster(9, 0);
    sim_crash(w.s, w.away);
    puts_of(&w, 300, 2 * MS);
    uint64_t size = images_of(&w, w.leader)->newest.size, before = w.s->t.bytes;
    w.s->m[w.away].part_never = true;
    sim_restart(w.s, w.away);
    sim_run(w.s, 60 * SECOND);
    assert_false(caught_up(&w));
    struct status st;
    node_status(w.s->m[w.away].node, w.s->now, &st);
    assert_in_range(st.installs_failed, 4, 7);
    assert_true(w.s->t.bytes - before < 20 * size);
    w.s->m[w.away].part_never = false;
    sim_run(w.s, 70 * SECOND);
    assert_true(caught_up(&w));
    converge(w.s);
    sim_free(w.s);
}

/* A node that has yet to apply what is in a snapshot that came keeps the log of it. */
static void test_unapplied_log_stays(void **state)
{
    (void)state;
    struct world w = cluster(8, 0);
    w.s->m[w.away].image_never = true;
    puts_of(&w, 100, 5 * MS);
    converge(w.s);
    struct snapshot_name came = images_of(&w, w.leader)->newest;
    sim_crash(w.s, w.away);
    sim_restart(w.s, w.away);
    w.s->m[w.away].stall_until = w.s->now + SECOND; /* it can't read what it has to apply */
    uint64_t applied = replica_applied(node_replica(w.s->m[w.away].node));
    assert_true(applied < came.index && sim_raft(w.s, w.away)->trail.last > came.index);
    images_installed(node_parts(w.s->m[w.away].node).images, &came);
    sim_run(w.s, 100 * MS);
    assert_true(sim_raft(w.s, w.away)->trail.base_index <= applied);
    sim_crash(w.s, w.away); /* that snapshot is not on its disk */
    sim_restart(w.s, w.away);
    converge(w.s);
    sim_free(w.s);
}

/* A link of 20 kbit/s that loses a fifth of all: slow, but it ends, and live followers notice nothing. */
static void test_bad_link(void **state)
{
    (void)state;
    struct world w = cluster(5, 0);
    sim_crash(w.s, w.away);
    puts_of(&w, 100, 2 * MS);
    sim_thin(w.s, w.leader, w.away, 200000);
    sim_thin(w.s, w.away, w.leader, 200000);
    sim_restart(w.s, w.away);
    unsigned acked = sim_acked(w.s);
    for (unsigned i = 0; i < 3000 && !caught_up(&w); i++)
        sim_run(w.s, 10 * MS);
    assert_true(caught_up(&w));
    puts_of(&w, 20, MS);
    assert_int_equal(sim_acked(w.s), acked + 20);
    sim_free(w.s);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_stays_short),
        cmocka_unit_test(test_install_beside_writes),
        cmocka_unit_test(test_resumes),
        cmocka_unit_test(test_disk_of_receiver_hangs),
        cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_disputed_is_not_given),
        cmocka_unit_test(test_log_max),
        cmocka_unit_test(test_log_max_relayed),
        cmocka_unit_test(test_images_outgrow),
        cmocka_unit_test(test_same_again),
        cmocka_unit_test(test_install_never_works),
        cmocka_unit_test(test_unapplied_log_stays),
        cmocka_unit_test(test_bad_link),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_write_in_a_snapshot),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
