/* envelope.h: datagrams as a whole: opened and judged on their way in, closed on their way out; the
 * handshakes that make the keys for both. Sealed, or plain text when there are no keys. */
#ifndef RAFTD_ENVELOPE_H
#define RAFTD_ENVELOPE_H

#include "net/drop.h"
#include "net/seal/session.h"
#include "raftd/node/admit.h"
#include "raftd/node/io.h"
#include "raftd/node/status.h"

/* Only envelope.c looks inside. */
struct envelope {
    const struct node_config *cfg;
    const struct node_io *io;
    struct admit *admit;
    struct sessions *sessions; /* NULL: plain */
    uint64_t cluster;
    struct {
        uint16_t id;
        uint64_t boot; /* process that spoke last; 0 = none */
    } peers[RAFT_PEERS_MAX];
    unsigned n_peers;
};

/* Without peers. keys NULL: plain. False: memory is short. */
bool envelope_init(struct envelope *e, const struct node_config *cfg, const struct node_io *io,
                   struct admit *admit, const struct session_keys *keys);
void envelope_free(struct envelope *e);
void envelope_set_keys(struct envelope *e, const struct session_keys *keys, uint64_t now);

/* A peer comes, and goes with all that is known of it. False: memory is short. */
bool envelope_add(struct envelope *e, uint64_t now, uint16_t peer);
void envelope_remove(struct envelope *e, uint16_t peer);

/* Whose datagram is to be tried: `from` is the node from whose address it came, 0 = from nobody's. Sealed
 * ones say whose they are. 0: nobody's. */
uint16_t envelope_whose(const struct envelope *e, uint16_t from, const uint8_t *buf, size_t len);

/* The node, none of our peers, that this may be the first datagram of; 0: of nobody. */
uint16_t envelope_stranger(const struct envelope *e, const uint8_t *buf, size_t len);

/* A datagram of this peer; opened in place. DATAGRAM_DATA: here is its payload, and
 * *another tells whether another process of the peer sent it than the one before. DATAGRAM_STEP: it
 * was for us. Else the reason to drop it. */
enum drop envelope_open(struct envelope *e, uint64_t now, uint16_t from, uint8_t *buf, size_t len,
                        uint8_t **payload, size_t *payload_len, bool *another);

/* Something may be sent to the peer. */
bool envelope_ready(const struct envelope *e, uint16_t peer);

/* Bytes of a datagram around its payload. */
uint32_t envelope_bytes(const struct envelope *e);

/* Sends the payload at buf + WIRE_HEAD_ROOM; WIRE_TAIL_ROOM bytes behind it are free. */
void envelope_send(struct envelope *e, uint64_t now, uint16_t to, uint8_t *buf, size_t payload_len);

/* Sends what handshakes have to send, and greetings. */
void envelope_shake(struct envelope *e, uint64_t now);
uint64_t envelope_deadline(const struct envelope *e);

/* Of the data directory that the peer speaks for (raft_msg.incarnation). */
uint64_t envelope_incarnation(const struct envelope *e, uint16_t peer);

/* The peer's key has become known for good. */
void envelope_know(struct envelope *e, uint16_t peer);

/* Another configuration is in force, see admit_follow(). */
void envelope_follow(struct envelope *e, const struct members_at *m);

void envelope_status(const struct envelope *e, uint16_t peer, struct status_peer *s);
void envelope_keys(const struct envelope *e, struct status *s);

#endif
