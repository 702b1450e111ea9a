/* commands_impl.h: the functions that the table of commands.h names; for the commands*.c only. */
#ifndef RAFTD_COMMANDS_IMPL_H
#define RAFTD_COMMANDS_IMPL_H

#include "raftd/serve/commands.h"

/* commands_read.c: what a READ shows, and before that, whether its arguments are good. */
void show_get(const struct sight *s, const struct call *call, struct resp_out *out);
void show_mget(const struct sight *s, const struct call *call, struct resp_out *out);
void show_exists(const struct sight *s, const struct call *call, struct resp_out *out);
void show_strlen(const struct sight *s, const struct call *call, struct resp_out *out);
void show_type(const struct sight *s, const struct call *call, struct resp_out *out);
void show_ttl(const struct sight *s, const struct call *call, struct resp_out *out);
void show_pttl(const struct sight *s, const struct call *call, struct resp_out *out);
void show_dbsize(const struct sight *s, const struct call *call, struct resp_out *out);
void show_time(const struct sight *s, const struct call *call, struct resp_out *out);
const char *check_keys(const struct call *call);
void show_keys(const struct sight *s, const struct call *call, struct resp_out *out);
const char *check_scan(const struct call *call);
void show_scan(const struct sight *s, const struct call *call, struct resp_out *out);
void show_raft_get(const struct sight *s, const struct call *call, struct resp_out *out);
const char *check_token(const struct call *call);
void show_raft_outcome(const struct sight *s, const struct call *call, struct resp_out *out);
const char *check_raft_list(const struct call *call);
void show_raft_list(const struct sight *s, const struct call *call, struct resp_out *out);

/* commands_write.c: what a WRITE does, or a READ in a transaction with writes, and what is told of it. */
const char *build_read(const struct call *call, struct cmd_build *b); /* of each key */
void tell_get(const struct tale *t, struct resp_out *out);
void tell_mget(const struct tale *t, struct resp_out *out);
void tell_count(const struct tale *t, struct resp_out *out); /* of keys that were found */
void tell_strlen(const struct tale *t, struct resp_out *out);
void tell_type(const struct tale *t, struct resp_out *out);
void tell_ttl(const struct tale *t, struct resp_out *out);
void tell_pttl(const struct tale *t, struct resp_out *out);
const char *build_set(const struct call *call, struct cmd_build *b);
void tell_set(const struct tale *t, struct resp_out *out);
const char *build_setnx(const struct call *call, struct cmd_build *b);
void tell_guarded(const struct tale *t, struct resp_out *out); /* 1: the last operation was done */
const char *build_setex(const struct call *call, struct cmd_build *b);
const char *build_psetex(const struct call *call, struct cmd_build *b);
void tell_ok(const struct tale *t, struct resp_out *out);
const char *build_getset(const struct call *call, struct cmd_build *b);
const char *build_getdel(const struct call *call, struct cmd_build *b);
const char *build_mset(const struct call *call, struct cmd_build *b);
const char *build_msetnx(const struct call *call, struct cmd_build *b);
const char *build_incr(const struct call *call, struct cmd_build *b);
const char *build_decr(const struct call *call, struct cmd_build *b);
const char *build_incrby(const struct call *call, struct cmd_build *b);
const char *build_decrby(const struct call *call, struct cmd_build *b);
void tell_number(const struct tale *t, struct resp_out *out);
const char *build_del(const struct call *call, struct cmd_build *b);
const char *build_delifeq(const struct call *call, struct cmd_build *b);
const char *build_delex(const struct call *call, struct cmd_build *b);
const char *build_expire(const struct call *call, struct cmd_build *b);
const char *build_pexpire(const struct call *call, struct cmd_build *b);
const char *build_persist(const struct call *call, struct cmd_build *b);
void tell_persist(const struct tale *t, struct resp_out *out);
const char *build_evalsha(const struct call *call, struct cmd_build *b);

/* commands_txn.c: RAFT.TXN */
const char *build_txn(const struct call *call, struct cmd_build *b);
void tell_txn(const struct tale *t, struct resp_out *out);

/* commands_build.c: what both are made of. What can't be added is told by b->error. */
void build_operation(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                     const struct resp_arg *value);
/* It decides over the next n operations. */
void build_guard(struct cmd_build *b, enum cmd_kind kind, unsigned n, const struct resp_arg *key,
                 const struct resp_arg *value);
void build_guard_number(struct cmd_build *b, enum cmd_kind kind, unsigned n,
                        const struct resp_arg *key, uint64_t number);
void build_number(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                  uint64_t number);
void build_condition(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                     const struct resp_arg *value);
void build_condition_number(struct cmd_build *b, enum cmd_kind kind, const struct resp_arg *key,
                            uint64_t number);
void build_fail(struct cmd_build *b, const char *error);
/* Reads a time to live in units of so many milliseconds; 0: it is none, and b->error says so. */
uint64_t build_ttl(struct cmd_build *b, const struct resp_arg *arg, unsigned unit_ms);
/* NULL: a key may be so. */
const char *key_error(const struct resp_arg *key);

/* commands_talk.c: what a connection says about itself. */
void run_hello(struct talker *t, const struct call *call, struct resp_out *out);
void run_auth(struct talker *t, const struct call *call, struct resp_out *out);
void run_ping(struct talker *t, const struct call *call, struct resp_out *out);
void run_echo(struct talker *t, const struct call *call, struct resp_out *out);
void run_select(struct talker *t, const struct call *call, struct resp_out *out);
void run_client(struct talker *t, const struct call *call, struct resp_out *out);
void run_readonly(struct talker *t, const struct call *call, struct resp_out *out);
void run_readwrite(struct talker *t, const struct call *call, struct resp_out *out);
void run_unwatch(struct talker *t, const struct call *call, struct resp_out *out);
void run_reset(struct talker *t, const struct call *call, struct resp_out *out);
void run_quit(struct talker *t, const struct call *call, struct resp_out *out);
void run_raft_token(struct talker *t, const struct call *call, struct resp_out *out);

/* commands_info.c: what a node says about itself. */
void run_info(struct talker *t, const struct call *call, struct resp_out *out);
void run_config(struct talker *t, const struct call *call, struct resp_out *out);

#endif
