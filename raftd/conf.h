/* conf.h: the configuration file, one file identical on every box of a cluster (raftd.conf(5)).
 *
 *     struct conf conf;
 *     char err[CONF_ERR_SIZE];
 *     conf_load(&conf, "/etc/raftd/raftd.conf", err, sizeof err);   what the file says
 *     conf_set(&conf, "node", "data_dir", argument, "-d", err, ...); what the command line says
 *     conf_set_node(&conf, 0, err, sizeof err);                     which of the nodes we are
 *
 * All functions that take err return 0, or -1 with one line of text in err that names file, line,
 * section, key, what is wrong and what is allowed. A struct conf owns no memory and has no pointers, so it
 * can be copied. It is written at the start only; afterwards all threads read it.
 */
#ifndef RAFTD_CONF_H
#define RAFTD_CONF_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
    CONF_NODES_MAX = 9,        /* voters; more cost traffic and gain nothing */
    CONF_ID_MAX = 999,         /* three digits are easy to say on the telephone */
    CONF_NAME_MAX = 64,        /* bytes of a cluster's name */
    CONF_ADDR_SIZE = 64,       /* "[v6%interface]:port" or "name:port" with its zero */
    CONF_INTERFACE_SIZE = 16,  /* IF_NAMESIZE, with its zero */
    CONF_DATA_DIR_SIZE = 160,  /* with its zero */
    CONF_NEXT_KEY_SIZE = 165,  /* key_file and ".next" */
    CONF_LINE_MAX_BYTES = 255, /* a line with a section or a key; none that is allowed is longer */
    CONF_SOCKET_SIZE = 108,    /* sizeof(sockaddr_un.sun_path) on Linux */
    CONF_ERR_SIZE = 512,       /* enough for every message with a usual file name */
    CONF_FILE_MAX_BYTES = 65536, /* a real one has 500; protects against -c /dev/zero */
};

struct conf_node {
    uint16_t id;                         /* 1 to CONF_ID_MAX, unique; Raft's server id */
    char addr_text[CONF_ADDR_SIZE];      /* as written: "192.0.2.1:7100", "[2001:db8::1]:7100" or
                                            "box1.example:7100" */
    char second_text[CONF_ADDR_SIZE];    /* at which it is reached as well; "": none */
    char interface[CONF_INTERFACE_SIZE]; /* "eth0" of "[fe80::1%eth0]:7100", else ""; all nodes' */
    struct sockaddr_storage addr; /* addr_text without the interface; unique, all of one family */
    socklen_t addr_len;           /* bytes of addr that count; 0: addr_text has a name */
};

struct conf {
    /* [cluster]: the same on all nodes */
    char name[CONF_NAME_MAX + 1];
    struct conf_node nodes[CONF_NODES_MAX]; /* sorted by id */
    int n_nodes;                            /* 1 to CONF_NODES_MAX */
    uint32_t auto_replace_s;                /* a silent member is replaced by itself; 0 = never */
    uint32_t election_timeout_ms;           /* T; the timeout is random in [T, 2T] */
    uint32_t lease_ms; /* a node whose leader does not answer for so long loses its locks */
    uint32_t max_value_bytes;
    uint32_t max_data_bytes;     /* of all keys and values, as kv.h counts them */
    uint32_t max_datagram_bytes; /* UDP payload */
    /* [node]: this box */
    uint32_t id;                       /* 0: not given */
    char data_dir[CONF_DATA_DIR_SIZE]; /* may hold "{id}" until conf_set_node */
    char socket[CONF_SOCKET_SIZE];     /* as data_dir */
    uint32_t socket_mode;              /* permission bits */
    char listen[CONF_ADDR_SIZE];       /* loopback address and port for clients, too; "": none */
    char password_file[CONF_DATA_DIR_SIZE]; /* what clients there must know; "" if listen is */
    char status_file[CONF_DATA_DIR_SIZE];   /* see status_file.h; "": not given */
    char key_file[CONF_DATA_DIR_SIZE];      /* with the cluster's key, "": none; else as data_dir */
    char next_key_file[CONF_NEXT_KEY_SIZE]; /* with a second key; "" only if key_file is "" */
    uint32_t readers;                       /* reader threads; 0: the loop answers reads */
    uint32_t log_level;                     /* enum say_level */
    uint32_t log_max_bytes;                 /* all files of the log together */
    uint32_t disk_min_free;                 /* bytes: with less free, no entries are taken */
    /* by conf_set_node */
    int self; /* index into nodes of this node, -1: not known yet */
};

/* Sets the defaults, then what the text says, then checks what needs the whole file. filename is for
 * messages only. After an error *conf must not be used. */
int conf_parse(struct conf *conf, const char *text, const char *filename, char *err, size_t errlen);

/* conf_parse() of a file. A file that cannot be read, is empty, is larger than CONF_FILE_MAX_BYTES or has a
 * zero byte in it is an error, too. */
int conf_load(struct conf *conf, const char *path, char *err, size_t errlen);

/* Sets one key as if the file had said so; `where` names the source in errors, such as "-d". To be called
 * between conf_load() and conf_set_node(), and not for "node.N". */
int conf_set(struct conf *conf, const char *section, const char *key, const char *value,
             const char *where, char *err, size_t errlen);

/* The nodes whose address an interface of this machine has now; if there are none, those to whose address a
 * socket can be bound. Their ids go to `ids`, ascending. Returns how many there are. */
int conf_here(const struct conf *conf, uint16_t ids[CONF_NODES_MAX]);

/* Finds what only this machine can tell: a node's address that is the broadcast address of a network here.
 * The interface may have nothing to do with the cluster, so an error here is one for whoever writes the
 * file, and does not keep a node from its start. */
int conf_check_here(const struct conf *conf, const char *filename, char *err, size_t errlen);

/* Decides which node we are: `id`; if that is 0, conf->id; if that is 0, too, the one node of conf_here().
 * Then replaces {id} in the paths, and sets conf->id and conf->self. */
int conf_set_node(struct conf *conf, uint16_t id, char *err, size_t errlen);

/* This node, or NULL before conf_set_node. Lives as long as *conf. */
const struct conf_node *conf_self(const struct conf *conf);

/* AF_INET or AF_INET6: that of all addresses. */
int conf_family(const struct conf *conf);

/* The node with this id, or NULL. */
const struct conf_node *conf_find(const struct conf *conf, uint16_t id);

/* The n-th text, counted from 0, that an operator should read although the configuration is valid. NULL:
 * there are no more. The texts are static. */
const char *conf_warning(const struct conf *conf, unsigned n);

/* Writes a configuration with comments, which conf_parse() reads as an equal struct (but for self). Returns
 * 0, or -1 if `out` could not be written. */
int conf_print(const struct conf *conf, FILE *out);

#endif
