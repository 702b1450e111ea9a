/* member.c: asks for a change of the members. */
#include <string.h>

#include "raftd/base/exits.h"
#include "raftd/base/member_change.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/tool/raftctl.h"

_Static_assert((int)MEMBER_ID_MAX == (int)CONF_ID_MAX, "the same ids");

const char member_usage[] = " add ID ADDRESS[,ADDRESS] [--learner]\n"
                            "         member remove ID [--force]\n"
                            "         member replace ID\n"
                            "         member set ID [address=ADDRESS[,ADDRESS]] [priority=N]";

const char member_what[] =
    "change the members of the cluster, at any node: add a box made with\n"
    "          raftd --init --join (--learner: it gets the data and never\n"
    "          counts), take one out, take one back that has an empty disk, or\n"
    "          give one another address or priority (0: it never leads)";

static const struct op {
    const char *name;
    enum member_op op;
    int words_min, words_max; /* behind the name */
    unsigned flags;           /* options that it takes, ARG_* */
} ops[] = {
    {"add", MEMBER_ADD, 2, 2, ARG_LEARNER},
    {"remove", MEMBER_REMOVE, 1, 1, ARG_FORCE},
    {"replace", MEMBER_REPLACE, 1, 1, 0},
    {"set", MEMBER_SET, 2, 3, 0},
};

/* One address, or two with a comma between them. */
static void take_addresses(struct member_change *c, const char *text)
{
    for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
        size_t len = strcspn(text, ",");
        if (len >= MEMBER_ADDR_BYTES)
            say_fatal(RAFTCTL_EXIT_USAGE, "an address has at most %d bytes", MEMBER_ADDR_BYTES - 1);
        memcpy(c->addr[i], text, len);
        if (len > 0 && !member_address_valid(c->addr[i]))
            say_fatal(RAFTCTL_EXIT_USAGE,
                      "%s is no address; write NAME:PORT, a.b.c.d:PORT or [v6]:PORT", c->addr[i]);
        text += len;
        if (*text == '\0')
            return;
        text++;
    }
    say_fatal(RAFTCTL_EXIT_USAGE, "a member has at most %d addresses", MEMBER_ADDRS);
}

/* "address=..." or "priority=..." */
static void take_field(struct member_change *c, const char *word)
{
    uint64_t priority;
    if (strncmp(word, "address=", strlen("address=")) == 0) {
        take_addresses(c, word + strlen("address="));
        c->flags |= MEMBER_CHANGE_ADDRESS;
    } else if (strncmp(word, "priority=", strlen("priority=")) == 0) {
        if (!num_parse(word + strlen("priority="), 0, UINT8_MAX, &priority))
            say_fatal(RAFTCTL_EXIT_USAGE, "a priority is 0 to %d", UINT8_MAX);
        c->priority = (uint8_t)priority;
        c->flags |= MEMBER_CHANGE_PRIORITY;
    } else {
        say_fatal(RAFTCTL_EXIT_USAGE, "%s: what is set is address=ADDRESS or priority=N", word);
    }
}

static const struct op *op_of(const char *word)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(ops[i].name, word) == 0)
            return &ops[i];
    say_fatal(RAFTCTL_EXIT_USAGE, "member %s: it is add, remove, replace or set", word);
}

static struct member_change parse(const struct args *a)
{
    uint64_t id;
    struct member_change c = {0};
    const struct op *op = op_of(a->words[0]);
    int words = a->n_words - 1;
    if (words < op->words_min || words > op->words_max || (a->flags & ~op->flags) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "member %s: wrong usage; raftctl member --help shows it",
                  op->name);
    if (!num_parse(a->words[1], 1, MEMBER_ID_MAX, &id))
        say_fatal(RAFTCTL_EXIT_USAGE, "%s is no id of a node: 1 to %d", a->words[1], MEMBER_ID_MAX);
    c.op = (uint8_t)op->op;
    c.id = (uint16_t)id;
    c.flags |= (a->flags & ARG_LEARNER) != 0 ? MEMBER_CHANGE_LEARNER : 0;
    c.flags |= (a->flags & ARG_FORCE) != 0 ? MEMBER_CHANGE_FORCE : 0;
    if (c.op == MEMBER_ADD)
        take_addresses(&c, a->words[2]);
    for (int k = 2; c.op == MEMBER_SET && k < a->n_words; k++)
        take_field(&c, a->words[k]);
    return c;
}

void run_member(struct tool *t, const struct args *a)
{
    struct member_change c = parse(a);
    uint8_t key[MEMBER_CHANGE_BYTES_MAX];
    struct proto_request r = {.op = PROTO_MEMBER, .timeout_ms = t->timeout_ms, .key = key};
    struct ctl_answer answer;
    r.key_len = (uint16_t)member_change_encode(&c, key);
    tool_call(t, &r, &answer);
    ctl_answer_free(&answer);
    if (c.op == MEMBER_ADD || c.op == MEMBER_REPLACE)
        say_info("node %u gets the data now%s; 'raftctl members' shows how far it is", c.id,
                 (c.flags & MEMBER_CHANGE_LEARNER) != 0 ? ""
                                                        : " and then becomes a voter by itself");
}
