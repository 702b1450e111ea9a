/* terminal.h: the terminal on standard output: what it is sent, its size, its keys, and the signals that end
 * or stop who uses it. Nobody waits for a terminal that takes nothing, and it is put back as it was found.
 */
#ifndef RAFTCTL_TERMINAL_H
#define RAFTCTL_TERMINAL_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

enum { TERMINAL_FDS = 3, TERMINAL_KEYS = 1 }; /* places; in one is that of keys */

/* Only terminal.c looks inside; the out is for its test to see. */
struct terminal {
    int out;     /* does not block if that can be had without a change for others */
    int keys;    /* standard input; -1: no key will come */
    int signals; /* signalfd(2) */
    bool has_modes;
    struct termios modes; /* of before */
    sigset_t mask;        /* likewise */
    bool gone;            /* it takes nothing any more, and never will */
    char *text;           /* what is not sent yet, from `at` on */
    size_t at, len;
};

/* Takes keys one by one and unseen from now on, and the signals. False, with errno: the system has no
 * descriptor for them. */
bool terminal_open(struct terminal *t);
/* Puts all back, and ends the line that the cursor is in. What is not sent yet is dropped. */
void terminal_close(struct terminal *t);

/* As it says itself, else as COLUMNS and LINES say, else 80 x 24: a serial line knows no size. */
void terminal_size(unsigned *columns, unsigned *rows);

/* Fills TERMINAL_FDS places with what to wait for. */
void terminal_poll(const struct terminal *t, struct pollfd *fds);

/* Sends that text, which it frees. All that was sent before is out. */
void terminal_send(struct terminal *t, char *text, size_t len);
/* Sends what can be sent now. True: all is out. */
bool terminal_flush(struct terminal *t);

/* The next key, when poll(2) has told of one, or of their end; 0: no more will come. */
int terminal_key(struct terminal *t);
/* The next signal; 0: there is none. A terminal that is gone is a SIGHUP, too, for the system sends one only
 * to those whose controlling terminal it was. */
int terminal_signal(const struct terminal *t);

#endif
