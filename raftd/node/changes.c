/* changes.c: see changes.h. */
#include "raftd/node/changes.h"

#include <string.h>

#include "raftd/base/num.h"

enum {
    AGAIN_US = 50000,  /* a wish is sent again if no answer came */
    RETRY_US = 100000, /* after a refusal that passes it is asked anew, after so long */
    LOOK_US = 1000000, /* between two looks for a member that is to be replaced */
};

_Static_assert((int)RAFT_REFUSED_NO_MAJORITY < (int)MEMBER_VERDICTS_OWN &&
                   (int)RAFT_TAKEN == (int)MEMBER_TAKEN,
               "a verdict says both");
_Static_assert((int)MEMBER_CHANGE_BYTES_MAX <= (int)REQUEST_WORDS_BYTES, "a wish fits");

#define TRY_AGAIN "; try again"

const char *changes_words(unsigned verdict)
{
    static const char *const words[MEMBER_VERDICTS] = {
        [RAFT_REFUSED_NO_LEADER] = "the leader has changed meanwhile" TRY_AGAIN,
        [RAFT_REFUSED_HANDING] = "the leader hands its role over just now" TRY_AGAIN,
        [RAFT_REFUSED_TOO_EARLY] = "the leader is new and has committed nothing yet" TRY_AGAIN
                                   ". If it lasts, 'raftctl links' says who is missing",
        [RAFT_REFUSED_UNDER_WAY] = "the last change of members is not committed yet" TRY_AGAIN
                                   ". If it lasts, 'raftctl members' says who lags",
        [RAFT_REFUSED_MALFORMED] = "that would be no list of members; 'raftctl members' shows the "
                                   "present one",
        [RAFT_REFUSED_LAST_VOTER] = "no voter would be left; add another one first",
        [RAFT_REFUSED_TWO_VOTERS] = "more than one voter would change; change one after the other",
        [RAFT_REFUSED_NO_LEARNER] = "a new voter is a learner first; use member add",
        [RAFT_REFUSED_BEHIND] = "the learner has not caught up yet; it becomes a voter by itself, "
                                "and 'raftctl members' shows how far it is",
        [RAFT_REFUSED_NO_STANDERS] =
            "half of the voters or more would have priority 0, and perhaps "
            "nobody could lead; give another one a higher priority first",
        [RAFT_REFUSED_NO_MAJORITY] = "too few of the voters that are left are there, and nothing "
                                     "could be committed; bring one of them back first, or use "
                                     "member remove with --force if you know better",
        [RAFT_REFUSED_NO_ROOM] = "the leader's log has no room now" TRY_AGAIN,
        [MEMBER_AS_IT_IS] = "the members are like that already",
        [MEMBER_BAD_CHANGE] = "the leader does not know such a change; is it of another version?",
        [MEMBER_BAD_ID] = "an id is 1 to 999",
        [MEMBER_BAD_ADDRESS] =
            "an address is NAME:PORT, a.b.c.d:PORT or [v6]:PORT; of two different "
            "ones write a comma between them",
        [MEMBER_IS_MEMBER] = "it is a member already; to move it use member set, to take it back "
                             "with an empty disk use member replace, and a new box gets another id",
        [MEMBER_UNKNOWN] = "there is no member with that id; 'raftctl members' names them",
        [MEMBER_ADDRESS_OF_OTHER] = "another member has that address; 'raftctl members' says which",
        [MEMBER_TOO_MANY] = "there are 16 members, and there can't be more; remove one first",
        [MEMBER_TOO_MANY_VOTERS] = "there are 9 voters, and there can't be more; add it with "
                                   "--learner, or remove a voter first",
        [MEMBER_LAST_VOTER] = "it is the last voter, and nobody else has the data for sure; add "
                              "another node first, and wait until it is a voter",
        [MEMBER_ONLY_COPY] =
            "it is the only voter, so nobody else has the data for sure; if they are "
            "lost, begin anew from a backup with raftd --init --restore",
        [MEMBER_SAME_DIRECTORY] =
            "it is there, or was a moment ago, with the data directory that counts, so nothing is "
            "to "
            "be replaced; for an empty disk, stop it, use raftd --init --join, and start it first",
        [MEMBER_NOT_THERE] =
            "nobody has come under that id with another data directory yet, which takes ten "
            "seconds "
            "after the one before was last heard; make it with raftd --init --join, start it, and "
            "try again",
        [MEMBER_NONE_YET] = "the cluster has not written down its first members yet" TRY_AGAIN,
    };
    const char *w = verdict < MEMBER_VERDICTS ? words[verdict] : NULL;
    return w != NULL ? w
                     : "the leader has a reason that is not known here; is it of another version?";
}

/* The verdict may be another one in a moment, so the leader is asked anew. */
static bool passes(unsigned verdict)
{
    return verdict == RAFT_REFUSED_NO_LEADER || verdict == RAFT_REFUSED_HANDING ||
           verdict == RAFT_REFUSED_TOO_EARLY || verdict == RAFT_REFUSED_UNDER_WAY ||
           verdict == RAFT_REFUSED_NO_ROOM || verdict == MEMBER_NONE_YET ||
           verdict == MEMBER_NOT_THERE;
}

void changes_init(struct changes *c, const struct node_config *cfg, const struct node_io *io,
                  struct replica *r, changes_seen *seen, const void *seen_ctx)
{
    *c = (struct changes){.io = io,
                          .replica = r,
                          .auto_replace_us = cfg->auto_replace_us,
                          .seen = seen,
                          .seen_ctx = seen_ctx,
                          .number = (uint64_t)cfg->boot << 32,
                          .send_at = NEVER};
}

/* ---- as leader ---- */

static struct wire_changed judge(struct changes *c, uint64_t now, uint64_t number,
                                 const struct member_change *change)
{
    const struct raft *r = replica_raft(c->replica);
    struct wire_changed answer = {.number = number, .verdict = MEMBER_NONE_YET};
    struct members out;
    if (r->members.index == 0)
        return answer;
    struct member_seen seen = {.lately = true}; /* we are here */
    if (change->id != r->cfg.id)
        seen = c->seen(c->seen_ctx, now, change->id);
    answer.verdict = (uint8_t)members_change(&replica_members(c->replica)->members, change, &seen,
                                             &out);
    if (answer.verdict == MEMBER_TAKEN)
        answer.verdict = (uint8_t)replica_change(c->replica, now, &out,
                                                 (change->flags & MEMBER_CHANGE_FORCE) != 0);
    if (answer.verdict != MEMBER_TAKEN && answer.verdict != MEMBER_AS_IT_IS)
        return answer;
    answer.index = r->members.index;
    answer.term = raft_term_at(r, answer.index);
    return answer;
}

/* A member that comes with another directory, and was silent with the one that counts, is taken back without
 * being asked for, if all others are there. */
static void replace_by_itself(struct changes *c, uint64_t now)
{
    const struct raft *r = replica_raft(c->replica);
    const struct members *m = &replica_members(c->replica)->members;
    struct member_change change = {.op = MEMBER_REPLACE};
    unsigned away = 0;
    if (c->auto_replace_us == 0 || r->role != RAFT_LEADER || now < c->look_at)
        return;
    c->look_at = now + LOOK_US;
    for (unsigned i = 0; i < m->n; i++) {
        struct member_seen seen = c->seen(c->seen_ctx, now, m->m[i].id);
        if (m->m[i].id == r->cfg.id || seen.lately)
            continue;
        away++;
        if (seen.silent_us >= c->auto_replace_us)
            change.id = m->m[i].id;
    }
    if (away == 1 && change.id != 0)
        (void)judge(c, now, 0, &change);
}

static struct heard_change *heard_of(struct changes *c, uint16_t from)
{
    unsigned i = 0, n = c->n_heard < RAFT_PEERS_MAX ? c->n_heard : RAFT_PEERS_MAX;
    while (i < n && c->heard[i].from != from)
        i++;
    if (i < n)
        return &c->heard[i];
    struct heard_change *h = &c->heard[c->n_heard++ % RAFT_PEERS_MAX];
    *h = (struct heard_change){.from = from};
    return h;
}

static void forget_old_terms(struct changes *c)
{
    uint64_t term = replica_raft(c->replica)->term;
    if (c->heard_term != term)
        c->n_heard = 0;
    c->heard_term = term;
}

void changes_take(struct changes *c, uint64_t now, uint16_t from, const struct wire_change *w)
{
    struct member_change change;
    if (replica_raft(c->replica)->role != RAFT_LEADER)
        return;
    forget_old_terms(c);
    struct heard_change *h = heard_of(c, from);
    bool same_process = w->number >> 32 == h->answer.number >> 32;
    if (same_process && w->number < h->answer.number)
        return; /* it was late, and is answered */
    h->due = true;
    if (w->number == h->answer.number)
        return;
    if (member_change_decode(w->bytes, w->len, &change))
        h->answer = judge(c, now, w->number, &change);
    else
        h->answer = (struct wire_changed){.number = w->number, .verdict = MEMBER_BAD_CHANGE};
}

bool changes_fill_answer(struct changes *c, uint16_t peer, struct wire_changed *w)
{
    forget_old_terms(c);
    for (unsigned i = 0; i < c->n_heard && i < RAFT_PEERS_MAX; i++) {
        if (c->heard[i].from != peer || !c->heard[i].due)
            continue;
        c->heard[i].due = false;
        *w = c->heard[i].answer;
        return true;
    }
    return false;
}

/* ---- the wish of a client here ---- */

static void finish(struct changes *c, enum result result, size_t body_len)
{
    struct request *req = c->req;
    c->req = NULL;
    c->send_at = NEVER;
    req->result = result;
    req->body_len = (uint32_t)body_len;
    c->io->answer(c->io->ctx, req);
}

static void refuse(struct changes *c, unsigned verdict)
{
    const char *words = changes_words(verdict);
    size_t len = (size_t)min_u64(strlen(words), c->req->cmd_len);
    memcpy(c->req->cmd, words, len);
    finish(c, RESULT_REFUSED, len);
}

void changes_ask(struct changes *c, uint64_t now, struct request *req)
{
    req->results.revision = 0;
    if (c->req != NULL) {
        req->body_len = 0;
        req->result = RESULT_BUSY;
        c->io->answer(c->io->ctx, req);
        return;
    }
    c->req = req;
    c->number++;
    c->term = 0;
    c->answered = false;
    c->retried = MEMBER_TAKEN;
    c->send_at = now;
}

static bool is_to(const struct changes *c, uint16_t leader)
{
    const struct raft *r = replica_raft(c->replica);
    return c->req != NULL && !c->answered && r->leader == leader &&
           (c->term == 0 || c->term == r->term);
}

uint64_t changes_due(const struct changes *c, uint16_t peer)
{
    for (unsigned i = 0; i < c->n_heard && i < RAFT_PEERS_MAX; i++) {
        if (c->heard[i].from == peer && c->heard[i].due &&
            c->heard_term == replica_raft(c->replica)->term)
            return 0;
    }
    return is_to(c, peer) ? c->send_at : NEVER;
}

bool changes_fill(struct changes *c, uint64_t now, uint16_t peer, struct wire_change *w)
{
    if (!is_to(c, peer) || now < c->send_at)
        return false;
    c->term = replica_raft(c->replica)->term;
    c->send_at = now + AGAIN_US;
    *w = (struct wire_change){.number = c->number, .bytes = c->req->cmd, .len = c->req->body_len};
    return true;
}

void changes_answered(struct changes *c, uint16_t from, const struct wire_changed *w)
{
    if (is_to(c, from) && c->term != 0 && w->number == c->number) {
        c->answered = true;
        c->answer = *w;
    }
}

/* Asks anew, under another number: it is certain that no entry comes of the last one. */
static void retry(struct changes *c, uint64_t now, uint8_t verdict)
{
    c->retried = verdict;
    c->number++;
    c->term = 0;
    c->answered = false;
    c->send_at = now + RETRY_US;
}

/* The leader has made an entry of it, or the members were like that before. */
static void await_commit(struct changes *c, uint64_t now)
{
    const struct raft *r = replica_raft(c->replica);
    const struct wire_changed *a = &c->answer;
    if (r->commit_index < a->index)
        return;
    if (a->index < r->trail.base_index) {
        finish(c, RESULT_UNKNOWN, 0); /* the log does not reach back to it any more */
    } else if (raft_term_at(r, a->index) != a->term) {
        retry(c, now, RAFT_REFUSED_NO_LEADER); /* a new leader's entry took its place */
    } else {
        c->req->results.revision = a->index;
        finish(c, RESULT_OK, 0);
    }
}

static void ask_ourselves(struct changes *c, uint64_t now)
{
    struct member_change change;
    if (!member_change_decode(c->req->cmd, c->req->body_len, &change)) {
        refuse(c, MEMBER_BAD_CHANGE);
        return;
    }
    c->term = replica_raft(c->replica)->term;
    c->answer = judge(c, now, c->number, &change);
    c->answered = true;
}

static void expire(struct changes *c)
{
    if (c->term == 0 && c->retried != MEMBER_TAKEN)
        refuse(c, c->retried);
    else
        finish(c, c->term == 0 ? RESULT_NO_LEADER : RESULT_UNKNOWN, 0);
}

void changes_step(struct changes *c, uint64_t now)
{
    const struct raft *r = replica_raft(c->replica);
    replace_by_itself(c, now);
    if (c->req != NULL && is_to(c, r->cfg.id) && now >= c->send_at)
        ask_ourselves(c, now);
    if (c->req == NULL)
        return;
    uint8_t verdict = c->answer.verdict;
    if (!c->answered && c->term != 0 && c->term != r->term)
        finish(c, RESULT_UNKNOWN, 0);
    else if (c->answered && passes(verdict))
        retry(c, now, verdict);
    else if (c->answered && (verdict == MEMBER_TAKEN || verdict == MEMBER_AS_IT_IS))
        await_commit(c, now);
    else if (c->answered)
        refuse(c, verdict);
    if (c->req != NULL && now >= c->req->deadline_us)
        expire(c);
}

uint64_t changes_deadline(const struct changes *c)
{
    if (c->req == NULL)
        return NEVER;
    bool ours = is_to(c, replica_raft(c->replica)->cfg.id);
    return ours ? min_u64(c->send_at, c->req->deadline_us) : c->req->deadline_us;
}

void changes_stop(struct changes *c)
{
    if (c->req != NULL)
        finish(c, RESULT_STOPPING, 0);
}
