// LINK:
/* findkey.c: is the cluster's key in memory that a core dump of the process would hold?
 *
 *     findkey PID KEY_FILE
 *
 * Looks at each mapping of the process for the 32 bytes of the key, for either half of them, and
 * for their hexadecimal text. A mapping goes into a core dump unless its VmFlags have "dd"
 * (MADV_DONTDUMP). Needs the right to trace the process. Prints one line: dumped=N hidden=M: so
 * many were found in dumpable and in undumpable memory, scanned_kib=S: in so much. Exit 0: none
 * dumpable, 1: some, 2: could not look.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_BYTES = 32,
    NEEDLES = 5,
    CHUNK_BYTES = 1 << 20,
    OVERLAP_BYTES = 2 * KEY_BYTES, // the longest needle: it may lie across two chunks
    LINE_BYTES = 4096,
};

struct needle {
    uint8_t bytes[2 * KEY_BYTES];
    size_t len;
};

struct mapping {
    uint64_t from, to, rss_kib;
    char name[64];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "findkey: %s: %s\n", what, strerror(errno));
    exit(2);
}

static FILE *open_of(const char *pid, const char *what)
{
    char path[64];
    int n = snprintf(path, sizeof(path), "/proc/%s/%s", pid, what);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "r") : NULL;
    if (f == NULL)
        die(path);
    return f;
}

/* --- what to look for ------------------------------------------------------------------------- */

static void key_read(const char *path, char hex[2 * KEY_BYTES + 1])
{
    char text[LINE_BYTES];
    FILE *f = fopen(path, "r");
    if (f == NULL)
        die(path);
    while (fgets(text, sizeof(text), f) != NULL)
        if (strspn(text, "0123456789abcdefABCDEF") == 2 * KEY_BYTES) {
            memcpy(hex, text, 2 * KEY_BYTES);
            hex[2 * KEY_BYTES] = '\0';
            (void)fclose(f); // only read
            return;
        }
    errno = EINVAL;
    die(path);
}

static void needles_make(const char *path, struct needle needles[NEEDLES])
{
    char hex[2 * KEY_BYTES + 1];
    uint8_t key[KEY_BYTES];
    key_read(path, hex);
    for (size_t i = 0; i < KEY_BYTES; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        key[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    needles[0].len = KEY_BYTES;
    needles[1].len = needles[2].len = KEY_BYTES / 2;
    needles[3].len = needles[4].len = sizeof(hex) - 1;
    memcpy(needles[0].bytes, key, KEY_BYTES);
    memcpy(needles[1].bytes, key, KEY_BYTES / 2);
    memcpy(needles[2].bytes, key + KEY_BYTES / 2, KEY_BYTES / 2);
    for (size_t i = 0; i < sizeof(hex) - 1; i++) {
        needles[3].bytes[i] = (uint8_t)tolower(hex[i]);
        needles[4].bytes[i] = (uint8_t)toupper(hex[i]);
    }
}

/* --- where to look ---------------------------------------------------------------------------- */

static uint64_t count_in(const uint8_t *bytes, size_t len, const struct needle *needle,
                         size_t limit)
{
    uint64_t n = 0;
    for (size_t at = 0; at < limit;) {
        const uint8_t *hit = memmem(bytes + at, len - at, needle->bytes, needle->len);
        if (hit == NULL || (size_t)(hit - bytes) >= limit)
            break;
        n++;
        at = (size_t)(hit - bytes) + 1;
    }
    return n;
}

/* Hits in one mapping; what can't be read (as [vvar]) can't be dumped. */
static uint64_t scan(int mem, const struct mapping *m, const struct needle needles[NEEDLES],
                     uint64_t *scanned)
{
    static uint8_t chunk[CHUNK_BYTES + OVERLAP_BYTES];
    uint64_t hits = 0;
    for (uint64_t at = m->from; at < m->to; at += CHUNK_BYTES) {
        uint64_t left = m->to - at;
        size_t want = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);
        ssize_t n = pread(mem, chunk, want, (off_t)at);
        if (n <= 0)
            continue;
        *scanned += (uint64_t)n < CHUNK_BYTES ? (uint64_t)n : CHUNK_BYTES;
        for (int i = 0; i < NEEDLES; i++)
            hits += count_in(chunk, (size_t)n, &needles[i], CHUNK_BYTES);
    }
    return hits;
}

/* The next mapping of smaps: its head, then lines of "Name: ...", VmFlags as the last. */
static bool next_mapping(FILE *smaps, struct mapping *m, bool *dumpable)
{
    char line[LINE_BYTES];
    bool have = false;
    while (fgets(line, sizeof(line), smaps) != NULL) {
        uint64_t from, to;
        char name[64] = "";
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %63[^\n]", &from, &to, name) >=
            2) {
            *m = (struct mapping){.from = from, .to = to};
            memcpy(m->name, name, sizeof(name));
            have = true;
        } else if (have && strncmp(line, "VmFlags:", 8) == 0) {
            *dumpable = strstr(line, " dd") == NULL;
            return true;
        } else if (have) {
            (void)sscanf(line, "Rss: %" SCNu64, &m->rss_kib); // or another line
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: findkey PID KEY_FILE\n");
        return 2;
    }
    struct needle needles[NEEDLES];
    needles_make(argv[2], needles);
    FILE *smaps = open_of(argv[1], "smaps"), *mem = open_of(argv[1], "mem");
    uint64_t found[2] = {0}, scanned = 0;
    struct mapping m;
    bool dumpable = false;
    while (next_mapping(smaps, &m, &dumpable)) {
        if (m.rss_kib == 0)
            continue;
        uint64_t hits = scan(fileno(mem), &m, needles, &scanned);
        if (hits > 0 && dumpable)
            fprintf(stderr, "findkey: %" PRIu64 " in %" PRIx64 "-%" PRIx64 " %s\n", hits, m.from,
                    m.to, m.name);
        found[dumpable] += hits;
    }
    if (fclose(smaps) != 0 || fclose(mem) != 0)
        die(argv[1]);
    printf("dumped=%" PRIu64 " hidden=%" PRIu64 " scanned_kib=%" PRIu64 "\n", found[true],
           found[false], scanned / 1024);
    return found[true] > 0 ? 1 : scanned > 0 ? 0 : 2;
}
