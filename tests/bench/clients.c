// LINK: -lhiredis
/* clients: what a program waits for locks, and for news of a change, beside a put.
 *
 *     clients SECONDS LEADER_SOCKET OTHER_SOCKET COMMAND...
 *
 * One after the other, each for so long: puts at the leader's node; a lock that is taken and given back
 * there, beside a put and two of them; a lock that goes from one client to the next, at two nodes; and from
 * the moment that a put at the leader's node is asked for, and from its answer, to the line that COMMAND
 * (raftctl watch) prints. Medians in microseconds, as key=value. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES_MAX = 1 << 20, LATE_MS = 10000 };

static double seconds;
static double samples[SAMPLES_MAX], more[SAMPLES_MAX], pairs[SAMPLES_MAX];

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *why)
{
    fprintf(stderr, "clients: %s\n", why);
    exit(1);
}

static redisContext *dial(const char *path)
{
    redisContext *c = redisConnectUnix(path);
    if (c == NULL || c->err != 0)
        die(c != NULL ? c->errstr : "no memory");
    return c;
}

static redisReply *hear(redisContext *c)
{
    void *r;
    if (redisGetReply(c, &r) != REDIS_OK)
        die(c->errstr);
    redisReply *reply = r;
    if (reply->type == REDIS_REPLY_ERROR)
        die(reply->str);
    return reply;
}

static void say(redisContext *c, const char *format, const char *word, long long number)
{
    int done = 0;
    if (redisAppendCommand(c, format, word, number) != REDIS_OK ||
        redisBufferWrite(c, &done) != REDIS_OK)
        die(c->errstr);
}

static void put(redisContext *c, long long number)
{
    say(c, "SET %s%lld value", "bench.", number);
    freeReplyObject(hear(c));
}

static long long locked(redisContext *c)
{
    redisReply *r = hear(c);
    if (r->type != REDIS_REPLY_ARRAY)
        die("no lock");
    long long fence = r->element[0]->integer;
    freeReplyObject(r);
    return fence;
}

static void unlock(redisContext *c, long long fence)
{
    say(c, "RAFT.UNLOCK %s %lld", "bench", fence);
    freeReplyObject(hear(c));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, double *all, size_t n)
{
    if (n == 0)
        die("nothing was measured");
    qsort(all, n, sizeof *all, compare);
    printf("%s_us=%.0f %s_n=%zu ", name, all[n / 2], name, n);
}

static void puts_of(redisContext *c)
{
    size_t n = 0;
    for (double begin = now_us(), at = begin; at - begin < seconds * 1e6 && n < SAMPLES_MAX; n++) {
        put(c, (long long)n % 1000);
        double then = at;
        at = now_us();
        samples[n] = at - then;
    }
    print("put", samples, n);
}

/* Each beside a put and two of them, so that a machine that gets slower or faster does not count. */
static void locks_of(redisContext *c)
{
    size_t n = 0;
    double begin = now_us(), at = begin;
    while (at - begin < seconds * 1e6 && n < SAMPLES_MAX) {
        put(c, (long long)n % 1000);
        double one = now_us();
        put(c, (long long)n % 1000);
        put(c, (long long)n % 1000);
        double two = now_us();
        say(c, "RAFT.LOCK %s", "bench", 0);
        unlock(c, locked(c));
        more[n] = one - at;
        pairs[n] = two - one;
        at = now_us();
        samples[n++] = at - two;
    }
    print("lock", samples, n);
    print("lock_put", more, n);
    print("lock_puts", pairs, n);
}

/* The next one is in the queue before the lock is given to it. */
static void handovers_of(redisContext *a, redisContext *b)
{
    size_t n = 0;
    redisContext *holds = a, *waits = b;
    say(holds, "RAFT.LOCK %s", "bench", 0);
    long long fence = locked(holds);
    for (double begin = now_us(); now_us() - begin < 2 * seconds * 1e6 && n < SAMPLES_MAX; n++) {
        say(waits, "RAFT.LOCK %s", "bench", 0);
        usleep(5000);
        double at = now_us();
        say(holds, "RAFT.UNLOCK %s %lld", "bench", fence);
        fence = locked(waits);
        samples[n] = now_us() - at;
        freeReplyObject(hear(holds));
        redisContext *next = holds;
        holds = waits;
        waits = next;
    }
    unlock(holds, fence);
    print("handover", samples, n);
}

static FILE *run(char **argv)
{
    int to[2];
    if (pipe(to) != 0)
        die(strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        die(strerror(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)dup2(to[1], 1);
        (void)close(to[0]);
        (void)execv(argv[0], argv);
        _exit(1);
    }
    (void)close(to[1]);
    return fdopen(to[0], "r");
}

/* The line of the change with this number has come. */
static void hear_line(FILE *f, long long number)
{
    char line[1000], key[40];
    struct pollfd p = {.fd = fileno(f), .events = POLLIN};
    (void)snprintf(key, sizeof key, " watched.%lld ", number);
    do
        if (poll(&p, 1, LATE_MS) != 1 || fgets(line, sizeof line, f) == NULL)
            die("no line of a change");
    while (strstr(line, key) == NULL);
}

static void watch_of(redisContext *c, char **argv)
{
    size_t n = 0;
    FILE *f = run(argv);
    if (f == NULL)
        die("no pipe");
    (void)setvbuf(f, NULL, _IONBF, 0); /* what it has read, poll() does not see */
    usleep(500 * 1000);                /* it has begun to watch */
    for (double begin = now_us(); now_us() - begin < seconds * 1e6 && n < SAMPLES_MAX; n++) {
        double at = now_us();
        say(c, "SET %s%lld value", "watched.", (long long)n);
        freeReplyObject(hear(c));
        double told = now_us();
        hear_line(f, (long long)n);
        double line = now_us();
        samples[n] = line - at;
        more[n] = line - told;
        usleep(1000);
    }
    print("watch", samples, n);
    print("watch_behind", more, n);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        die("usage: clients SECONDS LEADER_SOCKET OTHER_SOCKET COMMAND...");
    seconds = strtod(argv[1], NULL);
    redisContext *leader = dial(argv[2]), *other = dial(argv[3]);
    puts_of(leader);
    locks_of(leader);
    handovers_of(leader, other);
    watch_of(leader, argv + 4);
    puts_of(leader);
    printf("\n");
    redisFree(leader);
    redisFree(other);
    return 0;
}
