// LINK: raftd/node/happened.c raftd/node/health.c tests/lib/last_words.c @core @base
/* test_happened.c: what events follow from one status after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/node/happened.h"
#include "raftd/node/health.h"
#include "tests/lib/last_words.h"

#define SECOND UINT64_C(1000000)

/* Node 1 of three follows node 2, and hears both others. */
static struct status calm(void)
{
    struct status s = {
        .now_us = 100 * SECOND,
        .start_us = 90 * SECOND,
        .id = 1,
        .standing = RAFT_VOTER,
        .role = RAFT_FOLLOWER,
        .term = 5,
        .leader = 2,
        .key_id = 7,
        .n_peers = 2,
        .n_links = 3,
    };
    for (unsigned i = 0; i < 3; i++)
        s.links[i].id = (uint16_t)(i + 1);
    for (unsigned i = 0; i < 2; i++)
        s.peers[i] = (struct status_peer){
            .id = (uint16_t)(i + 2), .standing = RAFT_VOTER, .heard_us = s.now_us};
    return s;
}

static void silent(struct status *s, unsigned peer, bool is)
{
    s->peers[peer].loss_in_permille = is ? 1000 : 3;
}

static char words[2048];

/* The events that this status makes, as "kind kind@node ...". */
static const char *makes(struct happened *h, struct status *s)
{
    uint64_t before = h->end;
    size_t len = 0;
    words[0] = '\0';
    s->now_us += SECOND;
    bool news = happened_take(h, s);
    assert_true(news == (h->end != before));
    for (uint64_t seq = before + 1; before != 0 && seq <= h->end; seq++) {
        const struct event *e = happened_event(h, seq);
        assert_true(e->seq == seq && e->boot_us == s->now_us && e->term == s->term);
        assert_true(e->leader == s->leader && e->state == 0);
        assert_string_equal(e->role, raft_role_name(s->role));
        len += (size_t)snprintf(words + len, sizeof words - len, len > 0 ? " %s" : "%s",
                                event_kind_name(e->kind));
        if (e->node != 0)
            len += (size_t)snprintf(words + len, sizeof words - len, "@%u", e->node);
    }
    return words;
}

#define MAKES(h, s, want) assert_string_equal(makes(h, s), want)

static void test_first(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    assert_true(happened_take(&h, &s));
    assert_true(h.start == s.start_us + 1 && h.end == h.start); /* how things are is no event */
    MAKES(&h, &s, "");
    s.leader = 3;
    s.term = 6;
    MAKES(&h, &s, "leader-changed");
    assert_int_equal(h.end, s.start_us + 2);
}

static void test_leader(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    (void)makes(&h, &s);
    s.role = RAFT_PRE_CANDIDATE;
    s.leader = 0;
    s.why = RAFT_WHY_SILENCE;
    MAKES(&h, &s, "leader-none");
    assert_string_equal(happened_event(&h, h.end)->why, "the leader was silent");
    s.role = RAFT_CANDIDATE;
    s.term = 6;
    MAKES(&h, &s, ""); /* a term without a leader is no news */
    s.role = RAFT_LEADER;
    s.leader = 1;
    MAKES(&h, &s, "leader-gained");
    s.role = RAFT_FOLLOWER;
    s.leader = 0;
    s.why = RAFT_WHY_HIGHER_TERM;
    s.term = 7;
    MAKES(&h, &s, "leader-lost leader-none");
    assert_string_equal(happened_event(&h, h.end - 1)->why, "a higher term was seen");
    s.leader = 3;
    MAKES(&h, &s, "leader-changed");
    assert_string_equal(happened_event(&h, h.end)->why, "");
    s.term = 8; /* the same one, elected anew */
    MAKES(&h, &s, "leader-changed");
    s.term = 9;
    s.leader = 0;
    MAKES(&h, &s, "leader-none");
    s.role = RAFT_LEADER;
    s.leader = 1;
    MAKES(&h, &s, "leader-gained");
    s.term = 11; /* it lost the lead, and has it again, between two looks */
    MAKES(&h, &s, "leader-lost leader-gained");
    s.role = RAFT_FOLLOWER;
    s.term = 12;
    s.leader = 2;
    MAKES(&h, &s, "leader-lost leader-changed");
}

static void test_quorum(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    s.role = RAFT_LEADER;
    s.leader = 1;
    (void)makes(&h, &s);
    silent(&s, 0, true);
    MAKES(&h, &s, "member-silent@2");
    silent(&s, 0, false);
    MAKES(&h, &s, "member-back@2");
    /* It steps down, and knows at once; the peers were heard a moment ago, which is no sign of life. */
    s.role = RAFT_FOLLOWER;
    s.leader = 0;
    s.why = RAFT_WHY_LOST_QUORUM;
    MAKES(&h, &s, "leader-lost leader-none quorum-lost");
    s.role = RAFT_PRE_CANDIDATE;
    s.why = RAFT_WHY_SILENCE;
    MAKES(&h, &s, "");
    silent(&s, 0, true);
    silent(&s, 1, true);
    MAKES(&h, &s, "member-silent@2 member-silent@3");
    silent(&s, 1, false);
    s.peers[1].heard_us = s.now_us;
    MAKES(&h, &s, "quorum-back member-back@3");
    silent(&s, 1, true);
    MAKES(&h, &s, "quorum-lost member-silent@3");
    s.leader = 3; /* a leader that is followed has one */
    silent(&s, 1, false);
    MAKES(&h, &s, "leader-changed quorum-back member-back@3");
    /* A leader that can't commit. */
    s.role = RAFT_LEADER;
    s.leader = 1;
    MAKES(&h, &s, "leader-gained");
    s.uncommitted_us = STATUS_UNCOMMITTED_US - 1;
    MAKES(&h, &s, "");
    s.uncommitted_us++;
    MAKES(&h, &s, "quorum-lost");
    s.uncommitted_us = 0;
    MAKES(&h, &s, "quorum-back");
}

static bool quorum(const struct status *s)
{
    struct happened h = {0};
    (void)happened_take(&h, s);
    return h.state.quorum;
}

/* Only voters make a majority. */
static void test_quorum_of_voters(void **state)
{
    (void)state;
    struct status s = calm();
    s.leader = 0;
    assert_true(quorum(&s));
    silent(&s, 0, true);
    assert_true(quorum(&s));
    s.peers[1].standing = RAFT_LEARNER; /* two voters, and one of them is silent */
    assert_false(quorum(&s));
    s.standing = RAFT_LEARNER; /* one voter: that one */
    assert_false(quorum(&s));
    silent(&s, 0, false);
    assert_true(quorum(&s));
    s.n_links = 0;
    assert_false(quorum(&s)); /* no members are known */
}

static void test_members(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    (void)makes(&h, &s);
    s.n_peers = 3;
    s.peers[2] = (struct status_peer){.id = 9, .standing = RAFT_LEARNER};
    s.links[s.n_links++].id = 9;
    MAKES(&h, &s, "member-added@9 member-back@9");
    s.peers[2].heard_us = s.now_us; /* until now nobody knew */
    MAKES(&h, &s, "member-back@9");
    s.peers[2].standing = RAFT_JOINING;
    MAKES(&h, &s, "");
    s.peers[2].standing = RAFT_VOTER;
    MAKES(&h, &s, "member-promoted@9");
    silent(&s, 2, true);
    MAKES(&h, &s, "member-silent@9");
    s.n_links--;
    s.n_peers--;
    MAKES(&h, &s, "member-removed@9");
    s.n_links++; /* without a place for it as a peer: no memory */
    MAKES(&h, &s, "member-added@9 member-silent@9");
    s.standing = RAFT_LEARNER; /* this node itself */
    MAKES(&h, &s, "member-added@1");
    s.standing = RAFT_VOTER;
    MAKES(&h, &s, "member-promoted@1");
}

static void test_directories(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    s.n_members = 3;
    for (unsigned i = 0; i < 3; i++)
        s.members[i] = (struct status_member){.id = (uint16_t)(i + 1)};
    (void)makes(&h, &s);
    s.members_index = 2; /* the first configuration names those that were met until then */
    s.members[0].incarnation = 11;
    s.members[1].incarnation = 12;
    MAKES(&h, &s, "");
    s.members[2].incarnation = 13;
    MAKES(&h, &s, "member-directory@3");
    assert_string_equal(happened_event(&h, h.end)->why,
                        "it was not known, so whoever came first is taken for it");
    MAKES(&h, &s, "");
    s.members[2].incarnation = 14;
    s.members[0].incarnation = 15; /* ours: another box has taken our place */
    MAKES(&h, &s, "member-directory@1 member-directory@3");
    assert_string_equal(happened_event(&h, h.end)->why,
                        "another data directory has taken its place");
    s.n_members = s.n_links = 2;
    MAKES(&h, &s, "member-removed@3");
    s.n_members = s.n_links = 3; /* it is added again, and was not there yet */
    s.members[2].incarnation = 0;
    MAKES(&h, &s, "member-promoted@3 member-back@3");
    s.members[2].incarnation = 16;
    MAKES(&h, &s, "member-directory@3");
}

static void test_rest(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    (void)makes(&h, &s);
    s.disk_slow = 1;
    MAKES(&h, &s, "disk-slow");
    s.disk_full = 1;
    MAKES(&h, &s, "disk-full");
    s.disk_full = 0;
    MAKES(&h, &s, "disk-slow");
    s.disk_slow = 0;
    MAKES(&h, &s, "disk-ok");
    s.disk_pending_us = HEALTH_DISK_HANGS_US; /* it hangs */
    MAKES(&h, &s, "disk-slow");
    s.disk_pending_us = 0;
    MAKES(&h, &s, "disk-ok");
    s.install_of_bytes = 9;
    s.disk_min_free = 1; /* a snapshot waits for room */
    MAKES(&h, &s, "disk-full");
    s.disk_free = 1;
    MAKES(&h, &s, "disk-ok");
    s.doubt = STATUS_DOUBT_DAMAGED;
    MAKES(&h, &s, "doubt");
    s.doubt = STATUS_DOUBT_ACKNOWLEDGED;
    MAKES(&h, &s, "doubt");
    assert_string_equal(happened_event(&h, h.end)->why, "its disk has lost what it had promised");
    s.doubt = STATUS_DOUBT_NONE;
    s.differs_index = 12;
    MAKES(&h, &s, "doubt");
    s.differs_index = 0;
    MAKES(&h, &s, "healed");
    s.next_key_id = 8;
    MAKES(&h, &s, "key-changed");
    s.key_id = 8;
    s.next_key_id = 0;
    MAKES(&h, &s, "key-changed");
    s.keys = 100; /* what is no event */
    s.commit_index = 5;
    MAKES(&h, &s, "");
}

/* What the leader says of itself. */
static void test_of_leader(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    (void)makes(&h, &s);
    s.leader_health = HEALTH_DISK_SLOW;
    MAKES(&h, &s, "disk-slow");
    assert_string_equal(happened_event(&h, h.end)->why, "the leader's");
    s.leader_health = HEALTH_DISK_FULL;
    MAKES(&h, &s, "disk-full");
    s.no_room = 1;
    MAKES(&h, &s, "");
    s.leader_health = HEALTH_OK;
    MAKES(&h, &s, "");
    s.no_room = 0;
    MAKES(&h, &s, "disk-ok");
    assert_string_equal(happened_event(&h, h.end)->why, "");
    s.leader_health = HEALTH_NO_QUORUM;
    MAKES(&h, &s, "quorum-lost");
    assert_string_equal(happened_event(&h, h.end)->why, "the leader says that it commits nothing");
    s.leader_health = HEALTH_IN_DOUBT;
    MAKES(&h, &s, "");
    s.leader = 3;
    s.leader_health = HEALTH_UNKNOWN;
    MAKES(&h, &s, "leader-changed quorum-back");
}

/* So many are remembered, and the numbers of others are known not to be. */
static void test_kept(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    (void)makes(&h, &s);
    assert_true(happened_knows(&h, h.start));
    assert_false(happened_knows(&h, h.start - 1) || happened_knows(&h, h.end + 1));
    for (unsigned i = 0; i < 3 * HAPPENED_KEPT; i++) {
        s.term++;
        MAKES(&h, &s, "leader-changed");
    }
    assert_true(happened_knows(&h, h.end) && happened_knows(&h, h.end - HAPPENED_KEPT));
    assert_false(happened_knows(&h, h.end - HAPPENED_KEPT - 1) || happened_knows(&h, h.end + 1));
    for (unsigned i = 0; i < HAPPENED_KEPT; i++)
        assert_int_equal(happened_event(&h, h.end - i)->term, s.term - i);
}

static void test_lines(void **state)
{
    (void)state;
    struct happened h = {0};
    struct status s = calm();
    struct event lines[HAPPENED_LINES];
    char text[512] = "";
    s.peers[1].standing = RAFT_LEARNER;
    silent(&s, 1, true);
    s.why = RAFT_WHY_SILENCE; /* of an election long ago */
    (void)makes(&h, &s);
    unsigned n = happened_lines(&h.state, lines);
    for (unsigned i = 0; i < n; i++) {
        size_t len = strlen(text);
        assert_int_equal(lines[i].state, n - i);
        assert_string_equal(lines[i].why, "");
        snprintf(text + len, sizeof text - len, "%s@%u ", event_kind_name(lines[i].kind),
                 lines[i].node);
    }
    assert_string_equal(text, "leader-lost@0 leader-changed@0 quorum-back@0 disk-ok@0 healed@0 "
                              "member-promoted@1 member-promoted@2 member-back@2 "
                              "member-added@3 member-silent@3 ");
    s.role = RAFT_LEADER;
    s.leader = 1;
    (void)makes(&h, &s);
    assert_int_equal(happened_lines(&h.state, lines), n - 1);
    assert_int_equal(lines[0].kind, EVENT_LEADER_GAINED);
    /* The longest one. */
    s.role = RAFT_FOLLOWER;
    s.n_links = RAFT_MEMBERS_MAX;
    for (unsigned i = 0; i < RAFT_MEMBERS_MAX; i++)
        s.links[i].id = (uint16_t)(i + 2); /* this node is none of them */
    (void)makes(&h, &s);
    assert_int_equal(happened_lines(&h.state, lines), HAPPENED_LINES);
}

static unsigned roll(unsigned n)
{
    return (unsigned)rand() % n;
}

/* A status that differs from the one before in something, however little sense it makes. */
static void change(struct status *s)
{
    struct status_peer *p = &s->peers[roll(3)];
    switch (roll(9)) {
    case 0:
        s->role = (enum raft_role)roll(4);
        s->leader = s->role == RAFT_LEADER     ? 1
                    : s->role == RAFT_FOLLOWER ? (uint16_t)(roll(3) * 2)
                                               : 0;
        s->term += roll(2);
        s->why = (enum raft_why)roll(RAFT_WHY_COUNT);
        break;
    case 1: p->loss_in_permille = roll(2) ? 1000 : 0; break;
    case 2: p->heard_us = s->now_us; break;
    case 3: p->standing = (enum raft_standing)roll(4); break;
    case 4: s->n_links = 1 + roll(4); break;
    case 5: s->disk_full = (uint8_t)roll(2); break;
    case 6: s->disk_slow = (uint8_t)roll(2); break;
    case 7: s->doubt = (enum status_doubt)roll(3); break;
    case 8: s->uncommitted_us = roll(2) * STATUS_UNCOMMITTED_US; break;
    }
}

/* Whatever happens: who heard the state once, and then the events, knows the state. */
static void test_last_words(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        struct happened h = {0};
        struct last_words told = {.n = 0};
        struct event lines[HAPPENED_LINES];
        struct status s = calm();
        srand(seed);
        s.n_peers = 3;
        s.peers[2] = (struct status_peer){.id = 4};
        s.links[3].id = 4;
        (void)makes(&h, &s);
        unsigned n = happened_lines(&h.state, lines);
        for (unsigned i = 0; i < n; i++)
            last_words_take(&told, &lines[i]);
        for (unsigned step = 0; step < 200; step++) {
            uint64_t before = h.end;
            for (unsigned i = roll(4); i > 0; i--)
                change(&s);
            s.now_us += roll(SECOND);
            (void)happened_take(&h, &s);
            for (uint64_t seq = before + 1; seq <= h.end; seq++)
                last_words_take(&told, happened_event(&h, seq));
            const char *other = last_words_differ(&told, &h.state);
            if (other != NULL)
                fail_msg("seed %u, step %u: %s is not the last word", seed, step, other);
        }
    }
}

static void test_kinds(void **state)
{
    (void)state;
    for (unsigned k = 0; k < EVENT_KINDS; k++) {
        const char *name = event_kind_name((enum event_kind)k);
        assert_int_equal(event_kind_of(name, strlen(name)), k);
        assert_int_equal(event_kind_of(name, strlen(name) - 1), EVENT_KINDS);
    }
    struct event lost = {.kind = EVENT_LEADER_LOST}, none = {.kind = EVENT_LEADER_NONE};
    struct event gained = {.kind = EVENT_LEADER_GAINED}, full = {.kind = EVENT_DISK_FULL};
    struct event added = {.kind = EVENT_MEMBER_ADDED, .node = 3};
    struct event silent3 = {.kind = EVENT_MEMBER_SILENT, .node = 3};
    struct event back2 = {.kind = EVENT_MEMBER_BACK, .node = 2};
    assert_false(event_overtakes(&none, &lost)); /* a script that has to let go must be told so */
    assert_true(event_overtakes(&gained, &lost) && event_overtakes(&gained, &none));
    assert_true(event_overtakes(&lost, &gained));
    assert_false(event_overtakes(&none, &gained) || event_overtakes(&full, &none));
    assert_false(event_overtakes(&added, &silent3) || event_overtakes(&back2, &silent3));
    back2.node = 3;
    assert_true(event_overtakes(&back2, &silent3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),       cmocka_unit_test(test_leader),
        cmocka_unit_test(test_quorum),      cmocka_unit_test(test_quorum_of_voters),
        cmocka_unit_test(test_directories), cmocka_unit_test(test_members),
        cmocka_unit_test(test_rest),        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_lines),       cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_of_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
