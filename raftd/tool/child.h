/* child.h: the programs that raftctl starts. */
#ifndef CHILD_H
#define CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child_how {
    char *const *argv; /* argv[0]: its path, or a name that is looked for in PATH */
    char *const *env;  /* NULL: as ours */
    int in;            /* becomes its standard input */
    bool group; /* it has a process group of its own: all that it starts gets our signals, too */
};

/* Starts a program, with no signal blocked, and no descriptor of ours but the standard ones. It is killed
 * when this process ends: it must not go on without us. If there can't be another process, this one ends. */
pid_t child_start(const struct child_how *how);

/* This process becomes the program. Else it ends with 127 (there is none) or 126, and says why. */
_Noreturn void child_become(char *const *argv, char *const *env);

/* Has this process killed at that time (clock_us()) or a little before, by a timer that stays with it
 * whatever program it becomes. So it can do nothing later, even if it was stopped: the signal comes before
 * its next instruction. False: that is too late. The time while the box is suspended does not count. */
bool child_ends_at(uint64_t until_us);

/* Whether it has ended, and then, once, how, as waitpid() tells it. `rest`: what is left of its process group
 * is killed then, as what ignored the signal that ended the program. */
bool child_ended(pid_t child, bool rest, int *how);

/* What a process waits for while a program runs: the end of that, and what ends itself. */
void child_signals(sigset_t *set);

/* How a program ended (waitpid()), as a shell's exit code: its own, or 128 and the signal's number. */
int child_code(int how);

#endif
