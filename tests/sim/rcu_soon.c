/* RCU for the simulator, in which nobody reads beside: what is given to be freed goes when the next is given.
 * liburcu's own thread would do it at a time of its own, and a node that has something to free is called once
 * more: so equal seeds would not make equal runs. */
#include <stddef.h>

#include "raftd/base/rcu.h"

void __wrap_urcu_memb_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
void __wrap_urcu_memb_barrier(void);

static struct rcu_head *given;

static void free_given(struct rcu_head *next)
{
    struct rcu_head *before = given;
    given = next;
    if (before != NULL)
        before->func(before);
}

void __wrap_urcu_memb_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
    head->func = func;
    free_given(head);
}

void __wrap_urcu_memb_barrier(void)
{
    free_given(NULL);
}
