/* drop.h: why a datagram was dropped. One list for all who judge one; each reason is counted and shown
 * in status, in this order. */
#ifndef DROP_H
#define DROP_H

#define DROPS(X)                                                                                   \
    X(SHORT, "short")             /* shorter than its kind */                                      \
    X(LONG, "long")               /* longer than any raftd sends, maybe cut on receipt */          \
    X(VERSION, "version")         /* another protocol version, or not raftd at all */              \
    X(KIND, "kind")               /* plain text where we seal, or sealed where we do not */        \
    X(CLUSTER, "cluster")         /* of another cluster */                                         \
    X(CHECKSUM, "checksum")       /* damaged on the way */                                         \
    X(UNKNOWN, "unknown")         /* not from the node of that address */                          \
    X(MISDIRECTED, "misdirected") /* for another node; if sealed, also not from that address's */  \
    X(MALFORMED, "malformed")     /* frames do not parse */                                        \
    X(STREAM, "stream")           /* stream bytes that contradict what is known */                 \
    X(UNAUTHENTIC, "unauthentic") /* another key, forged, damaged; or a HELLO of too many */       \
    X(REPLAY, "replay")           /* was here before, or is too old to tell */                     \
    X(NO_SESSION, "no_session")   /* sealed for a session that is over or never was */             \
    X(STALE, "stale")             /* of a handshake that is over: late, repeated, or invented */   \
    X(HELD, "held_back")          /* authentic, but so much later than others: kept by somebody */ \
    X(TERM, "term")               /* of a term that no node can be in */                           \
    X(LIST, "list")               /* from a node with another list of nodes */                     \
    X(DISK, "disk")               /* one of us has a data directory that the other does not know */

#define DROP_WORD(word, name) DROP_##word,
#define DROP_NAME(word, name) name,

/* What becomes of a datagram: a reason to drop it, or one of these. DATAGRAM_DATA: here is its payload;
 * DATAGRAM_STEP: it was a step of a handshake, there is nothing for the caller. */
enum drop { DROPS(DROP_WORD) DROP_COUNT, DATAGRAM_DATA = DROP_COUNT, DATAGRAM_STEP };

/* As status shows it, such as "no_session"; "?": it is no reason. */
static inline const char *drop_name(enum drop d)
{
    static const char *const names[] = {DROPS(DROP_NAME)};
    return d < DROP_COUNT ? names[d] : "?";
}

#endif
