/* log.c: the log as bytes: mirroring the core's edits, batches for the disk, applying. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/num.h"
#include "raftd/state/cmd.h"
#include "raftd/node/node_impl.h"

/* Drops old entries from the cache until `count` records of `size` bytes in all fit. Only what is on our
 * own disk may go (invariant 2); false when that is not enough. */
bool log_make_room(struct node *n, size_t size, unsigned count)
{
    struct entries *e = &n->log;
    while (!entries_fits(e, size) || e->last - e->first + 1 + count > ENTRIES_MAX) {
        if (e->first > e->last || e->first > n->raft.durable_index)
            return false;
        log_tx_before_drop(n, e->first);
        entries_drop_first(e);
    }
    return true;
}

void log_push(struct node *n, size_t size)
{
    const uint8_t *rec = entries_tail(&n->log);
    record_hash(rec, size, n->head);
    n->last_ms = record_cluster_ms(rec);
    entries_push(&n->log, size);
}

/* Leader: cluster time goes on from the last record of the log that it began with, by its own clock. */
static uint64_t cluster_ms(const struct node *n, uint64_t now)
{
    return min_u64(n->lead_ms + (now - n->lead_at) / 1000, RECORD_CLUSTER_MS_MAX);
}

static void append_record(struct node *n, uint64_t now, uint64_t index, uint8_t type,
                          const uint8_t *data, size_t len)
{
    size_t size = record_size((uint32_t)len);
    /* Proposals checked it. For a new leader's no-op there is room in the fullest cache: the batch that
     * made its vote durable brought at least one entry to the disk if any was still missing there, and
     * as a candidate it took no more. That one, at least as large as a no-op, may go. */
    bool room = log_make_room(n, size, 1);
    assert(room);
    (void)room;
    assert(index == n->log.last + 1);
    uint8_t *rec = entries_tail(&n->log);
    if (len > 0)
        memcpy(rec + RECORD_HEAD_BYTES, data, len);
    if (type == RECORD_COMMAND)
        cmd_stamp_limit(rec + RECORD_HEAD_BYTES, node_data_limit(n));
    record_seal(rec, index, n->raft.term, cluster_ms(n, now), type, n->head, (uint32_t)len);
    log_push(n, size);
}

void log_append_command(struct node *n, uint64_t now, uint64_t index, const uint8_t *cmd,
                        size_t len)
{
    append_record(n, now, index, RECORD_COMMAND, cmd, len);
}

/* What raft_step() did to the log by itself: a truncation (the hash of the new last record comes
 * with the record that replaces the truncated one), a new leader's no-op. */
void log_mirror(struct node *n, uint64_t now, const struct raft_edit *edit)
{
    if (edit->truncate)
        entries_truncate(&n->log, edit->truncate_to);
    if (edit->noop) {
        n->lead_ms = n->last_ms;
        n->lead_at = now;
        append_record(n, now, edit->append_first, RECORD_NOOP, NULL, 0);
    }
}

/* The hash of the record at `last`, the last one or one before an entry that is not written yet: that
 * is in the cache (invariant 2), and names the one before it. */
static void hash_at(const struct node *n, uint64_t last, uint8_t hash[RECORD_HASH_BYTES])
{
    size_t size;
    struct record next;
    if (last == n->log.last) {
        memcpy(hash, n->head, RECORD_HASH_BYTES);
        return;
    }
    const uint8_t *rec = entries_at(&n->log, last + 1, &size);
    enum record_status st = record_decode(rec, size, &next, &size);
    assert(st == RECORD_OK);
    memcpy(hash, next.prev, RECORD_HASH_BYTES);
}

/* Turns the core's batch into the disk's, cut to a size that the disk finishes soon. */
void log_persist(struct node *n, struct raft_persist *p)
{
    struct wal_batch b = {
        .term = p->term,
        .vote = p->vote,
        .truncate = p->truncate,
        .truncate_to = p->truncate_to,
    };
    /* Without entries: the log as the disk has it, since those that are not there wait for room. */
    uint64_t last = n->raft.written_last;
    if (p->first_index != 0) {
        uint64_t from = entries_pos(&n->log, p->first_index);
        uint64_t end = entries_pos(&n->log, p->last_index + 1);
        if (end - from > n->cfg.batch_bytes) {
            uint64_t i = entries_find(&n->log, from + n->cfg.batch_bytes);
            p->last_index = i > p->first_index ? i - 1 : i;
            end = entries_pos(&n->log, p->last_index + 1);
        }
        last = p->last_index;
        b.first_index = p->first_index;
        b.last_index = last;
        b.bytes[0].iov_base = ring_at(&n->log.ring, from);
        b.bytes[0].iov_len = (size_t)(end - from);
        b.bytes_n = 1;
    }
    b.last_term = raft_term_at(&n->raft, last);
    b.commit = p->commit = p->commit < last ? p->commit : last;
    hash_at(n, last, b.head);
    n->seal_at = RAFT_NEVER;
    n->disk_commit = b.commit;
    n->io.persist(n->io.ctx, p->seq, &b);
}

/* A second after the last write one empty batch proves that write durable to a later recovery, and
 * tells it what was committed by then; after it an idle node writes nothing. */
void log_seal(struct node *n)
{
    struct wal_batch b = {
        .term = n->raft.term,
        .vote = n->raft.vote,
        .last_term = raft_term_at(&n->raft, n->raft.last_index),
        .commit = n->raft.commit_index,
        .idle = true,
    };
    memcpy(b.head, n->head, sizeof b.head);
    n->seal_at = RAFT_NEVER;
    n->sealing = true;
    n->disk_commit = b.commit;
    n->io.persist(n->io.ctx, 0, &b);
}

static void apply_one(struct node *n, const struct record *rec)
{
    assert(rec->index == n->applied + 1 && rec->term == raft_term_at(&n->raft, rec->index));
    struct applied a;
    n->applied = rec->index;
    if (rec->type != RECORD_COMMAND) {
        machine_pass(n->machine, rec->index, rec->cluster_ms);
        return;
    }
    if (!machine_apply(n->machine, rec->index, rec->cluster_ms, rec->data, rec->data_len, NULL, &a))
        node_out_of_memory(n, "a committed entry can't be applied");
    int slot = raft_peer_slot(&n->raft, a.origin);
    if (a.origin == n->cfg.id)
        write_applied(n, &a);
    else if (n->raft.role == RAFT_LEADER && slot >= 0)
        n->peers[slot].lead_due = true;
}

/* Committed entries on our disk stay what they are, whatever happens until they are used. */
static void fetch_behind(struct node *n, uint64_t from)
{
    struct behind *b = &n->behind;
    if (b->buf == NULL && (b->buf = malloc(RECORD_MAX_BYTES)) == NULL)
        return; /* short of memory: asked again at the next flush */
    uint64_t last = n->raft.commit_index < n->raft.durable_index ? n->raft.commit_index
                                                                 : n->raft.durable_index;
    b->len = b->off = 0;
    b->next = from;
    b->fetching = true;
    n->io.fetch(n->io.ctx, NODE_FETCH_APPLY, &(struct wal_pos){.index = from}, last, b->buf,
                RECORD_MAX_BYTES);
}

void log_apply_fetched(struct node *n, size_t len)
{
    n->behind.fetching = false;
    n->behind.len = len;
}

/* The record to apply next: from the cache, or from what was read from disk. */
static bool next_to_apply(struct node *n, struct record *rec)
{
    uint64_t i = n->applied + 1;
    struct behind *b = &n->behind;
    size_t size;
    enum record_status st;
    if (i >= n->log.first) {
        const uint8_t *p = entries_at(&n->log, i, &size);
        st = record_decode(p, size, rec, &size);
        assert(st == RECORD_OK && rec->index == i);
        return true;
    }
    if (b->fetching)
        return false;
    if (b->off == b->len || b->next != i) {
        fetch_behind(n, i);
        return false;
    }
    st = record_decode(b->buf + b->off, b->len - b->off, rec, &size);
    assert(st == RECORD_OK && rec->index == i); /* storage checked every record it read */
    b->off += size;
    b->next = i + 1;
    return true;
}

/* Applies what is committed (figure 3.1, "All servers"), or the next part of it. True if anything
 * was. */
bool log_apply(struct node *n)
{
    uint64_t before = n->applied;
    struct record rec;
    while (n->applied < n->raft.commit_index && n->applied < before + NODE_APPLY_MAX &&
           next_to_apply(n, &rec))
        apply_one(n, &rec);
    if (n->applied != before) {
        if (!machine_publish(n->machine))
            node_out_of_memory(n, "committed entries can't be shown");
        write_published(n);
    }
    n->again |= n->applied == before + NODE_APPLY_MAX;
    if (n->behind.buf != NULL && !n->behind.fetching && n->applied + 1 >= n->log.first) {
        free(n->behind.buf); /* caught up: only needed after a restart */
        n->behind = (struct behind){0};
    }
    return n->applied != before;
}
