/* lease.c: see lease.h. */
#include "raftd/node/lease.h"

#include <string.h>

#include "raftd/base/num.h"

void lease_init(struct lease *l, const struct raft *r, uint64_t process, uint64_t lease_us)
{
    *l = (struct lease){.raft = r, .process = process, .lease_us = lease_us};
}

/* A silent process is over after so long. Within twice the election timeout its node gives up a silent
 * leader, and so looks for the next one. */
static uint64_t patience(const struct lease *l)
{
    return l->lease_us + l->lease_us / LEASE_CLOCK_PARTS + 2 * l->raft->cfg.election_timeout +
           LEASE_MARGIN_US;
}

/* The rows are those of this leader. */
static bool led(const struct lease *l)
{
    return l->raft->role == RAFT_LEADER && l->term == l->raft->term;
}

/* A new leader knows nothing of what came before it: the core leads a term once. */
static void follow_term(struct lease *l, uint64_t now)
{
    if (l->raft->role != RAFT_LEADER || led(l))
        return;
    l->term = l->raft->term;
    l->since = now;
    l->undated = true;
    l->frees = 0;
    memset(l->rows, 0, sizeof l->rows);
}

static const struct lease_row *find(const struct lease *l, uint16_t member, uint64_t process)
{
    for (unsigned i = 0; i < LEASE_ROWS_MAX; i++) {
        const struct lease_row *row = &l->rows[i];
        if (row->member == member && row->process == process)
            return row;
    }
    return NULL;
}

/* A row for that process. Only a process that is over gives way, because its row says no more than that.
 * NULL: there is no place, so it is not listened to for now. */
static struct lease_row *row_of(struct lease *l, uint64_t now, uint16_t member, uint64_t process)
{
    const struct lease_row *known = find(l, member, process);
    if (known != NULL)
        return &l->rows[known - l->rows];
    for (unsigned i = 0; i < LEASE_ROWS_MAX; i++) {
        struct lease_row *row = &l->rows[i];
        if (row->member != 0 && (row->undated || now < row->heard + patience(l)))
            continue;
        *row = (struct lease_row){.member = member, .process = process};
        return row;
    }
    return NULL;
}

void lease_asked(struct lease *l, uint64_t now, uint16_t from, uint64_t incarnation,
                 const struct wire_lease *w)
{
    follow_term(l, now);
    if (!led(l) || w->process == 0 || !raft_is_member(&l->raft->members, from, incarnation))
        return;
    struct lease_row *row = row_of(l, now, from, w->process);
    if (row == NULL || w->stamp <= row->newest)
        return;
    row->newest = w->stamp;
    row->heard = now;
    row->undated = true;
    if (row->need != 0)
        return; /* it is answered first, however long that takes: each later one would take as long */
    row->stamp = w->stamp;
    row->need = l->raft->round + 1;
}

/* Leader: fills the answer to a question of that node. */
static bool answer(const struct lease *l, uint16_t to, struct wire_lease *w)
{
    const struct raft *r = l->raft;
    /* The entry that was to free may not have been appended. */
    uint64_t index = max_u64(r->term_first, min_u64(l->frees, r->trail.last));
    if (!led(l) || r->commit_index < index)
        return false;
    uint64_t confirmed = raft_confirmed_round(r);
    for (unsigned i = 0; i < LEASE_ROWS_MAX; i++) {
        const struct lease_row *row = &l->rows[i];
        if (row->member != to || row->need == 0 || row->need > confirmed)
            continue;
        *w = (struct wire_lease){
            .process = row->process, .stamp = row->stamp, .index = index, .renewed = true};
        return true;
    }
    return false;
}

static uint64_t question_at(const struct lease *l)
{
    return l->asked != 0 ? l->asked + l->lease_us / LEASE_ASKS : 0;
}

bool lease_tell(const struct lease *l, uint64_t now, uint16_t to, struct wire_lease *w)
{
    if (l->raft->role == RAFT_LEADER)
        return answer(l, to, w);
    *w = (struct wire_lease){.process = l->process, .stamp = now};
    return to == l->raft->leader && now >= question_at(l);
}

void lease_told(struct lease *l, uint16_t to, const struct wire_lease *w)
{
    if (w->renewed)
        l->rows[find(l, to, w->process) - l->rows].need = 0;
    else
        l->asked = w->stamp;
}

/* While one answer waits for its index, one that needs a later index does not take its place: it might wait
 * for as long, and so on. */
void lease_renewed(struct lease *l, const struct wire_lease *w)
{
    if (w->process != l->process || w->stamp > l->asked ||
        w->stamp <= max_u64(l->counted, l->stamp) || (l->stamp != 0 && w->index > l->index))
        return;
    l->stamp = w->stamp;
    l->index = w->index;
}

/* The leader asks itself. */
static void ask_self(struct lease *l, uint64_t now)
{
    const struct raft_config *cfg = &l->raft->cfg;
    struct wire_lease w = {.process = l->process, .stamp = now};
    if (now >= question_at(l)) {
        lease_told(l, cfg->id, &w);
        lease_asked(l, now, cfg->id, cfg->incarnation, &w);
    }
    if (lease_tell(l, now, cfg->id, &w)) {
        lease_told(l, cfg->id, &w);
        lease_renewed(l, &w);
    }
}

void lease_step(struct lease *l, uint64_t now, uint64_t applied)
{
    follow_term(l, now);
    if (led(l)) {
        if (l->undated && now > l->since) {
            l->since = now;
            l->undated = false;
        }
        for (unsigned i = 0; i < LEASE_ROWS_MAX; i++) {
            struct lease_row *row = &l->rows[i];
            if (!row->undated || now == row->heard)
                continue;
            row->heard = now;
            row->undated = false;
        }
        ask_self(l, now);
    }
    if (l->stamp == 0 || applied < l->index)
        return;
    l->counted = l->stamp;
    l->stamp = 0;
}

uint64_t lease_deadline(const struct lease *l)
{
    return l->raft->role == RAFT_LEADER ? question_at(l) : NEVER;
}

uint64_t lease_until(const struct lease *l, uint64_t shortest_us)
{
    uint64_t lease_us = min_u64(l->lease_us, shortest_us);
    return l->counted != 0 ? l->counted + lease_us - lease_us / LEASE_CLOCK_PARTS : 0;
}

uint64_t lease_over_at(const struct lease *l, uint16_t member, uint64_t process)
{
    const struct lease_row *row = find(l, member, process);
    bool ours = member == l->raft->cfg.id && process == l->process;
    if (!led(l) || l->undated || ours || (row != NULL && row->undated))
        return NEVER;
    return max_u64(l->since, row != NULL ? row->heard : 0) + patience(l);
}

void lease_frees(struct lease *l)
{
    l->frees = l->raft->trail.last + 1;
}
