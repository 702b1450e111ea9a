/* conf.c: see conf.h. One table describes every key; parsing, checking, defaults, printing and the
 * "allowed:" part of messages all come from it.
 */
#include "raftd/conf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftd/conf_addr.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "raftd/state/cmd.h"
#include "raftd/state/kv.h"

enum conf_type {
    CONF_U32,   /* decimal, min..max */
    CONF_OCTAL, /* permission bits, min..max */
    CONF_LEVEL, /* a word of level_words */
    CONF_NAME,  /* printable, no blank; max = bytes */
    CONF_PATH,  /* absolute; may hold {id} and blanks; max = bytes */
    CONF_LOCAL, /* "127.0.0.1:port" or another address of this machine alone; max = bytes */
};

struct conf_key {
    const char *section;
    const char *key;
    enum conf_type type;
    uint32_t min;
    uint32_t max;
    const char *initial; /* as text; "": may be left out, NULL: must be given */
    size_t offset;       /* of the field in struct conf */
    const char *help;    /* one line of conf_print */
};

static const struct conf_key conf_keys[] = {
    {"cluster", "name", CONF_NAME, 1, CONF_NAME_MAX, NULL, offsetof(struct conf, name),
     "nodes of another cluster are not listened to"},
    {"cluster", "election_timeout_ms", CONF_U32, 50, 60000, "150",
     offsetof(struct conf, election_timeout_ms), "silence of T to 2T starts an election"},
    {"cluster", "lease_ms", CONF_U32, 1000, 3600000, "10000", offsetof(struct conf, lease_ms),
     "a node that was silent for a little longer loses its locks"},
    {"cluster", "max_value_bytes", CONF_U32, 1024, 1048576, "65536",
     offsetof(struct conf, max_value_bytes), "largest value of a key"},
    {"cluster", "max_data_bytes", CONF_U32, 1048576, 1048576000, "67108864",
     offsetof(struct conf, max_data_bytes), "all keys and values, with 64 bytes for each key"},
    {"cluster", "max_datagram_bytes", CONF_U32, 512, 1452, "1200",
     offsetof(struct conf, max_datagram_bytes), "largest datagram, as UDP payload"},
    {"cluster", "auto_replace_s", CONF_U32, 0, 31536000, "0", offsetof(struct conf, auto_replace_s),
     "a new directory under the id of a node that was silent for so long is taken in; 0: never"},
    {"node", "id", CONF_U32, 1, CONF_ID_MAX, "", offsetof(struct conf, id),
     "which of the nodes this is; without it the local address decides"},
    {"node", "data_dir", CONF_PATH, 1, CONF_DATA_DIR_SIZE - 1, "/var/lib/raftd",
     offsetof(struct conf, data_dir), "the Raft log and this node's identity"},
    {"node", "socket", CONF_PATH, 1, CONF_SOCKET_SIZE - 1, "/run/raftd/raftd.sock",
     offsetof(struct conf, socket), "where raftctl and local programs connect"},
    {"node", "socket_mode", CONF_OCTAL, 0600, 0777, "0660", offsetof(struct conf, socket_mode),
     "who may connect: permission bits of the socket"},
    {"node", "listen", CONF_LOCAL, 1, CONF_ADDR_SIZE - 1, "", offsetof(struct conf, listen),
     "a loopback address where clients connect by TCP, too"},
    {"node", "password_file", CONF_PATH, 1, CONF_DATA_DIR_SIZE - 1, "",
     offsetof(struct conf, password_file), "what they must know, made with raftctl keygen"},
    {"node", "status_file", CONF_PATH, 1, CONF_DATA_DIR_SIZE - 1, "",
     offsetof(struct conf, status_file),
     "kept as raftctl status prints it; of a service in its runtime directory"},
    {"node", "key_file", CONF_PATH, 1, CONF_DATA_DIR_SIZE - 1, "", offsetof(struct conf, key_file),
     "the cluster's secret, made with raftctl keygen"},
    {"node", "next_key_file", CONF_PATH, 1, CONF_NEXT_KEY_SIZE - 1, "",
     offsetof(struct conf, next_key_file), "a second secret, if it is there: for a change of it"},
    {"node", "readers", CONF_U32, 0, 8, "1", offsetof(struct conf, readers),
     "threads that answer reads; 0: the main loop does"},
    {"node", "log_max_bytes", CONF_U32, 33554432, 1073741824, "67108864",
     offsetof(struct conf, log_max_bytes), "of all files of the log: beyond it no write is taken"},
    {"node", "disk_min_free", CONF_U32, 0, 1073741824, "8388608",
     offsetof(struct conf, disk_min_free), "bytes: with less on its disk a node takes no writes"},
    {"node", "log_level", CONF_LEVEL, SAY_DEBUG, SAY_ERROR, "info",
     offsetof(struct conf, log_level), "debug, info, warn or error"},
};

enum { CONF_N_KEYS = sizeof conf_keys / sizeof conf_keys[0] };

/* Election timeouts until a new leader can renew a lease: its election takes two or three as a rule. */
enum { LEASE_TIMEOUTS = 4 };

static const char *const level_words[] = {
    [SAY_DEBUG] = "debug", [SAY_INFO] = "info", [SAY_WARN] = "warn", [SAY_ERROR] = "error"};

static const char node_prefix[] = "node.";
static const char id_mark[] = "{id}";
static const char next_suffix[] = ".next";

/* Where a value came from, and where to say what is wrong with it. */
struct conf_source {
    const char *filename;
    int line; /* 0: no line, filename alone (also the name of an option) */
    char *err;
    size_t errlen;
};

struct conf_parser {
    struct conf *conf;
    struct conf_source src;
    const char *section; /* "" before the first */
    bool seen[CONF_N_KEYS];
};

static int fail(const struct conf_source *src, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(const struct conf_source *src, const char *fmt, ...)
{
    char what[CONF_ERR_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args); /* cutting a message is fine */
    va_end(args);
    if (src->line > 0)
        (void)snprintf(src->err, src->errlen, "%s:%d: %s", src->filename, src->line, what);
    else
        (void)snprintf(src->err, src->errlen, "%s: %s", src->filename, what);
    return -1;
}

static int fail_value(const struct conf_source *src, const struct conf_key *key, const char *value)
{
    char allowed[160] = "debug, info, warn, error";
    switch (key->type) {
    case CONF_U32:
        (void)snprintf(allowed, sizeof allowed, "a number from %u to %u", key->min, key->max);
        break;
    case CONF_OCTAL:
        (void)snprintf(allowed, sizeof allowed, "octal from %04o to %04o", key->min, key->max);
        break;
    case CONF_LEVEL: break;
    case CONF_NAME:
        (void)snprintf(allowed, sizeof allowed,
                       "1 to %u printable ASCII characters, no blanks, quotes, '#', ';'", key->max);
        break;
    case CONF_PATH:
        (void)snprintf(
            allowed, sizeof allowed,
            "an absolute path of 1 to %u bytes, no quotes, '#', ';', and no braces but {id}",
            key->max);
        break;
    case CONF_LOCAL:
        (void)snprintf(allowed, sizeof allowed,
                       "an address of this machine alone: 127.0.0.1:PORT or [::1]:PORT");
        break;
    }
    return fail(src, "[%s] %s: '%s' is wrong; allowed: %s", key->section, key->key, value, allowed);
}

/* --- values ----------------------------------------------------------------------------------- */

/* Quotes and '#' are refused because they would become a part of the text without a word; a ';' would begin
 * a comment when what was printed is read again.
 */
static bool text_ok(const struct conf_key *key, const char *value)
{
    size_t len = strlen(value);
    if (len < key->min || len > key->max)
        return false;
    /* A relative path would name another file at another start; and in another data directory the node would
     * be told to make itself a second identity. */
    if (key->type == CONF_PATH && (value[0] != '/' || value[len - 1] == ' '))
        return false;
    for (const char *p = value; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f || strchr("\"'#;", c) != NULL)
            return false;
        if (key->type == CONF_NAME && (c == ' ' || c > 0x7f))
            return false;
        if (key->type == CONF_PATH && (c == '{' || c == '}')) {
            if (strncmp(p, id_mark, sizeof id_mark - 1) != 0)
                return false;
            p += sizeof id_mark - 2;
        }
    }
    return true;
}

/* There is no way to have clients from a network: what they say would be open to it. */
static bool local_ok(const char *value)
{
    struct conf_node node;
    memset(&node, 0, sizeof node);
    return conf_addr_parse(&node, value) == NULL && node.addr_len > 0 &&
           conf_addr_reach(&node) == CONF_REACH_MACHINE;
}

/* Writes the value into its field. False if it is not allowed; then nothing is written. */
static bool set_field(struct conf *conf, const struct conf_key *key, const char *value)
{
    char *field = (char *)conf + key->offset;
    uint64_t read;
    uint32_t number;
    switch (key->type) {
    case CONF_U32:
    case CONF_OCTAL:
        if (!num_take(&value, key->type == CONF_U32 ? 10 : 8, key->max, &read) || *value != '\0' ||
            read < key->min)
            return false;
        number = (uint32_t)read;
        memcpy(field, &number, sizeof number);
        return true;
    case CONF_LEVEL:
        for (number = key->min; number <= key->max; number++) {
            if (strcmp(value, level_words[number]) == 0) {
                memcpy(field, &number, sizeof number);
                return true;
            }
        }
        return false;
    case CONF_NAME:
    case CONF_PATH:
    case CONF_LOCAL:
        if (key->type == CONF_LOCAL ? !local_ok(value) : !text_ok(key, value))
            return false;
        memset(field, 0, (size_t)key->max + 1);
        memcpy(field, value, strlen(value));
        return true;
    }
    assert(false);
    return false;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* "ADDRESS" or "ADDRESS, ADDRESS"; the second one goes to *second, too. */
static const char *parse_addresses(struct conf_node *node, struct conf_node *second,
                                   const char *value)
{
    const char *comma = strchr(value, ',');
    size_t len = comma != NULL ? (size_t)(comma - value) : strlen(value);
    char first[CONF_ADDR_SIZE] = {0};
    while (len > 0 && strchr(" \t", value[len - 1]) != NULL)
        len--;
    memcpy(first, value, len < sizeof first ? len : 0);
    const char *wrong = conf_addr_parse(node, first);
    if (wrong != NULL || comma == NULL)
        return wrong;
    comma += 1 + strspn(comma + 1, " \t");
    wrong = conf_addr_parse(second, comma);
    memcpy(node->second_text, second->addr_text, sizeof node->second_text);
    return wrong;
}

/* The node at its second address; at the first one if there is no other. */
static struct conf_node second_of(const struct conf_node *node)
{
    struct conf_node second = *node;
    if (node->second_text[0] != '\0')
        (void)conf_addr_parse(&second, node->second_text); /* it was valid before */
    return second;
}

static bool has_address(const struct conf_node *node, const struct conf_node *a)
{
    const struct conf_node second = second_of(node);
    return a->addr_len != 0 && (memcmp(&node->addr, &a->addr, sizeof a->addr) == 0 ||
                                memcmp(&second.addr, &a->addr, sizeof a->addr) == 0);
}

static bool other_family(const struct conf_node *a, const struct conf_node *b)
{
    return a->addr_len != 0 && b->addr_len != 0 && a->addr.ss_family != b->addr.ss_family;
}

static int add_node(struct conf *conf, const struct conf_source *src, const char *key,
                    const char *value)
{
    struct conf_node node, second;
    memset(&node, 0, sizeof node);
    memset(&second, 0, sizeof second);
    uint64_t id;
    if (!num_parse(key + sizeof node_prefix - 1, 1, CONF_ID_MAX, &id))
        return fail(src, "[cluster] %s: no such node; allowed: node.1 to node.%d", key,
                    CONF_ID_MAX);
    node.id = (uint16_t)id;
    const char *wrong = parse_addresses(&node, &second, value);
    if (wrong == NULL && (other_family(&node, &second) || has_address(&second, &node)))
        wrong = "is no pair of addresses; allowed: two of one family";
    if (wrong != NULL)
        return fail(src, "[cluster] %s: '%s' %s", key, value, wrong);
    int at = 0;
    for (int i = 0; i < conf->n_nodes; i++) {
        const struct conf_node *other = &conf->nodes[i];
        if (other->id == node.id)
            return fail(src, "[cluster] %s: given twice; allowed: once", key);
        if (other_family(other, &node) || other_family(other, &second))
            return fail(src, "[cluster] %s: %s, but node.%u is %s; allowed: all IPv4 or all IPv6",
                        key, value, other->id, other->addr_text);
        if (has_address(other, &node) || has_address(other, &second))
            return fail(src, "[cluster] %s: %s is node.%u already; allowed: one node per address",
                        key, value, other->id);
        at += other->id < node.id;
    }
    if (conf->n_nodes == CONF_NODES_MAX)
        return fail(src, "[cluster] %s: too many nodes; allowed: %d", key, CONF_NODES_MAX);
    memmove(&conf->nodes[at + 1], &conf->nodes[at],
            (size_t)(conf->n_nodes - at) * sizeof conf->nodes[0]);
    conf->nodes[at] = node;
    conf->n_nodes++;
    return 0;
}

const struct conf_node *conf_find(const struct conf *conf, uint16_t id)
{
    for (int i = 0; i < conf->n_nodes; i++)
        if (conf->nodes[i].id == id)
            return &conf->nodes[i];
    return NULL;
}

int conf_family(const struct conf *conf)
{
    for (int i = 0; i < conf->n_nodes; i++)
        if (conf->nodes[i].addr_len != 0)
            return conf->nodes[i].addr.ss_family;
    return AF_INET;
}

const struct conf_node *conf_self(const struct conf *conf)
{
    return conf->self < 0 ? NULL : &conf->nodes[conf->self];
}

/* --- keys and sections ------------------------------------------------------------------------ */

static int fail_unknown(const struct conf_source *src, const char *section, const char *key)
{
    if (section[0] == '\0')
        return fail(src, "%s: before any section; allowed: [cluster] or [node] first", key);
    char allowed[200];
    int len = snprintf(allowed, sizeof allowed, "%s",
                       strcmp(section, "cluster") == 0 ? ", node.N" : "");
    for (size_t i = 0; i < CONF_N_KEYS; i++) {
        if (strcmp(section, conf_keys[i].section) == 0) {
            assert(len >= 0 && (size_t)len < sizeof allowed); /* the table fits */
            len += snprintf(allowed + len, sizeof allowed - (size_t)len, ", %s", conf_keys[i].key);
        }
    }
    return fail(src, "[%s] %s: unknown key; allowed: %s", section, key, allowed + 2);
}

static int set_key(struct conf_parser *p, const char *key, const char *value)
{
    const char *section = p->section;
    if (strcmp(section, "cluster") == 0 && strncmp(key, node_prefix, sizeof node_prefix - 1) == 0)
        return add_node(p->conf, &p->src, key, value);
    for (size_t i = 0; i < CONF_N_KEYS; i++) {
        const struct conf_key *known = &conf_keys[i];
        if (strcmp(section, known->section) != 0 || strcmp(key, known->key) != 0)
            continue;
        if (p->seen[i])
            return fail(&p->src, "[%s] %s: given twice; allowed: once", section, key);
        p->seen[i] = true;
        return set_field(p->conf, known, value) ? 0 : fail_value(&p->src, known, value);
    }
    return fail_unknown(&p->src, section, key);
}

static int take_section(struct conf_parser *p, const char *line)
{
    static const char *const sections[] = {"cluster", "node"};
    size_t len = strlen(line);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        p->section = sections[i];
        if (len == strlen(p->section) + 2 && line[len - 1] == ']' &&
            strncmp(line + 1, p->section, len - 2) == 0)
            return 0;
    }
    return fail(&p->src, "%s: unknown section; allowed: [cluster] or [node], alone in its line",
                line);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts the blanks before `end` off. */
static void end_at(const char *start, char *end)
{
    while (end > start && blank(end[-1]))
        end--;
    *end = '\0';
}

/* Takes one line: a section, or a key and its value, or nothing. A ';' behind a blank begins a comment. */
static int take_line(struct conf_parser *p, char *line)
{
    char *end = line;
    while (*end != '\0' && (*end != ';' || (end > line && !blank(end[-1]))))
        end++;
    end_at(line, end);
    if (line[0] == '\0')
        return 0;
    if (line[0] == '[')
        return take_section(p, line);
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return fail(&p->src, "not understood; allowed: [section], key = value, ; comment");
    end_at(line, equals);
    return set_key(p, line, equals + 1 + strspn(equals + 1, " \t\r"));
}

static int take_lines(struct conf_parser *p, const char *text)
{
    char line[CONF_LINE_MAX_BYTES + 1];
    size_t len;
    for (; *text != '\0'; text += len + (text[len] == '\n')) {
        p->src.line++;
        text += strspn(text, " \t\r");
        len = strcspn(text, "\n");
        if (text[0] == '#' || text[0] == ';')
            continue;
        if (len > CONF_LINE_MAX_BYTES)
            return fail(&p->src, "line of %zu bytes; allowed: %d", len, CONF_LINE_MAX_BYTES);
        memcpy(line, text, len);
        line[len] = '\0';
        if (take_line(p, line) != 0)
            return -1;
    }
    return 0;
}

/* --- the whole file --------------------------------------------------------------------------- */

/* A node sends from its own address alone, so its peers must be reachable from there. Of a name it is not
 * known yet. */
static int check_reach(const struct conf *conf, const struct conf_source *src)
{
    static const char *const words[] = {
        [CONF_REACH_MACHINE] = "a loopback address, of this machine alone",
        [CONF_REACH_LINK] = "an address of one link alone",
        [CONF_REACH_NET] = "an address of a network",
    };
    const struct conf_node *first = NULL;
    for (int i = 0; i < conf->n_nodes; i++) {
        const struct conf_node *node = &conf->nodes[i];
        if (node->addr_len == 0)
            continue;
        if (first == NULL)
            first = node;
        if (conf_addr_reach(node) != conf_addr_reach(first))
            return fail(src,
                        "[cluster] node.%u: %s is %s, and node.%u = %s is %s: they would never "
                        "hear each other; allowed: one kind for all nodes",
                        node->id, node->addr_text, words[conf_addr_reach(node)], first->id,
                        first->addr_text, words[conf_addr_reach(first)]);
        if (strcmp(node->interface, first->interface) != 0)
            return fail(src,
                        "[cluster] node.%u: %s is on another link than node.%u = %s: they would "
                        "never hear each other; allowed: addresses of one interface",
                        node->id, node->addr_text, first->id, first->addr_text);
    }
    return 0;
}

_Static_assert(CONF_NEXT_KEY_SIZE >= CONF_DATA_DIR_SIZE - 1 + sizeof next_suffix, "it fits");

/* The second key has a file name even if the configuration gives none. A running cluster can so change its
 * key, although it never reads its configuration again.
 */
static void default_next_key(struct conf *conf)
{
    if (conf->key_file[0] != '\0' && conf->next_key_file[0] == '\0')
        (void)snprintf(conf->next_key_file, sizeof conf->next_key_file, "%s%s", conf->key_file,
                       next_suffix);
}

/* Datagrams that leave the machine are sealed. */
static int check_keys(const struct conf *conf, const struct conf_source *src)
{
    if (conf->key_file[0] != '\0')
        return 0;
    if (conf->next_key_file[0] != '\0')
        return fail(src, "[node] next_key_file: given without key_file; allowed: both, or key_file "
                         "alone");
    for (int i = 0; i < conf->n_nodes; i++) {
        const struct conf_node second = second_of(&conf->nodes[i]);
        if (conf_addr_reach(&conf->nodes[i]) != CONF_REACH_MACHINE ||
            conf_addr_reach(&second) != CONF_REACH_MACHINE)
            return fail(src,
                        "[node] key_file: missing, and node.%u = %s is not a loopback address: "
                        "anybody on the network could forge datagrams. Make a key with (umask 077; "
                        "raftctl keygen >FILE), copy it to all nodes, and set key_file = FILE",
                        conf->nodes[i].id, conf->nodes[i].addr_text);
    }
    return 0;
}

static int check_password(const struct conf *conf, const struct conf_source *src)
{
    if ((conf->listen[0] != '\0') == (conf->password_file[0] != '\0'))
        return 0;
    if (conf->listen[0] == '\0')
        return fail(src, "[node] password_file: given without listen; allowed: both or none");
    return fail(src,
                "[node] password_file: missing, and with listen every user of this machine may "
                "connect. Make a password with (umask 077; raftctl keygen >FILE), and set "
                "password_file = FILE");
}

/* It is replaced again and again, whatever it was. */
static int check_status_file(const struct conf *conf, const struct conf_source *src)
{
    for (size_t i = 0; conf->status_file[0] != '\0' && i < CONF_N_KEYS; i++) {
        const char *path = (const char *)conf + conf_keys[i].offset;
        if (conf_keys[i].type == CONF_PATH && path != conf->status_file &&
            strcmp(path, conf->status_file) == 0)
            return fail(src, "[node] status_file: %s is %s already; allowed: a file of its own",
                        path, conf_keys[i].key);
    }
    return 0;
}

static int check_id(const struct conf *conf, uint32_t id, const struct conf_source *src)
{
    if (conf_find(conf, (uint16_t)id) != NULL)
        return 0;
    char ids[64] = "";
    int len = 0;
    for (int i = 0; i < conf->n_nodes; i++) {
        len += snprintf(ids + len, sizeof ids - (size_t)len, "%s%u", i == 0 ? "" : ", ",
                        conf->nodes[i].id);
        assert(len > 0 && (size_t)len < sizeof ids); /* 9 * strlen("999, ") */
    }
    return fail(src, "[node] id: %u is not one of the nodes; allowed: %s", id, ids);
}

int conf_parse(struct conf *conf, const char *text, const char *filename, char *err, size_t errlen)
{
    memset(conf, 0, sizeof *conf);
    conf->self = -1;
    for (size_t i = 0; i < CONF_N_KEYS; i++) {
        const struct conf_key *key = &conf_keys[i];
        if (key->initial != NULL && key->initial[0] != '\0') { /* else the field stays zero */
            bool ok = set_field(conf, key, key->initial);
            assert(ok); /* the table's own defaults are within its limits */
        }
    }
    struct conf_parser p = {
        .conf = conf, .src = {.filename = filename, .err = err, .errlen = errlen}, .section = ""};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) /* an editor's byte order mark */
        text += 3;
    if (take_lines(&p, text) != 0)
        return -1;
    p.src.line = 0;
    for (size_t i = 0; i < CONF_N_KEYS; i++)
        if (conf_keys[i].initial == NULL && !p.seen[i])
            return fail(&p.src, "[%s] %s: missing", conf_keys[i].section, conf_keys[i].key);
    if (conf->n_nodes == 0)
        return fail(&p.src, "[cluster] node.N: missing; allowed: 1 to %d nodes", CONF_NODES_MAX);
    if (conf->id != 0 && check_id(conf, conf->id, &p.src) != 0)
        return -1;
    default_next_key(conf);
    if (check_password(conf, &p.src) != 0 || check_status_file(conf, &p.src) != 0 ||
        check_reach(conf, &p.src) != 0)
        return -1;
    return check_keys(conf, &p.src);
}

int conf_load(struct conf *conf, const char *path, char *err, size_t errlen)
{
    const struct conf_source src = {path, 0, err, errlen};
    char text[CONF_FILE_MAX_BYTES + 1];
    /* To open a pipe that nobody writes to must not hold a start up: it counts as empty. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, 0); /* a pipe that somebody writes to is read to its end */
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (file == NULL)
        return fail(&src, "cannot open: %s", strerror(errno));
    size_t len = fread(text, 1, sizeof text, file);
    int error = ferror(file) ? errno : 0;
    (void)fclose(file); /* only read from */
    if (error != 0)
        return fail(&src, "cannot read: %s", strerror(error));
    if (len == 0)
        return fail(&src, "is empty");
    if (len == sizeof text)
        return fail(&src, "too large; allowed: %d bytes", CONF_FILE_MAX_BYTES);
    if (memchr(text, '\0', len) != NULL)
        return fail(&src, "holds a zero byte; allowed: text");
    text[len] = '\0';
    return conf_parse(conf, text, path, err, errlen);
}

int conf_set(struct conf *conf, const char *section, const char *key, const char *value,
             const char *where, char *err, size_t errlen)
{
    struct conf_parser p = {.conf = conf, .src = {where, 0, err, errlen}, .section = section};
    return set_key(&p, key, value);
}

/* --- which node ------------------------------------------------------------------------------- */

/* Puts the id in the place of each {id}; the rest of the field stays zero. */
static void expand_id(char *path, uint16_t id)
{
    enum { MARK = sizeof id_mark - 1 };
    char digits[8];
    size_t n = (size_t)snprintf(digits, sizeof digits, "%u", id);
    assert(n <= MARK); /* so no path grows */
    for (char *at = path; (at = strstr(at, id_mark)) != NULL; at += n) {
        size_t behind = strlen(at + MARK);
        memcpy(at, digits, n);
        memmove(at + n, at + MARK, behind);
        memset(at + n + behind, 0, MARK - n);
    }
}

int conf_here(const struct conf *conf, uint16_t ids[CONF_NODES_MAX])
{
    static bool (*const asks[])(const struct conf_node *) = {conf_addr_on_interface,
                                                             conf_addr_bindable};
    int n = 0;
    for (size_t a = 0; n == 0 && a < sizeof asks / sizeof asks[0]; a++) {
        for (int i = 0; i < conf->n_nodes; i++)
            if (asks[a](&conf->nodes[i]))
                ids[n++] = conf->nodes[i].id;
    }
    return n;
}

int conf_check_here(const struct conf *conf, const char *filename, char *err, size_t errlen)
{
    const struct conf_source src = {.filename = filename, .err = err, .errlen = errlen};
    char name[CONF_INTERFACE_SIZE];
    for (int i = 0; i < conf->n_nodes; i++)
        if (conf_addr_is_broadcast(&conf->nodes[i], name))
            return fail(&src,
                        "[cluster] node.%u: %s is the broadcast address of interface %s here; "
                        "allowed: the address of one box",
                        conf->nodes[i].id, conf->nodes[i].addr_text, name);
    return 0;
}

int conf_set_node(struct conf *conf, uint16_t id, char *err, size_t errlen)
{
    struct conf_source src = {.filename = "-i", .err = err, .errlen = errlen};
    if (id == 0) {
        src.filename = "configuration";
        id = (uint16_t)conf->id;
    }
    if (id == 0) {
        uint16_t here[CONF_NODES_MAX];
        int n = conf_here(conf, here);
        if (n > 1)
            return fail(&src,
                        "[node] id: nodes %u and %u both have an address of this machine; say "
                        "which with -i ID or with id = ID",
                        here[0], here[1]);
        if (n == 0)
            return fail(&src, "[node] id: no node has an address of this machine now; say which "
                              "with -i ID or with id = ID");
        id = here[0];
    }
    if (check_id(conf, id, &src) != 0)
        return -1;
    for (size_t i = 0; i < CONF_N_KEYS; i++)
        if (conf_keys[i].type == CONF_PATH)
            expand_id((char *)conf + conf_keys[i].offset, id);
    conf->self = (int)(conf_find(conf, id) - conf->nodes);
    conf->id = id;
    return 0;
}

const char *conf_warning(const struct conf *conf, unsigned n)
{
    const char *all[3];
    unsigned count = 0;
    if (conf->n_nodes % 2 == 0)
        all[count++] = "an even number of nodes survives no more failures than one node less";
    if (conf->max_data_bytes < conf->max_value_bytes + CMD_KEY_MAX_BYTES + KV_KEY_BYTES)
        all[count++] =
            "a value of max_value_bytes does not fit max_data_bytes, which counts its key, "
            "too, and 64 bytes for it: raise max_data_bytes, or lower max_value_bytes";
    if (conf->lease_ms / LEASE_TIMEOUTS < conf->election_timeout_ms)
        all[count++] = "lease_ms is less than four times election_timeout_ms: locks may be lost "
                       "whenever the leader is";
    return n < count ? all[n] : NULL;
}

/* --- printing --------------------------------------------------------------------------------- */

/* A key that was left out, and has no default that could be written, is printed as a comment. */
static int print_key(const struct conf *conf, const struct conf_key *key, FILE *out)
{
    const char *field = (const char *)conf + key->offset;
    const char *text = field;
    char digits[16];
    uint32_t number;
    memcpy(&number, field, sizeof number);
    if (key->type == CONF_LEVEL)
        text = level_words[number];
    if (key->type == CONF_U32 || key->type == CONF_OCTAL) {
        (void)snprintf(digits, sizeof digits, key->type == CONF_U32 ? "%u" : "%04o", number);
        text = number < key->min ? "" : digits;
    }
    return fprintf(out, "; %s\n%s%s = %s\n", key->help, text[0] == '\0' ? ";" : "", key->key, text);
}

int conf_print(const struct conf *conf, FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < CONF_N_KEYS; i++) {
        const struct conf_key *key = &conf_keys[i];
        if (strcmp(section, key->section) != 0) {
            section = key->section;
            if (fprintf(out, "%s[%s]\n", i == 0 ? "" : "\n", section) < 0)
                return -1;
        }
        if (print_key(conf, key, out) < 0)
            return -1;
        for (int n = 0; i == 0 && n < conf->n_nodes; n++) {
            const struct conf_node *node = &conf->nodes[n];
            if (fprintf(out, "node.%u = %s%s%s\n", node->id, node->addr_text,
                        node->second_text[0] != '\0' ? ", " : "", node->second_text) < 0)
                return -1;
        }
    }
    return fflush(out) == 0 ? 0 : -1;
}
