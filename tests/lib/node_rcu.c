/* RCU for a target with one thread, which nobody reads beside: what was given to be freed is freed when
 * one waits for it. liburcu's own thread sleeps for 10 ms at a time. Linked in with
 * -Wl,--wrap=urcu_memb_call_rcu,--wrap=urcu_memb_barrier. */
#include <stddef.h>

#include "raftd/base/rcu.h"

void __wrap_urcu_memb_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void __wrap_urcu_memb_barrier(void);

static struct cds_wfcq_node *given;

void __wrap_urcu_memb_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
    head->func = func;
    head->next.next = given;
    given = &head->next;
}

void __wrap_urcu_memb_barrier(void)
{
    while (given != NULL) {
        struct rcu_head *head = rcu_container(given, struct rcu_head, next);
        given = given->next;
        head->func(head);
    }
}
