/* crc32c.h: CRC32C (Castagnoli), the checksum of every record, batch and header on disk.
 *
 * The polynomial and the test vectors are those of RFC 3720 (iSCSI), appendix B.4.
 */
#ifndef STORAGE_CRC32C_H
#define STORAGE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC32C of `len` bytes at `buf`, continuing from `crc` (0 to begin): crc32c(crc32c(0, a), b)
 * is the checksum of a followed by b. Pure. */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

/* The same without CPU instructions; separate only so that a test can compare the two. */
uint32_t crc32c_portable(uint32_t crc, const void *buf, size_t len);

#endif
