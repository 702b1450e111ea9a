/* note.c: what happened, as a hash, as a ring of the last events, as lines for a person. */
#include <stdlib.h>
#include <string.h>

#include "raftd/node/changes.h"
#include "raftd/serve/status_text.h"
#include "tests/sim/impl.h"

const char *sim_fault_name(enum sim_fault f)
{
#define SIM_FAULT_TEXT(name, text) text,
    static const char *const names[] = {SIM_FAULTS(SIM_FAULT_TEXT)};
    return names[f];
}

void sim_mix(struct sim *s, uint64_t v)
{
    uint64_t h = (s->t.hash ^ v) * 0x9e3779b97f4a7c15u;
    s->t.hash = h ^ h >> 31;
}

static void frames_text(FILE *f, uint64_t frames)
{
    static const char *const names[] = {
        "",         "VOTE_REQ", "VOTE_RSP",    "PROBE",    "PROBE_ACK", "LEAD",    "ACK", "PING",
        "READ_REQ", "READ_RSP", "TIMEOUT_NOW", "TRANSFER", "",          "",        "",    "",
        "SACK",     "LOG",      "RELAY",       "DAMAGED",  "OFFER",     "SNAPSHOT"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (frames >> i & 1)
            fprintf(f, " %s", names[i]);
}

static void event_text(FILE *f, const struct note *n)
{
    static const char *const results[] = {
        "ok",       "no key",  "no leader", "unknown", "too large", "busy",    "bad",
        "stopping", "not yet", "full",      "refused", "disk full", "log full"};
    static const char *const steps[] = {"snapshot read from", "snapshot begins at",
                                        "snapshot written from", "snapshot installed:"};
    static const char *const ops[] = {"put", "delete", "transaction", "get", "list", "scan"};
    static const char *const stops[] = {"power cut, nothing unsynced kept",
                                        "power cut, all unsynced kept", "power cut", "killed"};
    switch (n->kind) {
    case NOTE_CLOSED: fprintf(f, "told that nobody listens where %" PRIu64 " is", n->a); break;
    case NOTE_DATAGRAM:
        fprintf(f, "from %" PRIu64 ":", n->a);
        frames_text(f, n->b);
        fprintf(f, ", %" PRIu64 " bytes", n->c);
        break;
    case NOTE_DISK:
        fprintf(f, "disk: batch %" PRIu64 ", term %" PRIu64 ", to %" PRIu64, n->a, n->b, n->c);
        break;
    case NOTE_FETCH:
        fprintf(f, "disk: fetch for %" PRIu64 " from %" PRIu64 ": %" PRId64 " bytes", n->a, n->b,
                (int64_t)n->c);
        break;
    case NOTE_IMAGE: fprintf(f, "disk: snapshot %" PRIu64 ", %" PRIu64 " bytes", n->a, n->b); break;
    case NOTE_DROP: fprintf(f, "disk: log below %" PRIu64 " goes", n->a); break;
    case NOTE_SNAP: fprintf(f, "disk: %s %" PRIu64, steps[n->a], n->b); break;
    case NOTE_WAKE: fprintf(f, "deadline"); break;
    case NOTE_SUBMIT:
        fprintf(f, "client: %s #%" PRIu64 " key %" PRIu64, ops[n->b], n->a, n->c);
        break;
    case NOTE_ANSWER:
        fprintf(f, "answer: #%" PRIu64 " %s, revision %" PRIu64, n->a, results[n->b], n->c);
        break;
    case NOTE_READ:
        fprintf(f, "answer: #%" PRIu64 " read at %" PRIu64 ", had to see %" PRIu64, n->a, n->b,
                n->c);
        break;
    case NOTE_LOST_OP: fprintf(f, "client gives up #%" PRIu64, n->a); break;
    case NOTE_BOOT:
        fprintf(f, "starts, term %" PRIu64 " vote %" PRIu64 " last %" PRIu64, n->a, n->b, n->c);
        break;
    case NOTE_BOOT_FAILED: fprintf(f, "cannot start: error %" PRIu64, n->a); break;
    case NOTE_DOWN: fprintf(f, "down: %s", stops[n->a]); break;
    case NOTE_FAULT: fprintf(f, "FAULT %s", sim_fault_name((enum sim_fault)n->a)); break;
    case NOTE_CUT:
        fprintf(f, "network: %s %" PRIu64 "%s", sim_fault_name((enum sim_fault)n->c), n->a,
                n->b ? " cut" : "");
        break;
    case NOTE_HEAL: fprintf(f, "network heals"); break;
    case NOTE_MEMBERS:
        fprintf(f, "members: %s", n->a == RAFT_TAKEN ? "taken" : changes_words((unsigned)n->a));
        break;
    case NOTE_WISH:
        fprintf(f, "members: wish for node %" PRIu64 " %s, entry %" PRIu64, n->a, results[n->b],
                n->c);
        break;
    case NOTE_PHASE: fprintf(f, "PHASE %" PRIu64, n->a); break;
    case NOTE_FULL: fprintf(f, "disk: no room for batch %" PRIu64, n->a); break;
    case NOTE_HANDOVER:
        fprintf(f, n->b ? "is drained" : "is asked to hand over to %" PRIu64, n->a);
        break;
    }
}

/* Time in seconds; for each node role, term, last and commit index; who; what. */
static void line(const struct sim *s, FILE *f, const struct note *n)
{
    fprintf(f, "%11.6f ", (double)n->at / 1e6);
    for (unsigned i = 0; i < s->o.nodes; i++) {
        if (n->col[i].up)
            fprintf(f, "|%c %3u %5" PRIu64 "/%-5" PRIu64, "fpcL"[n->col[i].role], n -> col[i].term,
                    n->col[i].last, n->col[i].commit);
        else
            fprintf(f, "|-%*s", 16, "");
    }
    fprintf(f, "| %u ", n->node + 1);
    event_text(f, n);
    putc('\n', f);
}

void sim_note(struct sim *s, enum note_kind kind, unsigned node, uint64_t a, uint64_t b, uint64_t c)
{
    struct note *n = &s->notes[s->n_notes++ % NOTES];
    n->at = s->now;
    n->kind = kind;
    n->node = node;
    n->a = a;
    n->b = b;
    n->c = c;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        const struct sim_node *m = &s->m[i];
        n->col[i].up = m->up;
        if (m->up) {
            const struct raft *r = node_raft(m->node);
            n->col[i].role = (uint8_t)r->role;
            n->col[i].term = (uint32_t)r->term;
            n->col[i].last = r->trail.last;
            n->col[i].commit = r->commit_index;
        }
    }
    sim_mix(s, n->at ^ (uint64_t)kind << 56 ^ (uint64_t)node << 48);
    sim_mix(s, a ^ b << 24 ^ c << 44);
    if (s->o.trace != NULL)
        line(s, s->o.trace, n);
}

static void print_node(const struct sim *s, const struct sim_node *m, FILE *f)
{
    char *text = NULL;
    size_t len;
    struct status st = {0};
    fprintf(f, "node %u: %s%s%s%s, disk: term %" PRIu64 " vote %u last %" PRIu64 "\n", m->at + 1,
            m->up ? "up" : "down", m->dead ? ", for good" : "", m->rot ? ", rotten" : "",
            m->full ? ", disk full" : "", m->hard.term, m->hard.vote,
            m->hard.tip != NULL ? m->hard.tip->index : 0);
    if (!m->up)
        return;
    node_status(m->node, sim_local(m, s->now), &st);
    FILE *lines = open_memstream(&text, &len);
    if (lines == NULL)
        return;
    status_print(lines, &st, sim_local(m, s->now), false);
    (void)fclose(lines);
    for (size_t c = 0; c < len; c++)
        if (text[c] == '\n')
            text[c] = ' ';
    fprintf(f, "  %s\n", text);
    free(text);
}

void sim_print(const struct sim *s, FILE *f)
{
    enum { LINES = 30 };
    fprintf(f, "last events (time, nodes as role term last/commit, node, what):\n");
    for (uint64_t i = s->n_notes > LINES ? s->n_notes - LINES : 0; i < s->n_notes; i++)
        line(s, f, &s->notes[i % NOTES]);
    for (unsigned i = 0; i < s->o.nodes; i++)
        print_node(s, &s->m[i], f);
    const struct members *conf = sim_conf(s->committed[s->n_committed])->members;
    static const char *const standings[] = {"", "voter", "learner", "joining"};
    for (unsigned i = 0; s->o.members_us != 0 && i < conf->n; i++)
        fprintf(f, "member %u: %s, disk %" PRIu64 ", there is %" PRIu64 "\n", conf->m[i].id,
                standings[conf->m[i].standing], member_incarnation(&conf->m[i]) & 0xffff,
                sim_disk_of(&s->m[conf->m[i].id - 1u]) & 0xffff);
    fprintf(f, "%u operations pending, %" PRIu64 " entries committed\n", sim_pending(s),
            s->n_committed);
}
