/* keyfile.c: see keyfile.h. */
#include "raftd/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char head[] =
    "# raftd: the key of a cluster. Secret; the same file on all boxes, mode 0600.\n";

_Static_assert(sizeof head + 2 * KEYFILE_KEY_BYTES + 1 <= KEYFILE_TEXT_SIZE, "all of it fits");

/* --- text ------------------------------------------------------------------------------------- */

/* -1: not a hexadecimal digit. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool parse_hex(const char *line, size_t len, uint8_t key[KEYFILE_KEY_BYTES])
{
    if (len != 2 * KEYFILE_KEY_BYTES)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(line[i]), low = digit(line[i + 1]);
        if (high < 0 || low < 0)
            return false;
        key[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

const char *keyfile_parse(const char *text, size_t len, uint8_t key[KEYFILE_KEY_BYTES])
{
    const char *wrong = NULL;
    bool found = false;
    memset(key, 0, KEYFILE_KEY_BYTES);
    for (size_t at = 0, next; at < len && wrong == NULL; at = next) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t end = newline != NULL ? (size_t)(newline - text) : len;
        next = end + 1;
        while (at < end && blank(text[at]))
            at++;
        while (at < end && blank(text[end - 1]))
            end--;
        if (at == end || text[at] == '#')
            continue;
        if (found)
            wrong = "it holds more than one line that is no comment; a file holds one key";
        else if (!parse_hex(text + at, end - at, key))
            wrong = "it holds a line that is neither a comment (#) nor 64 hexadecimal digits; "
                    "raftctl keygen makes a key";
        found = true;
    }
    if (wrong == NULL && !found)
        wrong = "it holds no key; raftctl keygen makes one";
    if (wrong != NULL)
        explicit_bzero(key, KEYFILE_KEY_BYTES);
    return wrong;
}

size_t keyfile_format(const uint8_t key[KEYFILE_KEY_BYTES], char text[KEYFILE_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t len = sizeof head - 1;
    memcpy(text, head, len);
    for (size_t i = 0; i < KEYFILE_KEY_BYTES; i++) {
        text[len++] = digits[key[i] >> 4];
        text[len++] = digits[key[i] & 15];
    }
    text[len++] = '\n';
    text[len] = '\0';
    return len;
}

/* --- file ------------------------------------------------------------------------------------- */

/* Who else could read or change it? True if nobody. */
static bool check_access(int fd, const char *path, char *err, size_t errlen)
{
    struct stat st;
    uid_t us = geteuid();
    if (fstat(fd, &st) != 0) {
        (void)snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)snprintf(err, errlen, "%s: not a regular file; a key stands in one", path);
        return false;
    }
    if (st.st_uid != 0 && st.st_uid != us) {
        (void)snprintf(err, errlen,
                       "%s: belongs to user %u; a key must belong to root or to user %u, as whom "
                       "this runs: chown %u %s",
                       path, st.st_uid, us, us, path);
        return false;
    }
    if ((st.st_mode & 077) != 0) {
        (void)snprintf(err, errlen,
                       "%s: belongs to user %u and has mode %04o, so others may read or change the "
                       "key: chmod 600 %s, and if they may have read it, make another",
                       path, st.st_uid, st.st_mode & 07777, path);
        return false;
    }
    return true;
}

/* Bytes read, at most size; -1 and errno. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, buf + len, size - len);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

enum keyfile_result keyfile_load(const char *path, uint8_t key[KEYFILE_KEY_BYTES], char *err,
                                 size_t errlen)
{
    memset(key, 0, KEYFILE_KEY_BYTES);
    /* O_NONBLOCK: a named pipe must not stop us before we have seen what it is. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int error = errno;
        if (error == EACCES)
            (void)snprintf(err, errlen,
                           "%s: cannot open: %s; it must belong to user %u, as whom this runs: "
                           "chown %u %s",
                           path, strerror(error), geteuid(), geteuid(), path);
        else
            (void)snprintf(err, errlen, "%s: cannot open: %s", path, strerror(error));
        return error == ENOENT ? KEYFILE_MISSING : KEYFILE_REFUSED;
    }
    enum keyfile_result result = KEYFILE_REFUSED;
    char text[KEYFILE_MAX_BYTES + 1];
    if (check_access(fd, path, err, errlen)) {
        ssize_t len = read_all(fd, text, sizeof text);
        const char *wrong = NULL;
        if (len < 0)
            wrong = strerror(errno);
        else if (len > KEYFILE_MAX_BYTES)
            wrong = "longer than any key file; is the path right?";
        else
            wrong = keyfile_parse(text, (size_t)len, key);
        if (wrong != NULL)
            (void)snprintf(err, errlen, "%s: %s", path, wrong);
        else
            result = KEYFILE_OK;
        explicit_bzero(text, sizeof text);
    }
    (void)close(fd); /* only read from */
    return result;
}

int keyfile_load_all(const struct conf *conf, uint8_t keys[KEYFILE_KEYS_MAX][KEYFILE_KEY_BYTES],
                     char *err, size_t errlen)
{
    memset(keys, 0, KEYFILE_KEYS_MAX * sizeof keys[0]);
    err[0] = '\0';
    if (conf->key_file[0] == '\0')
        return 0;
    if (keyfile_load(conf->key_file, keys[0], err, errlen) != KEYFILE_OK)
        return -1;
    if (conf->next_key_file[0] == '\0')
        return 1;
    switch (keyfile_load(conf->next_key_file, keys[1], err, errlen)) {
    case KEYFILE_OK: break;
    case KEYFILE_MISSING: err[0] = '\0'; return 1; /* there only while a key is being changed */
    case KEYFILE_REFUSED: return 1;
    }
    if (memcmp(keys[0], keys[1], sizeof keys[0]) != 0)
        return 2;
    explicit_bzero(keys[1], sizeof keys[1]);
    return 1;
}
