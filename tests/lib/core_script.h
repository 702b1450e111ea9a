/* core_script.h: golden interaction scripts.
 *
 * A script is a text file: its first line, a comment, is the sentence that it proves. A line that
 * starts with a letter is a command to a simulated cluster (core_cluster.h); the indented lines
 * below it are the complete reaction of the cluster. Running a script gives the same text back, or
 * something has changed. With REWRITE=1 in the environment the new text is written to the file:
 * commit it only if you understand every changed line and want it.
 *
 *   cluster N [V [nameless]]   N nodes, all down, disks empty; messages and disks take 1 ms, T = 150 ms. The
 *                          first V of them (default: all) are the first voters; the others know no members.
 *                          nameless: nobody knows yet which directories the first voters have
 *   disk ID term=T vote=V log=1,1,2    what a node that is down finds on its disk
 *   start ID|all           start a process
 *   crash ID [keep]        end it; the batch in flight is lost, or kept
 *   wipe ID                a node that is down gets an empty disk, of another incarnation
 *   members ID M... [force]    ask node ID for these members: 3 a voter, 3l a learner, 3j one that is
 *                          joining; then :P for the priority, @I for the incarnation: 0 = not known, 1 (not
 *                          said) = with the first disk, 2 = wiped once
 *   who                    print the members that are in force at each node; "?" = not known to be committed
 *   lose ID N              the disk of a node that is down has lost the entries after N
 *   damage ID N [T]        the same, recovery notices it, and the term is that of long ago
 *   show all|state|none    trace every event | changes of role, term, vote and commit | nothing
 *   arm ID MS              this node's election timeout passes in MS
 *   pto ID PEER MS         how long node ID lets that peer take to answer (after start: 18.75)
 *   run MS                 let time pass
 *   propose ID [N]         ask node ID to append N entries
 *   transfer ID [TO]       ask node ID to hand over to node TO, or to the best
 *   closed ID TO           the network tells node ID that nobody listens where node TO is
 *   drain ID               node ID is to lead no more
 *   read ID                ask node ID for a linearizable read
 *   cut|join|hold|release|discard A>B | A-B | A     links one way, both ways, or all of node A;
 *                          packets on a held link wait until they are released or discarded
 *   replay A>B KIND        deliver the last packet of this kind once more
 *   stall|finish|resume ID the disk finishes nothing more | just the batch in flight | all again
 *   full ID [all] | room ID    the disk refuses batches with entries (all: any batch) | has room again
 *   differs ID             the state of node ID may be wrong
 *   compact ID N           the log of node ID begins behind entry N, or what it may forget
 *   fetched ID N           node ID has its leader's snapshot up to entry N, and begins to install it
 *   install ID [failed]    that is done
 *   batch N                at most N entries per disk batch (0: no limit)
 *   data alone|with-lead   whether a LEAD rides along with stream data (default: with-lead)
 *   state [ID]  logs  peers ID  stats ID     print
 */
#ifndef TESTS_CORE_SCRIPT_H
#define TESTS_CORE_SCRIPT_H

#include <stdbool.h>

/* Runs the script `path`; true if its text came back the same (or was rewritten). Differences are
 * printed. */
bool script_run(const char *path, bool rewrite);

#endif
