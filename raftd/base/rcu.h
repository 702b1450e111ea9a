/* rcu.h: the few RCU and queue operations of this program, on liburcu's memb flavour.
 *
 * Readers look at kv and status without locks; the loop replaces objects and frees the old ones
 * after every reader has left. The memb flavour costs a reader two function calls and needs no
 * announcements from idle threads, which sleep in the poll of their event loops.
 *
 *     rcu_thread_begin()                       once per thread that reads or writes
 *     rcu_enter(); p = rcu_get(shared->p); use *p; rcu_leave();
 *     old = rcu_swap(shared->p, new); rcu_free_later(&old->rcu, free_it);
 *
 * ThreadSanitizer does not see the memory barriers inside liburcu 0.13. Under it these wrappers
 * state the ordering that the library gives; in other builds those statements are nothing. So all
 * code of this program uses only these and never liburcu's own names.
 */
#ifndef RAFTD_RCU_H
#define RAFTD_RCU_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <urcu/urcu-memb.h>
#include <urcu/wfcqueue.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#endif

/* What a thread did before rcu_give(p) is visible to a thread after rcu_take(p). For objects that travel
 * through liburcu's queues or through libev, which ThreadSanitizer does not see into. */
#ifdef RCU_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define rcu_give(p) __tsan_release((void *)(uintptr_t)(p))
#define rcu_take(p) __tsan_acquire((void *)(uintptr_t)(p))
#else
#define rcu_give(p) ((void)(p))
#define rcu_take(p) ((void)(p))
#endif

/* A thread calls these before its first and after its last read-side section. */
static inline void rcu_thread_begin(void)
{
    urcu_memb_register_thread();
}

static inline void rcu_thread_end(void)
{
    urcu_memb_unregister_thread();
}

/* A read-side section: what rcu_get() gives inside stays allocated until rcu_leave(). Sections nest. A thread
 * must not block inside. */
static inline void rcu_enter(void)
{
    urcu_memb_read_lock();
}

static inline void rcu_leave(void)
{
    rcu_give(&urcu_memb_flavor);
    urcu_memb_read_unlock();
}

/* The object that the shared pointer names now; inside a read-side section. */
#define rcu_get(pointer) __atomic_load_n(&(pointer), __ATOMIC_ACQUIRE)

/* Publishes `object`, fully written before, and returns the old one. */
#define rcu_swap(pointer, object) __atomic_exchange_n(&(pointer), (object), __ATOMIC_ACQ_REL)

static inline void *rcu_trial(void *arg)
{
    return arg;
}

/* Starts liburcu's own thread; to be called before the first rcu_free_later(). The library would do so then,
 * but it calls abort() if the system refuses a thread, so another thread is tried first. 0 or -errno. */
static inline int rcu_start(void)
{
    pthread_t trial;
    int rc = pthread_create(&trial, NULL, rcu_trial, NULL);
    if (rc != 0)
        return -rc;
    (void)pthread_join(trial, NULL); /* its stack is kept for the next thread */
    (void)urcu_memb_get_default_call_rcu_data();
    return 0;
}

/* Calls fn(head) in liburcu's own thread when all present readers have left. `head` is part of
 * the object, which nobody new can reach any more. fn starts with rcu_callback_begin(). */
static inline void rcu_free_later(struct rcu_head *head, void (*fn)(struct rcu_head *head))
{
    rcu_give(&urcu_memb_flavor);
    urcu_memb_call_rcu(head, fn);
}

static inline void rcu_callback_begin(void)
{
    rcu_take(&urcu_memb_flavor);
}

/* Waits until every fn of earlier rcu_free_later() calls has run. Not inside a section. */
static inline void rcu_wait_freed(void)
{
    urcu_memb_barrier();
}

/* The object of which `pointer` is the field `member`. */
#define rcu_container(pointer, type, member)                                                       \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Wait-free queue: any threads push, one thread at a time pops; NULL when empty, or when what comes next is
 * still being pushed. So a push is followed by whatever has the popping thread look again. */
static inline void rcu_queue_push(struct cds_wfcq_head *head, struct cds_wfcq_tail *tail,
                                  struct cds_wfcq_node *node)
{
    cds_wfcq_node_init(node);
    rcu_give(node);
    cds_wfcq_enqueue(head, tail, node);
}

static inline struct cds_wfcq_node *rcu_queue_pop(struct cds_wfcq_head *head,
                                                  struct cds_wfcq_tail *tail)
{
    struct cds_wfcq_node *node = __cds_wfcq_dequeue_nonblocking(head, tail);
    if (node == NULL || node == CDS_WFCQ_WOULDBLOCK)
        return NULL;
    rcu_take(node);
    return node;
}

#endif
