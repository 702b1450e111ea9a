/* entropy.h: wait for the kernel's random numbers with a message. A small box that has just booted
 * may have none for minutes, and everything that draws a secret would hang without a word. */
#ifndef RAFTD_ENTROPY_H
#define RAFTD_ENTROPY_H

#include <stdbool.h>

enum { ENTROPY_MESSAGE_S = 5 }; /* an operator who looks at a screen is told this often */

/* Returns 0 once random numbers can be drawn without waiting, or -errno; -ECANCELED when stopped()
 * (NULL: nobody) says so after a signal. While it waits it says so, and the service manager is told
 * that starting goes on. Call it before threads exist: it uses SIGALRM and the process's interval
 * timer, and gives both back. */
int entropy_wait(bool (*stopped)(void));

#endif
