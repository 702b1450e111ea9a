// LINK:
/* flip.c: bad memory: changes one bit of each copy of a text in the memory of a process.
 *
 *     flip PID TEXT
 *
 * Needs the right to trace the process. Prints how many copies there were. Exit 0: some, 1: none, 2: could
 * not look.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "flip: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* How many copies stand in [from, to) and are changed now. */
static unsigned flip(int mem, uint64_t from, uint64_t to, const char *text)
{
    size_t len = strlen(text), size = (size_t)(to - from);
    unsigned n = 0;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        die("memory");
    ssize_t got = pread(mem, bytes, size, (off_t)from);
    for (uint8_t *at = bytes; got > 0; at += len, n++) {
        at = memmem(at, (size_t)(bytes + got - at), text, len);
        if (at == NULL)
            break;
        *at ^= 1;
        if (pwrite(mem, at, 1, (off_t)(from + (uint64_t)(at - bytes))) != 1)
            die("write");
    }
    free(bytes);
    return n;
}

int main(int argc, char **argv)
{
    char path[64], line[4096], flags[8];
    unsigned n = 0;
    if (argc != 3 || argv[2][0] == '\0') {
        fprintf(stderr, "usage: flip PID TEXT\n");
        return 2;
    }
    (void)snprintf(path, sizeof path, "/proc/%s/maps", argv[1]);
    FILE *maps = fopen(path, "r");
    (void)snprintf(path, sizeof path, "/proc/%s/mem", argv[1]);
    int mem = open(path, O_RDWR | O_CLOEXEC);
    if (maps == NULL || mem < 0)
        die(path);
    while (fgets(line, sizeof line, maps) != NULL) {
        uint64_t from, to;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, flags) == 3 &&
            strncmp(flags, "rw", 2) == 0 && strstr(line, "[v") == NULL)
            n += flip(mem, from, to, argv[2]);
    }
    (void)fclose(maps); /* only read */
    (void)close(mem);
    printf("%u\n", n);
    return n > 0 ? 0 : 1;
}
