// LINK: @clients tests/lib/clients_world.c TSAN
/* test_clients_locks.c: what clients are told of locks, and what ends with their connection. */
#include "tests/lib/clients_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/base/bytes.h"
#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/state/holders.h"
#include "raftd/state/kv.h"

enum { ANY = -1 };

static void set_lease(struct fake *f, uint64_t until_us)
{
    atomic_store(&f->shared.lease_until_us, until_us);
}

/* The answer is [fence ms], with at most so many milliseconds left. */
static void expect_lock(int fd, int fence, int most_ms)
{
    struct reply r;
    int got = 0, ms = 0;
    assert_int_equal(hear(fd, &r), 0);
    if (sscanf(r.text, "[%d %d]", &got, &ms) != 2 || (fence != ANY && got != fence) ||
        ms > most_ms || ms < most_ms - 5000)
        fail_msg("%s", r.text);
    free(r.text);
}

static void test_lock(void **state)
{
    struct fake *f = *state;
    int a = dial(f), b = dial(f), c = dial(f);
    set_lease(f, clock_us() + 60000000);
    ask(a, "RAFT.LOCK x VALUE here");
    expect_lock(a, 1, 60000);
    ask(a, "RAFT.HELD x");
    expect_lock(a, 1, 60000);
    ask(b, "RAFT.HELD x");
    expect_part(b, "-NOTHELD");
    ask(b, "RAFT.LOCK x TRY");
    expect(b, "nil");
    ask(b, "RAFT.UNLOCK x 1");
    expect_part(b, "-NOTHELD");
    ask(c, "RAFT.HOLDER x");
    expect_part(c, " 1 here]");
    ask(c, "RAFT.HOLDER y");
    expect(c, "nil");
    static const char *const asks[] = {"HOLDER", "HELD", "LOCK", "UNLOCK"};
    for (unsigned i = 0; i < 4; i++) { /* no name is so long */
        ask(a, "RAFT.%s %0257u%s", asks[i], 0, i == 3 ? " 1" : "");
        expect_part(a, "-TOOBIG ");
    }
    ask(b, "RAFT.LOCK x");
    sleep_ms(50);
    ask(c, "RAFT.LOCK x");
    sleep_ms(50);
    assert_int_equal(tally_sum(&f->shared).blocked, 2);
    assert_false(heard(b, NULL));
    ask(a, "RAFT.UNLOCK x 1");
    expect(a, "OK");
    expect_lock(b, 6, 60000); /* the first that waits, and nobody else */
    sleep_ms(50);
    assert_false(heard(c, NULL));
    close(b); /* its lock ends with it */
    expect_lock(c, 7, 60000);
    assert_int_equal(tally_sum(&f->shared).blocked, 0);
    ask(a, "RAFT.HELD x");
    expect_part(a, "-NOTHELD");
    close(a);
    close(c);
}

/* A place is given back when the time is up, and with its connection. */
static void test_wait(void **state)
{
    struct fake *f = *state;
    int a = dial(f), b = dial(f), c = dial(f);
    set_lease(f, clock_us() + 60000000);
    ask(a, "RAFT.LOCK x");
    expect_lock(a, ANY, 60000);
    ask(b, "RAFT.LOCK x WAIT 50");
    expect(b, "nil");
    ask(b, "RAFT.LOCK x");
    sleep_ms(50);
    close(b);
    sleep_ms(50);
    ask(c, "RAFT.LOCK x");
    sleep_ms(50);
    ask(a, "RAFT.UNLOCK x 0");
    expect(a, "OK");
    expect_lock(c, ANY, 60000);
    ask(c, "RAFT.LOCK x WAIT 5 TRY");
    expect_part(c, "-ERR syntax");
    ask(c, "RAFT.LOCK x WAIT 86400001");
    expect_part(c, "-ERR WAIT takes 0 to 86400000");
    ask(c, "RAFT.LOCK x VALUE %0257d TRY", 0);
    expect_part(c, "-TOOBIG the word");
    ask(c, "RAFT.UNLOCK x y");
    expect_part(c, "-ERR");
    close(a);
    close(c);
}

/* Nobody is told that it holds a lock while the lease of this node is over. */
static void test_lease(void **state)
{
    struct fake *f = *state;
    int a = dial(f);
    set_lease(f, 0);
    ask(a, "RAFT.LOCK x");
    sleep_ms(200);
    assert_false(heard(a, NULL));
    set_lease(f, clock_us() + 60000000);
    expect_lock(a, ANY, 60000);
    set_lease(f, clock_us());
    ask(a, "RAFT.HELD x");
    expect_part(a, "-NOTHELD");
    close(a);
}

static void test_publish(void **state)
{
    struct fake *f = *state;
    int a = dial(f), b = dial(f);
    set_lease(f, clock_us() + 60000000);
    ask(a, "RAFT.PUBLISH k v");
    expect(a, "OK");
    ask(b, "GET k");
    expect(b, "v");
    close(a);
    for (unsigned i = 0; i < 100; i++) {
        struct reply r;
        ask(b, "GET k");
        assert_int_equal(hear(b, &r), 0);
        bool gone = strcmp(r.text, "nil") == 0;
        free(r.text);
        if (gone)
            break;
        assert_true(i < 99);
        sleep_ms(20);
    }
    close(b);
}

static uint64_t index_of(struct fake *f)
{
    rcu_enter();
    uint64_t index = kv_view(f->shared.kv)->index;
    rcu_leave();
    return index;
}

/* A connection that has given back what it had, or got nothing, costs no write when it ends. */
static void test_given_back(void **state)
{
    struct fake *f = *state;
    int a = dial(f), b = dial(f), other = dial(f);
    set_lease(f, clock_us() + 60000000);
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 60000);
    ask(b, "RAFT.LOCK x TRY");
    expect(b, "nil");
    ask(a, "RAFT.UNLOCK x 1");
    expect(a, "OK");
    uint64_t before = index_of(f);
    close(a);
    close(b);
    sleep_ms(50);
    ask(other, "SET k v");
    expect(other, "OK");
    assert_int_equal(index_of(f), before + 1);
    close(other);
}

/* The next answer is a push: the lock is held for at most so many milliseconds more, and for more than half
 * of them; 0: it is lost. */
static void expect_push(int fd, int fence, int most_ms)
{
    struct reply r;
    int got = 0, ms = 0;
    assert_int_equal(hear(fd, &r), 0);
    if (sscanf(r.text, "[lock x %d %d]", &got, &ms) != 2 || got != fence || ms > most_ms ||
        ms < most_ms / 2)
        fail_msg("%s", r.text);
    free(r.text);
}

/* In RESP3 who holds a lock is told when that is so for longer, and when it is over; not when it gives the
 * lock back itself. */
static void test_pushes(void **state)
{
    struct fake *f = *state;
    int a = dial(f), old = dial(f);
    set_lease(f, clock_us() + 1000000);
    ask(a, "HELLO 3");
    expect_part(a, "raftd");
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 1000);
    ask(old, "RAFT.LOCK y");
    expect_lock(old, 2, 1000);
    set_lease(f, clock_us() + 60000000);
    expect_push(a, 1, 60000);
    assert_false(heard(old, NULL));
    ask(a, "RAFT.LOCK x"); /* once more: it holds it */
    expect_lock(a, 1, 60000);
    set_lease(f, clock_us() + 1000000);
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 1000);
    expect_push(a, 1, 0);
    set_lease(f, clock_us() + 1000000);
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 1000);
    ask(a, "RAFT.UNLOCK x 1");
    expect(a, "OK");
    sleep_ms(1500);
    assert_false(heard(a, NULL));
    assert_false(heard(old, NULL));
    ask(a, "RAFT.LOCK x");
    close(a);
    close(old);
}

/* As if the leader had freed all that this node's clients hold. */
static void free_all(struct fake *f)
{
    uint8_t key[CMD_PROCESS_BYTES], cmd[CMD_ONE_BYTES + sizeof key];
    struct applied applied;
    put_u16(key, 1);
    put_u64(key + 2, 1);
    size_t len = cmd_encode_one(
        cmd, &(struct cmd_item){.kind = CMD_FREE, .key = key, .key_len = sizeof key});
    pthread_mutex_lock(&f->lock);
    assert_true(machine_apply(f->machine, ++f->index, 0, cmd, len, NULL, &applied));
    assert_true(machine_publish(f->machine));
    pthread_mutex_unlock(&f->lock);
}

static void hold_writes(struct fake *f, bool hold)
{
    if (hold)
        assert_int_equal(f->held, 0);
    world_set(f, &f->hold, hold);
}

static void wait_held(const struct fake *f, unsigned writes)
{
    for (unsigned i = 0; f->held < writes; i++) {
        assert_true(i < 2000);
        sleep_ms(5);
    }
}

/* Who asks for what it holds once more, or gives back what it does not hold, is told on: also while there is
 * no answer, and once. */
static void test_pushes_go_on(void **state)
{
    struct fake *f = *state;
    int a = dial(f);
    set_lease(f, clock_us() + 2000000);
    ask(a, "HELLO 3");
    expect_part(a, "raftd");
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 2000);
    hold_writes(f, true);
    ask(a, "RAFT.LOCK x");
    wait_held(f, 1);
    set_lease(f, clock_us() + 60000000);
    expect_push(a, 1, 60000);
    set_lease(f, clock_us() + 2000000);
    hold_writes(f, false);
    expect_lock(a, 1, 2000);
    ask(a, "RAFT.UNLOCK x 7");
    expect_part(a, "-NOTHELD");
    ask(a, "RAFT.UNLOCK y 0");
    expect_part(a, "-NOTHELD");
    expect_push(a, 1, 0);
    sleep_ms(200);
    assert_false(heard(a, NULL));
    close(a);
}

/* What ends while it is being given back is told by that answer, and if that says no, by a push. */
static void test_pushes_while_given(void **state)
{
    struct fake *f = *state;
    int a = dial(f);
    set_lease(f, clock_us() + 1000000);
    ask(a, "HELLO 3");
    expect_part(a, "raftd");
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 1000);
    set_lease(f, clock_us() + 60000000);
    expect_push(a, 1, 60000);
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 60000);
    set_lease(f, clock_us() + 2000000);
    ask(a, "RAFT.LOCK x"); /* looked at again after one second */
    expect_lock(a, 1, 2000);
    hold_writes(f, true);
    ask(a, "RAFT.UNLOCK x 1");
    wait_held(f, 1);
    free_all(f);
    set_lease(f, clock_us() + 60000000);
    sleep_ms(1200);
    assert_false(heard(a, NULL));
    hold_writes(f, false);
    expect_part(a, "-NOTHELD");
    expect_push(a, 1, 0);
    close(a);
}

/* In RESP2 nobody is told, and RAFT.HELD answers whatever was asked in between. */
static void test_held_goes_on(void **state)
{
    struct fake *f = *state;
    int a = dial(f);
    set_lease(f, clock_us() + 1000000);
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 1000);
    ask(a, "RAFT.LOCK x");
    expect_lock(a, 1, 1000);
    ask(a, "RAFT.UNLOCK x 7");
    expect_part(a, "-NOTHELD");
    set_lease(f, clock_us() + 60000000);
    ask(a, "RAFT.HELD x");
    expect_lock(a, 1, 60000);
    ask(a, "RAFT.UNLOCK x 1");
    expect(a, "OK");
    ask(a, "RAFT.HELD x");
    expect_part(a, "-NOTHELD");
    close(a);
}

/* Who holds a lock and does not read is not told again and again: that would take memory without end. */
static void test_pushes_unread(void **state)
{
    enum { BYTES = 60000, CHANGES = 40, ROUNDS = 100, FEW = 4 }; /* more than all buffers; 2 s */
    struct fake *f = *state;
    int slow = dial(f), other = dial(f);
    uint8_t *value = calloc(1, BYTES);
    unsigned told = 0, pushes = 0;
    assert_non_null(value);
    set_lease(f, clock_us() + 60000000);
    ask(slow, "HELLO 3");
    expect_part(slow, "raftd");
    ask(slow, "RAFT.LOCK x");
    expect_lock(slow, 1, 60000);
    set_lease(f, clock_us() + 400000);
    ask(slow, "RAFT.LOCK x");
    expect_lock(slow, 1, 400);
    ask(slow, "RAFT.WATCH big");
    expect_part(slow, "");
    for (unsigned i = 0; i < CHANGES; i++) {
        put_long(other, "big", value, BYTES);
        expect(other, "OK");
        set_lease(f, clock_us() + 400000);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        sleep_ms(20);
        set_lease(f, clock_us() + 400000);
    }
    while (told < CHANGES) {
        struct reply r;
        assert_int_equal(hear(slow, &r), 0);
        told += strncmp(r.text, "[change ", 8) == 0;
        pushes += strncmp(r.text, "[lock ", 6) == 0;
        free(r.text);
    }
    if (pushes > FEW)
        fail_msg("%u", pushes);
    free(value);
    close(slow);
    close(other);
}

/* By TCP, who was killed while it waited for one lock gives back the others. */
static void test_killed(void **unused)
{
    (void)unused;
    void *state = NULL;
    world_tcp = true;
    assert_int_equal(world_setup(&state), 0);
    world_tcp = false;
    struct fake *f = state;
    int a = dial(f), b = dial_tcp(f), c = dial(f);
    set_lease(f, clock_us() + 60000000);
    ask(b, "AUTH 7777777777777777777777777777777777777777777777777777777777777777");
    expect(b, "OK");
    ask(a, "RAFT.LOCK x");
    expect_lock(a, ANY, 60000);
    ask(b, "RAFT.LOCK y");
    expect_lock(b, ANY, 60000);
    send_text(b, "RAFT.LOCK x\nPING\n");
    sleep_ms(50);
    close(b);
    ask(c, "RAFT.LOCK y WAIT 10000");
    expect_lock(c, ANY, 60000);
    close(a);
    close(c);
    assert_int_equal(world_teardown(&state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lock, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_wait, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lease, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_publish, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_given_back, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_pushes, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_pushes_go_on, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_pushes_while_given, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_held_goes_on, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_pushes_unread, world_setup, world_teardown),
        cmocka_unit_test(test_killed),
    };
    return world_run(tests, sizeof tests / sizeof tests[0]);
}
