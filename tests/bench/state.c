// LINK: @state tests/lib/state_table.c -Wl,--wrap=malloc
/* state.c: what the state costs, beside the hash table that was there before it.
 *
 *     state [KEYS]...        1000, 100000 and 1000000 of them
 *
 * Keys as "group0042/key0017", values of 32 bytes. Times are of the processor, all threads (also the one
 * that frees), each the least of five, by turns with the other: other programs disturb little.
 *
 *   put/N         one put of a random key, in batches of N that are published at once
 *   new/N         bytes allocated for such a put, its own object included
 *   get           one get of a random key
 *   list          one list of a group, 1000 keys
 *   freeze        opening and closing an image
 *   bytes/key     memory that a key takes beside the bytes of its key and value
 *
 * Then what a turn of the daemon's loop may have to do with such a state and ORIGINS nodes that write, in
 * microseconds of this thread, each the most of many:
 *
 *   apply         puts of random keys, as many as are applied at a time, and showing them
 *   tidy          freeing a part of what they replaced
 *   freeze, thaw  opening an image; closing it
 *   digest        of the state, as nodes compare it
 *   replace       another state in the place of this one, as one that was installed
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "raftd/node/io.h"
#include "raftd/state/cmd.h"
#include "raftd/state/image.h"
#include "raftd/state/kv.h"
#include "raftd/state/machine.h"
#include "tests/lib/state_table.h"

enum { GROUP = 1000, VALUE_BYTES = 32, PUTS = 50000, GETS = 100000, BATCHES = 3, TIMES = 5 };

static const unsigned batches[BATCHES] = {1, 16, 64};
static size_t allocated;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    allocated += size;
    return __real_malloc(size);
}

static uint32_t roll(uint32_t n)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((state >> 33) % n);
}

static double cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

struct key {
    char text[32];
    uint16_t len;
};

static struct key key_of(uint32_t i)
{
    struct key k;
    k.len = (uint16_t)snprintf(k.text, sizeof k.text, "group%04u/key%04u", i / GROUP, i % GROUP);
    return k;
}

/* Made before the clock runs. */
static struct key *random_keys(uint32_t n, uint32_t of)
{
    struct key *keys = calloc(n, sizeof *keys);
    if (keys == NULL)
        abort();
    for (uint32_t i = 0; i < n; i++)
        keys[i] = key_of(roll(of));
    return keys;
}

/* One of the two. */
struct store {
    struct kv *kv;
    struct cds_lfht *table;
    uint64_t index;
};

static void put(struct store *s, const struct key *k)
{
    static const char value[VALUE_BYTES] = "a value";
    s->index++;
    if (s->table != NULL)
        table_put(s->table, s->index, k->text, k->len, value, VALUE_BYTES);
    else {
        const struct kv_object *old = kv_find(s->kv, (const uint8_t *)k->text, k->len);
        if (kv_put(s->kv, &(struct kv_content){
                              .key = (const uint8_t *)k->text,
                              .key_len = k->len,
                              .value = (const uint8_t *)value,
                              .value_len = VALUE_BYTES,
                              .create_revision = old != NULL ? old->create_revision : s->index,
                              .modify_revision = s->index,
                          }) != KV_DONE)
            abort();
    }
}

static void publish(struct store *s)
{
    if (s->kv != NULL && !kv_publish(s->kv, s->index, 0))
        abort();
}

static double put_ns(struct store *s, uint32_t n, unsigned batch, double *bytes)
{
    struct key *keys = random_keys(PUTS, n);
    rcu_wait_freed();
    size_t before = allocated;
    double start = cpu_ns();
    for (uint32_t i = 0; i < PUTS; i++) {
        put(s, &keys[i]);
        if (i % batch == batch - 1)
            publish(s);
    }
    publish(s);
    rcu_wait_freed();
    double ns = (cpu_ns() - start) / (double)PUTS;
    *bytes = (double)(allocated - before) / (double)PUTS;
    free(keys);
    return ns;
}

static double get_ns(struct store *s, uint32_t n)
{
    struct key *keys = random_keys(GETS, n);
    uint64_t sum = 0;
    double start = cpu_ns();
    for (uint32_t i = 0; i < GETS; i++) {
        rcu_enter();
        if (s->table != NULL)
            sum += table_get(s->table, keys[i].text, keys[i].len)->value_len;
        else
            sum += kv_get(kv_view(s->kv), (const uint8_t *)keys[i].text, keys[i].len)->value_len;
        rcu_leave();
    }
    double ns = (cpu_ns() - start) / (double)GETS;
    if (sum != (uint64_t)GETS * VALUE_BYTES)
        abort();
    free(keys);
    return ns;
}

static size_t list_once(struct store *s, const char *prefix, size_t len)
{
    size_t n = 0;
    rcu_enter();
    if (s->table != NULL) {
        const struct table_object **list;
        n = table_list(s->table, prefix, len, &list);
        free(list);
    } else {
        struct kv_range range = {.prefix = (const uint8_t *)prefix, .prefix_len = len};
        struct kv_cursor c;
        const struct kv_object *o = kv_first(kv_view(s->kv), &range, &c);
        for (; o != NULL; o = kv_next(&c))
            n += o->value_len / VALUE_BYTES;
    }
    rcu_leave();
    return n;
}

static double list_us(struct store *s, uint32_t n)
{
    unsigned times = 0;
    double start = cpu_ns(), ns;
    do {
        struct key k = key_of(roll(n));
        if (list_once(s, k.text, strlen("group0000/")) != GROUP)
            abort();
        times++;
        ns = cpu_ns() - start;
    } while (ns < 5e7);
    return ns / times / 1000;
}

static double freeze_us(struct store *s)
{
    enum { IMAGES = 1000 };
    double start = cpu_ns();
    for (unsigned i = 0; i < IMAGES; i++)
        kv_thaw(s->kv, kv_freeze(s->kv));
    return (cpu_ns() - start) / (double)IMAGES / 1000;
}

/* In an order of which no structure profits. */
static void load(struct store *s, uint32_t n)
{
    uint32_t *order = calloc(n, sizeof *order);
    if (order == NULL)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = roll(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct key k = key_of(order[i]);
        put(s, &k);
        if (i % 64 == 63)
            publish(s);
    }
    publish(s);
    free(order);
    rcu_wait_freed();
}

struct figures {
    double put[BATCHES], bytes[BATCHES], get, list, freeze, key;
};

static void least(double *figure, double x)
{
    if (*figure == 0 || x < *figure)
        *figure = x;
}

static void measure(struct store *s, uint32_t n, struct figures *f)
{
    for (unsigned i = 0; i < BATCHES; i++)
        least(&f->put[i], put_ns(s, n, batches[i], &f->bytes[i]));
    least(&f->get, get_ns(s, n));
    least(&f->list, list_us(s, n));
    if (s->kv != NULL)
        least(&f->freeze, freeze_us(s));
}

static double load_bytes(struct store *s, uint32_t n)
{
    size_t before = mallinfo2().uordblks;
    load(s, n);
    return (double)(mallinfo2().uordblks - before) / n - key_of(0).len - (double)VALUE_BYTES;
}

static void print(uint32_t n, const char *name, const struct figures *f)
{
    printf("%8" PRIu32 " %-6s", n, name);
    for (unsigned i = 0; i < BATCHES; i++)
        printf(" %7.0f", f->put[i]);
    for (unsigned i = 0; i < BATCHES; i++)
        printf(" %7.0f", f->bytes[i]);
    printf(" %7.0f %9.1f %9.2f %9.0f\n", f->get, f->list, f->freeze, f->key);
}

static void compare(uint32_t n)
{
    struct store table = {.table = table_new(n)}, tree = {.kv = kv_new()};
    struct figures a = {0}, b = {0};
    if (table.table == NULL || tree.kv == NULL)
        abort();
    a.key = load_bytes(&table, n);
    b.key = load_bytes(&tree, n);
    for (unsigned i = 0; i < TIMES; i++) {
        measure(&table, n, &a);
        measure(&tree, n, &b);
    }
    table_free(table.table);
    kv_free(tree.kv);
    print(n, "table", &a);
    print(n, "tree", &b);
    printf("%8" PRIu32 " put %.2f %.2f %.2f times as long, list %.0f times as fast\n", n,
           b.put[0] / a.put[0], b.put[1] / a.put[1], b.put[2] / a.put[2], a.list / b.list);
    fflush(stdout);
}

/* ---- a turn of the loop ---- */

enum { ORIGINS = 9, TURNS = 2000 };

struct turns {
    double apply, tidy, freeze, thaw, digest, replace;
};

static double thread_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1000;
}

static void most(double *figure, double x)
{
    if (x > *figure)
        *figure = x;
}

static void apply(struct machine *m, const struct key *k)
{
    static const uint8_t value[VALUE_BYTES];
    static uint8_t buf[CMD_MAX_BYTES];
    uint64_t index = machine_applied(m) + 1;
    struct cmd_item it = {CMD_PUT, 0, k->len, VALUE_BYTES, (const uint8_t *)k->text, value};
    struct cmd c = {.operations = 1,
                    .origin = (uint16_t)(index % ORIGINS + 1),
                    .process = 1,
                    .number = index / ORIGINS + 1};
    struct applied a;
    size_t size = cmd_encode(buf, &c, &it);
    if (!machine_apply(m, index, index, buf, size, NULL, &a) || a.outcome != MACHINE_DONE)
        abort();
}

static void turn(struct machine *m, uint32_t keys, struct turns *t)
{
    struct key *k = random_keys(NODE_APPLY_MAX, keys);
    double start = thread_us();
    for (unsigned i = 0; i < NODE_APPLY_MAX; i++)
        apply(m, &k[i]);
    if (!machine_publish(m))
        abort();
    most(&t->apply, thread_us() - start);
    start = thread_us();
    (void)machine_tidy(m);
    most(&t->tidy, thread_us() - start);
    free(k);
}

static void turn_image(struct machine *m, struct turns *t)
{
    uint8_t digest[MACHINE_DIGEST_BYTES];
    double start = thread_us();
    struct image *image = machine_freeze(m);
    if (image == NULL)
        abort();
    most(&t->freeze, thread_us() - start);
    start = thread_us();
    machine_thaw(m, image);
    most(&t->thaw, thread_us() - start);
    start = thread_us();
    machine_digest(m, digest);
    most(&t->digest, thread_us() - start);
}

static struct image_load *load_of(struct machine *m)
{
    uint8_t digest[MACHINE_DIGEST_BYTES];
    uint16_t section;
    const uint8_t *bytes;
    size_t len;
    struct image *image = machine_freeze(m);
    struct image_load *load = image_load_new();
    if (image == NULL || load == NULL)
        abort();
    memcpy(digest, image_digest(image), sizeof digest);
    while (image_next(image, &section, &bytes, &len) == 1)
        if (image_load_chunk(load, section, bytes, len) != 0)
            abort();
    if (image_load_done(load, digest) != 0)
        abort();
    machine_thaw(m, image);
    return load;
}

static void measure_turns(uint32_t n)
{
    struct turns t = {0};
    struct kv *kv = kv_new();
    struct machine *m = kv != NULL ? machine_new(kv) : NULL;
    if (m == NULL)
        abort();
    for (uint32_t i = 0; i < n; i++) {
        struct key k = key_of(i);
        apply(m, &k);
        if (i % NODE_APPLY_MAX == 0 && !machine_publish(m))
            abort();
    }
    if (!machine_publish(m))
        abort();
    for (unsigned i = 0; i < TURNS; i++) {
        turn(m, n, &t);
        if (i % 20 == 0)
            turn_image(m, &t);
    }
    struct image_load *load = load_of(m);
    double start = thread_us();
    machine_replace(m, load, machine_applied(m), machine_cluster_ms(m));
    most(&t.replace, thread_us() - start);
    for (bool more = true; more;) {
        start = thread_us();
        more = machine_tidy(m);
        most(&t.tidy, thread_us() - start);
    }
    printf("%8" PRIu32
           " turn   apply %.0f tidy %.0f freeze %.0f thaw %.0f digest %.0f replace %.0f us\n",
           n, t.apply, t.tidy, t.freeze, t.thaw, t.digest, t.replace);
    fflush(stdout);
    machine_free(m);
    kv_free(kv);
}

static void show(uint32_t n)
{
    compare(n);
    measure_turns(n);
}

int main(int argc, char **argv)
{
    rcu_thread_begin();
    printf("%8s %-6s %7s %7s %7s %7s %7s %7s %7s %9s %9s %9s\n", "keys", "", "put/1", "put/16",
           "put/64", "new/1", "new/16", "new/64", "get ns", "list us", "freeze us", "bytes/key");
    for (int i = 1; i < argc; i++)
        show((uint32_t)strtoul(argv[i], NULL, 10));
    if (argc == 1)
        for (uint32_t n = 1000; n <= 1000000; n *= n == 1000 ? 100 : 10)
            show(n);
    rcu_thread_end();
    return 0;
}
