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
    int words_min, words_max; /* behind the name */
    unsigned flags;           /* options that it takes, ARG_* */
} ops[] = {
    {"add", 2, 2, ARG_LEARNER},
    {"remove", 1, 1, ARG_FORCE},
    {"replace", 1, 1, 0},
    {"set", 2, 3, 0},
};

/* Adds one address, or two with a comma between them, after a look at them. */
static void add_addresses(struct ctl_words *w, const char *text)
{
    const char *rest = text;
    for (unsigned i = 0; i < MEMBER_ADDRS; i++) {
        char address[MEMBER_ADDR_BYTES] = "";
        size_t len = strcspn(rest, ",");
        if (len >= sizeof address)
            say_fatal(RAFTCTL_EXIT_USAGE, "an address has at most %d bytes", MEMBER_ADDR_BYTES - 1);
        memcpy(address, rest, len);
        if (!member_address_valid(address))
            say_fatal(RAFTCTL_EXIT_USAGE,
                      "'%s' is no address; write NAME:PORT, a.b.c.d:PORT or [v6]:PORT", address);
        rest += len;
        if (*rest == '\0') {
            ctl_add_text(w, text);
            return;
        }
        rest++;
    }
    say_fatal(RAFTCTL_EXIT_USAGE, "a member has at most %d addresses", MEMBER_ADDRS);
}

/* Adds "address=..." or "priority=..." */
static void add_field(struct ctl_words *w, const char *word)
{
    uint64_t priority;
    if (strncmp(word, "address=", strlen("address=")) == 0) {
        ctl_add_text(w, "ADDRESS");
        add_addresses(w, word + strlen("address="));
    } else if (strncmp(word, "priority=", strlen("priority=")) == 0) {
        word += strlen("priority=");
        if (!num_parse(word, 0, UINT8_MAX, &priority))
            say_fatal(RAFTCTL_EXIT_USAGE, "a priority is 0 to %d", UINT8_MAX);
        ctl_add_text(w, "PRIORITY");
        ctl_add_text(w, word);
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

static void make_question(struct question *q, const struct args *a)
{
    uint64_t id;
    const struct op *op = op_of(a->words[0].at);
    int words = a->n_words - 1;
    if (words < op->words_min || words > op->words_max || (a->flags & ~op->flags) != 0)
        say_fatal(RAFTCTL_EXIT_USAGE, "member %s: wrong usage; raftctl member --help shows it",
                  op->name);
    if (!num_parse(a->words[1].at, 1, MEMBER_ID_MAX, &id))
        say_fatal(RAFTCTL_EXIT_USAGE, "%s is no id of a node: 1 to %d", a->words[1].at,
                  MEMBER_ID_MAX);
    ctl_add_text(&q->words, "RAFT.MEMBER");
    ctl_add_text(&q->words, op->name);
    ctl_add_text(&q->words, a->words[1].at);
    if (strcmp(op->name, "add") == 0)
        add_addresses(&q->words, a->words[2].at);
    for (int k = 2; strcmp(op->name, "set") == 0 && k < a->n_words; k++)
        add_field(&q->words, a->words[k].at);
    if ((a->flags & ARG_LEARNER) != 0)
        ctl_add_text(&q->words, "LEARNER");
    if ((a->flags & ARG_FORCE) != 0)
        ctl_add_text(&q->words, "FORCE");
}

void run_member(struct tool *t, const struct args *a)
{
    struct question q = {.asked = CHANGES};
    make_question(&q, a);
    freeReplyObject(tool_call(t, &q));
    if (strcmp(a->words[0].at, "add") == 0 || strcmp(a->words[0].at, "replace") == 0)
        say_info("node %s gets the data now%s; 'raftctl members' shows how far it is",
                 a->words[1].at,
                 (a->flags & ARG_LEARNER) != 0 ? "" : " and then becomes a voter by itself");
}
