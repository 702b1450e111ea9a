/* finder.c: see finder.h. */
#include "raftd/finder.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/clock.h"
#include "raftd/base/replace.h"

enum { PATH_BYTES = CONF_DATA_DIR_SIZE + 16 };

struct question {
    uint16_t id;
    unsigned which;
    char name[CONF_ADDR_SIZE];
};

struct finder {
    char path[PATH_BYTES];
    int family;
    pthread_cond_t work;
    pthread_mutex_t lock; /* all below */
    bool stop;
    bool left;            /* the thread or the loop is done with it: the other one frees it */
    bool asked, answered; /* there is a question; there is an answer to it */
    struct question question;
    struct address answer;
    char text[PLACES_TEXT_MAX_BYTES]; /* to be written */
    size_t text_len;                  /* 0 = nothing */
};

static void leave(struct finder *f)
{
    bool last = f->left;
    f->left = true;
    pthread_mutex_unlock(&f->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->work);
    free(f);
}

/* "name:port" */
static struct address resolve(const char *name, int family)
{
    struct address a = {.len = 0};
    char host[CONF_ADDR_SIZE] = {0};
    const char *colon = strrchr(name, ':');
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    memcpy(host, name, (size_t)(colon - name));
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return a; /* places asks for it once more later */
    a.len = found->ai_addrlen;
    memcpy(&a.sa, found->ai_addr, a.len);
    freeaddrinfo(found);
    return a;
}

static void *run(void *arg)
{
    struct finder *f = arg;
    char text[PLACES_TEXT_MAX_BYTES];
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        struct question q = f->question;
        bool ask = f->asked && !f->answered;
        size_t len = f->text_len;
        if (!ask && len == 0) {
            pthread_cond_wait(&f->work, &f->lock);
            continue;
        }
        memcpy(text, f->text, len);
        f->text_len = 0;
        pthread_mutex_unlock(&f->lock);
        if (len > 0)
            (void)replace_file(f->path, 0600, text, len); /* an old hint or none does no harm */
        struct address a = ask ? resolve(q.name, f->family) : (struct address){.len = 0};
        pthread_mutex_lock(&f->lock);
        if (!ask)
            continue;
        f->answer = a;
        f->answered = true;
    }
    leave(f);
    return NULL;
}

struct finder *finder_start(const char *data_dir, int family)
{
    struct finder *f = calloc(1, sizeof *f);
    pthread_t thread;
    if (f == NULL)
        return NULL;
    (void)snprintf(f->path, sizeof f->path, "%s/places", data_dir);
    f->family = family;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    if (thread_start(&thread, run, f) != 0) {
        free(f);
        return NULL;
    }
    (void)pthread_detach(thread);
    return f;
}

void finder_stop(struct finder *f)
{
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_signal(&f->work);
    leave(f);
}

bool finder_work(struct finder *f, struct places *ps, uint64_t now_us)
{
    struct question *q = &f->question;
    pthread_mutex_lock(&f->lock);
    if (f->answered) {
        places_resolved(ps, q->id, q->which, q->name, &f->answer);
        f->asked = f->answered = false;
    }
    if (!f->asked)
        f->asked = places_name(ps, now_us, &q->id, &q->which, q->name);
    size_t len = places_text(ps, f->text);
    f->text_len = len > 0 ? len : f->text_len;
    bool asked = f->asked;
    if (asked || len > 0)
        pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
    return asked;
}

void finder_recall(const char *data_dir, struct places *ps)
{
    char path[PATH_BYTES], text[PLACES_TEXT_MAX_BYTES + 1];
    (void)snprintf(path, sizeof path, "%s/places", data_dir);
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return;
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    (void)fclose(in); /* only read from */
    places_read(ps, text);
}
