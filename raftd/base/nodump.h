/* nodump.h: keeps the memory of a process that knows a key from others. The memory of the keys is never
 * dumped (sodium_malloc), but what a cipher works on lies on the stack for a moment. */
#ifndef RAFTD_NODUMP_H
#define RAFTD_NODUMP_H

/* From now on the kernel writes no core dump of this process, whatever limits and core_pattern say.
 * Other processes of its user can neither trace it nor read its memory; root can. Returns 0 or -errno.
 * Call it before the first key is read. */
int nodump(void);

#endif
