// LINK: @storage @state tests/lib/disk_memory.c @rcu_alone
/* A snapshot of any bytes, and the state in it. Checksums and the hash would stop nearly all changes at the
 * door, so the input says whether they are made right again behind it.
 *
 *     byte 0: switches, see enum
 *     then changes of five bytes each: kind, offset (two bytes), two more
 *
 * It may be refused, or taken. What is taken must be a state: its keys ascend, its digest is the one of the
 * head, and its own image is taken again. */
#include <errno.h>
#include <sodium/crypto_generichash.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/bytes.h"
#include "raftd/base/rcu.h"
#include "raftd/state/cmd.h"
#include "raftd/state/image.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "storage/crc32c.h"
#include "storage/snapshot.h"
#include "tests/lib/disk_memory.h"

#define DIR "/d"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MEND = 1,    /* checksums, and the hash of all */
    FETCHED = 2, /* from a peer, in pieces */

    HEAD = 4096,
    CHUNK_HEAD = 12,
    INDEX = 9,
    CHANGE_BYTES = 5,
    CHANGES_MAX = 40,
    BYTES_MAX = 8192, /* of the file */
};

static _Noreturn void broken(int line)
{
    fprintf(stderr, "fuzz_snapshot.c:%d: this must be\n", line);
    abort();
}

#define must(ok) ((ok) ? (void)0 : broken(__LINE__))

struct file {
    size_t size;
    uint8_t bytes[BYTES_MAX];
};

/* ---- a directory, a state ---- */

static struct memdisk *disk_new(struct snapshots *s)
{
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    must(d->mkdir(d->ctx, DIR) == 0 && d->mkdir(d->ctx, DIR "/snap") == 0);
    *s = (struct snapshots){.disk = d, .dir = DIR, .storage_id = 7, .cluster = 5};
    return m;
}

static struct machine *state_new(struct kv **kv)
{
    *kv = kv_new();
    must(*kv != NULL);
    struct machine *m = machine_new(*kv);
    must(m != NULL);
    return m;
}

static void state_free(struct machine *m, struct kv *kv)
{
    machine_free(m);
    kv_free(kv);
}

static void apply(struct machine *m, uint64_t index, uint8_t kind, const char *key,
                  const void *value, size_t value_len)
{
    uint8_t buf[200];
    struct cmd_item it = {.kind = kind,
                          .key = (const uint8_t *)key,
                          .key_len = (uint16_t)strlen(key),
                          .value = (const uint8_t *)value,
                          .value_len = (uint32_t)value_len};
    uint16_t origin = (uint16_t)(1 + index % 2);
    struct cmd c = {.operations = 1,
                    .origin = origin,
                    .process = 3,
                    .predecessor = machine_process(m, origin),
                    .number = index};
    struct applied a;
    size_t size = cmd_encode(buf, &c, &it);
    must(machine_apply(m, index, 10 * index, buf, size, NULL, &a));
}

static int next(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    return image_next(ctx, section, bytes, len);
}

/* Writes m's state, as of its index, to a directory. */
static void write_state(struct snapshots *s, struct machine *m, struct snapshot_name *name)
{
    struct image *image = machine_freeze(m);
    must(image != NULL);
    struct snapshot_head head = {
        .index = image_index(image),
        .term = 1,
        .cluster_ms = image_cluster_ms(image),
        .members = {
            .index = 1,
            .members = {.n = 1, .m = {{.id = 3, .standing = MEMBER_VOTER, .addr = {"a:1"}}}}}};
    memcpy(head.digest, image_digest(image), sizeof head.digest);
    must(snapshot_write(s, &head, &(struct snapshot_source){next, image}, name) == 0);
    machine_thaw(m, image);
}

static void make_base(struct file *f)
{
    uint8_t ttl[CMD_NUMBER_BYTES] = {100};
    struct snapshots s;
    struct memdisk *m = disk_new(&s);
    struct snapshot_name name;
    struct kv *kv;
    struct machine *machine = state_new(&kv);
    for (uint64_t i = 1; i <= 7; i++)
        apply(machine, i, CMD_PUT, &"aabcde"[i % 6], "values", i - 1);
    apply(machine, 8, CMD_EXPIRE, "bcde", ttl, sizeof ttl);
    apply(machine, INDEX, CMD_DELETE, "e", NULL, 0);
    must(machine_publish(machine));
    write_state(&s, machine, &name);
    const uint8_t *p = memdisk_peek(m, DIR "/snap/0000000000000009.snap", &f->size);
    must(p != NULL && f->size < BYTES_MAX - 2000);
    memcpy(f->bytes, p, f->size);
    state_free(machine, kv);
    memdisk_free(m);
}

/* ---- changes ---- */

/* The head of the chunk that holds the byte at `at`; 0: none does. */
static size_t chunk_at(const struct file *f, size_t at)
{
    size_t chunk = HEAD, end;
    for (; chunk + CHUNK_HEAD <= f->size; chunk = end) {
        end = chunk + CHUNK_HEAD + get_u32(f->bytes + chunk + 4) % BYTES_MAX;
        if (at < end)
            return at >= HEAD ? chunk : 0;
    }
    return 0;
}

/* Makes room for n bytes at `at`, or takes so many away; the length of the chunk says so. */
static void resize(struct file *f, size_t at, size_t n, bool more)
{
    size_t chunk = chunk_at(f, at);
    if (f->size - at < n || f->size + n > BYTES_MAX)
        return;
    uint8_t *p = f->bytes + at;
    memmove(more ? p + n : p, more ? p : p + n, f->size - at - (more ? 0 : n));
    f->size = more ? f->size + n : f->size - n;
    if (chunk != 0 && chunk + CHUNK_HEAD <= f->size) {
        uint8_t *len = f->bytes + chunk + 4;
        put_u32(len, get_u32(len) + (uint32_t)(more ? n : 0 - n));
    }
}

static void change(struct file *f, const uint8_t c[CHANGE_BYTES])
{
    if (f->size < HEAD + 64)
        return;
    size_t at = get_u16(c + 1); /* most of what counts stands behind the head's first bytes */
    at = at < 128 ? at : HEAD + at % (f->size - HEAD - 8);
    uint8_t *p = f->bytes + at;
    switch (c[0] & 7) {
    case 0: *p = c[3]; break;
    case 1: *p ^= (uint8_t)(1U << c[3] % 8); break;
    case 2: *p = (uint8_t)(*p + c[3]); break;
    case 3: put_u64(p, UINT64_MAX - c[3]); break;
    case 4: resize(f, at, c[3], true); break;
    case 5: resize(f, at, c[3], false); break;
    case 6: memmove(p, f->bytes + f->size - 64 - c[3] % 64, c[4] % 8); break;
    default: put_u16(p, get_u16(c + 3)); break;
    }
}

static void mend(struct file *f)
{
    static const uint8_t zero[8];
    uint8_t *p = f->bytes;
    crypto_generichash_state hash;
    if (f->size < HEAD)
        return;
    put_u32(p, crc32c(crc32c(crc32c(0, p + 4, 12), zero, 8), p + 24, HEAD - 24));
    crypto_generichash_init(&hash, NULL, 0, SNAPSHOT_HASH_BYTES);
    crypto_generichash_update(&hash, p, 16);
    crypto_generichash_update(&hash, zero, 8);
    crypto_generichash_update(&hash, p + 24, HEAD - 24);
    for (size_t at = HEAD; at + CHUNK_HEAD <= f->size;) {
        size_t len = get_u32(p + at + 4);
        if (len > f->size - at - CHUNK_HEAD)
            break;
        if (get_u16(p + at + 8) == 0xffff && len == SNAPSHOT_HASH_BYTES)
            crypto_generichash_final(&hash, p + at + CHUNK_HEAD, SNAPSHOT_HASH_BYTES);
        put_u32(p + at, crc32c(0, p + at + 4, CHUNK_HEAD - 4 + len));
        crypto_generichash_update(&hash, p + at, CHUNK_HEAD + len);
        at += CHUNK_HEAD + len;
    }
}

/* ---- the judge ---- */

static int take_chunk(void *ctx, uint16_t section, const uint8_t *bytes, size_t len)
{
    return image_load_chunk(ctx, section, bytes, len);
}

static int take_done(void *ctx, const struct snapshot_head *head)
{
    return image_load_done(ctx, head->digest);
}

static int load(struct snapshots *s, uint64_t index, struct image_load **l,
                struct snapshot_head *head)
{
    struct snapshot_name name;
    *l = image_load_new();
    must(*l != NULL);
    int rc = snapshot_load(s, index, &(struct snapshot_sink){take_chunk, take_done, *l}, head,
                           &name);
    must((rc == 0) == (s->message[0] == '\0'));
    return rc;
}

/* As a peer sends it: the storage id is zero. */
static int fetch(struct snapshots *s, struct file *f, struct image_load **l,
                 struct snapshot_head *head)
{
    struct snapshot_name name = {get_u64(f->bytes + 32), get_u64(f->bytes + 40), f->size, {0}};
    struct snapshot_part *part;
    uint64_t have;
    *l = image_load_new();
    memset(f->bytes + 16, 0, 8);
    memcpy(name.hash, f->bytes + f->size - sizeof name.hash, sizeof name.hash);
    for (unsigned i = 0; i < 2; i++) { /* in the middle, the process ends */
        must(*l != NULL && snapshot_part_open(&part, s, &name, &have) == 0 && have <= f->size);
        size_t n = i == 0 ? f->size / 2 : f->size - have;
        int rc = snapshot_part_append(part, have, f->bytes + have, n);
        must(rc == 0 || (i == 1 && rc == -EBADMSG));
        if (i == 0)
            snapshot_part_close(part);
    }
    return snapshot_part_finish(part, &(struct snapshot_sink){take_chunk, take_done, *l}, head);
}

static void judge(struct snapshots *s, struct image_load *l, const struct snapshot_head *head)
{
    struct kv *kv;
    struct machine *m = state_new(&kv);
    struct snapshot_head again;
    struct snapshot_name name;
    uint8_t digest[MACHINE_DIGEST_BYTES];
    struct kv_range all = {0};
    struct kv_cursor c;
    uint64_t n = 0;
    const struct kv_object *before = NULL;
    machine_replace(m, l, head->index, head->cluster_ms);
    machine_digest(m, digest);
    must(memcmp(digest, head->digest, sizeof digest) == 0);
    for (const struct kv_object *o = kv_first(kv_view(kv), &all, &c); o != NULL; n++) {
        must(before == NULL ||
             tree_compare(kv_key(before), before->key_len, kv_key(o), o->key_len) < 0);
        before = o;
        o = kv_next(&c);
    }
    must(n == kv_count(kv) && head->members.index <= head->index &&
         (head->members.index == 0 || members_valid(&head->members.members)));
    const struct disk *d = s->disk;
    char path[64];
    snprintf(path, sizeof path, DIR "/snap/%016llx.snap", (unsigned long long)head->index);
    must(d->unlink(d->ctx, path) == 0);
    write_state(s, m, &name);
    must(load(s, head->index, &l, &again) == 0);
    must(memcmp(again.digest, head->digest, sizeof digest) == 0);
    image_load_free(l);
    state_free(m, kv);
}

static int run(const struct file *base, const uint8_t *data, size_t size)
{
    static struct file f;
    struct snapshots s;
    struct memdisk *m = disk_new(&s);
    const struct disk *d = s.disk;
    struct snapshot_head head;
    struct image_load *l;
    uint8_t switches = size > 0 ? data[0] : 0;
    f = *base;
    for (size_t at = 1, n = 0; at + CHANGE_BYTES <= size && n < CHANGES_MAX; n++) {
        change(&f, data + at);
        at += CHANGE_BYTES;
    }
    if (switches & MEND)
        mend(&f);
    int rc;
    if (switches & FETCHED) {
        rc = fetch(&s, &f, &l, &head);
    } else {
        struct iovec iov = {.iov_base = f.bytes, .iov_len = f.size};
        int fd = d->open(d->ctx, DIR "/snap/0000000000000009.snap", DISK_CREATE);
        must(fd >= 0 && d->pwritev(d->ctx, fd, &iov, 1, 0) == 0 && d->fdatasync(d->ctx, fd) == 0);
        must(d->close(d->ctx, fd) == 0);
        rc = load(&s, INDEX, &l, &head);
    }
    must(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
    if (rc == 0)
        judge(&s, l, &head);
    else
        image_load_free(l);
    memdisk_free(m);
    rcu_wait_freed();
    return rc;
}

/* Mending does nothing to a good one; a byte changed in its head it makes good, and one in the state the
 * digest finds. */
static void try_mending(const struct file *base)
{
    uint8_t data[] = {MEND, 0, 48, 0, 1, 0};
    must(run(base, data, 1) == 0);
    must(run(base, data, sizeof data) == 0);
    data[0] = MEND | FETCHED;
    must(run(base, data, sizeof data) == 0);
    data[0] = 0;
    must(run(base, data, sizeof data) == -EBADMSG);
    data[0] = MEND;
    put_u16(data + 2, 200);
    must(run(base, data, sizeof data) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct file base;
    if (base.size == 0) {
        rcu_thread_begin();
        make_base(&base);
        try_mending(&base);
    }
    (void)run(&base, data, size);
    return 0;
}
