/* session_impl.h: what the three files of sessions share, and nobody else sees. session.c has the calls
 * and the data, session_peer.c decides which session is used when, and session_hello.c has the messages
 * of a handshake. */
#ifndef SESSION_IMPL_H
#define SESSION_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/seal/noise.h"
#include "net/seal/replay.h"
#include "net/seal/session.h"
#include "raftd/base/num.h"

enum session_kind {
    SESSION_KIND_PLAIN = 0, /* see plain.h; refused here */
    SESSION_KIND_DATA = 1,
    SESSION_KIND_HELLO = 2,
    SESSION_KIND_HELLO_ACK = 3,
    SESSION_KIND_CHALLENGE = 4,
};

enum {
    SESSION_CHALLENGE_BYTES = 16,
    SESSION_RECENT = 32, /* HELLOs remembered so that they are not answered again at once */
};

/* A key of the cluster, and what is derived from it (BLAKE2b, keyed, with a label). */
struct session_key {
    bool live;
    uint8_t psk[SESSION_KEY_BYTES];
    uint8_t challenge[SESSION_KEY_BYTES]; /* seals CHALLENGE */
    uint8_t hello[SESSION_KEY_BYTES];     /* mac of HELLO */
    uint8_t ack[SESSION_KEY_BYTES];       /* mac of HELLO_ACK */
    uint32_t id;
};

/* Whom a session is with: a process of the node whose data directory has this key. */
struct session_who {
    uint64_t boot; /* 0 = unknown */
    uint8_t key[NOISE_KEY_BYTES];
    struct about about; /* what it told of itself */
    bool cloned;        /* it told that it hears several boxes with our key */
};

struct session {
    bool live;              /* else all is zero */
    struct session_who who; /* proved, except in `next` */
    bool initiator;
    bool heard;          /* the peer has used it, so both have it */
    unsigned key;        /* place of the cluster's key in sessions.keys */
    uint32_t index;      /* we chose it; the peer writes it into the head of what it seals */
    uint32_t peer_index; /* the peer chose it; we write it into the head of what we seal */
    uint64_t number;     /* sessions of a peer are numbered in the order in which they came to be */
    uint64_t born_us;
    uint64_t sent; /* counter of the next datagram */
    uint8_t send[SESSION_KEY_BYTES];
    uint8_t receive[SESSION_KEY_BYTES];
    struct replay replay;
};

/* Our HELLO under one of the keys, and what is needed to read its answer. */
struct session_attempt {
    bool live; /* else all is zero */
    uint64_t made_us;
    uint64_t peer_boot; /* the peer's boot id as we knew it then */
    uint32_t index;
    bool challenged; /* it has the peer's challenge */
    struct noise noise;
    uint8_t hello[SESSION_HELLO_BYTES];
};

/* A HELLO that was met with a CHALLENGE. */
struct session_recent {
    uint64_t e;       /* the first bytes of its ephemeral key */
    uint64_t free_at; /* it may be answered again from then on */
};

struct session_peer {
    uint16_t id;
    /* Who was proved last. Invariant: `current` and `prev` are with the same process and key. */
    struct session_who who;
    uint64_t
        who_since; /* sessions with a higher number were begun when that process had been proved */
    uint8_t key[NOISE_KEY_BYTES]; /* the key that is known for the peer; zeros = none */
    bool cloned;                  /* several boxes speak with it */
    struct session current;
    struct session prev;
    struct session next;
    uint64_t births; /* sessions that came into being */

    /* our HELLO */
    bool pending;
    bool doubt; /* a handshake is pending only because the peer is silent: hearing it ends that */
    bool want_key; /* key[0] is new, so a handshake is needed, whatever sessions there are */
    unsigned tries;
    unsigned prefer; /* key under which the peer answered; SESSION_KEYS = none yet */
    uint64_t begun_us;
    uint64_t hello_at;      /* when the next copy leaves, if one is pending */
    uint64_t hello_free_at; /* nothing makes a HELLO leave before this */
    uint64_t hold_until;    /* until then the peer's handshake may be under way, so we begin none */
    struct session_attempt attempts[SESSION_KEYS];
    uint8_t known[SESSION_CHALLENGE_BYTES]; /* the peer's challenge; zeros = unknown */
    uint64_t patience_us;                   /* how long HELLOs with that challenge are repeated */

    /* the peer's HELLO */
    uint8_t challenge[SESSION_CHALLENGE_BYTES]; /* what it must contain to be fresh */
    bool has_taken;
    uint8_t taken[SESSION_HELLO_BYTES]; /* the last one that was taken */
    uint8_t ack[SESSION_HELLO_BYTES];   /* the answer to it */
    uint64_t ack_free_at;               /* the answer is not repeated before this */
    bool ack_due;
    bool answer_due;
    uint8_t answer[SESSION_HELLO_BYTES];          /* CHALLENGE */
    struct session_recent recent[SESSION_RECENT]; /* by the first byte of e */
    unsigned judged;                              /* HELLOs met with a CHALLENGE in this interval */
    uint64_t judged_since;                        /* when the interval began */
    uint64_t proved_us;  /* when the peer last showed one of our keys, or when we started */
    unsigned strange;    /* HELLOs under none of our keys since proved_us */
    uint64_t strange_at; /* the next such HELLO is not looked at before this */
    bool wrong_key;      /* see SESSION_STATE_WRONG_KEY */
    uint64_t wrong_us;   /* when that became clear */

    /* the session in use */
    unsigned confirms;      /* empty datagrams left to send until the peer is heard */
    uint64_t confirm_at;    /* when the next one leaves */
    bool echo_due;          /* an empty one came from the peer, and one is due in answer */
    uint64_t heard_us;      /* when something came on `current` last, or when that began */
    unsigned unanswered;    /* datagrams sealed since heard_us */
    uint64_t unanswered_us; /* when the first of them was sealed */
    uint64_t silent_at;     /* when the peer counts as silent, and a handshake begins */
    uint64_t retire_at;     /* when `prev` ends */

    bool newest;         /* see sessions_newest() */
    uint64_t other_boot; /* see sessions_other_boot() */
    uint64_t opened;
    uint64_t exchanges;
    uint64_t hellos;
};

struct sessions {
    struct session_config cfg;
    struct noise_pair own;
    struct session_key keys[SESSION_KEYS];
    struct session_peer *peers[SESSION_PEERS_MAX];
    unsigned n_peers;
};

/* session_hello.c: messages. The takers judge SESSION_HELLO_BYTES whose first 16 are right, after
 * session_expire(). */
void session_head(const struct sessions *s, const struct session_peer *p, enum session_kind kind,
                  uint8_t *buf);
/* Is it a HELLO that knows no challenge, under one of our keys? */
bool session_hello_is_ours(const struct sessions *s, const uint8_t *buf);
/* Writes the HELLO that is due to buf. */
void session_send_hello(struct sessions *s, struct session_peer *p, uint64_t now_us, uint8_t *buf);
enum drop session_take_hello(struct sessions *s, struct session_peer *p, uint64_t now_us,
                             const uint8_t *buf);
enum drop session_take_ack(struct sessions *s, struct session_peer *p, uint64_t now_us,
                           const uint8_t *buf);
enum drop session_take_challenge(struct sessions *s, struct session_peer *p, uint64_t now_us,
                                 const uint8_t *buf);

/* session_peer.c: what follows from the messages. */
void session_new_challenge(struct sessions *s, struct session_peer *p);
void session_end(struct session *x);
void session_drop_handshake(struct session_peer *p);
/* Wipes our HELLOs that are too old to be answered. */
void session_expire(struct session_peer *p, uint64_t now_us);
/* This is not the key that is known for the peer, and the peer with that key is heard: it is another node. */
bool session_stranger(const struct session_peer *p, const uint8_t key[NOISE_KEY_BYTES],
                      uint64_t now_us);
/* The peer proved to be *who: sessions with another process or directory end. */
void session_proved(struct session_peer *p, const struct session_who *who);
/* A session came into being: by the peer's HELLO, or by our HELLO and its answer. *x is moved. */
void session_accepted(struct sessions *s, struct session_peer *p, uint64_t now_us,
                      struct session *x);
void session_answered(struct sessions *s, struct session_peer *p, uint64_t now_us,
                      struct session *x);
/* The peer proved its key just now. */
void session_not_strange(struct session_peer *p, uint64_t now_us);
/* A HELLO came under none of our keys, or with an old challenge. True if it is worth finding out which. */
bool session_suspect(struct session_peer *p, uint64_t now_us);
/* A HELLO came under none of our keys. */
void session_strange(struct session_peer *p, uint64_t now_us);
/* The peer answered our HELLO under `key` with its challenge. */
void session_challenged(struct session_peer *p, unsigned key, uint64_t now_us);
/* A datagram of session *x (one of the peer's) was opened. *x may have moved afterwards. */
void session_heard(struct session_peer *p, struct session *x, bool empty, uint64_t now_us);
/* A datagram could not be opened: the peer may have a session that we lack. */
void session_lost(struct sessions *s, struct session_peer *p, uint64_t now_us);
/* Data was sealed, and an answer is expected. */
void session_spoke(struct session_peer *p, uint64_t now_us);
/* An empty datagram is sent now, to show the responder that its HELLO_ACK arrived. */
void session_confirmed(struct session_peer *p, uint64_t now_us);
/* Does what is due at this time; sends nothing. */
void session_tick(struct sessions *s, struct session_peer *p, uint64_t now_us);
/* Age at which sessions are replaced. */
uint64_t session_rekey_us(const struct sessions *s);
uint64_t session_peer_deadline(const struct sessions *s, const struct session_peer *p);

#endif
