/* keyfile.h: the files with the cluster's pre-shared key, as `raftctl keygen` writes them:
 *
 *     # a comment
 *     0123456789abcdef...        64 hexadecimal digits, in one line
 *
 * The key must be a secret: a file that others may read or change, also by an ACL, is refused. "Others" are
 * all users but root and the one that this process runs as. A file of root's may be readable for a group
 * of this process.
 * The text is read with read(2) into memory that is wiped, so that no copy stays behind. The caller
 * wipes the key after use. No message ever contains a part of the file.
 */
#ifndef RAFTD_KEYFILE_H
#define RAFTD_KEYFILE_H

#include <stddef.h>
#include <stdint.h>

#include "net/seal/session.h"
#include "raftd/conf.h"

enum {
    KEYFILE_KEY_BYTES = 32,
    KEYFILE_KEYS_MAX = 2,     /* in use at a time: key_file and next_key_file */
    KEYFILE_MAX_BYTES = 4096, /* a key and some comments; protects against a wrong path */
    KEYFILE_TEXT_SIZE = 256,  /* of keyfile_format(): a comment, 64 digits, a zero */
    KEYFILE_ERR_SIZE = 512,   /* enough for every message with a path of the configuration */
};

enum keyfile_result {
    KEYFILE_OK,
    KEYFILE_MISSING, /* there is no such file */
    KEYFILE_REFUSED, /* cannot be read, is open to others, or holds no key */
};

/* Reads a key. On anything but KEYFILE_OK the key is all zero, and err says in one line which file it is,
 * what is wrong and what to do. */
enum keyfile_result keyfile_load(const char *path, uint8_t key[KEYFILE_KEY_BYTES], char *err,
                                 size_t errlen);

/* Reads key_file of conf (after conf_set_node()), and next_key_file if it is configured and exists. Returns
 * how many keys there are, of which handshakes begin with the first; the same key in both files counts as
 * one; 0 = none is configured, and datagrams stay plain. A next_key_file that is refused is left out, and
 * err says why; else err is empty. -1: key_file is refused, err says why, and all keys are zero. */
int keyfile_load_all(const struct conf *conf, uint8_t keys[KEYFILE_KEYS_MAX][KEYFILE_KEY_BYTES],
                     char *err, size_t errlen);

/* The same, as sessions have them. */
int keyfile_load_keys(const struct conf *conf, struct session_keys *keys, char *err, size_t errlen);

/* Writes the digits of the key in password_file of conf to `digits`, without a zero. 0, or -1 with err. Does
 * nothing if there is no such file configured. */
int keyfile_load_password(const struct conf *conf, char digits[2 * KEYFILE_KEY_BYTES], char *err,
                          size_t errlen);

/* Finds the one key in a text of len bytes. Returns NULL, or what is wrong with the text (static); then
 * key is all zero. */
const char *keyfile_parse(const char *text, size_t len, uint8_t key[KEYFILE_KEY_BYTES]);

/* Writes the text of a file with this key, and a zero behind it; returns its length. */
size_t keyfile_format(const uint8_t key[KEYFILE_KEY_BYTES], char text[KEYFILE_TEXT_SIZE]);

#endif
