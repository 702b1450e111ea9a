/* trust.c: see trust.h. The way is gone name by name: who may change a link on it may change the program. */
#include "raftd/tool/trust.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 20 }; /* a ring of links has no end */

static bool refused(char why[TRUST_WHY_SIZE], const char *path, const char *reason)
{
    (void)snprintf(why, TRUST_WHY_SIZE, "%s: %s", path, reason);
    return false;
}

/* Looks at what a path names, and not behind a link. In a directory like /tmp everybody may make names, but
 * only who owns one may change it: such a directory may be on the way, and not at its end. */
static bool trust_name(const char *path, bool end, struct stat *s, char why[TRUST_WHY_SIZE])
{
    if (lstat(path, s) != 0)
        return refused(why, path, strerror(errno));
    if (s->st_uid != 0 && s->st_uid != geteuid())
        return refused(why, path, "it belongs to another user, who could change it");
    bool sticky = S_ISDIR(s->st_mode) && (s->st_mode & S_ISVTX) != 0;
    if (!S_ISLNK(s->st_mode) && (s->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (end || !sticky))
        return refused(why, path, "others may write it (chmod go-w)");
    return true;
}

/* The first `len` bytes of the way name a link: puts what it points to in their place. */
static bool follow(char way[PATH_MAX], size_t len)
{
    char target[PATH_MAX], rest[PATH_MAX];
    (void)snprintf(rest, sizeof rest, "%s", way + len);
    way[len] = '\0';
    ssize_t n = readlink(way, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    size_t directory = target[0] == '/' ? 0 : (size_t)(strrchr(way, '/') + 1 - way);
    n = snprintf(way + directory, PATH_MAX - directory, "%s%s", target, rest);
    return target[0] != '\0' && n > 0 && (size_t)n < PATH_MAX - directory;
}

bool trust_file(const char *path, char why[TRUST_WHY_SIZE])
{
    char way[PATH_MAX], name[PATH_MAX];
    struct stat s;
    unsigned links = 0;
    if (path[0] != '/')
        return refused(why, path, "a path from / on is wanted");
    if (strlen(path) >= sizeof way)
        return refused(why, path, strerror(ENAMETOOLONG));
    memcpy(way, path, strlen(path) + 1);
    for (size_t len = 1;; len++) { /* the root, then each longer part that ends with a name */
        if (len > 1 && way[len] != '/' && way[len] != '\0')
            continue;
        memcpy(name, way, len);
        name[len] = '\0';
        if (!trust_name(name, way[len] == '\0', &s, why))
            return false;
        if (S_ISLNK(s.st_mode)) {
            if (links++ == LINKS_MAX || !follow(way, len))
                return refused(why, path, strerror(ELOOP));
            len = 0;
        } else if (way[len] == '\0') {
            return true;
        }
    }
}
