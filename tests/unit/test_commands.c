// LINK: @clients tests/lib/commands_world.c
/* test_commands.c: commands of clients against a state machine: what is told, in both ways of asking for a
 * read (alone, and in a transaction with writes); what is refused; SCAN while keys come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/rcu.h"
#include "raftd/serve/cursors.h"
#include "raftd/serve/glob.h"
#include "raftd/serve/token.h"
#include "raftd/state/kv.h"
#include "tests/lib/commands_world.h"

static const char *ask(struct commands_world *w, const char *line)
{
    struct resp_in in = {.arg_max_bytes = 1 << 20, .args_max_bytes = 1 << 20};
    static struct resp_arg argv[RESP_ARGS_MAX];
    char copy[4096];
    int len = snprintf(copy, sizeof copy, "%s\n", line);
    assert_int_equal(resp_take(&in, (const uint8_t *)copy, (size_t)len, argv), RESP_CALL);
    return commands_ask(w, argv, in.argc);
}

struct step {
    const char *line;     /* "tick N": so much time goes by; "lock NAME": somebody gets that lock */
    const char *expected; /* of an error, its beginning */
};

/* Has a connection get that lock. */
static void lock(struct commands_world *w, const char *name)
{
    struct cmd c = {.flags = CMD_HAS_CONNECTION,
                    .operations = 1,
                    .origin = 1,
                    .process = 1,
                    .number = machine_applied(w->machine) + 1,
                    .connection = 1};
    struct cmd_item item = {.kind = CMD_LOCK,
                            .key_len = (uint16_t)strlen(name),
                            .value_len = 1,
                            .key = (const uint8_t *)name,
                            .value = (const uint8_t *)"\1"};
    uint8_t bytes[200];
    struct applied applied;
    assert_true(machine_apply(w->machine, c.number, w->cluster_ms, bytes,
                              cmd_encode(bytes, &c, &item), NULL, &applied));
    assert_int_equal(applied.outcome, MACHINE_DONE);
}

static void play(const struct step *steps, size_t n)
{
    struct commands_world w;
    commands_begin(&w);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(steps[i].line, "tick ", 5) == 0) {
            w.cluster_ms += (uint64_t)atoi(steps[i].line + 5);
            continue;
        }
        if (strncmp(steps[i].line, "lock ", 5) == 0) {
            lock(&w, steps[i].line + 5);
            continue;
        }
        const char *told = ask(&w, steps[i].line);
        size_t len = steps[i].expected[0] == '-' ? strlen(steps[i].expected) : sizeof w.text;
        if (strncmp(told, steps[i].expected, len) != 0)
            fail_msg("%s: told %s, expected %s", steps[i].line, told, steps[i].expected);
    }
    commands_end(&w);
}

#define PLAY(steps) play(steps, sizeof steps / sizeof *steps)

static void test_strings(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"GET k", "$-1,"},
        {"SET k v", "+OK,"},
        {"get k", "$1,v,"},
        {"SET k w NX", "$-1,"},
        {"SET k w NX GET", "$1,v,"},
        {"GET k", "$1,v,"},
        {"SET n x NX GET", "$-1,"}, /* there was none, so it was set */
        {"GET n", "$1,x,"},
        {"SET none w XX", "$-1,"},
        {"EXISTS none", ":0,"},
        {"SET k w XX", "+OK,"},
        {"SET k x IFEQ v", "$-1,"},
        {"SET k x IFEQ w", "+OK,"},
        {"SET k y IFEQ z GET", "$1,x,"},
        {"GET k", "$1,x,"},
        {"SET none x IFEQ ''", "$-1,"},
        {"SET none x XX XX", "$-1,"},
        {"SET none x NX GET NX GET", "$-1,"},
        {"GET none", "$1,x,"},
        {"DEL none", ":1,"},
        {"SET k '' GET", "$1,x,"},
        {"GET k", "$0,,"},
        {"STRLEN k", ":0,"},
        {"STRLEN none", ":0,"},
        {"STRLEN n", ":1,"},
        {"SETNX k v", ":0,"},
        {"SETNX m v", ":1,"},
        {"GETSET m w", "$1,v,"},
        {"GETSET l w", "$-1,"},
        {"GETDEL m", "$1,w,"},
        {"GETDEL m", "$-1,"},
        {"MSET a 1 b 2 a 3", "+OK,"},
        {"MGET a none b a", "*4,$1,3,$-1,$1,2,$1,3,"},
        {"MSETNX c 1 b 2", ":0,"},
        {"EXISTS c", ":0,"},
        {"MSETNX c 1 d 2", ":1,"},
        {"MSETNX e 1 f 2 c 3", ":0,"},
        {"EXISTS a b c d e a", ":5,"},
        {"DEL a none b", ":2,"},
        {"UNLINK c", ":1,"},
        {"TYPE d", "+string,"},
        {"TYPE c", "+none,"},
        {"DELIFEQ d 3", ":0,"},
        {"EXISTS d", ":1,"},
        {"DELIFEQ d 2", ":1,"},
        {"DELIFEQ d 2", ":0,"},
        {"SET d 2", "+OK,"},
        {"DELEX d IFEQ 3", ":0,"},
        {"DELEX d IFEQ 2", ":1,"},
        {"DELEX d", ":0,"},
    };
    PLAY(steps);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"INCR n", ":1,"},
        {"INCRBY n 41", ":42,"},
        {"DECR n", ":41,"},
        {"DECRBY n 50", ":-9,"},
        {"GET n", "$2,-9,"},
        {"SET n 9223372036854775807", "+OK,"},
        {"INCR n", "-OVERFLOW"},
        {"GET n", "$19,9223372036854775807,"},
        {"SET n x", "+OK,"},
        {"INCR n", "-NOT_NUMBER"},
        {"INCRBY n 1x", "-ERR value is not"},
        {"DECRBY n -9223372036854775808", "-ERR value is not"},
    };
    PLAY(steps);
}

static void test_expiry(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"TTL k", ":-2,"},        {"SET k v", "+OK,"},
        {"TTL k", ":-1,"},        {"PERSIST k", ":0,"},
        {"EXPIRE k 10", ":1,"},   {"TTL k", ":10,"},
        {"tick 400", ""},         {"PTTL k", ":9600,"},
        {"TTL k", ":10,"},        {"tick 200", ""},
        {"TTL k", ":9,"},         {"SET k w KEEPTTL", "+OK,"},
        {"PTTL k", ":9400,"},     {"INCR n", ":1,"},
        {"PEXPIRE n 500", ":1,"}, {"INCR n", ":2,"},
        {"PTTL n", ":500,"},      {"PERSIST k", ":1,"},
        {"PTTL k", ":-1,"},       {"PERSIST none", ":0,"},
        {"EXPIRE none 5", ":0,"}, {"SET k v EX 3", "+OK,"},
        {"PTTL k", ":3000,"},     {"SET k v PX 7 XX", "+OK,"},
        {"PTTL k", ":7,"},        {"SET k v EX 9 NX", "$-1,"},
        {"PTTL k", ":7,"},        {"SET k v PX 7 PX 8", "+OK,"},
        {"PTTL k", ":8,"},        {"SET k v KEEPTTL KEEPTTL", "+OK,"},
        {"PTTL k", ":8,"},        {"SET k v", "+OK,"},
        {"PTTL k", ":-1,"},       {"SETEX k 2 v", "+OK,"},
        {"PTTL k", ":2000,"},     {"PSETEX k 2 v", "+OK,"},
        {"PTTL k", ":2,"},        {"tick 5", ""},
        {"PTTL k", ":0,"}, /* due, and nobody has said yet that it is gone */
        {"GETSET k v", "$1,v,"},  {"PTTL k", ":-1,"},
    };
    PLAY(steps);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"NOSUCH", "-ERR unknown"},
        {"GET", "-ERR wrong number"},
        {"GET a b", "-ERR wrong number"},
        {"SET k", "-ERR wrong number"},
        {"GET ''", "-ERR a key has at least"},
        {"DEL k ''", "-ERR a key has at least"},
        {"SET k v NX XX", "-ERR syntax"},
        {"SET k v NX IFEQ v", "-ERR syntax"},
        {"SET k v IFEQ", "-ERR syntax"},
        {"SET k v EX", "-ERR syntax"},
        {"SET k v EX 1 PX 1", "-ERR syntax"},
        {"SET k v EX 1 KEEPTTL", "-ERR syntax"},
        {"SET k v KEEPTTL EX 1", "-ERR syntax"},
        {"SET k v EX 1 EX 0", "-ERR invalid expire"},
        {"SET k v EX 0", "-ERR invalid expire"},
        {"SET k v PX -1", "-ERR invalid expire"},
        {"SET k v EX 281474976711", "-ERR invalid expire"},
        {"SET k v EXAT 1", "-ERR no wall clock"},
        {"SET k v PXAT 1", "-ERR no wall clock"},
        {"SETEX k 0 v", "-ERR invalid expire"},
        {"EXPIRE k -1", "-ERR invalid expire"},
        {"EXPIRE k 1 NX", "-ERR NX"},
        {"MSET a 1 b", "-ERR each key"},
        {"MSETNX a 1 b", "-ERR each key"},
        {"DELEX k IFNE v", "-ERR syntax"},
        {"DELEX k IFEQ", "-ERR syntax"},
        {"SET k 12345678901234567890123456789012345678901",
         "-TOOBIG a value has at most 40 bytes here (max_value_bytes)"},
        {"SCAN x", "-ERR invalid cursor"},
        {"SCAN -1", "-ERR invalid cursor"},
        {"SCAN 12345", "-ERR unknown cursor"},
        {"SCAN 0 COUNT 0", "-ERR COUNT"},
        {"SCAN 0 MATCH", "-ERR syntax"},
        {"RAFT.LIST a AFTER", "-ERR syntax"},
        {"EVALSHA 0123456789012345678901234567890123456789 1 k t", "-NOSCRIPT"},
        {"EVALSHA c3f8721cbb97f72bc19e972846bd7aaf91901658 1 k", "-ERR wrong number"},
        {"EVALSHA a4e8783852e6b949f9ef3a97212805108459a890 1 k t 500 0", "-ERR a time to live"},
        {"SELECT 1", "-ERR DB index"},
        {"HELLO 4", "-NOPROTO"},
        {"HELLO 3 AUTH default wrong", "-WRONGPASS"},
        {"HELLO 3 SETNAME", "-ERR syntax"},
        {"CLIENT REPLY OFF", "-ERR CLIENT REPLY is not served"},
        {"CLIENT PAUSE 1", "-ERR CLIENT PAUSE is not served"},
        {"CLIENT UNBLOCK 1", "-ERR CLIENT UNBLOCK is not served"},
        {"CLIENT TRACKING ON", "-ERR CLIENT TRACKING is not served"},
        {"CLIENT NOSUCH", "-ERR CLIENT takes"},
        {"CLIENT NO-EVICT maybe", "-ERR syntax"},
        {"CLIENT SETNAME 'a b'", "-ERR a name"},
        {"CONFIG SET a b", "-ERR CONFIG"},
        {"CONFIG GET save aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "-TOOBIG"},
        {"CONFIG GET 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "-TOOBIG"},
        {"COMMAND NOSUCH", "-ERR COMMAND"},
        {"DBSIZE", ":0,"}, /* nothing of all that was done */
    };
    PLAY(steps);

    struct commands_world w;
    commands_begin(&w);
    char line[600] = "SET ";
    memset(line + 4, 'k', 257);
    strcpy(line + 4 + 257, " v");
    assert_true(strncmp(ask(&w, line), "-TOOBIG a key", 13) == 0);
    line[4 + 256] = ' ';
    assert_string_equal(ask(&w, line), "+OK,");
    struct resp_arg argv[2 * CMD_OPERATIONS_MAX + 3];
    for (size_t i = 0; i < sizeof argv / sizeof *argv; i++)
        argv[i] = (struct resp_arg){(const uint8_t *)"kk", 2};
    argv[0] = (struct resp_arg){(const uint8_t *)"MSET", 4};
    assert_string_equal(commands_ask(&w, argv, 2 * CMD_OPERATIONS_MAX + 1), "+OK,");
    assert_true(
        strncmp(commands_ask(&w, argv, 2 * CMD_OPERATIONS_MAX + 3), "-TOOBIG a write", 15) == 0);
    argv[0] = (struct resp_arg){(const uint8_t *)"MSETNX", 6};
    assert_string_equal(commands_ask(&w, argv, CMD_OPERATIONS_MAX + 1), ":0,");
    assert_true(strncmp(commands_ask(&w, argv, CMD_OPERATIONS_MAX + 3), "-TOOBIG MSETNX", 14) == 0);
    commands_end(&w);
}

/* As libraries send it. */
static void test_scripts_of_locks(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SET lock token NX PX 5000", "+OK,"},
        {"EVALSHA a4e8783852e6b949f9ef3a97212805108459a890 1 lock other 9000 1", ":0,"},
        {"PTTL lock", ":5000,"},
        {"EVALSHA a4e8783852e6b949f9ef3a97212805108459a890 1 lock token 9000 1", ":1,"},
        {"PTTL lock", ":9000,"},
        {"EVALSHA 1CAC51482ACF5858DA00F6D685D68F886CD6B6B2 1 lock token 7000", ":1,"},
        {"PTTL lock", ":7000,"},
        {"EVALSHA c3f8721cbb97f72bc19e972846bd7aaf91901658 1 lock other", ":0,"},
        {"EXISTS lock", ":1,"},
        {"EVALSHA c3f8721cbb97f72bc19e972846bd7aaf91901658 1 lock token", ":1,"},
        {"EXISTS lock", ":0,"},
    };
    PLAY(steps);
}

/* What a lock's fence decides. */
static void test_fences(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SET k v", "+OK,"},
        {"lock l", ""}, /* entry 2 */
        {"SET k w IFHELD l 1", "-NOTHELD"},
        {"SET k w IFHELD m 2 GET", "-NOTHELD"},
        {"GET k", "$1,v,"},
        {"SET k w IFHELD l 2", "+OK,"},
        {"SET k x NX IFHELD l 2 PX 500", "$-1,"},
        {"SET k x XX IFHELD l 3 PX 500", "-NOTHELD"},
        {"PTTL k", ":-1,"},
        {"SET k x XX IFHELD l 2 GET PX 500", "$1,w,"},
        {"PTTL k", ":500,"},
        {"SET k x IFHELD l", "-ERR syntax"},
        {"SET k x IFHELD l 0", "-ERR a fence"},
        {"SET k x IFHELD '' 2", "-ERR a key"},
        {"RAFT.TXN IF HELD l 1 DEL k", "*2,:0,:0,"},
        {"EXISTS k", ":1,"},
        {"RAFT.TXN IF HELD l 2 DEL k GET k", "*2,:14,*2,:1,$-1,"},
    };
    PLAY(steps);
}

static void test_what_else_is_known_of_keys(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"SET a 1", "+OK,"}, /* entry 1 */
        {"SET b 22", "+OK,"},
        {"SET a 3 PX 500", "+OK,"},
        {"tick 100", ""},
        {"RAFT.GET none", "$-1,"},
        {"RAFT.GET a", "*5,$1,3,:1,:3,:400,$5,whole,"},
        {"RAFT.GET b", "*5,$2,22,:2,:2,:-1,$5,whole,"},
        {"RAFT.LIST ''", "*4,:3,:0,$5,whole,*2,*5,$1,a,$1,3,:1,:3,:400,*5,$1,b,$2,22,:2,:2,:-1,"},
        {"RAFT.LIST '' AFTER a KEYS", "*4,:3,:0,$5,whole,*1,*5,$1,b,$-1,:2,:2,:-1,"},
        {"RAFT.LIST c", "*4,:3,:0,$5,whole,*0,"},
        {"TIME", "*2,$4,1000,$6,100000,"},
        {"KEYS *", "*2,$1,a,$1,b,"},
        {"KEYS [^a]", "*1,$1,b,"},
        {"SCAN 0", "*2,$1,0,*2,$1,a,$1,b,"},
        {"SCAN 0 MATCH b*", "*2,$1,0,*1,$1,b,"},
        {"SCAN 0 TYPE list", "*2,$1,0,*0,"},
        {"SCAN 0 COUNT 1", "*2,$1,1,*1,$1,a,"},
        {"SCAN 1 COUNT 1", "*2,$1,0,*1,$1,b,"},
        {"SCAN 0 COUNT 1", "*2,$1,1,*1,$1,a,"}, /* the same again */
        {"DEL a", ":1,"},
        {"SCAN 1 COUNT 1", "*2,$1,0,*1,$1,b,"}, /* the key that it stood at is gone */
        {"DBSIZE", ":1,"},
    };
    PLAY(steps);
}

static void test_transactions(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"RAFT.TXN PUT a 1 PUT b 2 PX 500 GET a GET none DEL none INCRBY a 4 PERSIST b PERSIST b",
         "*2,:1,*8,+OK,+OK,$1,1,$-1,:0,:5,:1,:0,"},
        {"RAFT.TXN IF ABSENT c IF PRESENT a IF VALUE a 5 IF REV b 1 DEL a", "*2,:2,*1,:1,"},
        {"RAFT.TXN IF PRESENT b IF PRESENT a PUT c 1", "*2,:0,:1,"}, /* the second one */
        {"EXISTS c", ":0,"},
        {"RAFT.TXN PEXPIRE b 700 GET b", "*2,:5,*2,:1,$1,2,"},
        {"PTTL b", ":700,"},
        {"RAFT.TXN", "-ERR wrong number"},
        {"RAFT.TXN IF ABSENT c", "-ERR syntax error: there is no op"},
        {"RAFT.TXN IF", "-ERR syntax error: IF"},
        {"RAFT.TXN IF ABSENT ''", "-ERR a key"},
        {"RAFT.TXN IF REV a x PUT a 1", "-ERR value is not"},
        {"RAFT.TXN PUT a", "-ERR syntax error: an arg"},
        {"RAFT.TXN PUT a 1 IF ABSENT b", "-ERR syntax error: no such"},
        {"RAFT.TXN PUT a 1 PEXPIRE a 5", "-ERR syntax error: that is"},
        {"RAFT.TXN PUT a 1 PX 0", "-ERR invalid exp"},
        {"EXISTS a", ":0,"},
    };
    PLAY(steps);
}

static void test_connection(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"PING", "+PONG,"},
        {"PING x", "$1,x,"},
        {"ECHO x", "$1,x,"},
        {"SELECT 0", "+OK,"},
        {"CLIENT ID", ":7,"},
        {"CLIENT GETNAME", "$-1,"},
        {"CLIENT SETNAME me", "+OK,"},
        {"CLIENT GETNAME", "$2,me,"},
        {"CLIENT SETINFO LIB-NAME lib", "+OK,"},
        {"CLIENT NO-EVICT ON", "+OK,"},
        {"CLIENT NO-TOUCH off", "+OK,"},
        {"CLIENT GETREDIR", ":-1,"},
        {"AUTH secret", "+OK,"},
        {"AUTH default secret", "+OK,"},
        {"AUTH root secret", "-WRONGPASS"},
        {"HELLO", "*14,$6,server,$5,raftd,$7,version,$5,0.1.0,$5,proto,:2,$2,id,:7,$4,mode,"
                  "$10,standalone,$4,role,$6,master,$7,modules,*0,"},
        {"HELLO 3 AUTH default secret SETNAME you",
         "%7,$6,server,$5,raftd,$7,version,$5,0.1.0,$5,proto,:3,$2,id,:7,$4,mode,"
         "$10,standalone,$4,role,$6,master,$7,modules,*0,"},
        {"GET none", "_,"},
        {"CONFIG GET save append*",
         "%3,$10,appendonly,$3,yes,$11,appendfsync,$6,always,$4,save,$0,,"},
        {"CLIENT GETNAME", "$3,you,"},
        {"RESET", "+RESET,"},
        {"CLIENT GETNAME", "$-1,"},
        {"CONFIG GET proto*", "*2,$18,proto-max-bulk-len,$2,40,"},
        {"COMMAND INFO mget nosuch",
         "*2,*10,$4,mget,:-2,*2,+readonly,+fast,:1,:-1,:1,*0,*0,*0,*0,$-1,"},
        {"COMMAND GETKEYS get a", "*1,$1,a,"},
        {"COMMAND GETKEYS mset a 1 bc 2", "*2,$1,a,$2,bc,"},
        {"COMMAND GETKEYS del a b c", "*3,$1,a,$1,b,$1,c,"},
        {"COMMAND GETKEYS get", "-ERR wrong number of arguments for 'get' command"},
        {"COMMAND GETKEYS ping", "-ERR The command has no key arguments"},
        {"COMMAND GETKEYS nosuch a", "-ERR Invalid command specified"},
        {"COMMAND DOCS echo nosuch",
         "*2,$4,echo,*8,$7,summary,$17,Answers the text.,$5,since,$5,0.1.0,$5,group,"
         "$10,connection,$9,arguments,*1,*6,$4,name,$4,text,$4,type,$6,string,$12,display_text,"
         "$4,text,"},
    };
    PLAY(steps);
    struct commands_world w;
    commands_begin(&w);
    (void)ask(&w, "READONLY");
    assert_true(w.talker.local_reads);
    (void)ask(&w, "READWRITE");
    assert_false(w.talker.local_reads);
    (void)ask(&w, "QUIT");
    assert_true(w.talker.leaves);
    w.talker.authenticated = false;
    assert_true(strncmp(ask(&w, "HELLO 3"), "-NOAUTH", 7) == 0);
    assert_int_equal(w.out.version, 2);
    commands_end(&w);
}

static void test_info(void **state)
{
    (void)state;
    struct commands_world w;
    commands_begin(&w);
    (void)ask(&w, "SET k v");
    (void)ask(&w, "SET e v EX 5");
    struct status *s = w.shared->status;
    s->n_peers = 2;
    s->peers[0] = (struct status_peer){.addr = "[2001:db8::3]:7100, 192.0.2.3:7103"};
    s->peers[1] = (struct status_peer){
        .addr = "192.0.2.4:7104", .match_index = 9, .heard_us = clock_us()};
    struct tally *t = &w.shared->readers[0].tally;
    tally_add(&t->connections);
    tally_call(t, NULL, 0);
    const struct resp_arg set[] = {{(const uint8_t *)"Set", 3}};
    for (int i = 0; i < 2; i++)
        tally_call(t, command_find(set), command_number(command_find(set)));
    const char *all = ask(&w, "INFO");
    static const char *const parts[] = {
        "# Server,redis_version:",
        ",# Clients,connected_clients:0,",
        ",blocked_clients:0,",
        ",total_connections_received:1,total_commands_processed:3,rejected_connections:0,",
        ",connected_slaves:2,",
        ",slave0:ip=[2001:db8::3],port=7100,state=offline,offset=0,lag=0,",
        ",slave1:ip=192.0.2.4,port=7104,state=online,offset=9,lag=0,",
        ",# CPU,used_cpu_sys:",
        ",# Commandstats,cmdstat_set:calls=2,usec=0,usec_per_call=0.00,,",
        ",# Raft,id:1,",
        ",# Memory,used_memory:132,",
        ",# Persistence,loading:0,",
        ",# Replication,role:master,",
        ",# Keyspace,db0:keys=2,expires=1,",
        ",# Raft,",
        ",id:1,",
        ",applied_index:",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(all, parts[i]) == NULL)
            fail_msg("no %s in %s", parts[i], all);
    assert_true(strstr(all, ",role:master,") >
                strstr(all, ",role:follower,")); /* the last one counts */
    const char *one = ask(&w, "INFO keyspace");
    assert_null(strstr(one, "# Server"));
    assert_non_null(strstr(one, ",# Keyspace,db0:keys=2"));
    commands_end(&w);
}

static void test_tokens(void **state)
{
    (void)state;
    struct commands_world w;
    commands_begin(&w);
    char first[80];
    (void)ask(&w, "SET k v");
    strcpy(first, ask(&w, "RAFT.TOKEN"));
    assert_int_equal(strncmp(first, "$34,", 4), 0);
    assert_string_equal(first + 4 + 32, "-1,"); /* one entry is applied */
    assert_string_not_equal(ask(&w, "RAFT.TOKEN"), first);
    commands_end(&w);

    char why[COMMAND_WHY_BYTES];
    struct cmd_token token;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"00112233445566778899aabbccddeeff-12", true},
        {"00112233445566778899aabbccddeeff-", false},
        {"00112233445566778899aabbccddeeff", false},
        {"00112233445566778899aabbccddeef-12", false},
        {"00112233445566778899aabbccddeefg-12", false},
        {"00112233445566778899aabbccddeeff--1", false},
        {"00112233445566778899aabbccddeeff-1x", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct resp_arg arg = {(const uint8_t *)cases[i].text, (uint32_t)strlen(cases[i].text)};
        char text[TOKEN_TEXT_BYTES];
        assert_int_equal(token_read(&arg, &token), cases[i].good);
        if (cases[i].good) {
            token_print(&token, text);
            assert_string_equal(text, cases[i].text);
        }
    }

    struct resp_arg once[] = {{(const uint8_t *)"raft.once", 9},
                              {(const uint8_t *)cases[0].text, 35},
                              {(const uint8_t *)"INCR", 4},
                              {(const uint8_t *)"k", 1}};
    struct call inner, call = {.argc = 4, .argv = once};
    assert_null(command_once(&call, &inner, &token, why));
    assert_string_equal(inner.command->name, "incr");
    assert_int_equal(inner.argc, 2);
    assert_int_equal(token.index, 12);
    call.argc = 3;
    assert_non_null(command_once(&call, &inner, &token, why)); /* INCR needs a key */
    once[2].p = (const uint8_t *)"PING";
    assert_non_null(command_once(&call, &inner, &token, why));
    call.argc = 4;
    once[2] = (struct resp_arg){(const uint8_t *)"GET", 3};
    assert_non_null(command_once(&call, &inner, &token, why));
}

static void test_table(void **state)
{
    (void)state;
    struct commands_world w;
    commands_begin(&w);
    (void)ask(&w, "COMMAND LIST");
    const char *text = w.text, *before = "";
    unsigned n = (unsigned)atoi(text + 1);
    assert_true(n > 60);
    char names[100][20];
    for (unsigned i = 0; i < n; i++) {
        text = strchr(strchr(text, '$'), ',') + 1;
        assert_int_equal(sscanf(text, "%19[^,]", names[i]), 1);
        assert_true(strcmp(before, names[i]) < 0); /* or it would not be found */
        before = names[i];
        const struct command *c = command_find(
            &(struct resp_arg){(const uint8_t *)names[i], (uint32_t)strlen(names[i])});
        assert_non_null(c);
        assert_string_equal(c->name, names[i]);
        assert_true((c->kind == COMMAND_LOCAL) == (c->run != NULL));
        assert_true((c->kind == COMMAND_READ) == (c->show != NULL));
        assert_true(c->kind == COMMAND_ENGINE || (c->build != NULL) == (c->tell != NULL));
        assert_true(c->kind != COMMAND_WRITE || c->build != NULL);
        /* EXEC builds all that may be queued, if one of it writes. */
        assert_true(c->kind != COMMAND_READ || (c->flags & COMMAND_NO_MULTI) != 0 ||
                    c->build != NULL);
    }
    commands_end(&w);
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},         {"", "a", false},         {"*", "", true},
        {"*", "abc", true},     {"a*c", "abc", true},     {"a*c", "ac", true},
        {"a*c", "abd", false},  {"*a*b*", "xaxbx", true}, {"*ab", "aab", true},
        {"?", "a", true},       {"?", "", false},         {"a?c", "abc", true},
        {"[abc]", "b", true},   {"[abc]", "d", false},    {"[a-c]", "b", true},
        {"[c-a]", "b", true},   {"[^a-c]", "b", false},   {"[^a-c]", "d", true},
        {"[a-]", "-", false},   {"[a-]", "^", true},      {"[\\]]", "]", true},
        {"[ab", "b", true},     {"[", "[", false},        {"\\*", "*", true},
        {"\\*", "a", false},    {"a\\", "a\\", true},     {"**", "a", true},
        {"a**b*", "axb", true}, {"[^]", "a", true},       {"abc", "ab", false},
        {"ab", "abc", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned steps = 0;
        if (glob_match((const uint8_t *)cases[i].pattern, strlen(cases[i].pattern),
                       (const uint8_t *)cases[i].text, strlen(cases[i].text),
                       &steps) != cases[i].matches)
            fail_msg("%s %s", cases[i].pattern, cases[i].text);
    }
    assert_int_equal(glob_lead((const uint8_t *)"ab*c", 4), 2);
    assert_int_equal(glob_lead((const uint8_t *)"ab\\*", 4), 2);
    assert_int_equal(glob_lead((const uint8_t *)"abc", 3), 3);

    /* As many stars as there may be take no longer than the product of both lengths. */
    uint8_t pattern[GLOB_MAX_BYTES], text[CMD_KEY_MAX_BYTES];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof pattern - 1] = 'b';
    memset(text, 'a', sizeof text);
    unsigned steps = 0;
    assert_false(glob_match(pattern, sizeof pattern, text, sizeof text, &steps));
    assert_true(steps < 2 * sizeof pattern * sizeof text);
}

static const char *set_key(struct commands_world *w, unsigned n)
{
    char line[40];
    (void)snprintf(line, sizeof line, "SET key:%06u v", n);
    return ask(w, line);
}

/* While others come and go, before and behind the cursor, a key that lives through the scan is told once. */
static void test_scan_while_keys_come_and_go(void **state)
{
    (void)state;
    enum { KEYS = 2000 };
    static unsigned told[2 * KEYS];
    struct commands_world w;
    commands_begin(&w);
    for (unsigned i = 0; i < KEYS; i++)
        assert_string_equal(set_key(&w, 2 * i), "+OK,");
    char line[100], cursor[24] = "0";
    unsigned pages = 0, dice = 1;
    do {
        (void)snprintf(line, sizeof line, "SCAN %s COUNT 7 MATCH key:*", cursor);
        const char *page = ask(&w, line);
        assert_int_equal(sscanf(page, "*2,$%*d,%20[^,],", cursor), 1);
        for (const char *at = page; (at = strstr(at, "key:")) != NULL; at++)
            told[atoi(at + 4)]++;
        pages++;
        dice = dice * 1103515245 + 12345;
        unsigned odd = (dice >> 8) % KEYS * 2 + 1;
        (void)set_key(&w, odd);
        (void)snprintf(line, sizeof line, "DEL key:%06u", (dice >> 4) % KEYS * 2 + 1);
        (void)ask(&w, line);
    } while (strcmp(cursor, "0") != 0);
    assert_true(pages > KEYS / 7);
    for (unsigned i = 0; i < 2 * KEYS; i++)
        assert_true(i % 2 == 0 ? told[i] == 1 : told[i] <= 1);
    commands_end(&w);
}

/* A cursor that is too old is refused, and none is taken for another. */
static void test_cursors_are_bounded(void **state)
{
    (void)state;
    struct cursors *c = cursors_new(UINT64_MAX);
    assert_non_null(c);
    uint8_t key[CMD_KEY_MAX_BYTES];
    uint64_t first = cursors_keep(c, (const uint8_t *)"first", 5), id = 0;
    assert_true(first > 0 && first < UINT64_C(1000000000000000));
    assert_true(cursors_keep(c, (const uint8_t *)"first", 5) == first);
    for (unsigned i = 0; i < CURSORS_MAX; i++) {
        assert_int_equal(cursors_find(c, first, key), 5);
        assert_memory_equal(key, "first", 5);
        char name[16];
        int len = snprintf(name, sizeof name, "k%u", i);
        id = cursors_keep(c, (const uint8_t *)name, (size_t)len);
    }
    assert_int_equal(cursors_find(c, first, key), 0);
    assert_true(cursors_find(c, id, key) > 0);
    assert_int_equal(cursors_find(c, id + 1, key), 0);
    cursors_free(c);
}

static void test_too_many_keys_for_KEYS(void **state)
{
    (void)state;
    struct commands_world w;
    commands_begin(&w);
    for (unsigned i = 0; i < 120000; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "k%u", i);
        struct kv_content content = {.key = (const uint8_t *)key,
                                     .key_len = (uint16_t)len,
                                     .value = (const uint8_t *)"",
                                     .modify_revision = 1};
        assert_int_equal(kv_put(w.shared->kv, &content), KV_DONE);
    }
    assert_true(kv_publish(w.shared->kv, 1, 1));
    assert_true(strncmp(ask(&w, "KEYS *x"), "-TOOBIG", 7) == 0);
    assert_string_equal(ask(&w, "KEYS k77[7]7"), "*1,$5,k7777,"); /* what begins so are not many */
    commands_end(&w);
}

int main(void)
{
    rcu_thread_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_scripts_of_locks),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_what_else_is_known_of_keys),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_scan_while_keys_come_and_go),
        cmocka_unit_test(test_cursors_are_bounded),
        cmocka_unit_test(test_too_many_keys_for_KEYS),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_thread_end();
    return failed;
}
