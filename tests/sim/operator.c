/* operator.c: who changes the members by hand, as raftctl does: with a wish at any node, at any moment. What
 * is wished may make no sense; it must be refused then, or done as it is said. In the end everybody who is
 * there is taken back.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/impl.h"

enum {
    PATIENCE_TIMEOUTS = 20, /* of one wish */
    BACK_TIMEOUTS = 100,    /* in which one more node is taken back, when all is well */
    BACK_US = 2000000,      /* and a session of a box that comes anew */
};

static void ask(struct sim *s, struct sim_node *m, const struct member_change *change)
{
    struct request *req = sim_must(calloc(1, sizeof *req + REQUEST_WORDS_BYTES));
    req->kind = REQUEST_CHANGE;
    req->cmd_len = REQUEST_WORDS_BYTES;
    req->body_len = (uint32_t)member_change_encode(change, req->cmd);
    req->client_tag = change->id;
    req->deadline_us = sim_local(m, s->now) + PATIENCE_TIMEOUTS * s->o.election_timeout_us;
    s->wishes++;
    node_change(m->node, sim_local(m, s->now), req);
    sim_touch(s, m);
}

/* What a node says to be done is in the log of all, for good. */
void sim_on_changed(struct sim *s, struct sim_node *m, struct request *req)
{
    sim_note(s, NOTE_WISH, m->at, req->client_tag, req->result, req->results.revision);
    sim_follow(s, m); /* in the middle of a step: it may have committed just now */
    bool done = req->result == RESULT_OK;
    if (done && (req->results.revision > s->n_committed ||
                 s->committed[req->results.revision]->members == NULL))
        sim_broken(s, "wish", "node %u says that entry %" PRIu64 " has changed the members",
                   m->at + 1, req->results.revision);
    if (req->result == RESULT_REFUSED && req->body_len == 0)
        sim_broken(s, "wish", "node %u refuses a change and does not say why", m->at + 1);
    s->t.wishes += done;
    s->wishes--;
    free(req);
}

void sim_operator(struct sim *s)
{
    static const uint8_t ops[] = {MEMBER_ADD,     MEMBER_ADD,     MEMBER_REMOVE,
                                  MEMBER_REPLACE, MEMBER_REPLACE, MEMBER_SET};
    struct sim_node *m = &s->m[sim_roll(s, RNG_FAULT, s->o.nodes)];
    struct member_change change = {.op = ops[sim_roll(s, RNG_FAULT, sizeof ops)],
                                   .id = (uint16_t)(1 + sim_roll(s, RNG_FAULT, s->o.nodes)),
                                   .priority = sim_any_priority(s)};
    uint64_t how = sim_roll(s, RNG_FAULT, 4);
    if (change.op == MEMBER_ADD || change.op == MEMBER_SET)
        sim_address(s, change.id - 1u, change.addr[0]);
    if (change.op == MEMBER_ADD && how == 0)
        change.flags = MEMBER_CHANGE_LEARNER;
    if (change.op == MEMBER_SET)
        change.flags = how < 2 ? MEMBER_CHANGE_PRIORITY : MEMBER_CHANGE_ADDRESS;
    if (m->up && s->now >= m->paused_until && sim_bears_change(s, &change))
        ask(s, m, &change);
}

/* What must be done for that node, and where; false: it is what it can be. */
static bool wants(const struct sim *s, const struct members *conf, const struct sim_node *m,
                  struct member_change *change)
{
    const struct member *e = members_find(conf, (uint16_t)(m->at + 1));
    for (unsigned i = 0; i < conf->n; i++) /* without them no voter can go */
        if (conf->m[i].priority == 0) {
            *change = (struct member_change){.op = MEMBER_SET,
                                             .flags = MEMBER_CHANGE_PRIORITY,
                                             .id = conf->m[i].id,
                                             .priority = 1};
            return true;
        }
    *change = (struct member_change){.op = MEMBER_ADD, .id = (uint16_t)(m->at + 1)};
    sim_address(s, m->at, change->addr[0]);
    if (!m->up)
        return false;
    if (e == NULL)
        return true;
    change->op = 0;
    if (strcmp(e->addr[0], change->addr[0]) != 0) {
        change->op = MEMBER_SET;
        change->flags = MEMBER_CHANGE_ADDRESS;
    } else if (!sim_same_disk(s, e)) {
        change->op = MEMBER_REPLACE;
    }
    return change->op != 0 || e->standing == MEMBER_JOINING;
}

void sim_take_all_back(struct sim *s)
{
    uint64_t most = s->o.nodes * (BACK_TIMEOUTS * s->o.election_timeout_us + BACK_US);
    uint64_t end = s->now + most, step = 2 * s->o.election_timeout_us;
    struct member_change change = {0};
    for (unsigned i = 0; i < s->o.nodes;) {
        int leader = sim_leader(s);
        if (leader >= 0 && !wants(s, sim_conf(s->m[leader].tip)->members, &s->m[i], &change)) {
            i++;
            continue;
        }
        if (s->now > end)
            sim_broken(s, "not-back", "node %u is not taken back within %" PRIu64 " ms", i + 1,
                       most / 1000);
        struct sim_node *at = &s->m[sim_roll(s, RNG_FAULT, s->o.nodes)];
        if (leader >= 0 && change.op != 0 && at->up && !at->outside)
            ask(s, at, &change);
        sim_run(s, step);
    }
}
