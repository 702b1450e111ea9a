/* say_paths.c: see say_paths.h. */
#include "raftd/say_paths.h"

#include <inttypes.h>

#include "raftd/base/say.h"

void say_paths(struct say_paths *said, const struct status *s, uint64_t now_us)
{
    for (unsigned i = 0; i < s->n_peers; i++) {
        const struct status_peer *p = &s->peers[i];
        bool narrow = p->datagram_bytes < p->datagram_usual;
        if (narrow == said->narrow[i]) {
            said->since_us[i] = 0;
            continue;
        }
        if (said->since_us[i] == 0)
            said->since_us[i] = now_us;
        if (now_us - said->since_us[i] < SAY_PATHS_US)
            continue;
        said->narrow[i] = narrow;
        said->since_us[i] = 0;
        if (narrow)
            say_warn("node %u (%s): datagrams of %" PRIu32 " bytes do not get through, %s%" PRIu32
                     "%s. Going on with those; larger ones are tried again now and then. Look for "
                     "a tunnel on the way, or for a device with a small MTU",
                     p->id, p->addr, p->datagram_usual,
                     p->datagram_carried ? "those of " : "and none of ", p->datagram_bytes,
                     p->datagram_carried ? " do" : " has yet");
        else
            say_info("node %u (%s): datagrams of %" PRIu32 " bytes get through again", p->id,
                     p->addr, p->datagram_usual);
    }
}
