/* disk_name.h: what people call the disk that a directory is on. */
#ifndef RAFTD_DISK_NAME_H
#define RAFTD_DISK_NAME_H

enum { DISK_NAME_MAX = 64 };

/* "mmcblk0p2" for a directory on it, or words for what is no block device. */
void disk_name(const char *dir, char name[DISK_NAME_MAX]);

#endif
