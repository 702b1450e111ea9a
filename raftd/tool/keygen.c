/* keygen.c: a new key for a cluster, on standard output. It asks no daemon. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftd/base/entropy.h"
#include "raftd/base/exits.h"
#include "raftd/keyfile.h"
#include "raftd/base/nodump.h"
#include "raftd/tool/raftctl.h"
#include "raftd/base/say.h"

/* A shell has made the file that stdout goes to readable by others: not with a key in it. Who opened
 * it before that could still read it, hence the umask in the manual. Is it a regular file? -1: errno. */
static int make_private(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return 0;
    return fchmod(fd, S_IRUSR | S_IWUSR) == 0 ? 1 : -1;
}

int run_keygen(struct tool *t, const struct args *a)
{
    uint8_t key[KEYFILE_KEY_BYTES];
    char text[KEYFILE_TEXT_SIZE];
    int code = RAFTCTL_EXIT_OK;
    (void)t;
    (void)a;
    int is_file = make_private(STDOUT_FILENO);
    if (is_file < 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "standard output: cannot make the file 0600: %s",
                  strerror(errno));
    int rc = nodump();
    if (rc < 0)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "cannot keep the key out of core dumps: %s",
                  strerror(-rc));
    rc = entropy_wait(NULL);
    /* Up to 256 bytes come whole once there is entropy: getrandom(2). */
    if (rc != 0 || getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "no random numbers: %s", strerror(rc ? -rc : errno));
    size_t len = keyfile_format(key, text);
    /* Not through stdio: it keeps a copy. On the disk before anybody relies on it. */
    if (patient_write(STDOUT_FILENO, text, len) != 0 || (is_file && fsync(STDOUT_FILENO) != 0)) {
        say_error("standard output: %s", strerror(errno));
        code = RAFTCTL_EXIT_INTERNAL;
    }
    explicit_bzero(key, sizeof key);
    explicit_bzero(text, sizeof text);
    return code;
}
