/* admit.h: which peers count. A vote or an acknowledgement stands for what is on a disk. So it is worth
 * something only from a node that counts majorities among the same nodes as we do, and from the data
 * directory that we know under its id: a node with a new directory has forgotten what it promised
 * (dissertation 3.8 requires persistent state to persist).
 *
 * A data directory is known by its public key. Which key belongs to which id is said by the members in the
 * log. Until there are any, each node remembers the first key that it hears from a peer. That key is on our
 * disk before anything of the peer counts: else we could forget it together with what the peer told us.
 * And a node that hears from a peer that its own directory is new takes no part at all, for good. A third
 * node may never have met the earlier directory: in a majority of those two, what it acknowledged could be
 * lost.
 *
 * The members in our own log may be those of long ago, and newer ones still to come, perhaps from a node
 * whose directory they name for the first time. So a peer is listened to that says that newer members than
 * ours name it, under the key that it shows. Its vote and its copies are not those of the member that we
 * know: the core judges that by the key.
 *
 * A copy of a directory has the same key. But a process that ended never comes back: one that is heard again
 * after another one with this key is proof of two boxes that live. Neither counts until one was alone for so
 * long that the other one would have been heard.
 */
#ifndef RAFTD_ADMIT_H
#define RAFTD_ADMIT_H

#include "net/about.h"
#include "raftd/base/members.h"
#include "raftd/node/io.h"

enum {
    /* Who gets no answer makes a handshake after eight datagrams: at most 3 s are between two of them. */
    ADMIT_ALONE_US = 30000000,
    ADMIT_FORMER = 4, /* processes of a peer that are remembered */
};

/* Does a peer count? */
enum admit_state {
    ADMIT_SILENT, /* no: it has told nothing of itself yet */
    ADMIT_FIRST,  /* not yet: it is heard for the first time, and its key is not on our disk */
    ADMIT_YES,
    ADMIT_OTHER_CLUSTER, /* no: its members are another cluster's, perhaps one that was recovered */
    ADMIT_OTHER_LIST,    /* no: it counts majorities among other nodes */
    ADMIT_OTHER_DISK,    /* no: under its id we know another data directory */
    ADMIT_NEW_DISK,      /* no: under our id it knows another data directory */
    ADMIT_NONE,   /* no: some peer has told us that our directory is new, so nobody counts for us */
    ADMIT_CLONED, /* no: it is several boxes with copies of one directory */
};

struct admitted {
    uint16_t id;
    bool named; /* by the members in the log; else its key is the newest one that it shows */
    uint8_t shown[ABOUT_KEY_BYTES];       /* its key, as last shown; zeros = never */
    struct about about;                   /* as told with it */
    uint64_t boot;                        /* of the process that has shown it; 0 = not told */
    uint64_t former[ADMIT_FORMER];        /* boot tokens of earlier processes, the newest first */
    uint64_t cloned_at;                   /* when an earlier process last came back; 0 = none has */
    uint8_t known[ABOUT_KEY_BYTES];       /* its key, which is on our disk; zeros = none */
    uint8_t remembering[ABOUT_KEY_BYTES]; /* its key, on the way to our disk; zeros = none */
    uint64_t remember_at;                 /* our disk is not asked before */
    uint64_t greet_at;                    /* plain: when the next greeting goes */
    uint64_t told;                        /* plain: about.known of the last one */
    unsigned greets;                      /* plain: how many have gone in vain */
};

/* Only admit.c looks inside. */
struct admit {
    const struct node_config *cfg;
    const struct node_io *io;
    bool plain;        /* no handshakes tell who we are: greetings do */
    bool by_log;       /* the members come from the log, not from our list */
    uint64_t followed; /* by_log: index of their entry */
    uint64_t members;  /* the id of their cluster; 0 = not known, or they do not name our key */
    uint64_t voters;   /* of struct about: digest of our list; by_log: index of the members, or 0 */
    /* Handle of the key of an earlier directory that a peer knows under our id; 0 = none. Ours has forgotten
     * what that one promised, so we take no part, even if others do not know it. */
    uint64_t before_us;
    bool before_us_kept;   /* it is on our disk */
    bool before_us_asked;  /* it is on its way there */
    uint64_t before_us_at; /* our disk is not asked before */
    struct admitted peers[RAFT_PEERS_MAX];
    unsigned n_peers;
    unsigned asked; /* keys of peers on their way to our disk: RAFT_PEERS_MAX at most */
};

void admit_init(struct admit *a, const struct node_config *cfg, const struct node_io *io,
                bool plain);

/* A peer comes. As long as there are no members in the log its key is the one that was remembered, if any. */
void admit_add(struct admit *a, uint16_t peer);

/* It goes. */
void admit_remove(struct admit *a, uint16_t peer);

/* Another configuration is in force. If it is in the log, or our directory has no list of nodes, members have
 * the keys that it gives. A member without a key there has the first one that is heard.
 * settled: the id of its cluster is for good, see replica_settled(). Only then do we hold it against
 * others that theirs is another one. */
void admit_follow(struct admit *a, const struct members_at *m, bool settled);

/* What we tell that peer of ourselves. */
struct about admit_about(const struct admit *a, uint16_t peer);

enum admit_state admit_state(const struct admit *a, uint16_t peer);

/* Our own key, or that of another node, which is on our disk; zeros = none. */
const uint8_t *admit_key(const struct admit *a, uint16_t id);

/* The newest key that was shown under that id; zeros: none was. */
const uint8_t *admit_shown(const struct admit *a, uint16_t peer);

/* The peer has shown this key, and told us *about of itself. */
void admit_heard(struct admit *a, uint64_t now, uint16_t peer, const uint8_t key[ABOUT_KEY_BYTES],
                 const struct about *about);

/* This process of the peer has proved the key that was shown last. */
void admit_process(struct admit *a, uint64_t now, uint16_t peer, uint64_t boot);

/* node_remembered(). It may be of a peer that is there no more. */
void admit_remembered(struct admit *a, uint64_t now, uint16_t id,
                      const uint8_t key[ABOUT_KEY_BYTES], bool done);

/* When the peer needs a greeting; NEVER = it needs none. */
uint64_t admit_greet_at(const struct admit *a, uint16_t peer);

/* A greeting was sent. */
void admit_greeted(struct admit *a, uint64_t now, uint16_t peer);

#endif
