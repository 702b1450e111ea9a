/* far.c: has each datagram of a program leave FAR_MS milliseconds after sendmmsg() took it, by LD_PRELOAD:
 * its peers are then as far away, and the program does not wait. For kernels without netem. Errors of the
 * later sending are lost, as the datagram is. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);

struct datagram {
    struct datagram *next;
    struct timespec due;
    int fd, flags;
    struct msghdr head;
    struct iovec part;
    char bytes[]; /* address, ancillary data, payload */
};

static struct datagram *first, **end = &first;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static void *sender(void *unused)
{
    for (;;) {
        pthread_mutex_lock(&mutex);
        while (first == NULL)
            pthread_cond_wait(&more, &mutex);
        struct datagram *d = first;
        first = d->next;
        if (first == NULL)
            end = &first;
        pthread_mutex_unlock(&mutex);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &d->due, NULL) != 0)
            ;
        (void)sendmsg(d->fd, &d->head, d->flags);
        free(d);
    }
    return unused;
}

/* The program's own threads get its signals. */
static void begin(void)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, sender, NULL) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static size_t payload(const struct msghdr *m)
{
    size_t size = 0;
    for (size_t i = 0; i < m->msg_iovlen; i++)
        size += m->msg_iov[i].iov_len;
    return size;
}

static struct datagram *copy(const struct msghdr *m, int fd, int flags)
{
    const char *ms = getenv("FAR_MS");
    struct datagram *d = malloc(sizeof *d + m->msg_namelen + m->msg_controllen + payload(m));
    if (d == NULL)
        abort();
    char *to = d->bytes;
    *d = (struct datagram){
        .fd = fd, .flags = flags, .head = {.msg_iov = &d->part, .msg_iovlen = 1}};
    clock_gettime(CLOCK_MONOTONIC, &d->due);
    d->due.tv_nsec += (ms != NULL ? atol(ms) : 0) * 1000000;
    d->due.tv_sec += d->due.tv_nsec / 1000000000;
    d->due.tv_nsec %= 1000000000;
    if (m->msg_controllen > 0) { /* first: it has to be aligned */
        d->head.msg_control = memcpy(to, m->msg_control, m->msg_controllen);
        d->head.msg_controllen = m->msg_controllen;
        to += m->msg_controllen;
    }
    if (m->msg_namelen > 0) {
        d->head.msg_name = memcpy(to, m->msg_name, m->msg_namelen);
        d->head.msg_namelen = m->msg_namelen;
        to += m->msg_namelen;
    }
    d->part.iov_base = to;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        memcpy(to, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
        to += m->msg_iov[i].iov_len;
    }
    d->part.iov_len = (size_t)(to - (char *)d->part.iov_base);
    return d;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin);
    for (unsigned i = 0; i < n; i++) {
        struct datagram *d = copy(&messages[i].msg_hdr, fd, flags);
        messages[i].msg_len = (unsigned)d->part.iov_len;
        pthread_mutex_lock(&mutex);
        *end = d;
        end = &d->next;
        pthread_cond_signal(&more);
        pthread_mutex_unlock(&mutex);
    }
    return (int)n;
}
