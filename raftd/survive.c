/* survive.c: see survive.h. */
#include "raftd/survive.h"

#include <dirent.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "raftd/base/exits.h"
#include "raftd/base/num.h"
#include "raftd/base/say.h"
#include "storage/doubt.h"
#include "storage/record.h"

struct survivor survivor_of(const char *path, const struct ident *id, const struct wal_report *rep)
{
    return (struct survivor){
        .path = path,
        .node = id->node_id,
        .last_index = rep->last_index,
        .last_term = rep->last_term,
        .commit = rep->commit,
        .cluster = rep->members.index <= rep->commit ? rep->members.members.cluster_id : 0,
        .doubt = rep->doubt};
}

/* The text behind NAME= of a line, or behind "NAME": " of JSON. NULL: there is none. */
static const char *value_of(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at += len) {
        bool begins = at == text || at[-1] == '\n' || at[-1] == '"';
        if (begins && (at[len] == '=' || at[len] == '"'))
            return at + len + strspn(at + len, "\":= ");
    }
    return NULL;
}

static bool number(const char *text, const char *name, uint64_t *out)
{
    const char *value = value_of(text, name);
    return value != NULL && num_take(&value, 10, UINT64_MAX, out);
}

static bool is_of(const char *text, const char *cluster)
{
    const char *value = value_of(text, "cluster");
    size_t len = strlen(cluster);
    return value != NULL && strncmp(value, cluster, len) == 0 &&
           (value[len] == '\n' || value[len] == '"');
}

static uint64_t cluster_in(const char *text, uint64_t commit)
{
    const char *value = value_of(text, "cluster_id");
    uint64_t id = 0, members_index;
    if (value != NULL && number(text, "members_index", &members_index) && members_index <= commit)
        (void)num_take(&value, 16, UINT64_MAX, &id);
    return id;
}

bool survivor_read(struct survivor *s, const char *path, const char *cluster)
{
    enum { MOST_BYTES = 1 << 20 };
    FILE *f = fopen(path, "re");
    char *text = calloc(1, MOST_BYTES);
    uint64_t node = 0, doubt = 0;
    *s = (struct survivor){.path = path};
    bool good = f != NULL && text != NULL && fread(text, 1, MOST_BYTES - 1, f) > 0 &&
                is_of(text, cluster) && number(text, "node", &node) && node <= CONF_ID_MAX &&
                number(text, "last_index", &s->last_index) &&
                number(text, "last_term", &s->last_term) &&
                number(text, "commit_index", &s->commit) && number(text, "doubt", &doubt);
    s->node = (uint16_t)node;
    s->doubt = doubt != 0;
    s->cluster = good ? cluster_in(text, s->commit) : 0;
    if (f != NULL)
        (void)fclose(f);
    free(text);
    return good;
}

static bool has_more(const struct survivor *a, const struct survivor *b)
{
    return a->last_term != b->last_term ? a->last_term > b->last_term
                                        : a->last_index > b->last_index;
}

bool survivors_differ(const struct survivor *a, const struct survivor *b)
{
    return a->cluster != 0 && b->cluster != 0 && a->cluster != b->cluster;
}

unsigned survivor_best(const struct survivor *s, unsigned n)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        best = !survivors_differ(&s[0], &s[i]) && has_more(&s[i], &s[best]) ? i : best;
    return best;
}

/* Seconds since something was written to the log of that directory; -1 if that can't be told. */
static int64_t age(const char *dir)
{
    char log[WAL_PATH_MAX];
    int64_t newest = -1;
    (void)snprintf(log, sizeof log, "%s/log", dir);
    DIR *d = opendir(log);
    const struct dirent *e;
    struct stat st;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (strstr(e->d_name, ".seg") != NULL && fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
            st.st_mtime > newest)
            newest = st.st_mtime;
    }
    if (d != NULL)
        (void)closedir(d);
    return newest >= 0 && newest <= time(NULL) ? time(NULL) - newest : -1;
}

void survivor_print(FILE *out, const struct survivor *s)
{
    fprintf(out,
            "node=%u last_term=%" PRIu64 " last_index=%" PRIu64 " commit_index=%" PRIu64
            " cluster_id=%016" PRIx64 " doubt=%d age_s=%" PRId64 " path=%s\n",
            s->node, s->last_term, s->last_index, s->commit, s->cluster, s->doubt, age(s->path),
            s->path);
}

struct members survivor_alone(const struct conf *conf, const struct ident *id,
                              const struct members *before)
{
    struct members m = {.n = 1};
    const struct member *was = members_find(before, id->node_id);
    m.m[0] = was != NULL ? *was : (struct member){.id = id->node_id};
    m.m[0].standing = MEMBER_VOTER;
    m.m[0].priority = 1;
    memcpy(m.m[0].key, id->key, sizeof m.m[0].key);
    if (m.m[0].addr[0][0] == '\0')
        (void)snprintf(m.m[0].addr[0], sizeof m.m[0].addr[0], "%.*s", MEMBER_ADDR_BYTES - 1,
                       conf_self(conf)->addr_text);
    while (m.cluster_id == 0 || m.cluster_id == before->cluster_id)
        randombytes_buf(&m.cluster_id, sizeof m.cluster_id);
    return m;
}

void survivor_go_on(const struct conf *conf, const struct ident *id, struct wal *w,
                    const struct wal_report *rep, uint64_t cluster_ms)
{
    uint8_t buf[RECORD_HEAD_BYTES + MEMBERS_BYTES_MAX + RECORD_ALIGN_BYTES];
    char err[WAL_MESSAGE_BYTES];
    struct members m = survivor_alone(conf, id, &rep->members.members);
    size_t len = members_encode(&m, buf + RECORD_HEAD_BYTES);
    uint64_t index = rep->last_index + 1, term = rep->term + 1;
    size_t size = record_seal(buf, index, term, max_u64(rep->last_ms, cluster_ms), RECORD_MEMBERS,
                              rep->head, (uint32_t)len);
    struct wal_batch b = {.term = term,
                          .vote = id->node_id,
                          .first_index = index,
                          .last_index = index,
                          .last_term = term,
                          .commit = index,
                          .bytes = {{.iov_base = buf, .iov_len = size}},
                          .bytes_n = 1};
    record_hash(buf, size, b.head);
    if (wal_append(w, &b) != 0)
        say_fatal(RAFTD_EXIT_DISK, "%s", wal_error(w));
    /* A promise to the lost nodes, which it may have forgotten, does not bind it any more. */
    if (doubt_clear(&disk_posix, conf->data_dir, err, sizeof err) != 0)
        say_fatal(RAFTD_EXIT_DISK, "%s", err);
}
