/* admit.h: which peers count. A vote or an acknowledgement stands for what is on a disk. So it is worth
 * something only from a node that counts majorities among the same nodes as we do, and from the very
 * data directory that we know under its id: whoever got a new one has forgotten what it promised
 * (dissertation 3.8 requires persistent state to persist). Until members are part of the log such a
 * node stays out.
 *
 * A node that hears from a peer that its own directory is new takes no part at all, for good. A third
 * node may never have met the old one: with a majority of those two what the old one acknowledged
 * could be lost.
 *
 * A peer's directory is known by its public key. The key is taken for the peer's own when it is first heard,
 * and is on our disk before anything of that peer counts: else we could forget it together with what the
 * peer told us.
 */
#ifndef RAFTD_ADMIT_H
#define RAFTD_ADMIT_H

#include "net/about.h"
#include "raftd/base/members.h"
#include "raftd/node/io.h"

/* Does a peer count? */
enum admit_state {
    ADMIT_SILENT, /* it has told nothing of itself yet */
    ADMIT_FIRST,  /* it is heard for the first time: not before its key is on our disk */
    ADMIT_YES,
    ADMIT_OTHER_CLUSTER, /* no: its members are those of another cluster, maybe of one that was recovered */
    ADMIT_OTHER_LIST, /* no: it counts majorities among other nodes */
    ADMIT_OTHER_DISK, /* no: under its id we know another data directory */
    ADMIT_NEW_DISK,   /* no: under our id it knows another data directory */
    ADMIT_NONE,       /* no: another one has told us that ours is new; then nobody counts */
};

struct admitted {
    uint16_t id;
    bool named; /* by the members in the log; else its key is the newest one that it shows */
    uint8_t shown[ABOUT_KEY_BYTES];       /* its key, as last shown; zeros = never */
    struct about about;                   /* as told with it */
    uint8_t known[ABOUT_KEY_BYTES];       /* its key, which is on our disk; zeros = none */
    uint8_t remembering[ABOUT_KEY_BYTES]; /* its key, on the way to our disk; zeros = none */
    uint64_t remember_at;                 /* not again before */
    uint64_t greet_at;                    /* plain: the next greeting, after so many: */
    unsigned greets;
};

/* Only admit.c looks inside. */
struct admit {
    const struct node_config *cfg;
    const struct node_io *io;
    bool plain;        /* no handshakes tell who we are: greetings do */
    bool by_log;       /* the members come from the log, not from our list */
    uint64_t followed; /* ... of that entry */
    uint64_t members;  /* the id of their cluster; 0 = not known, or they do not name our key */
    uint64_t voters_digest; /* of our list; 0: by_log */
    /* Handle of the key of the directory that a peer knew under our id before this one; 0 = none. Then
     * ours has forgotten what that one promised, and we take no part, whoever else may not know. */
    uint64_t before_us;
    bool before_us_kept;   /* it is on our disk ... */
    bool before_us_asked;  /* ... or on its way there ... */
    uint64_t before_us_at; /* ... and not asked for again before */
    struct admitted peers[RAFT_PEERS_MAX];
    unsigned n_peers;
    unsigned asked; /* storage ids of peers on their way to our disk: RAFT_PEERS_MAX at most */
};

void admit_init(struct admit *a, const struct node_config *cfg, const struct node_io *io,
                bool plain);

/* A peer comes, about which nothing is known but what the configuration remembers, as long as there are no
 * members in the log; and it goes. */
void admit_add(struct admit *a, uint16_t peer);
void admit_remove(struct admit *a, uint16_t peer);

/* Another configuration is in force. From the first one on that is in the log, or if our directory has no
 * list of nodes, members have the keys that it says, and whoever comes first if it says none. */
void admit_follow(struct admit *a, const struct members_at *m);

/* What is told of ourselves to that peer. */
struct about admit_about(const struct admit *a, uint16_t peer);

enum admit_state admit_state(const struct admit *a, uint16_t peer);

/* Our own key, or that of another node, which is on our disk; zeros = none. */
const uint8_t *admit_key(const struct admit *a, uint16_t id);

/* The key that whoever speaks under that id has shown last; zeros: nobody has. */
const uint8_t *admit_shown(const struct admit *a, uint16_t peer);

/* The peer has shown this key, and told that of itself. */
void admit_heard(struct admit *a, uint64_t now, uint16_t peer, const uint8_t key[ABOUT_KEY_BYTES],
                 const struct about *about);

/* node_remembered(). It may be of a peer that is there no more. */
void admit_remembered(struct admit *a, uint64_t now, uint16_t id,
                      const uint8_t key[ABOUT_KEY_BYTES], bool done);

/* When the peer needs a greeting; NEVER = it needs none. */
uint64_t admit_greet_at(const struct admit *a, uint16_t peer);

/* It was sent. */
void admit_greeted(struct admit *a, uint64_t now, uint16_t peer);

#endif
