/* entropy.h: waits for the kernel's random numbers, and says so. A small box that has just booted may have
 * none for minutes, and whatever draws a secret would hang without a word. */
#ifndef RAFTD_ENTROPY_H
#define RAFTD_ENTROPY_H

#include <stdbool.h>

enum { ENTROPY_MESSAGE_S = 5 }; /* between two messages */

/* Returns 0 once random numbers can be drawn without waiting, or -errno. After a signal stopped() is asked
 * (unless it is NULL), and if it says true the result is -ECANCELED. Meanwhile people are told, and the
 * service manager is asked for more time. It must be called before threads exist: it uses SIGALRM and the
 * process's interval timer, and gives both back. */
int entropy_wait(bool (*stopped)(void));

#endif
