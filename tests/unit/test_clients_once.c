// LINK: @clients tests/lib/clients_world.c TSAN
/* test_clients_once.c: RAFT.ONCE does a write once however often it is sent, and RAFT.OUTCOME tells of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/serve/token.h"
#include "tests/lib/clients_world.h"

static void new_token(int fd, char token[TOKEN_TEXT_BYTES])
{
    struct reply r;
    ask(fd, "RAFT.TOKEN");
    assert_int_equal(hear(fd, &r), 0);
    assert_true(r.len < TOKEN_TEXT_BYTES);
    memcpy(token, r.text, r.len + 1);
    free(r.text);
}

static void test_once(void **state)
{
    int fd = dial(*state), other = dial(*state);
    char a[TOKEN_TEXT_BYTES], b[TOKEN_TEXT_BYTES];
    new_token(fd, a);
    new_token(other, b);
    assert_string_not_equal(a, b);
    ask(fd, "RAFT.OUTCOME %s", a);
    expect(fd, "nil");
    ask(fd, "RAFT.ONCE %s INCR n", a);
    expect(fd, "[1 0 1]");
    ask(other, "RAFT.ONCE %s INCR n", a);
    expect(other, "[1 1 nil]");
    ask(other, "RAFT.ONCE %s INCR n", b);
    expect(other, "[3 0 2]");
    ask(fd, "GET n");
    expect(fd, "2");
    ask(fd, "RAFT.OUTCOME %s", a);
    expect(fd, "[done 1]");
    ask(fd, "RAFT.OUTCOME %s", b);
    expect(fd, "[done 3]");
    (void)close(fd);
    (void)close(other);
}

/* What was refused stays so, whatever has changed since. */
static void test_refused(void **state)
{
    int fd = dial(*state);
    char token[TOKEN_TEXT_BYTES], number[TOKEN_TEXT_BYTES];
    ask(fd, "SET a text");
    expect(fd, "OK");
    new_token(fd, token);
    new_token(fd, number);
    ask(fd, "RAFT.ONCE %s RAFT.TXN IF PRESENT a IF ABSENT a PUT a other", token);
    expect(fd, "[0 0 [0 1]]");
    ask(fd, "RAFT.ONCE %s INCR a", number);
    expect_part(fd, "-ERR value is not an integer");
    ask(fd, "DEL a");
    expect(fd, "1");
    ask(fd, "RAFT.ONCE %s RAFT.TXN IF PRESENT a IF ABSENT a PUT a other", token);
    expect(fd, "[0 1 nil]");
    ask(fd, "RAFT.ONCE %s INCR a", number);
    expect_part(fd, "-ERR value is not an integer");
    ask(fd, "EXISTS a");
    expect(fd, "0");
    ask(fd, "RAFT.OUTCOME %s", token);
    expect(fd, "[condition 0]");
    ask(fd, "RAFT.OUTCOME %s", number);
    expect(fd, "[not_a_number 0]");
    (void)close(fd);
}

static void test_mistakes(void **state)
{
    int fd = dial(*state);
    char token[TOKEN_TEXT_BYTES];
    static const char *const made_up[] = {
        "x", "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff-",
        "00112233445566778899aabbccddeeff--1", "00112233445566778899aabbccddeefg-1"};
    new_token(fd, token);
    for (unsigned i = 0; i < sizeof made_up / sizeof made_up[0]; i++) {
        ask(fd, "RAFT.ONCE %s SET a b", made_up[i]);
        expect_part(fd, "-ERR this is no token");
        ask(fd, "RAFT.OUTCOME %s", made_up[i]);
        expect_part(fd, "-ERR this is no token");
    }
    /* No entry so far can have been known when it was made. */
    ask(fd, "RAFT.ONCE 00112233445566778899aabbccddeeff-1000000 SET a b");
    expect_part(fd, "-CANTTELL ");
    ask(fd, "RAFT.OUTCOME 00112233445566778899aabbccddeeff-1000000");
    expect_part(fd, "-CANTTELL ");
    ask(fd, "RAFT.ONCE %s GET a", token);
    expect_part(fd, "-ERR RAFT.ONCE is for commands that write");
    ask(fd, "RAFT.ONCE %s RAFT.ONCE %s SET a b", token, token);
    expect_part(fd, "-ERR RAFT.ONCE is for commands that write");
    ask(fd, "RAFT.ONCE %s SET a", token);
    expect_part(fd, "-ERR wrong number of arguments");
    ask(fd, "MULTI");
    expect(fd, "OK");
    ask(fd, "RAFT.ONCE %s SET a b", token);
    expect_part(fd, "-ERR ");
    ask(fd, "DISCARD");
    expect(fd, "OK");
    ask(fd, "EXISTS a");
    expect(fd, "0");
    (void)close(fd);
}

/* A snapshot tells whether a write was done, and nothing of its values. */
static void test_untold(void **state)
{
    struct fake *f = *state;
    int fd = dial(f);
    char token[TOKEN_TEXT_BYTES];
    new_token(fd, token);
    world_set(f, &f->mute, true);
    ask(fd, "SET n 1");
    expect_part(fd, "-UNKNOWN ");
    ask(fd, "INCR n");
    expect_part(fd, "-UNKNOWN ");
    ask(fd, "RAFT.ONCE %s INCR n", token);
    expect(fd, "[3 0 nil]");
    ask(fd, "DEL other");
    expect_part(fd, "-UNKNOWN ");
    ask(fd, "RAFT.TXN IF ABSENT n GET n");
    expect(fd, "[0 0]");
    send_text(fd, "MULTI\r\nINCR n\r\nGET n\r\nEXEC\r\n");
    expect(fd, "OK");
    expect(fd, "QUEUED");
    expect(fd, "QUEUED");
    expect_part(fd, "-UNKNOWN ");
    ask(fd, "GET n");
    expect(fd, "4");
    world_set(f, &f->mute, false);
    (void)close(fd);
}

/* Answers come in order, and what comes behind it at the same time sees what it did. */
static void test_order(void **state)
{
    int fd = dial(*state);
    char token[TOKEN_TEXT_BYTES], line[256];
    new_token(fd, token);
    (void)snprintf(line, sizeof line,
                   "SET n 1\r\nRAFT.ONCE %s INCR n\r\nGET n\r\nRAFT.ONCE %s INCR n\r\nGET n\r\n",
                   token, token);
    send_text(fd, line);
    expect(fd, "OK");
    expect(fd, "[2 0 2]");
    expect(fd, "2");
    expect(fd, "[2 1 nil]");
    expect(fd, "2");
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_once, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refused, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_untold, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_order, world_setup, world_teardown),
    };
    return world_run(tests, sizeof tests / sizeof tests[0]);
}
