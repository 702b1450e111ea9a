/* exits.h: the exit codes of both programs. Scripts rely on them: a code never changes its meaning.
 * raftd(8) and raftctl(1) have these tables, too.
 */
#ifndef RAFTD_EXITS_H
#define RAFTD_EXITS_H

/* raftd. 70 and 74 are EX_SOFTWARE and EX_IOERR of sysexits.h. */
enum raftd_exit {
    RAFTD_EXIT_OK = 0,        /* clean stop, or -n / -p / --init / --check found nothing wrong */
    RAFTD_EXIT_USAGE = 2,     /* wrong option or configuration; nothing was touched */
    RAFTD_EXIT_DATA_DIR = 3,  /* data directory refused: no identity or another node's, or locked */
    RAFTD_EXIT_CORRUPT = 4,   /* the log is damaged, and nobody can mend it; it was left as it is */
    RAFTD_EXIT_DIVERGED = 5,  /* the state is not the majority's; nothing was changed */
    RAFTD_EXIT_INTERNAL = 70, /* memory, a socket or another system resource was refused */
    RAFTD_EXIT_DISK = 74,     /* a write, fsync or rename failed: the disk's state is unknown */
};

/* raftctl. A write that failed is reported as "not done" only when that is certain. */
enum raftctl_exit {
    RAFTCTL_EXIT_OK = 0,          /* done */
    RAFTCTL_EXIT_NO_KEY = 1,      /* there is no such key, or holder, or write; it is not so */
    RAFTCTL_EXIT_USAGE = 2,       /* wrong usage, configuration, or empty input for put */
    RAFTCTL_EXIT_NOT_RUNNING = 3, /* no daemon, or this user may not use its socket */
    RAFTCTL_EXIT_NO_LEADER = 4,   /* no leader in time, or none that can commit; nothing done */
    RAFTCTL_EXIT_UNKNOWN = 5,     /* no answer: the write may or may not have happened */
    RAFTCTL_EXIT_TOO_LARGE = 6,   /* key or value over the limit; nothing was done */
    RAFTCTL_EXIT_BUSY = 7,        /* too much in flight, or no room; nothing was done */
    RAFTCTL_EXIT_LOST = 8,        /* connection lost during a read (during a write: UNKNOWN) */
    RAFTCTL_EXIT_INTERNAL = 9,    /* the answer made no sense, no memory, or output failed */
    RAFTCTL_EXIT_NOT_YET = 10,    /* the daemon has just started; nothing was done */
    RAFTCTL_EXIT_REFUSED = 11,    /* the leader did not change the members, and says why */
    RAFTCTL_EXIT_NOT_MET = 12,    /* a condition of the write does not hold; nothing was done */
    RAFTCTL_EXIT_NOT_HELD = 13,   /* a lock is not held (then nothing was done), or was lost */
    RAFTCTL_EXIT_COMPACTED = 14,  /* changes of so long ago are not remembered */
    RAFTCTL_EXIT_LAGGED = 15,     /* changes came faster than they were taken: some are missing */
    RAFTCTL_EXIT_CANT_TELL = 16,  /* nobody knows any more what became of a write */
    /* Of raftctl health, beside 0, 3 and 10; see raftd/node/health.h. */
    RAFTCTL_EXIT_NO_LEADER_NOW = 20,
    RAFTCTL_EXIT_NO_QUORUM = 21,
    RAFTCTL_EXIT_NOT_CAUGHT_UP = 22,
    RAFTCTL_EXIT_DISK_SLOW = 23,
    RAFTCTL_EXIT_DISK_FULL = 24,
    RAFTCTL_EXIT_IN_DOUBT = 25,
    RAFTCTL_EXIT_NO_MEMBER = 26,
    RAFTCTL_EXIT_HUNG = 27, /* the daemon's main loop does nothing */
};

#endif
