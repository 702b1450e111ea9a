/* judge.c: what must hold. The four properties of the dissertation's figure 3.2 that speak of more
 * than one node (outcomes), and what they rest on (supports), which breaks earlier. */
#include "tests/explore/world.h"

#include <string.h>

static void support(struct lab *l, bool holds, const char *broken)
{
    if (!holds && !l->b.outcomes)
        w_fail(l, broken);
}

static void outcome(struct lab *l, bool holds, const char *broken)
{
    if (!holds)
        w_fail(l, broken);
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned last)
{
    return last <= W_LOG && memcmp(a + 1, b + 1, last) == 0;
}

/* ------------------------------------------------------------------------------ one at a time */

/* A message leaves: nothing in it may promise more than what the disk holds. */
void w_judge_sent(struct lab *l, const struct world *w, unsigned i, const struct raft_msg *m)
{
    const struct w_node *n = &w->nodes[i];
    support(l, m->from == i + 1 && m->to != m->from, "a message of another node or to itself");
    support(l, m->term <= n->disk_term, "a message speaks of a term that is not on disk");
    switch (m->type) {
    case RAFT_MSG_VOTE_RSP:
        if (!m->vote_rsp.pre && m->vote_rsp.granted)
            support(l, n->disk_term == m->term && n->disk_vote == m->to,
                    "a vote was given that is not on disk");
        break;
    case RAFT_MSG_VOTE_REQ:
        if (!m->vote_req.pre)
            support(l, n->disk_term == m->term && n->disk_vote == m->from,
                    "a candidate asks for votes and its own is not on disk");
        break;
    case RAFT_MSG_LEAD:
        support(l, w->leader[m->term] == m->from || l->r.role == RAFT_LEADER,
                "somebody leads who was not elected");
        break;
    case RAFT_MSG_ACK:
        if (m->ack.durable > 0)
            support(l,
                    n->disk_last >= m->ack.durable && w->leader_last[m->term] >= m->ack.durable &&
                        same_prefix(n->disk_log, w->leader_log[m->term], (unsigned)m->ack.durable),
                    "an acknowledged entry is not on disk");
        break;
    case RAFT_MSG_PROBE:
    case RAFT_MSG_PROBE_ACK:
    case RAFT_MSG_PING:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_TRANSFER:
    case RAFT_MSG_READ_REQ:
    case RAFT_MSG_READ_RSP: break;
    }
}

void w_judge_disk(struct lab *l, const struct w_node *before, const struct w_node *after)
{
    support(l, after->disk_term >= before->disk_term, "the term on disk falls");
    support(l,
            after->disk_term != before->disk_term || before->disk_vote == 0 ||
                after->disk_vote == before->disk_vote,
            "the vote on disk changes within a term");
    support(l, after->disk_commit >= before->disk_commit, "the commit index on disk falls");
    support(l, after->disk_commit <= after->disk_last, "the commit index on disk leads the log");
}

/* Mirrors the edit as the caller would: it must give the log that the core now has. */
void w_judge_edit(struct lab *l, const struct raft_event *ev, const struct raft_edit *edit)
{
    const struct raft *r = &l->r;
    if (edit->truncate)
        l->last = w_byte(edit->truncate_to);
    for (uint64_t index = edit->append_first; index != 0 && index <= edit->append_last; index++) {
        bool sent = ev->type == RAFT_EV_APPEND;
        support(l, index == l->last + 1u, "an edit leaves a hole or overwrites");
        l->log[index] = sent ? l->sent[index] : w_byte(r->term | (uint64_t)l->change << 4);
        l->last = w_byte(index);
    }
    bool same = l->last == r->trail.last;
    for (unsigned index = 1; same && index <= l->last; index++)
        same = w_term(l->log[index]) == raft_term_at(r, index);
    support(l, same, "an edit does not say what became of the log");
}

/* ---------------------------------------------------------------------------------- the cluster */

/* Log matching (section 3.5): same index and term, same entry and same entries before it. Entries
 * have no payload here: that they are the same is what their terms say. */
static bool logs_match(const uint8_t *a, unsigned a_last, const uint8_t *b, unsigned b_last)
{
    bool below = false; /* a common entry was seen above */
    for (unsigned index = a_last < b_last ? a_last : b_last; index > 0; index--) {
        if (a[index] == b[index])
            below = true;
        else if (below)
            return false;
    }
    return true;
}

static void judge_leader(struct lab *l, struct world *w, const struct w_node *before, unsigned i)
{
    const struct w_node *n = &w->nodes[i];
    unsigned term = n->term;
    bool is_new = before->role != RAFT_LEADER || before->term != n->term;
    outcome(l, w->leader[term] == 0 || (!is_new && w->leader[term] == i + 1),
            "election safety: a second leader in one term");
    support(l,
            w->leader[term] == 0 ||
                (n->last >= w->leader_last[term] &&
                 same_prefix(n->log, w->leader_log[term], w->leader_last[term])),
            "a leader changes or removes entries of its log");
    w->leader[term] = (uint8_t)(i + 1);
    w->leader_last[term] = n->last;
    memcpy(w->leader_log[term], n->log, sizeof n->log);
    for (unsigned k = 0; k < l->b.nodes; k++) {
        const struct w_node *other = &w->nodes[k];
        unsigned match = n->peers[k].match;
        if (k != i && match > 0 && other->disk_term <= n->term)
            support(l, other->disk_last >= match && same_prefix(other->disk_log, n->log, match),
                    "an entry that the leader counts is not on that disk");
    }
}

static void judge_commit(struct lab *l, struct world *w, const struct w_node *before, unsigned i)
{
    const struct w_node *n = &w->nodes[i];
    for (unsigned index = 1; index <= n->commit && index <= W_LOG; index++) {
        if (index > w->n_committed) {
            w->n_committed = (uint8_t)index;
            w->committed[index] = n->log[index];
            w->commit_term[index] = n->term;
        }
        outcome(l, w->committed[index] == n->log[index],
                "state machine safety: two entries committed at one index");
    }
    if (n->role != RAFT_LEADER || n->commit <= before->commit)
        return;
    struct raft_members m = w_members(l, i, n->log, n->last);
    unsigned copies = 0;
    for (unsigned k = 0; k < l->b.nodes; k++)
        copies += raft_is_voter(&m, (uint16_t)(k + 1)) && w->nodes[k].disk_last >= n->commit &&
                  same_prefix(w->nodes[k].disk_log, n->log, n->commit);
    support(l, copies > raft_n_voters(&m) / 2, "a committed entry is not on a majority of disks");
    support(l, w_term(n->log[n->commit]) == n->term,
            "an entry of an older term is committed by counting");
}

/* Leader completeness (section 3.6.3), by the term in which an entry was committed. */
static void judge_completeness(struct lab *l, const struct world *w)
{
    for (unsigned index = 1; index <= w->n_committed; index++) {
        for (unsigned term = w->commit_term[index] + 1u; term < W_TERMS; term++)
            outcome(l,
                    w->leader[term] == 0 || (w->leader_last[term] >= index &&
                                             w->leader_log[term][index] == w->committed[index]),
                    "leader completeness: a leader lacks a committed entry");
    }
}

static void judge_matching(struct lab *l, const struct world *w, unsigned i)
{
    const struct w_node *n = &w->nodes[i];
    for (unsigned k = 0; k < l->b.nodes; k++)
        outcome(l, logs_match(n->log, n->last, w->nodes[k].log, w->nodes[k].last),
                "log matching: logs differ below a common entry");
    for (unsigned term = 1; term < W_TERMS; term++)
        outcome(l, logs_match(n->log, n->last, w->leader_log[term], w->leader_last[term]),
                "log matching: a log differs from a leader's below a common entry");
}

/* After an action of node i: the properties of figure 3.2, and of the node itself. */
void w_judge(struct lab *l, struct world *w, const struct w_node *before, unsigned i,
             bool restarted)
{
    const struct w_node *n = &w->nodes[i];
    const char *broken = raft_check(&l->r);
    support(l, broken == NULL, broken);
    support(l, n->term >= before->disk_term, "the term falls");
    support(l, n->commit >= before->disk_commit, "what was known to be committed is forgotten");
    if (!restarted) {
        support(l, n->term >= before->term, "the term falls");
        support(l, n->commit >= before->commit, "the commit index falls");
        support(l, n->term != before->term || before->vote == 0 || n->vote == before->vote,
                "the vote changes within a term");
        support(l, n->term != before->term || n->verified >= before->verified,
                "what was verified is forgotten");
    }
    if (n->role == RAFT_LEADER)
        judge_leader(l, w, before, i);
    judge_commit(l, w, before, i);
    judge_completeness(l, w);
    judge_matching(l, w, i);
}
