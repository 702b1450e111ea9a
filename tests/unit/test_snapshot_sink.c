// LINK: @storage tests/lib/disk_memory.c
/* test_snapshot_sink.c: a whole snapshot whose state is refused is not loaded, and the message says why. What
 * is written of a long one is synced in pieces. What is damaged at the end of a part costs one chunk. */
#include "storage/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/disk_memory.h"

struct refusal {
    int chunk, done; /* what the sink returns */
    const char *says;
};

static int next(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    bool *given = ctx;
    *section = 1;
    *bytes = (const uint8_t *)"state";
    *len = 5;
    *given = !*given;
    return *given;
}

static int refuse_chunk(void *ctx, uint16_t section, const uint8_t *bytes, size_t len)
{
    const struct refusal *r = ctx;
    assert_true(section == 1 && len == 5 && memcmp(bytes, "state", len) == 0);
    return r->chunk;
}

static int refuse_done(void *ctx, const struct snapshot_head *head)
{
    const struct refusal *r = ctx;
    assert_true(head->index == 3 && r->chunk == 0);
    return r->done;
}

static void a_sink_can_refuse(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {-ENOTSUP, 0, "section 1 is unknown to this raftd"},
        {-EBADMSG, 0, "contradicts itself"},
        {-ENOMEM, 0, "Cannot allocate memory"},
        {0, -EBADMSG, "has another digest"},
        {0, -ENOMEM, "Cannot allocate memory"},
        {0, 0, ""},
    };
    struct memdisk *m = memdisk_new(1);
    struct snapshots s = {.disk = memdisk_disk(m), .dir = "/d", .storage_id = 7, .cluster = 5};
    struct snapshot_head head = {.index = 3, .term = 1};
    struct snapshot_name name;
    bool given = false;
    assert_int_equal(s.disk->mkdir(s.disk->ctx, "/d"), 0);
    assert_int_equal(snapshot_write(&s, &head, &(struct snapshot_source){next, &given}, &name), 0);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct refusal r = refusals[i];
        struct snapshot_sink sink = {refuse_chunk, refuse_done, &r};
        assert_int_equal(snapshot_load(&s, 3, &sink, &head, &name), r.chunk + r.done);
        if (strstr(s.message, r.says) == NULL)
            fail_msg("%s: not %s", s.message, r.says);
    }
    memdisk_free(m);
}

/* ---- writing ---- */

enum { SYNCED = 1 << 20 };

static int next_of_many(void *ctx, uint16_t *section, const uint8_t **bytes, size_t *len)
{
    static const uint8_t chunk[SNAPSHOT_CHUNK_MAX_BYTES];
    unsigned *n = ctx;
    *section = 1;
    *bytes = chunk;
    *len = sizeof chunk;
    return (*n)++ < 40;
}

struct pieces {
    const struct memdisk *m;
    uint64_t calls;        /* so far: for each piece one, a write, and one more with a sync */
    uint64_t synced, most; /* bytes that were synced; most that were not */
};

static int look_at_piece(void *ctx, uint64_t done, uint64_t all)
{
    struct pieces *p = ctx;
    uint64_t calls = memdisk_calls(p->m);
    if (all == 0) { /* it is being written, not read back */
        p->most = done - p->synced > p->most ? done - p->synced : p->most;
        if (calls - p->calls == 2)
            p->synced = done;
    }
    p->calls = calls;
    return 0;
}

static void what_is_written_is_synced_in_pieces(void **state)
{
    (void)state;
    struct memdisk *m = memdisk_new(1);
    struct pieces p = {.m = m};
    struct snapshots s = {.disk = memdisk_disk(m),
                          .dir = "/d",
                          .storage_id = 7,
                          .cluster = 5,
                          .pace = look_at_piece,
                          .pace_ctx = &p};
    struct snapshot_head head = {.index = 3, .term = 1};
    struct snapshot_name name;
    unsigned n = 0;
    assert_int_equal(s.disk->mkdir(s.disk->ctx, "/d"), 0);
    assert_int_equal(snapshot_write(&s, &head, &(struct snapshot_source){next_of_many, &n}, &name),
                     0);
    assert_true(p.most < SYNCED + 2 * SNAPSHOT_CHUNK_MAX_BYTES && p.synced > SYNCED);
    memdisk_free(m);
}

/* ---- parts ---- */

/* Any bytes that a loss of power left at the end are noticed when their chunk is whole: no more is fetched
 * behind them. If the chunk comes damaged once more, that is the sender's. */
static void a_bad_end_costs_one_chunk(void **state)
{
    (void)state;
    enum { CHUNK = 12 + SNAPSHOT_CHUNK_MAX_BYTES, GOOD = 4096 + 3 * CHUNK, BAD = GOOD + 100 };
    static uint8_t buf[4 << 20];
    struct memdisk *m = memdisk_new(1);
    const struct disk *d = memdisk_disk(m);
    struct snapshots from = {.disk = d, .dir = "/d", .storage_id = 7, .cluster = 5};
    struct snapshots s = {.disk = d, .dir = "/e", .storage_id = 8, .cluster = 5};
    struct snapshot_head head = {.index = 3, .term = 1};
    struct snapshot_name name;
    unsigned n = 0;
    assert_int_equal(d->mkdir(d->ctx, "/d") + d->mkdir(d->ctx, "/e"), 0);
    assert_int_equal(
        snapshot_write(&from, &head, &(struct snapshot_source){next_of_many, &n}, &name), 0);
    assert_int_equal(snapshot_read(d, snapshot_open(&from, 3), 0, buf, sizeof buf), name.size);
    for (uint8_t again = 0; again < 2; again++) {
        struct snapshot_part *p;
        uint64_t have;
        int rc = 0;
        buf[BAD] = 1; /* all bytes are zero */
        assert_int_equal(snapshot_part_open(&p, &s, &name, &have), 0);
        assert_int_equal(snapshot_part_append(p, 0, buf, GOOD), 0);
        assert_int_equal(snapshot_part_append(p, GOOD, buf + GOOD, 5000), 0);
        snapshot_part_close(p);
        buf[BAD] = again;
        assert_int_equal(snapshot_part_open(&p, &s, &name, &have), 0);
        assert_int_equal(have, GOOD + 5000);
        for (; (rc = snapshot_part_append(p, have, buf + have, 1000)) == 0; have += 1000)
            assert_true(have < GOOD + CHUNK);
        assert_true(rc == -EBADMSG && have < GOOD + CHUNK && have + 1000 >= GOOD + CHUNK);
        assert_int_equal(snapshot_part_have(p), GOOD);
        assert_int_equal(snapshot_part_append(p, GOOD, buf + GOOD, name.size - GOOD), 0);
        assert_int_equal(snapshot_part_finish(p, NULL, &head), again ? -EBADMSG : 0);
    }
    struct snapshot_part *p;
    uint64_t have;
    assert_int_equal(snapshot_part_open(&p, &s, &name, &have), 0);
    assert_int_equal(have, GOOD); /* what is found at the end costs no more either */
    snapshot_part_drop(p);
    memdisk_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sink_can_refuse),
        cmocka_unit_test(what_is_written_is_synced_in_pieces),
        cmocka_unit_test(a_bad_end_costs_one_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
