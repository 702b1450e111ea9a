/* keygen.c: prints a new key for a cluster. It asks no daemon. */
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

/* Makes the file that standard output goes to private, for a shell may have made it readable by all. Whoever
 * has opened it before can still read it, hence the umask in the manual. Returns 1 if it is a regular file,
 * 0 if it is none; -1, with errno, on failure. */
static int make_private(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode))
        return 0;
    return fchmod(fd, S_IRUSR | S_IWUSR) == 0 ? 1 : -1;
}

void run_keygen(struct tool *t, const struct args *a)
{
    uint8_t key[KEYFILE_KEY_BYTES];
    char text[KEYFILE_TEXT_SIZE];
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
    /* stdio would keep a copy of the key. fsync() comes before anybody relies on the file. */
    bool lost = patient_write(STDOUT_FILENO, text, len) != 0 ||
                (is_file && fsync(STDOUT_FILENO) != 0);
    int error = errno;
    explicit_bzero(key, sizeof key);
    explicit_bzero(text, sizeof text);
    if (lost)
        say_fatal(RAFTCTL_EXIT_INTERNAL, "standard output: %s", strerror(error));
}
