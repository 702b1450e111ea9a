#!/bin/bash
# Programs that know nothing of raftd use a cluster of three nodes, through different nodes: redis-cli,
# Python's, Lua's and Node's redis, and redis-benchmark; and it answers random commands as redis-server does.
# A client that is not installed is left out, and named.
# shellcheck source=/dev/null
. "$(dirname "$0")/../lib/cluster.sh"
limit 240

cluster 3
start_all
wait_leader
LEFT_OUT=

has() { # WHAT COMMAND...: true if the command succeeds
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then return 0; fi
    LEFT_OUT+=" $what"
    return 1
}

# --- redis-cli ---
cli() { # NODE ARGUMENT...
    local i=$1
    shift
    redis-cli -s "$WORK/node$i.sock" "$@"
}
told() { # EXPECTED COMMAND...
    local expected=$1 answer
    shift
    answer=$("$@" 2>&1) || fail "$*: exit $?: $answer"
    [ "$answer" = "$expected" ] || fail "$*: '$answer' instead of '$expected'"
}
if has redis-cli redis-cli --version; then
    told OK cli 1 SET colour blue
    told blue cli 2 GET colour
    told '' cli 3 SET colour red NX
    [[ $(cli 3 RAFT.TXN IF VALUE colour blue PUT colour red) == [1-9]*OK ]] || fail "RAFT.TXN"
    told red cli 1 GET colour
    told 1 cli 1 DELIFEQ colour red
    told 0 cli 2 EXISTS colour
    told OK cli 1 SET colour green EX 100
    told 100 cli 1 TTL colour
    told OK cli 1 SET short x PX 300
    gone() { [ "$(cli 3 EXISTS short)" = 0 ]; }
    wait_for 10 "end of a key" gone
    told OK cli 2 -x SET binary < <(printf 'a\0b\r\nc')
    told 6 cli 3 STRLEN binary
    cli 3 --raw GET binary | cmp - <(printf 'a\0b\r\nc\n') || fail "a value with zeros and line ends"
    [[ $(cli 1 --no-raw HGETALL x 2>&1) == *ERR* ]] || fail "HGETALL is no error"
    # In RESP3, and a pipeline from a file.
    told '"green"' cli 1 -3 --no-raw GET colour
    for n in {1..500}; do printf 'SET scan:%03d %d\r\n' "$n" "$n"; done | cli 2 --pipe >"$WORK/pipe"
    grep -q 'errors: 0, replies: 500' "$WORK/pipe" || fail "--pipe: $(cat "$WORK/pipe")"
    told 500 eval "cli 3 --scan --pattern 'scan:*' | sort -u | wc -l"
    told 500 eval "cli 3 --scan --pattern 'scan:*' | wc -l"
    cli 1 INFO >"$WORK/info"
    for line in role: connected_clients:[1-9] db0:keys= applied_index: used_memory: loading:0 used_cpu_user: \
        total_commands_processed:[1-9] total_connections_received:[1-9] cmdstat_set:calls=[1-9]; do
        grep -q "^$line" "$WORK/info" || fail "INFO has no $line"
    done
    grep -hc '^role:master' <(cli 1 INFO replication) <(cli 2 INFO replication) <(cli 3 INFO replication) |
        paste -sd+ | tr -d '\n' >"$WORK/masters"
    [ "$(($(cat "$WORK/masters")))" = 1 ] || fail "not one role:master"
    note "redis-cli: values of any bytes, RESP3, pipes, SCAN, INFO"
fi

# --- no client at all ---
if has nc nc -h; then
    printf 'SET line 1\nGET line\n' | timeout 5 nc -N -U "$WORK/node1.sock" >"$WORK/nc" || fail "nc"
    # shellcheck disable=SC2016 # as they stand here
    printf '+OK\r\n$1\r\n1\r\n' | cmp - "$WORK/nc" || fail "lines through nc"
    note "nc: lines"
fi

# --- Python ---
cat >"$WORK/client.py" <<'END'
import sys, threading, redis
from redis.lock import Lock
from redis.exceptions import LockError, WatchError, ResponseError

def connect(i):
    return redis.Redis(unix_socket_path='%s/node%d.sock' % (sys.argv[1], i))

a, b, c = connect(1), connect(2), connect(3)
assert a.set('py', b'\0\r\n\xff') and b.get('py') == b'\0\r\n\xff'
assert a.mset({'py:1': 1, 'py:2': 2}) and c.mget('py:1', 'none', 'py:2') == [b'1', None, b'2']
assert sorted(b.scan_iter('py:*', count=1)) == [b'py:1', b'py:2']
assert a.info()['db0']['keys'] > 0 and a.info('raft')['id'] == 1
assert a.set('py', 'x', px=60000) and 0 < b.pttl('py') <= 60000

# Who is there, and who has to go.
a.client_setname('here')
me = a.client_info()
assert me['id'] == a.client_id() and me['name'] == 'here' and me['tot-mem'] > 0
assert [x['name'] for x in a.client_list() if x['id'] == str(me['id'])] == ['here']
other = redis.Redis(unix_socket_path='%s/node1.sock' % sys.argv[1], single_connection_client=True)
gone = other.client_id()
assert a.client_kill_filter(_id=gone) == 1 and a.client_kill_filter(_id=gone) == 0
assert str(gone) not in [x['id'] for x in a.client_list()]

# All or nothing, and all of one moment.
with b.pipeline(transaction=True) as p:
    assert p.set('t', 5).incr('t').get('t').ttl('t').mget('t', 'none').execute() == \
        [True, 6, b'6', -1, [b'6', None]]
with b.pipeline(transaction=True) as p:
    p.set('t', 'no number').incr('t')
    try:
        p.execute()
        raise SystemExit('INCR of no number passed')
    except ResponseError:
        pass
assert c.get('t') == b'6'

def add(client, n):
    for _ in range(n):
        while True:
            with client.pipeline(transaction=True) as p:
                try:
                    p.watch('counter')
                    value = int(p.get('counter') or 0)
                    p.multi()
                    p.set('counter', value + 1)
                    p.execute()
                    break
                except WatchError:
                    pass
threads = [threading.Thread(target=add, args=(client, 20)) for client in (a, b, c)]
[t.start() for t in threads]
[t.join() for t in threads]
assert a.get('counter') == b'60', a.get('counter')

# Nobody loses what is added under a lock.
total = [0]
def add_locked(client, n):
    for _ in range(n):
        with Lock(client, 'lock', timeout=30, sleep=0.005):
            before = total[0]
            client.ping()
            total[0] = before + 1
threads = [threading.Thread(target=add_locked, args=(client, 10)) for client in (a, b, c)]
[t.start() for t in threads]
[t.join() for t in threads]
assert total[0] == 30, total
one, other = Lock(a, 'lock', timeout=30), Lock(b, 'lock', timeout=30)
assert one.acquire() and not other.acquire(blocking=False)
assert one.extend(60, replace_ttl=True) and 30000 < c.pttl('lock') <= 60000
assert one.reacquire() and c.pttl('lock') <= 30000
other.local.token = b'guessed'
try:
    other.release()
    raise SystemExit('a lock of somebody else was given back')
except LockError:
    pass
assert one.owned()
one.release()
assert other.acquire(blocking=False)
END
if has python3-redis /usr/bin/python3 -c 'import redis'; then
    timeout 100 /usr/bin/python3 "$WORK/client.py" "$WORK" || fail "Python's redis"
    note "Python's redis: values, scans, transactions that all or none are done, WATCH, Lock"
fi

# --- Lua ---
cat >"$WORK/client.lua" <<'END'
local unix = require 'socket.unix'
local socket = (type(unix) == 'table' and unix.stream or unix)() -- a table since LuaSocket 3
assert(socket:connect(arg[1] .. '/node2.sock'))
local client = require('redis').connect { socket = socket }
assert(client:ping())
assert(client:set('lua', 'value') and client:get('lua') == 'value')
local replies = client:pipeline(function(p)
    p:incr('lua:n')
    p:incrby('lua:n', 9)
    p:get('lua:n')
end)
assert(replies[1] == 1 and replies[2] == 10 and replies[3] == '10')
replies = client:transaction(function(t)
    t:set('lua', 'other')
    t:get('lua')
end)
assert(replies[1] and replies[2] == 'other')
assert(client:del('lua', 'lua:n') == 2)
END
if has lua-redis lua5.1 -e 'require "redis"'; then
    timeout 20 lua5.1 "$WORK/client.lua" "$WORK" || fail "Lua's redis"
    note "Lua's redis: a pipeline, a transaction"
fi

# --- Node ---
cat >"$WORK/client.js" <<'END'
const { createClient } = require('redis');
const assert = require('assert');
(async () => {
    const client = createClient({ socket: { path: process.argv[2] + '/node3.sock' } });
    client.on('error', error => { throw error; });
    await client.connect();
    assert.strictEqual(await client.set('js', 'value', { PX: 60000, NX: true }), 'OK');
    assert.strictEqual(await client.set('js', 'other', { NX: true }), null);
    assert.deepStrictEqual(await client.mGet(['js', 'none']), ['value', null]);
    const many = [...Array(300).keys()];
    await Promise.all(many.map(n => client.set('js:' + n, n)));
    const found = new Set();
    for await (const key of client.scanIterator({ MATCH: 'js:*', COUNT: 20 })) {
        assert(!found.has(key));
        found.add(key);
    }
    assert.strictEqual(found.size, 300);
    assert.deepStrictEqual(await client.multi().incr('js:n').incrBy('js:n', 4).get('js:n').exec(), [1, 5, '5']);
    await client.quit();
})().catch(error => { console.error(error); process.exit(1); });
END
if has node-redis env NODE_PATH=/usr/share/nodejs node -e 'require("redis")'; then
    NODE_PATH=/usr/share/nodejs timeout 30 node "$WORK/client.js" "$WORK" || fail "Node's redis"
    note "Node's redis: a pipeline, a scan, a transaction"
fi

# --- the same answers as redis-server ---
cat >"$WORK/same.py" <<'END'
import random, sys, redis

theirs, ours = (redis.Redis(unix_socket_path=path) for path in sys.argv[1:3])
random.seed(1)
KEYS = ['a', 'b', 'c', 'n']
VALUES = ['1', 'x', '', '-5', '9223372036854775807', 'abc', '010', '12 ']
NUMBERS = ['1', '-3', 'x', '9223372036854775807', '-9223372036854775808']

def key():
    return random.choice(KEYS)

def value():
    return random.choice(VALUES)

def command():
    shape = random.choice([
        'SET k v o', 'SET k v o', 'GET k', 'SETNX k v', 'SETEX k t v', 'PSETEX k t v', 'GETSET k v', 'GETDEL k',
        'MGET *', 'DEL *', 'UNLINK *', 'EXISTS *', 'MSET **', 'MSETNX **', 'STRLEN k', 'INCR k', 'DECR k',
        'INCRBY k i', 'DECRBY k i', 'TYPE k', 'EXPIRE k e', 'PERSIST k', 'TTL k', 'DBSIZE', 'KEYS p'])
    words = []
    for word in shape.split():
        words += {
            'k': lambda: [key()], 'v': lambda: [value()], 't': lambda: [random.choice(['100000', '0', '-1'])],
            'e': lambda: ['1000'], 'i': lambda: [random.choice(NUMBERS)],
            'p': lambda: [random.choice(['*', '[a-b]', '?', 'n*', '[^a]'])],
            'o': lambda: random.choice([[], [], ['NX'], ['XX'], ['GET'], ['NX', 'GET'], ['EX', '1000'], ['EX', '0'],
                                        ['KEEPTTL'], ['XX', 'PX', '1000000'], ['EX'], ['FOO'], ['NX', 'NX'], ['GET', 'GET'],
                                        ['EX', '1000', 'EX', '2000']]),
            '*': lambda: [key() for _ in range(random.randint(0, 3))],
            '**': lambda: [f() for _ in range(random.randint(1, 3)) for f in (key, value)],
        }.get(word, lambda: [word])()
    return words

def answer(client, words):
    try:
        told = client.execute_command(*words)
    except redis.ResponseError:
        return 'error'
    return sorted(told) if words[0] == 'KEYS' else told

for name in ours.keys('*'):
    ours.delete(name)
for _ in range(3000):
    words = command()
    told = [answer(client, words) for client in (theirs, ours)]
    if told[0] != told[1]:
        raise SystemExit('%s: redis-server tells %s, raftd %s' % (words, told[0], told[1]))

# Three connections, with transactions and what they watch. No key is deleted and no command fails in a transaction,
# for there the manual tells of differences.
def hear(connection):
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return str(error).split(' ')[0]

for client in (theirs, ours):
    client.delete('count', *KEYS)
pairs = [[redis.connection.UnixDomainSocketConnection(path=path) for path in sys.argv[1:3]] for _ in range(3)]
done = {}
for _ in range(3000):
    pair = random.choice(pairs)
    words = random.choice([
        ['MULTI'], ['MULTI'], ['MULTI'], ['EXEC'], ['EXEC'], ['WATCH', key()], ['WATCH', key(), key()], ['UNWATCH'], ['DISCARD'], ['GET'],
        ['SET', key(), value()], ['SET', key(), value(), 'NX'], ['SETNX', key(), value()], ['PING'], ['ECHO', value()],
        ['GETSET', key(), value()], ['MSET', key(), value(), key(), value()], ['MSETNX', key(), value(), key(), value()],
        ['MGET', key(), key()], ['GET', key()], ['STRLEN', key()], ['EXISTS', key(), key()], ['INCR', 'count'],
        ['DECRBY', 'count', '7'], ['EXPIRE', key(), '1000'], ['SELECT', '0'], ['TYPE', key()]])
    for connection in pair:
        connection.send_command(*words)
    told = [hear(connection) for connection in pair]
    if told[0] != told[1]:
        raise SystemExit('%s: redis-server tells %s, raftd %s' % (words, told[0], told[1]))
    kind = words[0] if words[0] != 'EXEC' else 'EXEC of ' + type(told[0]).__name__
    done[kind] = done.get(kind, 0) + 1
assert min(done.get('EXEC of ' + kind, 0) for kind in ('list', 'NoneType', 'str')) > 10, done
END
# The package redis-server, which would start a server on this box, has but a link to this program.
redis_server() { exec -a redis-server redis-check-rdb "$@"; }
version=$(redis_server --version 2>&1) # a shell of its own
if has redis-server grep -q 'Redis server' <<<"$version" && /usr/bin/python3 -c 'import redis' 2>"$WORK/stderr"; then
    redis_server --port 0 --unixsocket "$WORK/redis.sock" --save '' --dir "$WORK" >"$WORK/redis-server.log" &
    HELPERS+=($!)
    wait_for 10 "redis-server" test -S "$WORK/redis.sock"
    timeout 60 /usr/bin/python3 "$WORK/same.py" "$WORK/redis.sock" "$WORK/node2.sock" ||
        fail "another answer than redis-server's"
    note "redis-server: the same answers to 3000 random commands, and to 3000 of three that watch"
fi

# --- redis-benchmark ---
if has redis-benchmark redis-benchmark --version; then
    for pipeline in 1 16; do
        timeout 60 redis-benchmark -s "$WORK/node$LEADER.sock" -t set,get,incr,mset -P "$pipeline" -c 20 \
            -n 2000 -r 500 --csv >"$WORK/bench" 2>"$WORK/bench.err" || fail "redis-benchmark -P $pipeline"
        if [ "$(grep -c '^"' "$WORK/bench")" != 5 ] || grep -qi 'err' "$WORK/bench" "$WORK/bench.err"; then
            fail "redis-benchmark: $(cat "$WORK/bench" "$WORK/bench.err")"
        fi
    done
    note "redis-benchmark: set, get, incr, mset"
fi

# --- Prometheus: what the textfile collector reads, whether the daemon is there or not ---
PROMTOOL=true
has promtool promtool --version && PROMTOOL='promtool check metrics'
for i in 1 2 3; do
    expect 0 ctl "$i" metrics --file "$WORK/$i.prom"
    [ "$(stat -c %a "$WORK/$i.prom")" = 644 ] || fail "$(ls -l "$WORK/$i.prom")"
    $PROMTOOL <"$WORK/$i.prom" || fail "promtool finds fault with metrics of node $i"
done
[ "$(cat "$WORK"/?.prom | grep -c '^raftd_is_leader 1$')" = 1 ] || fail "not one leader in metrics"
[ "$(cat "$WORK"/?.prom | grep -c '^raftd_peer_info{peer="[123]",address="127.0.0.1:[0-9]*",session="plain"} 1$')" = 6 ] ||
    fail "peers in metrics: $(grep peer_info "$WORK"/?.prom)"
grep -Eq '^raftd_commands_total\{command="get"\} [1-9]' "$WORK/1.prom" || fail "no commands in metrics"
expect 9 ctl 1 metrics --file "$WORK/none/1.prom"
says 'none/1.prom cannot be written: No such file'
stop 1
expect 3 ctl 1 metrics --file "$WORK/1.prom"
[ "$(grep -v '^#' "$WORK/1.prom")" = 'raftd_up 0' ] || fail "metrics without a daemon: $(cat "$WORK/1.prom")"
note "metrics"

[ -z "$LEFT_OUT" ] || note "not installed, and so not tried:$LEFT_OUT"
finish "programs that know nothing of raftd use it${LEFT_OUT:+, without$LEFT_OUT}"
