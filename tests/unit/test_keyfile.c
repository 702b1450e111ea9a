// LINK: raftd/keyfile.c
/* Key files: what is a key, and which files are refused because it would be no secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <grp.h>
#include <stdbool.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "raftd/keyfile.h"

#define EIGHT "01234567"
#define KEY   "89abcdef" EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "89ABCDEF"
#define ZEROS "00000000"
#define OTHER EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT

static const uint8_t none[KEYFILE_KEY_BYTES];
static char dir[] = "/tmp/test_keyfile.XXXXXX";
static char err[KEYFILE_ERR_SIZE];

/* NULL: it holds KEY. */
static void parses(const char *text, const char *wrong)
{
    uint8_t key[KEYFILE_KEY_BYTES];
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1); /* exact size: reading past the end is seen */
    assert_non_null(copy);
    memcpy(copy, text, len);
    memset(key, 0xaa, sizeof key);
    const char *said = keyfile_parse(copy, len, key);
    free(copy);
    if (wrong == NULL) {
        assert_null(said);
        assert_int_equal(key[0], 0x89);
        assert_int_equal(key[4], 0x01);
        assert_int_equal(key[31], 0xef);
        return;
    }
    assert_non_null(said);
    assert_non_null(strstr(said, wrong));
    assert_memory_equal(key, none, sizeof none);
}

static void test_text(void **state)
{
    (void)state;
    parses(KEY, NULL);
    parses(KEY "\n", NULL);
    parses("# comment\n\n\r\n \t" KEY " \t\r\n  # another\n#", NULL);
    parses("", "holds no key");
    parses("\n#\n" /* a comment only: */ "#" KEY "\n", "holds no key");
    parses(KEY "\n" KEY "\n", "more than one");
    parses(KEY "\nhello\n", "more than one");
    parses("hello\n" KEY "\n", "neither");
    parses("\xef\xbb\xbf" KEY "\n", "byte order mark");
    parses("\xef\xbb\xbf# a comment\n" KEY "\n", "byte order mark");
    parses(ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "\n", "all zeros");
    parses(ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "\n" KEY "\n", "more than one");
    parses(KEY "0\n", "neither");
    parses("0" KEY "\n", "neither");
    parses(EIGHT EIGHT "\n", "neither");
    parses(KEY " " KEY "\n", "neither");
    parses("key = " KEY "\n", "neither");
    parses("0x" EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "012345\n", "neither");
    parses(EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "0123456g\n", "neither");
    parses(EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "012345/:\n", "neither");
    parses(EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT "012345@`\n", "neither");
    uint8_t key[KEYFILE_KEY_BYTES];
    static const char zero[] = KEY "\0\n";
    assert_non_null(keyfile_parse(zero, sizeof zero - 1, key));
}

/* What keygen prints is read back, for every value of a byte. */
static void test_format(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        uint8_t key[KEYFILE_KEY_BYTES], again[KEYFILE_KEY_BYTES];
        char text[KEYFILE_TEXT_SIZE];
        for (unsigned i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)(first + i * 37);
        size_t len = keyfile_format(key, text);
        assert_int_equal(len, strlen(text));
        assert_null(keyfile_parse(text, len, again));
        assert_memory_equal(key, again, sizeof key);
    }
}

static const char *file(const char *name, const char *text, mode_t mode)
{
    static char path[CONF_DATA_DIR_SIZE];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fputs(text, out) < 0, 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void refused(const char *path, const char *why)
{
    uint8_t key[KEYFILE_KEY_BYTES];
    memset(key, 0xaa, sizeof key);
    assert_int_equal(keyfile_load(path, key, err, sizeof err), KEYFILE_REFUSED);
    if (strncmp(err, path, strlen(path)) != 0 || strstr(err, why) == NULL)
        fail_msg("%s", err);
    assert_null(strstr(err, EIGHT)); /* nothing of the file in a message */
    assert_memory_equal(key, none, sizeof none);
}

static void test_file(void **state)
{
    (void)state;
    uint8_t key[KEYFILE_KEY_BYTES];
    static const mode_t good[] = {0600, 0400, 0700};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(keyfile_load(file("key", KEY "\n", good[i]), key, err, sizeof err),
                         KEYFILE_OK);
    assert_int_equal(key[31], 0xef);
    static const mode_t bad[] = {0604, 0620, 0660, 0602, 0610, 0650, 0601, 0666};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(file("key", KEY "\n", bad[i]), "chmod 600 ");
    assert_non_null(strstr(err, "has mode 0666"));
    refused(file("key", EIGHT "\n", 0600), "neither");

    static char big[KEYFILE_MAX_BYTES + 2];
    memset(big, '#', KEYFILE_MAX_BYTES);
    memcpy(big, KEY "\n", sizeof KEY);
    assert_int_equal(keyfile_load(file("key", big, 0600), key, err, sizeof err), KEYFILE_OK);
    big[KEYFILE_MAX_BYTES] = '#';
    refused(file("key", big, 0600), "longer than any key file");
    assert_int_equal(keyfile_load("/nonexistent/key", key, err, sizeof err), KEYFILE_MISSING);
    assert_string_equal(err, "/nonexistent/key: cannot open: No such file or directory");
    assert_memory_equal(key, none, sizeof none);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    char path[CONF_DATA_DIR_SIZE];
    refused(dir, "not a regular file");
    refused("/dev/zero", "not a regular file");
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(path, "not a regular file"); /* and does not wait for a writer */
    snprintf(path, sizeof path, "%s/key/under", dir);
    (void)file("key", KEY "\n", 0600);
    refused(path, "Not a directory");
}

/* May other users reach our files at all? Not where a directory above them is closed. */
static bool others_get_here(void)
{
    if (chmod(dir, 0711) != 0 || seteuid(12345) != 0)
        return false;
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    return seteuid(0) == 0 && fd >= 0;
}

static void test_owner(void **state)
{
    (void)state;
    const char *path = file("foreign", KEY "\n", 0600);
    if (geteuid() != 0 || chown(path, 12345, 12345) != 0 || !others_get_here())
        skip(); /* only root can give a file away */
    refused(path, "belongs to user 12345, and this runs as root: run it as that user");
    assert_null(strstr(err, "chown")); /* of a key that the service uses */
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(dir, 0711), 0);
    assert_int_equal(seteuid(4711), 0);
    refused(path, "a key must belong to root or to user 4711, as whom this runs: chown 4711 ");
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(chmod(dir, 0711), 0);
    assert_int_equal(seteuid(12345), 0);
    refused(path, "chown 12345 "); /* root's, and not readable by us */
    assert_int_equal(seteuid(0), 0);
}

static void taken(const char *path)
{
    uint8_t key[KEYFILE_KEY_BYTES];
    if (keyfile_load(path, key, err, sizeof err) != KEYFILE_OK)
        fail_msg("%s", err);
    assert_int_equal(key[31], 0xef);
}

enum { SERVICE = 12345, SERVICES = 12346, STRANGER = 12347 };

static void become(uid_t uid, gid_t gid)
{
    assert_int_equal(seteuid(0), 0); /* who may become anybody */
    assert_int_equal(setegid(gid), 0);
    assert_int_equal(seteuid(uid), 0);
}

/* Root lends a key to a service through the service's group, as secrets of containers are. */
static void test_lent_to_a_group(void **state)
{
    (void)state;
    const char *path = file("lent", KEY "\n", 0440);
    gid_t more = SERVICES, kept[64];
    int n_kept = getgroups(64, kept);
    if (geteuid() != 0 || chown(path, 0, SERVICE) != 0 || n_kept < 0 || !others_get_here())
        skip(); /* only root can give a file away */
    assert_int_equal(chmod(dir, 0711), 0);
    refused(path, "mode 0440, so others"); /* root needs no group for it */
    become(SERVICE, SERVICE);
    taken(path);
    become(0, 0);
    assert_int_equal(chown(path, 0, SERVICES), 0); /* one of its other groups */
    assert_int_equal(setgroups(1, &more), 0);
    become(SERVICE, SERVICE);
    taken(path);
    become(0, 0);
    static const mode_t bad[] = {0444, 0460, 0450, 0441};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        become(SERVICE, SERVICE);
        refused(path, "so others may read or change");
        become(0, 0);
    }
    assert_int_equal(setgroups((size_t)n_kept, kept), 0);
    assert_int_equal(chmod(path, 0440), 0);
    assert_int_equal(chown(path, SERVICE, SERVICE), 0); /* its own needs no group */
    become(SERVICE, SERVICE);
    refused(path, "so others may read or change");
    become(0, 0);
}

struct entry {
    unsigned tag, perm;
    uint32_t id;
};

/* False where the file system has none. */
static bool set_acl(const char *path, const struct entry *entries, size_t n)
{
    uint8_t acl[4 + 8 * 64] = {2};
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++) {
        uint8_t *to = acl + 4 + 8 * i;
        to[0] = (uint8_t)entries[i].tag;
        to[2] = (uint8_t)entries[i].perm;
        for (unsigned b = 0; b < 4; b++)
            to[4 + b] = (uint8_t)(entries[i].id >> 8 * b);
    }
    return setxattr(path, "system.posix_acl_access", acl, 4 + 8 * n, 0) == 0;
}

/* A service manager opens a root's file by name for the user of one service: the mode looks as if a
 * group could read it. */
static void test_lent_by_an_acl(void **state)
{
    (void)state;
    const char *path = file("lent", KEY "\n", 0400);
    enum { OWNER = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHERS = 32 };
    const uint32_t nobody = UINT32_MAX;
    const struct entry lent[] = {{OWNER, 4, nobody},
                                 {USER, 4, SERVICE},
                                 {GROUP_OBJ, 0, nobody},
                                 {MASK, 4, nobody},
                                 {OTHERS, 0, nobody}};
    const struct entry two[] = {{OWNER, 4, nobody},     {USER, 4, SERVICE}, {USER, 4, STRANGER},
                                {GROUP_OBJ, 0, nobody}, {MASK, 4, nobody},  {OTHERS, 0, nobody}};
    const struct entry masked[] = {{OWNER, 4, nobody},     {USER, 4, SERVICE}, {USER, 2, STRANGER},
                                   {GROUP_OBJ, 0, nobody}, {MASK, 4, nobody},  {OTHERS, 0, nobody}};
    const struct entry group[] = {{OWNER, 4, nobody},   {USER, 4, SERVICE}, {GROUP_OBJ, 0, nobody},
                                  {GROUP, 4, SERVICES}, {MASK, 4, nobody},  {OTHERS, 0, nobody}};
    const struct entry all[] = {{OWNER, 4, nobody},
                                {USER, 4, SERVICE},
                                {GROUP_OBJ, 0, nobody},
                                {MASK, 4, nobody},
                                {OTHERS, 4, nobody}};
    if (geteuid() != 0 || chown(path, 0, 0) != 0 || !set_acl(path, lent, 5) || !others_get_here())
        skip(); /* only root can, and not on every file system */
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0440); /* the mask */
    assert_int_equal(chmod(dir, 0711), 0);
    become(SERVICE, SERVICE);
    taken(path);
    become(STRANGER, STRANGER);
    refused(path, "cannot open");
    become(0, 0);
    refused(path, "an ACL"); /* to root, that user is a stranger */
    assert_true(set_acl(path, masked, 6));
    become(SERVICE, SERVICE);
    taken(path);
    become(0, 0);
    const struct {
        const struct entry *entries;
        size_t n;
    } bad[] = {{two, 6}, {group, 6}, {all, 5}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(set_acl(path, bad[i].entries, bad[i].n));
        become(SERVICE, SERVICE);
        refused(path, "and an ACL, so others may read or change the key: setfacl -b, chmod 600");
        become(0, 0);
    }
}

/* Whatever the size of the buffer, the message is cut and ends with a zero. */
static void test_small_error_buffer(void **state)
{
    (void)state;
    uint8_t key[KEYFILE_KEY_BYTES];
    for (size_t size = 1; size < 20; size++) {
        char *small = malloc(size);
        assert_non_null(small);
        assert_int_equal(keyfile_load("/nonexistent/a/key", key, small, size), KEYFILE_MISSING);
        assert_int_equal(strlen(small), size - 1);
        free(small);
    }
}

static void test_all(void **state)
{
    (void)state;
    uint8_t keys[KEYFILE_KEYS_MAX][KEYFILE_KEY_BYTES];
    struct conf conf = {.n_nodes = 1};
    assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), 0);

    snprintf(conf.key_file, sizeof conf.key_file, "%s", file("now", KEY "\n", 0600));
    assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), 1);
    assert_int_equal(keys[0][0], 0x89);
    assert_memory_equal(keys[1], none, sizeof none);

    snprintf(conf.next_key_file, sizeof conf.next_key_file, "%s/absent", dir);
    assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), 1);
    snprintf(conf.next_key_file, sizeof conf.next_key_file, "%s", file("next", OTHER, 0600));
    assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), 2);
    assert_int_equal(keys[0][0], 0x89);
    assert_int_equal(keys[1][0], 0x01);
    (void)file("next", "# the same\n" KEY, 0600);
    assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), 1);
    assert_memory_equal(keys[1], none, sizeof none);

    static const struct {
        const char *text;
        mode_t mode;
    } broken[] = {{OTHER, 0644}, {"", 0600}, {EIGHT, 0600}};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        (void)file("next", broken[i].text, broken[i].mode); /* said, and left out */
        assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), 1);
        assert_non_null(strstr(err, "/next: "));
        assert_int_equal(keys[0][0], 0x89);
        assert_memory_equal(keys[1], none, sizeof none);
    }
    (void)unlink(conf.next_key_file);
    assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), 1);
    assert_string_equal(err, "");
    snprintf(conf.key_file, sizeof conf.key_file, "%s/absent", dir); /* this one must be there */
    assert_int_equal(keyfile_load_all(&conf, keys, err, sizeof err), -1);
    assert_non_null(strstr(err, "/absent: cannot open"));
    assert_memory_equal(keys[0], none, sizeof none);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"key", "pipe", "foreign", "now", "next", "lent"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[CONF_DATA_DIR_SIZE];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_small_error_buffer),
        cmocka_unit_test(test_lent_to_a_group),
        cmocka_unit_test(test_lent_by_an_acl),
        cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
