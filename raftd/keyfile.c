/* keyfile.c: see keyfile.h. */
#include "raftd/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char head[] =
    "# raftd: the key of a cluster. Secret; the same file on all boxes, mode 0600.\n";

_Static_assert(sizeof head + 2 * KEYFILE_KEY_BYTES + 1 <= KEYFILE_TEXT_SIZE, "all of it fits");

/* --- text ------------------------------------------------------------------------------------- */

static bool parse_hex(const char *line, size_t len, uint8_t key[KEYFILE_KEY_BYTES])
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    if (len != 2 * KEYFILE_KEY_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        const char *at = memchr(digits, line[i], sizeof digits - 1);
        if (at == NULL)
            return false;
        key[i / 2] = (uint8_t)(key[i / 2] << 4 | ((at - digits) & 15));
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
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        wrong = "it starts with a byte order mark, which an editor has put there: save it as plain "
                "ASCII";
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
    /* No random number is zero: the file was made to be filled in later, or by a device that failed. */
    static const uint8_t zero[KEYFILE_KEY_BYTES];
    if (wrong == NULL && memcmp(key, zero, sizeof zero) == 0)
        wrong = "the key is all zeros, which is no secret; raftctl keygen makes one";
    if (wrong != NULL)
        explicit_bzero(key, KEYFILE_KEY_BYTES);
    return wrong;
}

static void write_hex(const uint8_t key[KEYFILE_KEY_BYTES], char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < KEYFILE_KEY_BYTES; i++) {
        text[2 * i] = digits[key[i] >> 4];
        text[2 * i + 1] = digits[key[i] & 15];
    }
}

size_t keyfile_format(const uint8_t key[KEYFILE_KEY_BYTES], char text[KEYFILE_TEXT_SIZE])
{
    size_t len = sizeof head - 1;
    memcpy(text, head, len);
    write_hex(key, text + len);
    len += (size_t)2 * KEYFILE_KEY_BYTES;
    text[len++] = '\n';
    text[len] = '\0';
    return len;
}

/* --- file ------------------------------------------------------------------------------------- */

enum {
    MAY_READ = 4,         /* in three bits of a mode, and in an entry of an ACL */
    ACL_ENTRIES_MAX = 64, /* more tell too many users about the key */
    ACL_HEAD_BYTES = 4,
    ACL_ENTRY_BYTES = 8,
    ACL_VERSION = 2, /* of the kernel's format: linux/posix_acl_xattr.h */
    ACL_USER_OBJ = 0x01,
    ACL_USER = 0x02,
    ACL_GROUP_OBJ = 0x04,
    ACL_MASK = 0x10,
};

/* The rights of those who are neither the owner, nor root, nor us, as bits of a mode. */
struct rights {
    unsigned group;  /* what the file's group may do */
    unsigned others; /* what anybody else may do */
    bool acl;        /* the file has an ACL */
};

static uint32_t little_endian(const uint8_t *p, size_t bytes)
{
    uint32_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | p[bytes];
    return v;
}

/* With an ACL, the group's bits of the mode are only the mask of all rights that the ACL grants by name. So
 * a file that a service manager has opened for the user of one service looks as if a group could read it. */
static struct rights rights_of(int fd, mode_t mode)
{
    uint8_t acl[ACL_HEAD_BYTES + ACL_ENTRIES_MAX * ACL_ENTRY_BYTES];
    struct rights r = {mode >> 3 & 7, mode & 7, false};
    unsigned mask = r.group;
    ssize_t n = fgetxattr(fd, "system.posix_acl_access", acl, sizeof acl);
    if (n < 0 && errno == ERANGE)
        r.others = 7;
    if (n < ACL_HEAD_BYTES || little_endian(acl, 4) != ACL_VERSION)
        return r; /* there is no ACL, or none that we can read: then its mask is all we know */
    r.acl = true;
    r.group = 0;
    for (const uint8_t *e = acl + ACL_HEAD_BYTES; e + ACL_ENTRY_BYTES <= acl + n;
         e += ACL_ENTRY_BYTES) {
        unsigned tag = little_endian(e, 2), perm = little_endian(e + 2, 2);
        uint32_t id = little_endian(e + 4, 4);
        if (tag == ACL_GROUP_OBJ)
            r.group = perm & mask;
        else if (tag == ACL_USER && (id == 0 || id == geteuid()))
            continue;
        else if (tag != ACL_USER_OBJ && tag != ACL_MASK)
            r.others |= perm & mask; /* users and groups; all others stand in the mode, too */
    }
    return r;
}

static bool our_group(gid_t gid)
{
    int n = getgroups(0, NULL);
    gid_t *groups = calloc(n > 0 ? (size_t)n : 1, sizeof *groups);
    bool found = gid == getegid();
    n = groups != NULL ? getgroups(n, groups) : 0;
    for (int i = 0; i < n && !found; i++)
        found = groups[i] == gid;
    free(groups);
    return found;
}

/* True if the file is root's or ours. */
static bool check_owner(const struct stat *st, const char *path, char *err, size_t errlen)
{
    uid_t us = geteuid();
    if (st->st_uid == 0 || st->st_uid == us)
        return true;
    if (us == 0)
        (void)snprintf(err, errlen,
                       "%s: belongs to user %u, and this runs as root: run it as that user (the "
                       "unit does so: systemctl start raftd)",
                       path, st->st_uid);
    else
        (void)snprintf(err, errlen,
                       "%s: belongs to user %u; a key must belong to root or to user %u, as whom "
                       "this runs: chown %u %s",
                       path, st->st_uid, us, us, path);
    return false;
}

/* True if nobody else can read or change the file. */
static bool check_access(int fd, const char *path, char *err, size_t errlen)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        (void)snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)snprintf(err, errlen, "%s: not a regular file; a key stands in one", path);
        return false;
    }
    if (!check_owner(&st, path, err, errlen))
        return false;
    struct rights r = rights_of(fd, st.st_mode);
    /* Root may let a service read the key through a group: one of the service's own, and to read only. */
    bool lent = r.group == MAY_READ && st.st_uid == 0 && our_group(st.st_gid);
    if (r.others == 0 && (r.group == 0 || lent))
        return true;
    (void)snprintf(err, errlen,
                   "%s: belongs to user %u and has mode %04o%s, so others may read or change the "
                   "key: %schmod 600 %s, and if they may have read it, make another",
                   path, st.st_uid, st.st_mode & 07777, r.acl ? " and an ACL" : "",
                   r.acl ? "setfacl -b, " : "", path);
    return false;
}

/* Reads the key of a file that nobody else can read. Returns NULL, or what is wrong. */
static const char *read_key(int fd, uint8_t key[KEYFILE_KEY_BYTES])
{
    char text[KEYFILE_MAX_BYTES + 1];
    ssize_t len;
    do
        len = read(fd, text, sizeof text); /* a regular file gives all that it has */
    while (len < 0 && errno == EINTR);
    const char *wrong = len < 0                   ? strerror(errno)
                        : len > KEYFILE_MAX_BYTES ? "longer than any key file; is the path right?"
                                                  : keyfile_parse(text, (size_t)len, key);
    explicit_bzero(text, sizeof text);
    return wrong;
}

enum keyfile_result keyfile_load(const char *path, uint8_t key[KEYFILE_KEY_BYTES], char *err,
                                 size_t errlen)
{
    memset(key, 0, KEYFILE_KEY_BYTES);
    /* O_NONBLOCK: to open a named pipe must not stop us before we have seen that it is one. */
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
    bool ours = check_access(fd, path, err, errlen);
    const char *wrong = ours ? read_key(fd, key) : NULL;
    if (wrong != NULL)
        (void)snprintf(err, errlen, "%s: %s", path, wrong);
    (void)close(fd); /* only read from */
    return ours && wrong == NULL ? KEYFILE_OK : KEYFILE_REFUSED;
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
    case KEYFILE_MISSING: err[0] = '\0'; return 1; /* it exists only while a key is being changed */
    case KEYFILE_REFUSED: return 1;
    }
    if (memcmp(keys[0], keys[1], sizeof keys[0]) != 0)
        return 2;
    explicit_bzero(keys[1], sizeof keys[1]);
    return 1;
}

int keyfile_load_keys(const struct conf *conf, struct session_keys *keys, char *err,
                      size_t err_size)
{
    uint8_t found[KEYFILE_KEYS_MAX][KEYFILE_KEY_BYTES];
    memset(keys, 0, sizeof *keys);
    int n = keyfile_load_all(conf, found, err, err_size);
    for (int i = 0; i < n; i++) {
        keys->has[i] = true;
        memcpy(keys->key[i], found[i], sizeof keys->key[i]);
    }
    explicit_bzero(found, sizeof found);
    return n;
}

int keyfile_load_password(const struct conf *conf, char digits[2 * KEYFILE_KEY_BYTES], char *err,
                          size_t errlen)
{
    uint8_t key[KEYFILE_KEY_BYTES];
    if (conf->password_file[0] == '\0')
        return 0;
    if (keyfile_load(conf->password_file, key, err, errlen) != KEYFILE_OK)
        return -1;
    write_hex(key, digits);
    explicit_bzero(key, sizeof key);
    return 0;
}
