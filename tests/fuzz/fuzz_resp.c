// LINK: raftd/serve/resp.c
/* fuzz_resp.c: any bytes, in any pieces: the same commands are taken from them, no byte outside is read, and
 * no more is kept than the limits allow. An array that is taken, written again, gives the same command. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/serve/resp.h"

enum { ARG_MAX_BYTES = 100, ARGS_MAX_BYTES = 200 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void same(const struct resp_out *a, const struct resp_out *b)
{
    must(a->len == b->len && (a->len == 0 || memcmp(a->buf, b->buf, a->len) == 0));
}

/* Takes all commands of data[0..size), which comes in pieces of `piece`, and writes them to `out`. True if
 * there was nothing but commands. */
static bool take_all(const uint8_t *data, size_t size, size_t piece, struct resp_out *out)
{
    struct resp_in in = {.arg_max_bytes = ARG_MAX_BYTES, .args_max_bytes = ARGS_MAX_BYTES};
    static struct resp_arg argv[RESP_ARGS_MAX];
    size_t from = 0, to = 0;
    bool plain = true;
    while (to < size) {
        to = size - to < piece ? size : to + piece;
        for (;;) {
            uint8_t *exact = malloc(to - from + (to == from));
            must(exact != NULL);
            memcpy(exact, data + from, to - from);
            enum resp_came came = resp_take(&in, exact, to - from, argv);
            if (came == RESP_BAD) {
                resp_error(out, "%s", in.error);
                free(exact);
                return false;
            }
            must(in.used <= to - from && in.argc <= RESP_SKIP_ARGS_MAX);
            must(came == RESP_MORE || in.used > 0);
            if (came == RESP_CALL)
                resp_array(out, in.argc);
            for (unsigned i = 0; came == RESP_CALL && i < in.argc; i++) {
                must(argv[i].p >= exact && argv[i].p + argv[i].len <= exact + in.used);
                resp_bulk(out, argv[i].p, argv[i].len);
            }
            if (came == RESP_TOO_BIG) {
                resp_simple(out, "too big");
                plain = false;
            }
            free(exact);
            from += in.used;
            if (came == RESP_MORE)
                break;
        }
        must(to - from <= RESP_LINE_MAX_BYTES + piece ||
             to - from <= ARGS_MAX_BYTES + RESP_ARGS_MAX * 8 + piece);
    }
    return plain;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct resp_out whole = {.version = 2, .most = 1 << 20}, pieces = whole, again = whole;
    bool plain = take_all(data + 1, size - 1, size, &whole);
    must(take_all(data + 1, size - 1, 1 + data[0], &pieces) == plain);
    same(&whole, &pieces);
    if (plain && take_all(whole.buf, whole.len, size, &again))
        same(&whole, &again);
    free(whole.buf);
    free(pieces.buf);
    free(again.buf);
    return 0;
}
