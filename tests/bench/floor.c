// LINK: raftd/base/clock.c
/* floor.c: what the machine itself allows. One leader and two followers do the I/O that a
 * replicated write can't avoid, and nothing else: no elections, no state machine, no client.
 *
 *     floor [-d DIR] [-w WINDOW] [-s SECONDS] [-v RECORD_BYTES] [-r TIMER_MS] [-h NETNS,ADDR]...
 *
 * The leader keeps WINDOW records outstanding (a closed loop, as that many clients would). Whatever
 * waits leaves for both followers at once in datagrams; meanwhile the leader writes it
 * to its own file with one pwrite and one fdatasync; a follower does the same with all that has
 * arrived and answers with the number of its last durable record. A record counts when the leader's
 * disk and one follower's have it. Loss is met by going back to the last acknowledged record after
 * TIMER_MS (go-back-N). All three are on loopback, or with -h (three times: leader, followers; needs
 * root) in network namespaces, as in /run/netns/NAME,10.0.0.1.
 * The files are written with zeros beforehand, so that fdatasync needs no journal.
 *
 * Prints one line: outstanding=W per_s=R p50_us=A p99_us=B max_us=C stall_us=D records=N cpu_us=U
 * (D: the longest time in which no record was committed; U: CPU time per record of all three
 * processes). The followers are children and end with the leader.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "raftd/base/clock.h"

enum {
    FOLLOWERS = 2,
    HOSTS = 1 + FOLLOWERS,
    DATAGRAM_MAX = 1200,   /* as raftd: fits every path without fragmentation     */
    HEAD_BYTES = 16,       /* first record's number, count                         */
    FILE_BYTES = 64 << 20, /* then from the start again: long enough to be disk    */
    WINDOW_MAX = 4096,     /* also how far a follower may be behind                */
    RECORD_MAX = DATAGRAM_MAX - HEAD_BYTES,
    LATENCY_MAX_US = 1 << 20, /* the last bucket of the histogram holds all above    */
    POLL_NS = 1000 * 1000,    /* bounds how late the timer is noticed                 */
};

/* Where one of the three is: the network namespace's file and an address there. */
struct host {
    const char *netns; /* NULL = this one */
    struct in_addr addr;
};

struct disk {
    int fd;
    off_t at;
};

struct follower {
    pid_t pid;
    struct sockaddr_in addr;
    uint64_t durable; /* last record it has on disk */
    uint64_t sent;    /* last record sent; >= durable except after going back */
    uint64_t timer_us;
};

struct leader {
    int sock;
    struct disk disk;
    struct follower followers[FOLLOWERS];
    size_t record_bytes;
    uint64_t window;
    uint64_t timer_us;
    uint64_t last, durable, committed; /* record numbers, from 1 */
    uint64_t born_us[WINDOW_MAX];      /* of record n at [n % WINDOW_MAX] */
    uint32_t *latency;                 /* histogram by microsecond */
    uint64_t max_us;
    uint64_t committed_us, stall_us; /* when something was committed last; longest time between */
    unsigned char *batch;
};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- disk ------------------------------------------------------------------------------------ */

static void disk_write(struct disk *d, const void *bytes, size_t len)
{
    if (d->at + (off_t)len > FILE_BYTES)
        d->at = 0;
    if (pwrite(d->fd, bytes, len, d->at) != (ssize_t)len)
        die("pwrite");
    d->at += (off_t)len;
}

static void disk_sync(const struct disk *d)
{
    if (fdatasync(d->fd) != 0)
        die("fdatasync");
}

static void disk_open(struct disk *d, const char *dir, int node)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/floor.%d", dir, node);
    if (n < 0 || n >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        die(dir);
    }
    d->at = 0;
    d->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (d->fd < 0 || unlink(path) != 0)
        die(path);
    enum { CHUNK = 1 << 20 };
    unsigned char *zeros = calloc(1, CHUNK);
    if (zeros == NULL)
        die("calloc");
    for (int i = 0; i < FILE_BYTES / CHUNK; i++)
        disk_write(d, zeros, CHUNK);
    free(zeros);
    if (fsync(d->fd) != 0)
        die("fsync");
    d->at = 0;
}

/* --- sockets --------------------------------------------------------------------------------- */

/* A socket stays in the network namespace that it was made in. */
static void enter(const struct host *h)
{
    if (h->netns == NULL)
        return;
    int fd = open(h->netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0 || close(fd) != 0)
        die(h->netns);
}

static int socket_open(const struct host *h, struct sockaddr_in *addr)
{
    enter(h);
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int room = 4 << 20;
    *addr = (struct sockaddr_in){.sin_family = AF_INET};
    addr->sin_addr = h->addr;
    socklen_t len = sizeof *addr;
    if (s < 0 || bind(s, (const struct sockaddr *)addr, len) != 0 ||
        getsockname(s, (struct sockaddr *)addr, &len) != 0)
        die("socket");
    /* FORCE needs privilege; without it the kernel's limit is what we get, and the timer helps. */
    if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0 &&
        setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) != 0)
        die("setsockopt");
    return s;
}

static void send_to(int s, const void *bytes, size_t len, const struct sockaddr_in *to)
{
    ssize_t n = sendto(s, bytes, len, 0, (const struct sockaddr *)to, sizeof *to);
    if (n < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
        die("sendto");
}

/* --- follower -------------------------------------------------------------------------------- */

static _Noreturn void follower_run(int s, struct disk *disk, size_t record_bytes)
{
    enum { ROUND = 256 }; /* datagrams per fdatasync at most: the leader's window is smaller */
    unsigned char d[DATAGRAM_MAX];
    uint64_t have = 0;
    for (;;) {
        struct sockaddr_in from;
        int got = 0, wrote = 0;
        for (; got < ROUND; got++) {
            socklen_t len = sizeof from;
            ssize_t n = recvfrom(s, d, sizeof d, got == 0 ? 0 : MSG_DONTWAIT,
                                 (struct sockaddr *)&from, &len);
            if (n < HEAD_BYTES)
                break;
            uint64_t first, count;
            memcpy(&first, d, 8);
            memcpy(&count, d + 8, 8);
            if (HEAD_BYTES + count * record_bytes != (size_t)n)
                continue;
            if (first > have + 1 || first + count - 1 <= have)
                continue; /* a gap, or known */
            size_t skip = (size_t)(have + 1 - first);
            disk_write(disk, d + HEAD_BYTES + skip * record_bytes,
                       ((size_t)count - skip) * record_bytes);
            have = first + count - 1;
            wrote = 1;
        }
        if (wrote)
            disk_sync(disk);
        if (got)
            send_to(s, &have, sizeof have, &from);
    }
}

static void follower_start(struct follower *f, const struct host *host, const char *dir, int node,
                           size_t record_bytes)
{
    pid_t parent = getpid();
    int s = socket_open(host, &f->addr);
    struct disk disk;
    disk_open(&disk, dir, node);
    f->pid = fork();
    if (f->pid < 0)
        die("fork");
    if (f->pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
            exit(1);
        follower_run(s, &disk, record_bytes);
    }
    if (close(s) != 0 || close(disk.fd) != 0)
        die("close");
}

/* --- leader ---------------------------------------------------------------------------------- */

static void leader_send(struct leader *l, struct follower *f, uint64_t now)
{
    unsigned char d[DATAGRAM_MAX];
    uint64_t per = (DATAGRAM_MAX - HEAD_BYTES) / l->record_bytes;
    if (f->sent > f->durable && now - f->timer_us > l->timer_us)
        f->sent = f->durable; /* go back */
    while (f->sent < l->last && f->sent - f->durable < WINDOW_MAX) {
        uint64_t first = f->sent + 1, count = l->last - f->sent;
        if (count > per)
            count = per;
        memcpy(d, &first, 8);
        memcpy(d + 8, &count, 8);
        for (uint64_t i = 0; i < count; i++) {
            unsigned char *record = d + HEAD_BYTES + i * l->record_bytes;
            memset(record, (int)((first + i) & 0xff), l->record_bytes);
        }
        send_to(l->sock, d, HEAD_BYTES + (size_t)count * l->record_bytes, &f->addr);
        if (f->sent == f->durable)
            f->timer_us = now;
        f->sent += count;
    }
}

static void leader_persist(struct leader *l)
{
    size_t len = (size_t)(l->last - l->durable) * l->record_bytes;
    if (len == 0)
        return;
    memset(l->batch, (int)(l->last & 0xff), len);
    disk_write(&l->disk, l->batch, len);
    disk_sync(&l->disk);
    l->durable = l->last;
}

static void leader_receive(struct leader *l)
{
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        uint64_t durable;
        ssize_t n = recvfrom(l->sock, &durable, sizeof durable, MSG_DONTWAIT,
                             (struct sockaddr *)&from, &len);
        if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED)
            die("recvfrom");
        if (n != sizeof durable)
            return;
        for (int i = 0; i < FOLLOWERS; i++) {
            struct follower *f = &l->followers[i];
            if (f->addr.sin_port != from.sin_port ||
                f->addr.sin_addr.s_addr != from.sin_addr.s_addr || durable <= f->durable ||
                durable > l->last)
                continue;
            f->durable = durable;
            if (f->sent < durable)
                f->sent = durable;
            f->timer_us = clock_us();
        }
    }
}

static void leader_commit(struct leader *l)
{
    uint64_t to = 0, now = clock_us();
    for (int i = 0; i < FOLLOWERS; i++)
        if (l->followers[i].durable > to)
            to = l->followers[i].durable;
    if (to > l->durable)
        to = l->durable;
    if (to > l->committed) {
        if (now - l->committed_us > l->stall_us)
            l->stall_us = now - l->committed_us;
        l->committed_us = now;
    }
    for (; l->committed < to; l->committed++) {
        uint64_t us = now - l->born_us[(l->committed + 1) % WINDOW_MAX];
        if (us > l->max_us)
            l->max_us = us;
        l->latency[us < LATENCY_MAX_US ? us : LATENCY_MAX_US - 1]++;
    }
}

static void leader_run(struct leader *l, uint64_t until_us)
{
    for (uint64_t now = clock_us(); now < until_us; now = clock_us()) {
        while (l->last - l->committed < l->window)
            l->born_us[++l->last % WINDOW_MAX] = now;
        for (int i = 0; i < FOLLOWERS; i++)
            leader_send(l, &l->followers[i], now); /* first the network, so that the disks ... */
        leader_persist(l);                         /* ... of all three work at the same time   */
        leader_receive(l);
        leader_commit(l);
        if (l->last - l->committed >= l->window) {
            struct pollfd p = {.fd = l->sock, .events = POLLIN};
            struct timespec wait = {.tv_nsec = POLL_NS};
            if (ppoll(&p, 1, &wait, NULL) < 0 && errno != EINTR)
                die("ppoll");
        }
    }
}

/* --- report ---------------------------------------------------------------------------------- */

static uint64_t quantile_us(const struct leader *l, double q)
{
    uint64_t rank = (uint64_t)((double)l->committed * q), seen = 0;
    for (uint64_t us = 0; us < LATENCY_MAX_US; us++) {
        seen += l->latency[us];
        if (seen > rank)
            return us;
    }
    return l->max_us;
}

static double cpu_us(int who)
{
    struct rusage u;
    if (getrusage(who, &u) != 0)
        die("getrusage");
    return ((double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec) * 1e6 +
           (double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec;
}

static long number(const char *option, const char *text, long min, long max)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < min || n > max) {
        fprintf(stderr, "floor: %s %s: allowed are %ld to %ld\n", option, text, min, max);
        exit(2);
    }
    return n;
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: floor [-d DIR] [-w WINDOW] [-s SECONDS] [-v RECORD_BYTES]"
                    " [-r TIMER_MS] [-h NETNS,ADDR -h NETNS,ADDR -h NETNS,ADDR]\n");
    exit(2);
}

static struct host host_of(char *text)
{
    struct host h = {.netns = text};
    char *comma = strchr(text, ',');
    if (comma == NULL || inet_pton(AF_INET, comma + 1, &h.addr) != 1) {
        fprintf(stderr, "floor: -h %s: wanted is NETNS,ADDRESS\n", text);
        exit(2);
    }
    *comma = '\0';
    return h;
}

int main(int argc, char **argv)
{
    const char *dir = ".";
    long window = 1, seconds = 3, record = 128, timer_ms = 20;
    struct host hosts[HOSTS];
    int n_hosts = 0;
    for (int i = 0; i < HOSTS; i++)
        hosts[i] = (struct host){.addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int o; (o = getopt(argc, argv, "d:w:s:v:r:h:")) != -1;) {
        switch (o) {
        case 'd': dir = optarg; break;
        case 'w': window = number("-w", optarg, 1, WINDOW_MAX - 1); break;
        case 's': seconds = number("-s", optarg, 1, 3600); break;
        case 'v': record = number("-v", optarg, 1, RECORD_MAX); break;
        case 'r': timer_ms = number("-r", optarg, 1, 10000); break;
        case 'h': hosts[n_hosts++ % HOSTS] = host_of(optarg); break;
        default: usage();
        }
    }
    if (n_hosts != 0 && n_hosts != HOSTS)
        usage();
    static struct leader l;
    l.window = (uint64_t)window;
    l.record_bytes = (size_t)record;
    l.timer_us = (uint64_t)timer_ms * 1000;
    l.latency = calloc(LATENCY_MAX_US, sizeof *l.latency);
    l.batch = malloc(l.record_bytes * WINDOW_MAX);
    if (l.latency == NULL || l.batch == NULL)
        die("malloc");
    for (int i = 0; i < FOLLOWERS; i++)
        follower_start(&l.followers[i], &hosts[1 + i], dir, 2 + i, l.record_bytes);
    struct sockaddr_in self;
    l.sock = socket_open(&hosts[0], &self);
    disk_open(&l.disk, dir, 1);

    double cpu = cpu_us(RUSAGE_SELF);
    uint64_t start = clock_us();
    l.committed_us = start;
    leader_run(&l, start + (uint64_t)seconds * 1000000);
    double took = (double)(clock_us() - start) / 1e6;
    cpu = cpu_us(RUSAGE_SELF) - cpu;

    for (int i = 0; i < FOLLOWERS; i++)
        if (kill(l.followers[i].pid, SIGKILL) != 0 || waitpid(l.followers[i].pid, NULL, 0) < 0)
            die("kill");
    cpu += cpu_us(RUSAGE_CHILDREN);
    printf("outstanding=%ld per_s=%.0f p50_us=%" PRIu64 " p99_us=%" PRIu64 " max_us=%" PRIu64
           " stall_us=%" PRIu64 " records=%" PRIu64 " cpu_us=%.2f\n",
           window, (double)l.committed / took, quantile_us(&l, .5), quantile_us(&l, .99), l.max_us,
           l.stall_us, l.committed, cpu / (double)(l.committed ? l.committed : 1));
    free(l.latency);
    free(l.batch);
    return l.committed > 0 ? 0 : 1;
}
