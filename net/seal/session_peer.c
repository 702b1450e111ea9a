/* session_peer.c: which session of a peer is used when, and when a handshake begins. See the
 * picture in session.h. */
#include "net/seal/session_impl.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define REKEY_DEFAULT_US UINT64_C(3600000000)
#define REKEY_SENT       (UINT64_C(1) << 39) /* half of what is ever sealed under one key */

enum {
    ATTEMPT_US = 10000000, /* life of an ephemeral key; above any round trip */
    HOLD_US = 1000000,     /* for the peer's handshake to end, see session_accepted() */
    HUSH_US = 500000,      /* a session that was heard within this time is not in doubt */
    PROVED_US = 9000000,   /* a key that was shown within this time is not in doubt: two nodes tell
                              their links every 3 s */
    STRANGE_US = 50000,    /* between two HELLOs that are tried with our keys, at 10 us each */
    STRANGE_TRIES = 8,     /* HELLOs of ours without an answer, in 2 s; some may have been lost */
    CLONED_US = 10000000,  /* a cloned peer that was not heard for so long is asked who it is */
    SILENCE_US = 2000000,  /* a peer is silent when it has not answered for this long, */
    SILENCE_DATAGRAMS = 8, /* and so many datagrams: the last word of a talk gets no answer */
    CONFIRM_US = 50000,
    CONFIRMS = 10, /* at 50 % loss one of 10 arrives in 999 of 1000 cases; data confirms too */
    RETIRE_US = 10000000,    /* datagrams of `prev` may be on their way for so long */
    KEY_RETRY_US = 60000000, /* age at which a session that we began under key[1] is replaced */
};

void session_new_challenge(struct sessions *s, struct session_peer *p)
{
    s->cfg.random(s->cfg.random_ctx, p->challenge, sizeof p->challenge);
    p->challenge[0] |= 1; /* zeros mean "unknown" */
}

void session_end(struct session *x)
{
    sodium_memzero(x, sizeof *x);
}

static void move(struct session *to, struct session *from)
{
    *to = *from;
    session_end(from);
}

void session_drop_handshake(struct session_peer *p)
{
    p->pending = false;
    p->doubt = false;
    p->tries = 0;
    p->prefer = SESSION_KEYS;
    sodium_memzero(p->attempts, sizeof p->attempts);
}

void session_expire(struct session_peer *p, uint64_t now_us)
{
    for (unsigned key = 0; key < SESSION_KEYS; key++) {
        struct session_attempt *a = &p->attempts[key];
        if (!a->live || now_us - a->made_us < ATTEMPT_US)
            continue;
        if (a->challenged) /* it may be void, and a HELLO made anew would be patient with it again */
            sodium_memzero(p->known, sizeof p->known);
        sodium_memzero(a, sizeof *a);
        if (p->prefer == key)
            p->prefer = SESSION_KEYS;
    }
}

static void begin(struct session_peer *p, bool doubt, uint64_t now_us)
{
    assert(!p->pending);
    p->pending = true;
    p->doubt = doubt;
    p->begun_us = now_us;
    p->hello_at = max_u64(now_us, p->hello_free_at);
}

static bool same_process(const struct session_who *a, const struct session_who *b)
{
    return a->boot == b->boot && about_same_key(a->key, b->key);
}

void session_proved(struct session_peer *p, const struct session_who *who)
{
    bool same = same_process(&p->who, who);
    p->who = *who;
    if (same)
        return;
    p->who_since = p->births;
    struct session *all[] = {&p->current, &p->prev, &p->next};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!same_process(&all[i]->who, who))
            session_end(all[i]);
    p->echo_due = false;
    p->confirms = 0;
}

bool session_stranger(const struct session_peer *p, const uint8_t key[NOISE_KEY_BYTES],
                      uint64_t now_us)
{
    return p->current.live && !about_same_key(p->key, key) &&
           about_same_key(p->key, p->current.who.key) && now_us - p->heard_us < PROVED_US;
}

/* *x becomes `current`. */
static void use(struct session_peer *p, struct session *x, uint64_t now_us)
{
    if (p->current.live)
        move(&p->prev, &p->current);
    move(&p->current, x);
    p->confirms = 0;
    p->echo_due = false;
    p->heard_us = now_us;
    p->unanswered = 0;
    p->silent_at = NEVER;
    p->retire_at = NEVER;
    if (p->current.key == 0)
        p->want_key = false;
}

/* The responder cannot know yet whether its HELLO_ACK arrives, nor whether the initiator has the secret of
 * the key that it shows, so it goes on with the session that it has.
 *
 * Both nodes must see sessions come into being in the same order, or each would speak on another
 * one. Let X and Y be sessions of handshakes that overlap. The orders differ only if each node
 * took the other's HELLO before the answer to its own. So the node with the higher id drops its own
 * handshake here, and begins none until this one is over or HOLD_US old. The node with the lower id is
 * sure that its own handshake will end with a session, and does not speak first on this one. */
void session_accepted(struct sessions *s, struct session_peer *p, uint64_t now_us,
                      struct session *x)
{
    x->number = ++p->births;
    move(&p->next, x);
    session_new_challenge(s, p);
    sodium_memzero(p->known, sizeof p->known); /* the peer draws another */
    p->hold_until = now_us + HOLD_US;
    if (s->cfg.self > p->id)
        session_drop_handshake(p);
}

void session_answered(struct sessions *s, struct session_peer *p, uint64_t now_us,
                      struct session *x)
{
    x->number = ++p->births;
    p->newest = true;
    use(p, x, now_us);
    session_new_challenge(s, p);
    session_drop_handshake(p);
    sodium_memzero(p->known, sizeof p->known); /* the peer draws another */
    p->want_key = false;                       /* the peer chose among the keys it has */
    p->ack_free_at = NEVER;                    /* a HELLO of the peer's is overtaken */
    p->hold_until = 0;
    p->confirms = CONFIRMS;
    p->confirm_at = now_us;
}

void session_not_strange(struct session_peer *p, uint64_t now_us)
{
    p->proved_us = now_us;
    p->strange = 0;
    p->wrong_key = false;
}

/* As long as the peer itself shows one of our keys, such HELLOs are somebody else's in its name. */
bool session_suspect(struct session_peer *p, uint64_t now_us)
{
    if (now_us - p->proved_us < PROVED_US || now_us < p->strange_at)
        return false;
    p->strange_at = now_us + STRANGE_US;
    return true;
}

void session_strange(struct session_peer *p, uint64_t now_us)
{
    if (p->strange < SESSION_WRONG_KEY_HELLOS)
        p->strange++;
    if (p->strange < SESSION_WRONG_KEY_HELLOS)
        return;
    if (!p->wrong_key && p->pending && p->tries >= STRANGE_TRIES) {
        p->wrong_us = now_us;
        p->wrong_key = true;
    }
    /* Our HELLOs let the peer see the same of us, even if neither has anything to say. A strange HELLO can
     * only start them: their distance doubles as it always does. */
    if (!p->pending && now_us >= p->hold_until)
        begin(p, true, now_us);
}

void session_challenged(struct session_peer *p, unsigned key, uint64_t now_us)
{
    /* Another payload needs another ephemeral key, see noise.h. The HELLO under the other key ends, too: else
     * both might be taken, and each node might use another one of the two sessions. */
    p->patience_us = 2 * (now_us - p->attempts[key].made_us);
    sodium_memzero(p->attempts, sizeof p->attempts);
    p->prefer = key;
    p->tries = 0;
    p->hello_at = now_us;
}

void session_heard(struct session_peer *p, struct session *x, bool empty, uint64_t now_us)
{
    session_not_strange(p, now_us);
    if (x == &p->next && (!p->current.live || p->next.number > p->current.number)) {
        session_proved(p, &p->next.who);
        use(p, &p->next, now_us);
        x = &p->current;
        if (p->pending && !p->want_key)
            session_drop_handshake(p);
    }
    if (x != &p->current)
        return;
    p->heard_us = now_us;
    p->unanswered = 0;
    p->silent_at = NEVER;
    p->confirms = 0;
    p->hold_until = 0;
    /* Our HELLO_ACK has arrived, so copies of that HELLO are late or somebody else's. (With a `next` this was
     * the HELLO_ACK before the last.) */
    if (!p->current.initiator && !p->next.live)
        p->ack_free_at = NEVER;
    if (!p->current.heard) {
        p->current.heard = true;
        p->retire_at = now_us + RETIRE_US;
    }
    if (p->doubt && !p->want_key)
        session_drop_handshake(p);
    if (empty && !p->current.initiator)
        p->echo_due = true;
}

void session_lost(struct sessions *s, struct session_peer *p, uint64_t now_us)
{
    session_tick(s, p, now_us);
    if (p->current.live && now_us - p->heard_us < HUSH_US)
        return;
    if (!p->pending) {
        if (now_us < p->hold_until)
            return;
        begin(p, true, now_us);
    }
    p->hello_at = min_u64(p->hello_at, max_u64(now_us, p->hello_free_at));
}

void session_spoke(struct session_peer *p, uint64_t now_us)
{
    if (p->unanswered == 0)
        p->unanswered_us = now_us;
    if (p->unanswered < SILENCE_DATAGRAMS && ++p->unanswered == SILENCE_DATAGRAMS)
        p->silent_at = p->unanswered_us + SILENCE_US;
}

void session_confirmed(struct session_peer *p, uint64_t now_us)
{
    p->confirms--;
    p->confirm_at = now_us + CONFIRM_US;
}

uint64_t session_rekey_us(const struct sessions *s)
{
    return s->cfg.rekey_us > 0 ? s->cfg.rekey_us : REKEY_DEFAULT_US;
}

/* When the session in use must be replaced. Its initiator begins; the other node does so a while later if
 * nothing has happened. */
static uint64_t rekey_at(const struct sessions *s, const struct session_peer *p)
{
    uint64_t rekey_us = session_rekey_us(s);
    if (!p->current.live || p->want_key || p->current.sent >= REKEY_SENT)
        return 0;
    if (p->current.initiator && p->current.key != 0 && rekey_us > KEY_RETRY_US)
        rekey_us = KEY_RETRY_US;
    return p->current.born_us + rekey_us + (p->current.initiator ? 0 : rekey_us / 10);
}

/* When a handshake has to begin, if none is pending. */
static uint64_t begin_at(const struct sessions *s, const struct session_peer *p)
{
    uint64_t at = rekey_at(s, p);
    if (p->current.live && p->silent_at < at)
        at = p->silent_at;
    /* Nothing is said to a cloned peer. If it takes us for one, too, nobody would ever speak again. */
    if (p->current.live && p->cloned)
        at = min_u64(at, p->heard_us + CLONED_US);
    return max_u64(at, p->hold_until);
}

void session_tick(struct sessions *s, struct session_peer *p, uint64_t now_us)
{
    if (now_us >= p->retire_at) {
        session_end(&p->prev);
        if (p->next.number < p->current.number)
            session_end(&p->next); /* overtaken, see session_accepted() */
        p->retire_at = NEVER;
    }
    session_expire(p, now_us);
    if (!p->pending && now_us >= begin_at(s, p))
        begin(p, now_us < rekey_at(s, p), now_us);
}

uint64_t session_peer_deadline(const struct sessions *s, const struct session_peer *p)
{
    if (p->ack_due || p->answer_due || p->echo_due)
        return 0;
    uint64_t at = p->pending ? p->hello_at : begin_at(s, p);
    if (p->confirms > 0 && p->confirm_at < at)
        at = p->confirm_at;
    return p->retire_at < at ? p->retire_at : at;
}
