/* stream_tx.c: the sending half of a stream. */
#include <assert.h>
#include <string.h>

#include "net/stream/stream.h"

enum {
    TIMEOUTS_COUNTED = 1000,    /* backoff has long reached its cap */
    SPURIOUS_FORWARD = 1 << 15, /* a count that is further ahead is an old one */
};

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

void stream_tx_init(struct stream_tx *tx, const struct link *link,
                    const struct stream_tx_config *cfg)
{
    assert(cfg->datagram_bytes > 0 && cfg->window_bytes > 0);
    memset(tx, 0, sizeof *tx);
    tx->edge = STREAM_FIRST_WINDOW_BYTES;
    tx->reo_at = NEVER;
    tx->link = link;
    tx->cfg = *cfg;
    cwnd_init(&tx->cwnd, cfg->datagram_bytes, cfg->window_bytes);
}

void stream_tx_end(struct stream_tx *tx, uint64_t end)
{
    assert(end >= tx->end);
    tx->end = end;
}

uint64_t stream_tx_in_flight(const struct stream_tx *tx)
{
    return tx->nxt - tx->una - tx->acked.bytes - tx->lost.bytes;
}

/* Loss. */

static uint64_t reo_wnd(const struct stream_tx *tx)
{
    const struct rtt *r = &tx->link->rtt;
    return min_u64((1 + tx->reo_steps) * (r->min_us / 4), r->srtt_us);
}

/* The bytes of a piece that are neither acknowledged nor in a newer piece are lost. False: there is no
 * room to write all of them down, so the rest stays in flight until there is, or until a timeout. */
static bool take_for_lost(struct stream_tx *tx, unsigned i)
{
    struct flight_piece *p = flight_at(&tx->flight, i);
    struct ranges left = {.n = 0};
    uint64_t start = max_u64(p->off, tx->una), end = p->off + p->len;
    if (start < end)
        (void)ranges_add(&left, start, end);
    for (unsigned k = 0; k < tx->acked.n && left.n > 0; k++)
        ranges_remove(&left, tx->acked.r[k].start, tx->acked.r[k].end);
    for (unsigned k = i + 1; k < tx->flight.n && left.n > 0; k++) {
        const struct flight_piece *q = flight_at(&tx->flight, k);
        if (q->len > 0)
            ranges_remove(&left, q->off, q->off + q->len);
    }
    uint64_t before = tx->lost.bytes;
    bool all = true;
    for (unsigned k = 0; k < left.n; k++)
        all = ranges_add(&tx->lost, left.r[k].start, left.r[k].end) && all;
    uint64_t bytes = tx->lost.bytes - before;
    if (bytes > 0 && cwnd_lost(&tx->cwnd, &tx->link->rtt, bytes, p->stamp, tx->link->stamp)) {
        tx->urgent = true;
        if (tx->reo_episodes > 0 && --tx->reo_episodes == 0)
            tx->reo_steps = 0;
    }
    if (all)
        p->len = 0;
    return all;
}

static bool is_acked(const struct stream_tx *tx, const struct flight_piece *p)
{
    return p->off + p->len <= tx->una ||
           ranges_hold(&tx->acked, max_u64(p->off, tx->una), p->off + p->len);
}

/* RACK (see stream.h). The newest echo arrived at rack_at; a piece sent d before that datagram is
 * lost reo_wnd - d after its arrival (RFC 8985, 6.2 step 5). */
static void find_lost(struct stream_tx *tx, uint64_t now_us)
{
    unsigned arrived = flight_until(&tx->flight, tx->rack);
    uint64_t wnd = reo_wnd(tx);
    tx->reo_at = NEVER;
    for (unsigned i = 0; i < arrived; i++) {
        struct flight_piece *p = flight_at(&tx->flight, i);
        if (p->len == 0 || is_acked(tx, p)) {
            p->len = 0;
            continue;
        }
        if (p->stamp == tx->rack || p->off + p->len > tx->known)
            continue;
        bool overtaken = tx->reo_steps == 0 && arrived - 1 - i >= STREAM_LATER_PIECES;
        uint64_t earlier = tx->rack - p->stamp;
        if (!overtaken && earlier < wnd && now_us < tx->rack_at + wnd - earlier) {
            tx->reo_at = tx->rack_at + wnd - earlier;
            break; /* those behind it left later */
        }
        if (!take_for_lost(tx, i))
            break;
    }
    flight_pop_done(&tx->flight);
}

/* Makes room in the full ring, which only a hostile peer can bring about: so much that is small is sent
 * by nobody else. What is acknowledged goes first. Else the oldest piece is taken for lost, perhaps
 * needlessly. If that cannot be written down, the piece is forgotten, and its bytes wait for a timeout. */
static void make_room(struct stream_tx *tx)
{
    struct flight *f = &tx->flight;
    unsigned kept = 0;
    for (unsigned i = 0; i < f->n; i++) {
        struct flight_piece p = *flight_at(f, i);
        if (p.len > 0 && !is_acked(tx, &p))
            *flight_at(f, kept++) = p;
    }
    f->n = kept;
    if (kept < FLIGHT_MAX)
        return;
    if (!take_for_lost(tx, 0))
        flight_at(f, 0)->len = 0;
    flight_pop_done(f);
}

/* What to send. */

static uint64_t pto(const struct stream_tx *tx)
{
    return rtt_pto(&tx->link->rtt, &tx->answer, tx->timeouts, tx->cfg.ack_delay_us, tx->cfg.cap_us);
}

/* When the timer runs out. */
static uint64_t timer(const struct stream_tx *tx)
{
    bool closed = tx->nxt < tx->end && tx->nxt >= tx->edge;
    if (tx->una == tx->nxt && !closed)
        return NEVER;
    return add_capped(tx->timer_us, pto(tx));
}

/* When the tail is copied next. */
static uint64_t copy_at(const struct stream_tx *tx)
{
    uint32_t in = tx->link->loss_in, out = tx->link->loss_out;
    if ((in < STREAM_COPY_LOSS && out < STREAM_COPY_LOSS) || tx->copies >= STREAM_COPIES ||
        tx->timeouts > 0 || tx->una == tx->nxt || tx->lost.n > 0 ||
        tx->nxt - tx->una > tx->cwnd.mss || !tx->link->rtt.has)
        return NEVER;
    uint64_t quarter = pto(tx) / (2 * STREAM_COPIES);
    uint64_t usual = tx->answer.has ? tx->answer.srtt_us + 2 * tx->answer.rttvar_us : 0;
    return tx->timer_us + max_u64(quarter, usual) + tx->copies * quarter;
}

static void timed_out(struct stream_tx *tx, uint64_t now_us)
{
    tx->silent = tx->rack_at < tx->timer_us ? tx->silent + 1 : 0;
    if (tx->silent == STREAM_SILENT_TIMEOUTS)
        cwnd_silence(&tx->cwnd);
    tx->timer_us = now_us;
    if (tx->timeouts < TIMEOUTS_COUNTED)
        tx->timeouts++;
    tx->stats.timeouts++;
    bool two = tx->timeouts > RTT_PLAIN_TIMEOUTS && tx->silent < STREAM_DEAF_TIMEOUTS;
    tx->due = two ? 2 : 1;
    tx->due_from = tx->una;
    tx->missing_max = 0;
    for (unsigned i = 0; i < tx->flight.n; i++) {
        const struct flight_piece *p = flight_at(&tx->flight, i);
        if (!p->merged && p->len > tx->missing_max && !is_acked(tx, p))
            tx->missing_max = p->len;
    }
}

static bool give(struct stream_tx *tx, struct stream_piece *piece, enum stream_kind kind,
                 uint64_t start, uint64_t end, size_t max_len)
{
    tx->next = kind;
    piece->off = start;
    piece->len = (size_t)min_u64(end - start, max_len);
    piece->again = kind == STREAM_LOST || kind == STREAM_DUE;
    return true;
}

/* A small tail rides along with new bytes, if it all fits into the datagram. */
static bool rides(const struct stream_tx *tx, uint64_t now_us, uint64_t end, size_t max_len)
{
    const struct link *l = tx->link;
    return tx->una < tx->nxt && tx->nxt - tx->una <= STREAM_RIDE_BYTES &&
           end - tx->una <= max_len && l->loss_out >= STREAM_RIDE_LOSS && l->rtt.has &&
           now_us - tx->timer_us >= l->rtt.srtt_us / 4;
}

/* What the timer asks for, whatever the windows say. */
static bool next_due(struct stream_tx *tx, uint64_t now_us, size_t max_len,
                     struct stream_piece *piece)
{
    uint64_t start;
    uint64_t end;
    if (now_us >= timer(tx)) {
        timed_out(tx, now_us);
        /* The SACK that opened the window may be lost: a byte beyond it makes the peer repeat it. */
        if (tx->una == tx->nxt) {
            tx->due = 0;
            return give(tx, piece, STREAM_FRESH, tx->nxt, tx->nxt + 1, max_len);
        }
    }
    if (tx->due > 0) {
        bool deaf = tx->silent >= STREAM_DEAF_TIMEOUTS;
        if (ranges_hole(&tx->acked, max_u64(tx->una, tx->due_from), tx->nxt, &start, &end))
            return give(tx, piece, STREAM_DUE, start, deaf ? start + 1 : end, max_len);
        tx->due = 0;
    }
    if (now_us >= copy_at(tx) && ranges_hole(&tx->acked, tx->una, tx->nxt, &start, &end))
        return give(tx, piece, STREAM_COPY, start, end, max_len);
    return false;
}

bool stream_tx_next(struct stream_tx *tx, uint64_t now_us, size_t max_len,
                    struct stream_piece *piece)
{
    tx->paced = false;
    if (max_len == 0)
        return false;
    if (now_us >= tx->reo_at)
        find_lost(tx, now_us);
    if (next_due(tx, now_us, max_len, piece))
        return true;

    uint64_t fresh_end = min_u64(tx->end, tx->edge);
    bool lost = tx->lost.n > 0 && tx->lost.r[0].start < tx->edge;
    if (!lost && tx->nxt >= fresh_end)
        return false;
    if (!lost || !tx->urgent) {
        if (stream_tx_in_flight(tx) >= cwnd_window(&tx->cwnd, now_us))
            return false;
        tx->paced = cwnd_pace(&tx->cwnd, now_us) > now_us;
        if (tx->paced)
            return false;
    }
    if (lost)
        return give(tx, piece, STREAM_LOST, tx->lost.r[0].start,
                    min_u64(tx->lost.r[0].end, tx->edge), max_len);
    uint64_t start = rides(tx, now_us, fresh_end, max_len) ? tx->una : tx->nxt;
    return give(tx, piece, STREAM_FRESH, start, fresh_end, max_len);
}

void stream_tx_sent(struct stream_tx *tx, uint64_t now_us, uint64_t stamp, uint64_t off, size_t len)
{
    uint64_t end = off + len;
    assert(len > 0 && len <= UINT32_MAX && off >= tx->una && off <= tx->nxt && end <= tx->end);
    uint64_t old = off < tx->nxt ? min_u64(end, tx->nxt) - off : 0;
    switch (tx->next) {
    case STREAM_FRESH: tx->copies = 0; break;
    case STREAM_DUE:
        tx->due--;
        tx->due_from = end;
        tx->judged = false;
        tx->stats.resent_datagrams++;
        tx->stats.resent_bytes += old;
        break;
    case STREAM_COPY:
        /* A copy that leaves late stands for the next one, too. */
        while (tx->copies < STREAM_COPIES && now_us >= copy_at(tx))
            tx->copies++;
        break;
    case STREAM_LOST:
        tx->judged = true;
        tx->urgent = false;
        tx->stats.resent_datagrams++;
        tx->stats.resent_bytes += old;
        break;
    }
    if (off == tx->una && tx->next != STREAM_COPY)
        tx->timer_us = now_us;
    if (old > 0 && tx->lost.n > 0)
        ranges_remove(&tx->lost, off, off + old);
    if (tx->flight.n == FLIGHT_MAX)
        make_room(tx);
    flight_push(&tx->flight, stamp, off, (uint32_t)len);
    if (old > 0)
        flight_again(&tx->flight, off, off + old);
    tx->nxt = max_u64(tx->nxt, end);
    if (tx->next == STREAM_FRESH || tx->next == STREAM_LOST)
        cwnd_sent(&tx->cwnd, now_us, &tx->link->rtt, len);
}

uint64_t stream_tx_deadline(const struct stream_tx *tx, uint64_t now_us)
{
    uint64_t at = min_u64(timer(tx), min_u64(tx->reo_at, copy_at(tx)));
    return tx->paced ? min_u64(at, cwnd_pace(&tx->cwnd, now_us)) : at;
}

/* Acknowledgements. */

static bool sane(const struct stream_tx *tx, const struct wire_sack *s)
{
    if (s->contig > tx->nxt || s->n > WIRE_SACK_RANGES)
        return false;
    uint64_t sent = tx->nxt - s->contig; /* above contig */
    for (unsigned i = 0; i < s->n; i++) {
        const struct wire_range *r = &s->ranges[i];
        if (r->start == 0 || r->len == 0 || (uint64_t)r->start + r->len > sent)
            return false;
    }
    return true;
}

/* How long the byte at una took: from its last transmission that this answer knows of. A needless
 * resend at a timeout means that the first copy was answered, only late: then it counts from there.
 * Where acknowledgements get lost it proves nothing: the first answer may have been in time. */
static void measure_answer(struct stream_tx *tx, uint64_t now_us, uint64_t echo, bool needless)
{
    bool first = needless && tx->timeouts > 0 && tx->link->loss_in < STREAM_COPY_LOSS;
    uint64_t sent = 0;
    unsigned arrived = flight_until(&tx->flight, echo);
    for (unsigned i = 0; i < arrived && !(first && sent != 0); i++) {
        const struct flight_piece *p = flight_at(&tx->flight, i);
        if (p->off <= tx->una && tx->una < p->off + p->len)
            sent = p->stamp;
    }
    if (sent > tx->link->late && now_us - sent <= LINK_SAMPLE_MAX_US)
        rtt_sample(&tx->answer, now_us, now_us - sent);
}

static void una_moves(struct stream_tx *tx, uint64_t now_us, uint64_t contig)
{
    tx->una = contig;
    tx->timer_us = now_us;
    tx->timeouts = 0;
    tx->due = 0;
    tx->copies = 0;
    tx->silent = 0;
    if (contig == tx->nxt)
        tx->flight.n = 0;
    ranges_remove_below(&tx->acked, contig);
    ranges_remove_below(&tx->lost, contig);
    /* A hole follows contig, so no range may start there. A receiver that dropped what it had
     * reported is wrong, but must not stop the stream: believe nothing it said before. */
    if (tx->acked.n > 0 && tx->acked.r[0].start == contig) {
        tx->acked = (struct ranges){.n = 0};
        tx->lost = (struct ranges){.n = 0};
        tx->flight.n = 0;
        (void)ranges_add(&tx->lost, contig, tx->nxt);
    }
}

/* Pieces sent again that were there already. If they were taken for lost, the path reorders (one
 * step per round trip); else a timeout was too short. True if there were some. */
static bool take_spurious(struct stream_tx *tx, uint16_t count, uint64_t echo)
{
    uint16_t more = (uint16_t)(count - tx->spurious);
    if (more == 0 || more >= SPURIOUS_FORWARD)
        return false;
    tx->spurious = count;
    tx->stats.spurious += more;
    if (tx->judged && echo > tx->reo_since) {
        tx->reo_episodes = STREAM_REO_EPISODES;
        tx->reo_since = tx->link->stamp;
        tx->judged = false;
        if (reo_wnd(tx) < tx->link->rtt.srtt_us)
            tx->reo_steps++;
    }
    return true;
}

static void take_echo(struct stream_tx *tx, uint64_t now_us, const struct wire_sack *s,
                      uint64_t echo)
{
    if (echo == 0)
        return;
    unsigned arrived = flight_until(&tx->flight, echo);
    for (unsigned i = 0; i < arrived; i++) {
        const struct flight_piece *p = flight_at(&tx->flight, i);
        bool whole = p->stamp == echo || (!p->again && p->off + p->len <= s->contig);
        if (whole && !p->merged && p->len > tx->arrived_max)
            tx->arrived_max = p->len;
    }
    if (echo <= tx->rack)
        return;
    tx->rack = echo;
    tx->rack_at = now_us;
    /* A full list of ranges may leave out some above them. */
    tx->known = UINT64_MAX;
    if (s->n == WIRE_SACK_RANGES)
        tx->known = s->contig + s->ranges[s->n - 1].start + s->ranges[s->n - 1].len;
}

/* What the receiver has from before counts as sent; what is missing between, as lost. */
static void resume(struct stream_tx *tx, const struct wire_sack *s)
{
    uint64_t top = 0; /* above contig */
    for (unsigned i = 0; i < s->n && i < WIRE_SACK_RANGES; i++)
        top = max_u64(top, (uint64_t)s->ranges[i].start + s->ranges[i].len);
    if (s->contig > tx->end || top > tx->end - s->contig)
        return;
    tx->una = s->contig;
    tx->nxt = s->contig + top;
    if (top > 0)
        (void)ranges_add(&tx->lost, tx->una, tx->nxt);
}

bool stream_tx_ack(struct stream_tx *tx, uint64_t now_us, const struct wire_sack *s, uint64_t echo)
{
    if (tx->cfg.resumes && !tx->heard && tx->nxt == 0)
        resume(tx, s);
    if (!sane(tx, s))
        return false;
    struct cwnd_ack a = {.now_us = now_us,
                         .in_flight = stream_tx_in_flight(tx),
                         .echo = echo,
                         .newest = tx->link->stamp};
    uint64_t before = tx->una + tx->acked.bytes;
    uint64_t spurious = tx->stats.spurious;
    bool needless = take_spurious(tx, s->spurious, echo);
    a.found = (tx->stats.spurious - spurious) * tx->cwnd.mss;
    take_echo(tx, now_us, s, echo);
    if (s->contig > tx->una) {
        measure_answer(tx, now_us, echo, needless);
        una_moves(tx, now_us, s->contig);
        tx->una_echo = max_u64(tx->una_echo, echo);
    } else if (s->contig < tx->una && echo > tx->una_echo) {
        tx->fell = true;
    }
    for (unsigned i = 0; i < s->n; i++) {
        uint64_t start = s->contig + s->ranges[i].start;
        uint64_t end = start + s->ranges[i].len;
        /* If there is no room to note it, its bytes are only sent once more. */
        if (start > tx->una && ranges_add(&tx->acked, start, end) && tx->lost.n > 0)
            ranges_remove(&tx->lost, start, end);
    }
    uint64_t edge = add_capped(s->contig, s->rwnd);
    tx->edge = tx->heard ? max_u64(tx->edge, edge) : edge;
    tx->heard = true;
    uint64_t after = tx->una + tx->acked.bytes;
    a.bytes = after > before ? after - before : 0;
    cwnd_acked(&tx->cwnd, &tx->link->rtt, &a);
    find_lost(tx, now_us);
    return true;
}
