/* disk_name.c: see disk_name.h. */
#include "raftd/disk_name.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

void disk_name(const char *dir, char name[DISK_NAME_MAX])
{
    struct stat st;
    char path[DISK_NAME_MAX], to[PATH_MAX] = "";
    (void)snprintf(name, DISK_NAME_MAX, "no block device");
    if (stat(dir, &st) != 0)
        return;
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
    const char *slash = readlink(path, to, sizeof to - 1) > 0 ? strrchr(to, '/') : NULL;
    if (slash != NULL)
        (void)snprintf(name, DISK_NAME_MAX, "%s", slash + 1);
}
