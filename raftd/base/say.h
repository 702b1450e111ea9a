/* say.h: messages to humans ("log" is the Raft log):
 *
 *     say_set_ident("raftd[1]");            once, before threads start
 *     say_info("listening on %s", text);    one line, no newline, no level word
 *     say_fatal(RAFTD_EXIT_DISK, "...");    says it and ends the process
 *
 * Each message is one line and one write(2) to standard error, so threads and processes do not mix
 * their lines. A terminal or file sees "raftd[1]: error: text"; journald (stderr is the stream that
 * JOURNAL_STREAM names, see systemd.exec(5)) sees "<3>text", the level as sd-daemon(3) wants it.
 * Nobody waits for a reader that has stopped (a full pipe, a terminal after Ctrl-S): the message is
 * dropped, and the next one that gets through is preceded by the number of those that were dropped.
 * A daemon that meets the same thing again and again does not say so each time, see say_seldom().
 * Control characters are shown as '?', so that bytes from outside cannot forge a line. errno is
 * kept. Core, net and storage never print.
 */
#ifndef RAFTD_SAY_H
#define RAFTD_SAY_H

enum say_level {
    SAY_DEBUG,
    SAY_INFO, /* the default: what an operator wants to find next day */
    SAY_WARN,
    SAY_ERROR,
};

enum {
    SAY_LINE_MAX_BYTES = 1024, /* below PIPE_BUF (4096): one write stays in one piece in a pipe */
    SAY_IDENT_MAX_BYTES = 64,
    SAY_LAST_WAIT_MS = 1000, /* say_fatal() alone waits so long for a reader */
    SAY_AGAIN_US = 60 * 1000 * 1000,
    /* As many as there may be nodes, and one: so that something can be said of each of them. */
    SAY_ALIKE_MAX = 10,
    SAY_REMEMBERED = 128, /* messages; more than can be of different kinds within a minute */
};

/* These three set process-wide state; call them before any thread exists. */
void say_set_ident(const char *ident);       /* prefix, copied; cut at SAY_IDENT_MAX_BYTES - 1 */
void say_set_level(enum say_level at_least); /* drop messages below this level */

/* From now on a message, unless it is of level debug or the last one, is left out if its text was said within
 * SAY_AGAIN_US, or if SAY_ALIKE_MAX others with the same format were. The next one with that format says how
 * many were. */
void say_seldom(void);

void say_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Says the message as an error and ends the process at once with exit_code (exits.h). Standard
 * output is flushed, but atexit handlers do not run: any thread may call this at any moment.
 */
_Noreturn void say_fatal(int exit_code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
