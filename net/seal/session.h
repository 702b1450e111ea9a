/* session.h: sealed sessions with the peers of a node, over datagrams; no I/O.
 *
 * All datagrams between two nodes are sealed: nobody without the cluster's key can read, change,
 * repeat or invent one. The cluster's key says who may speak at all. Who it is, the key pair of its
 * data directory says, which both sides prove before a session counts. Keys of a session are fresh at
 * every boot and replaced every hour, so traffic of the past stays closed if any other key leaks later.
 * Needs no clock and keeps nothing on disk.
 *
 *   datagram, little-endian, at most WIRE_DATAGRAM_MAX bytes; version is WIRE_VERSION_NOW, kinds are 1 to 4
 *
 *   DATA        16 + n + 16
 *     0 u8 version << 4 | kind  1 u8 0  2 u16 0  4 u32 index  8 u64 counter
 *    16 n bytes sealed, tag[16]          ChaCha20-Poly1305, nonce = 0 (32 bits) | counter,
 *                                        bytes 0..15 authenticated with it
 *
 *   the others begin with
 *     0 u8 version << 4 | kind  1 u8 0  2 u16 from  4 u16 to  6 u16 0  8 u64 cluster
 *
 *   HELLO      168   Noise's first message (noise.h); its prologue is "raftd3" and the 16 bytes above;
 *                    and a keyed BLAKE2b of the receiver's challenge[16] (zeros: unknown) and
 *                    bytes 0..151
 *    16 e[32]  48 sealed s[32], tag[16]
 *    96 sealed {u64 boot, u32 index, u32 cloned, about[24]}, tag[16]
 *   152 mac[16]
 *   HELLO_ACK  168   Noise's second message, and a keyed BLAKE2b of HELLO's e and bytes 0..151;
 *                    laid out as HELLO is
 *   CHALLENGE  168   XChaCha20-Poly1305 with bytes 0..15 and HELLO's e authenticated with it
 *    16 nonce[24]  40 sealed {challenge[16], zeros[96]}, tag[16]
 *
 *   The keys of both hashes and of XChaCha20 are keyed BLAKE2b hashes of a label each, under the
 *   cluster's key.
 *
 *   s: the public key of the sender's data directory. index: chosen by the node that is to receive DATA
 *   under it. boot: random for each process. cloned: 1 = the sender hears several boxes with the
 *   receiver's key. about: see about.h. Whether such a peer counts is for the caller to say.
 *
 * A handshake:      initiator                               responder
 *                   HELLO (challenge unknown: zeros)   ->   is it of our cluster and key?
 *                                                      <-   CHALLENGE, nothing is kept
 *                   HELLO (with the challenge)         ->   now it is fresh: session `next`
 *                   session `current`                  <-   HELLO_ACK, the responder's key is proved
 *                   DATA (maybe empty)                 ->   so is the initiator's: `current`
 *
 * A HELLO only claims a key, and whoever has the cluster's key can claim any. So a responder that has
 * answered speaks on with the session that it had, keeps those that are of another boot id, and shows
 * nothing of what the HELLO told, until the first datagram on the new session proves that its sender
 * has the secret. A HELLO or HELLO_ACK with another key than the one that is known for the peer is
 * refused as long as the peer with that key is heard: somebody else has come under its id.
 *
 * What a stranger's datagram can cost, and why nothing old has any effect:
 *   - A HELLO is taken only with the present challenge, which is drawn anew whenever a session with
 *     the peer comes into being. Its mac shows that it has this challenge; no recorded one has it. So
 *     an honest HELLO finds its way through any flood.
 *   - A HELLO under none of our keys, and a recorded one with the challenge of another moment, cost
 *     two keyed hashes for each of our keys, as little as data does, and are met with silence. An
 *     honest sender forgets a challenge that brings no answer.
 *   - A HELLO that knows no challenge is met with a CHALLENGE, which is made without Noise. So is a
 *     recorded one, but each only once within 20 ms, and all together no more than 10 000 times a
 *     second: so many fill 10 Mbit/s.
 *   - A copy of the HELLO that was taken last is met with a copy of its HELLO_ACK, but only once within
 *     20 ms, and no more when the peer has used the session.
 *   - HELLO_ACK and CHALLENGE name the ephemeral key they answer to, which lives for 10 s at most,
 *     and are judged by one keyed hash or cipher.
 *   - No answer is longer than what caused it. DATA that nobody can open makes us send a HELLO if
 *     it was at least as long, and never more often than every 100 ms. HELLOs under none of our
 *     keys begin a handshake once the peer itself has been silent for 9 s.
 *   - Ids of both nodes and of the cluster are authenticated, sessions are kept by peer, each
 *     direction has its own key: nothing works at another node, in another cluster, or reflected.
 *
 * Sessions of a peer: `current` is sent on, all three are received on.
 *
 *        HELLO taken                HELLO_ACK taken (by the initiator)
 *            |                             |
 *            v       first data on it      v       a newer one      10 s after the new one
 *          next  ----------------------> current ------------> prev ----------------------> gone
 *                                                                    is heard
 *
 * Both may start at once. The node with the higher id drops its own handshake when it takes the
 * other's HELLO, so that both nodes see sessions come into being in one order, and the last counts.
 *
 * A peer that restarted shows another boot id in a fresh HELLO or HELLO_ACK: sessions with its
 * former self end as soon as its key is proved with it, and never before.
 *
 * Times are microseconds of one monotonic clock that starts anywhere. Memory is of fixed size, from
 * sodium_malloc: guarded, never in a core dump, wiped when freed. The caller has called sodium_init().
 * A peer is named by its id, from sessions_add_peer() to sessions_remove_peer().
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/about.h"
#include "net/drop.h"
#include "net/seal/noise.h"
#include "net/wire.h"

enum {
    SESSION_KEY_BYTES = 32,
    SESSION_HEAD_BYTES = 16,
    SESSION_TAG_BYTES = 16,
    SESSION_EXTRA_BYTES = SESSION_HEAD_BYTES + SESSION_TAG_BYTES, /* of DATA beyond its payload */
    SESSION_PEERS_MAX = RAFT_PEERS_MAX,
    SESSION_KEYS = 2,             /* live at once: the old and the new one while they change */
    SESSION_HELLO_BYTES = 168,    /* of HELLO, HELLO_ACK and CHALLENGE */
    SESSION_WRONG_KEY_HELLOS = 3, /* in a row, before we say that a peer has another key */
};

/* The pre-shared keys of the cluster. Handshakes are started with key[0], which is always there, and with
 * key[1] too if a peer is silent; both are accepted. `own` is the key pair of this node's data directory,
 * for sessions_new() alone. The caller wipes its copy. */
struct session_keys {
    bool has[SESSION_KEYS]; /* key[i] is there; always true for key[0] */
    uint8_t key[SESSION_KEYS][SESSION_KEY_BYTES];
    struct noise_pair own;
};

struct session_config {
    uint64_t cluster;  /* wire_cluster_id() */
    uint16_t self;     /* node id */
    uint64_t boot;     /* random for each process, never 0 */
    uint64_t members;  /* for `about`: the cluster's id in the members */
    uint64_t voters;   /* for `about`: the digest of the voters */
    uint64_t rekey_us; /* age at which a session is replaced; 0 = an hour */
    void (*random)(void *ctx, void *buf, size_t len); /* unpredictable bytes; never fails */
    void *random_ctx;
};

struct sessions;

/* Starts without peers. NULL: memory is short. */
struct sessions *sessions_new(const struct session_config *cfg, const struct session_keys *keys);

/* Starts a handshake with this peer; there are at most SESSION_PEERS_MAX. False: memory is short. */
bool sessions_add_peer(struct sessions *s, uint16_t peer, uint64_t now_us);

/* Its sessions end, and nothing of them is left. */
void sessions_remove_peer(struct sessions *s, uint16_t peer);

/* Wipes and frees; NULL is allowed. */
void sessions_free(struct sessions *s);

/* Replaces the live keys. Sessions made with a key that is still among them go on, others end at
 * once. If key[0] is another one than before, a handshake with every peer starts under it. */
void sessions_set_keys(struct sessions *s, const struct session_keys *keys, uint64_t now_us);

/* The peer whose datagram this is by its head, which proves nothing; 0 = it is no peer's. */
uint16_t sessions_whose(const struct sessions *s, const uint8_t *buf, size_t len);

/* The node whose first HELLO this is, under one of our keys; 0 = it is none. The node that made it was in the
 * cluster at some time, but it may be a copy. */
uint16_t sessions_stranger(const struct sessions *s, const uint8_t *buf, size_t len);

/* Judges a datagram of this peer (or one from its address), and decrypts it in place. On DATAGRAM_DATA
 * *payload (at least one byte) lies within buf; else it is not set, and the contents of buf are undefined. */
enum drop sessions_open(struct sessions *s, uint16_t peer, uint64_t now_us, uint8_t *buf,
                        size_t len, uint8_t **payload, size_t *payload_len);

/* Was the last datagram that was opened for this peer the newest that is known of it? A copy never is. */
bool sessions_newest(const struct sessions *s, uint16_t peer);

/* True if sessions_seal() would seal for this peer. */
bool sessions_ready(const struct sessions *s, uint16_t peer);

/* Seals a datagram whose payload (at least one byte) stands at buf + SESSION_HEAD_BYTES with room
 * for SESSION_TAG_BYTES behind it. Returns its length, 0 = no session, nothing was touched. */
size_t sessions_seal(struct sessions *s, uint16_t peer, uint64_t now_us, uint8_t *buf,
                     size_t payload_len);

/* The next datagram of handshakes that is due for this peer; cap >= SESSION_HELLO_BYTES. Returns
 * its length, 0 = none: call until 0, after sessions_open() and at the deadline. */
size_t sessions_output(struct sessions *s, uint16_t peer, uint64_t now_us, uint8_t *buf,
                       size_t cap);

/* True if this datagram of sessions_output() goes to where the last opened datagram came from, and not to
 * where the peer is: it answers a HELLO, which may be a copy or a lie, and so is no proof of where the
 * peer is. */
bool sessions_is_reply(const uint8_t *buf);

/* When sessions_output() has something to do for any peer; 0 = at once. */
uint64_t sessions_deadline(const struct sessions *s);

enum session_state {
    SESSION_STATE_NONE,      /* no session, none under way: a moment only */
    SESSION_STATE_HANDSHAKE, /* none yet, or one in doubt: the peer is silent */
    SESSION_STATE_ESTABLISHED,
    SESSION_STATE_WRONG_KEY, /* HELLOs of our cluster come from the peer, under none of our keys;
                                nothing else has for 9 s, nor an answer to any HELLO of ours */
};

struct session_info {
    enum session_state state;
    /* Established: when the session was made. Wrong key: when that became clear. Else when the handshake
     * began. */
    uint64_t since_us;
    /* When the session in use is twice as old as any should become; NEVER = there is none. It stays in
     * use even then, so that an attacker who drops HELLOs can't cut the link. */
    uint64_t overdue_us;
    uint32_t key_id;     /* of the cluster's key that made it, see sessions_key_id(); 0 = none */
    bool initiator;      /* our HELLO made the session in use */
    uint64_t opened;     /* datagrams, empty ones included */
    uint64_t handshakes; /* those that ended with a session */
    uint64_t exchanges;  /* Diffie-Hellman operations done for this peer's datagrams */
    uint64_t hellos;     /* sent */
};

/* Boot id of the peer's process that the sessions are with; 0 = none yet. */
uint64_t sessions_peer_boot(const struct sessions *s, uint16_t peer);

/* The last datagram that was opened for this peer is of another living process with the same key: it made a
 * handshake after the present one was proved, and one of the present process overtook that. Its boot id; 0 =
 * it is not so. */
uint64_t sessions_other_boot(const struct sessions *s, uint16_t peer);

/* What that process told us of itself in the newest handshake; zeros = nothing yet. */
struct about sessions_peer_about(const struct sessions *s, uint16_t peer);

/* The public key of its data directory, which it proved to have the secret of; NULL = none yet. */
const uint8_t *sessions_peer_key(const struct sessions *s, uint16_t peer);

/* From now on this is the peer's key (zeros: none is known), and our handshakes tell the peer so. If it
 * is not the key of the session in use, a handshake begins. */
void sessions_know(struct sessions *s, uint16_t peer, const uint8_t key[NOISE_KEY_BYTES]);

/* Handshakes tell the peer whether several boxes speak with its key. Such a node must be sent no data. */
void sessions_cloned(struct sessions *s, uint16_t peer, bool cloned);

/* The peer hears several boxes with our key: it has told so and sent no data since. */
bool sessions_we_are_cloned(const struct sessions *s, uint16_t peer);

/* For `about`, in handshakes from now on: the cluster's id and the digest of our list, 0 = none. */
void sessions_members(struct sessions *s, uint64_t cluster, uint64_t voters);

void sessions_info(const struct sessions *s, uint16_t peer, struct session_info *out);

/* The ids of the live keys; 0 = there is none in that place. */
void sessions_key_ids(const struct sessions *s, uint32_t ids[SESSION_KEYS]);

/* A name for a key that does not betray it: 4 bytes of a keyed BLAKE2b. */
uint32_t sessions_key_id(const uint8_t key[SESSION_KEY_BYTES]);

#endif
