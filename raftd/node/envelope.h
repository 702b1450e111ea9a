/* envelope.h: datagrams as a whole: opened and judged on their way in, closed on their way out, and the
 * handshakes that make the keys for both. They are sealed, or plain text when there are no keys. */
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
        uint64_t boot; /* boot token of the process that spoke last; 0 = none */
    } peers[RAFT_PEERS_MAX];
    unsigned n_peers;
};

/* Starts without peers. keys NULL: plain. False: memory is short. */
bool envelope_init(struct envelope *e, const struct node_config *cfg, const struct node_io *io,
                   struct admit *admit, const struct session_keys *keys);
void envelope_free(struct envelope *e);
void envelope_set_keys(struct envelope *e, const struct session_keys *keys, uint64_t now);

/* A peer comes. False: memory is short. */
bool envelope_add(struct envelope *e, uint64_t now, uint16_t peer);

/* It goes, with all that is known of it. */
void envelope_remove(struct envelope *e, uint16_t peer);

/* Whose datagram it seems to be: what is sealed says so, else it is `from`, to whose address it belongs.
 * 0: nobody's. */
uint16_t envelope_whose(const struct envelope *e, uint16_t from, const uint8_t *buf, size_t len);

/* A node that is no peer yet and knows the cluster's secret, if this is its first datagram. 0: it is not. */
uint16_t envelope_stranger(const struct envelope *e, const uint8_t *buf, size_t len);

/* Opens a datagram of this peer in place. DATAGRAM_DATA: it has a payload, and *another says whether it comes
 * from another process of the peer than the last one. DATAGRAM_STEP: it was a handshake's or a greeting, and
 * is used up. Else the reason to drop it. */
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

/* The peer's data directory as the core names it (raft_msg.incarnation). */
uint64_t envelope_incarnation(const struct envelope *e, uint16_t peer);

/* The key that admit has for the peer may have changed. */
void envelope_know(struct envelope *e, uint16_t peer);

/* Another configuration is in force, see admit_follow(). */
void envelope_follow(struct envelope *e, const struct members_at *m, bool settled);

/* Fills what is known of the peer's session, and the ids of our keys. */
void envelope_status(const struct envelope *e, uint16_t peer, struct status_peer *s);
void envelope_keys(const struct envelope *e, struct status *s);

#endif
