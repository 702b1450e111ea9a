/* links.c: who hears whom, from the link.A.B lines of status, as a table with words below it
 * and as JSON. Among the words is the daemon's own peer.N.trouble. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/json.h"
#include "raftd/base/num.h"
#include "raftd/tool/raftctl.h"

enum {
    HEARD_MAX = 100, /* up to here a number is the loss in percent */
    UNKNOWN,
    SILENT,
    LOSS_WORTH_WORDS = 5, /* percent; less is usual on radio links */
};

struct links {
    unsigned n;
    uint16_t id[CONF_NODES_MAX];
    uint8_t heard[CONF_NODES_MAX][CONF_NODES_MAX]; /* [who][whom]: loss, UNKNOWN or SILENT */
    const char *trouble[CONF_ID_MAX + 1];          /* by id; NULL: none */
};

/* --- reading ---------------------------------------------------------------------------------- */

/* The place of a node, given to it if it is new; -1: no room, or no id. */
static int place_of(struct links *l, uint64_t id)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->id[i] == id)
            return (int)i;
    if (l->n == CONF_NODES_MAX || id == 0)
        return -1;
    l->id[l->n] = (uint16_t)id;
    return (int)l->n++;
}

static uint8_t heard_of(const char *value)
{
    uint64_t percent;
    if (strcmp(value, "silent") == 0)
        return SILENT;
    return num_parse(value, 0, HEARD_MAX, &percent) ? (uint8_t)percent : UNKNOWN;
}

/* Takes "peer.N.trouble=words" and "link.A.B=value"; other lines do not matter. */
static void add_line(struct links *l, const char *line)
{
    static const char trouble[] = ".trouble=";
    const char *at = line + 5;
    uint64_t from, to;
    bool peer = strncmp(line, "peer.", 5) == 0;
    if ((!peer && strncmp(line, "link.", 5) != 0) || !num_take(&at, 10, CONF_ID_MAX, &from))
        return;
    if (peer && strncmp(at, trouble, sizeof trouble - 1) == 0)
        l->trouble[from] = at + sizeof trouble - 1;
    if (peer || *at++ != '.' || !num_take(&at, 10, CONF_ID_MAX, &to) || *at++ != '=' || from == to)
        return;
    int i = place_of(l, from), k = place_of(l, to);
    if (i >= 0 && k >= 0)
        l->heard[i][k] = heard_of(at);
}

static void read_links(struct links *l, char *text)
{
    char *line;
    *l = (struct links){.n = 0};
    memset(l->heard, UNKNOWN, sizeof l->heard);
    while ((line = strsep(&text, "\n")) != NULL)
        add_line(l, line);
}

/* --- words ------------------------------------------------------------------------------------ */

/* True if node i says this of all other nodes. */
static bool whole_row(const struct links *l, unsigned i, uint8_t heard)
{
    for (unsigned k = 0; k < l->n; k++)
        if (k != i && l->heard[i][k] != heard)
            return false;
    return true;
}

/* True if node i hears nobody. Then its row tells of itself and not of the others. */
static bool deaf(const struct links *l, unsigned i)
{
    return whole_row(l, i, SILENT);
}

/* True if nobody who hears at all hears node k. */
static bool unheard(const struct links *l, unsigned k)
{
    bool silent = false;
    for (unsigned i = 0; i < l->n; i++) {
        if (i == k || l->heard[i][k] == UNKNOWN || deaf(l, i))
            continue;
        if (l->heard[i][k] != SILENT)
            return false;
        silent = true;
    }
    return silent;
}

static void tell_node(const struct links *l, unsigned i, FILE *out)
{
    bool unknown = whole_row(l, i, UNKNOWN);
    const char *trouble = l->trouble[l->id[i]];
    if (deaf(l, i))
        fprintf(out, "node %u hears nobody\n", l->id[i]);
    if (unheard(l, i))
        fprintf(out, "nobody hears node %u%s\n", l->id[i],
                unknown && trouble == NULL ? ": is it down, or cut off?" : "");
    else if (unknown)
        fprintf(out, "it is not known whom node %u hears\n", l->id[i]);
    if (trouble != NULL)
        fprintf(out, "node %u %s\n", l->id[i], trouble);
}

static void tell_pair(const struct links *l, unsigned i, unsigned k, FILE *out)
{
    uint8_t heard = l->heard[i][k], back = l->heard[k][i];
    if (heard <= HEARD_MAX && heard >= LOSS_WORTH_WORDS)
        fprintf(out, "node %u loses %u %% of what node %u sends\n", l->id[i], heard, l->id[k]);
    if (heard != SILENT || deaf(l, i) || unheard(l, k))
        return; /* nothing is wrong, or tell_node() has said it */
    if (back != SILENT || deaf(l, k) || unheard(l, i))
        fprintf(out, "node %u does not hear node %u\n", l->id[i], l->id[k]);
    else if (i < k)
        fprintf(out, "nodes %u and %u do not hear each other\n", l->id[i], l->id[k]);
}

/* Prints what is wrong, a line each. */
static void tell(const struct links *l, FILE *out)
{
    for (unsigned i = 0; i < l->n; i++)
        tell_node(l, i, out);
    for (unsigned i = 0; i < l->n; i++)
        for (unsigned k = 0; k < l->n; k++)
            if (k != i)
                tell_pair(l, i, k, out);
}

/* The lines of tell(), to be freed; NULL without memory. */
static char *trouble(const struct links *l)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    tell(l, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* --- table ------------------------------------------------------------------------------------ */

static void print_cell(FILE *out, uint8_t heard)
{
    if (heard == SILENT)
        fprintf(out, "   --");
    else if (heard == UNKNOWN)
        fprintf(out, "    ?");
    else if (heard == 0)
        fprintf(out, "   ok");
    else
        fprintf(out, " %3u%%", heard);
}

/* What to print if nothing is wrong as far as is known. */
static const char *all_well(const struct links *l)
{
    for (unsigned i = 0; i < l->n; i++)
        for (unsigned k = 0; k < l->n; k++)
            if (k != i && l->heard[i][k] == UNKNOWN)
                return "all nodes hear each other, as far as is known yet\n";
    return "all nodes hear each other\n";
}

static void print_table(FILE *out, const struct links *l, const char *words)
{
    if (l->n == 0) {
        fprintf(out, "there are no other nodes\n");
        return;
    }
    fprintf(out, "   hears");
    for (unsigned k = 0; k < l->n; k++)
        fprintf(out, " %4u", l->id[k]);
    for (unsigned i = 0; i < l->n; i++) {
        fprintf(out, "\nnode %3u", l->id[i]);
        for (unsigned k = 0; k < l->n; k++)
            if (k == i)
                fprintf(out, "    .");
            else
                print_cell(out, l->heard[i][k]);
    }
    fprintf(out, "\n\n%s", words[0] != '\0' ? words : all_well(l));
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_link(struct json *j, const struct links *l, unsigned i, unsigned k)
{
    uint8_t heard = l->heard[i][k];
    json_open(j, NULL, '{');
    json_number(j, "node", l->id[i]);
    json_number(j, "hears", l->id[k]);
    json_text(j, "state", heard == SILENT ? "silent" : heard == UNKNOWN ? "unknown" : "heard");
    if (heard <= HEARD_MAX)
        json_number(j, "loss_percent", heard);
    json_close(j, '}');
}

/* Changes `words`, which it takes apart. */
static void print_json(FILE *out, const struct links *l, char *words)
{
    struct json j = {.out = out};
    char *line;
    json_open(&j, NULL, '{');
    json_open(&j, "links", '[');
    for (unsigned i = 0; i < l->n; i++)
        for (unsigned k = 0; k < l->n; k++)
            if (k != i)
                put_link(&j, l, i, k);
    json_close(&j, ']');
    json_open(&j, "trouble", '[');
    while ((line = strsep(&words, "\n")) != NULL)
        if (line[0] != '\0')
            json_text(&j, NULL, line);
    json_close(&j, ']');
    json_close(&j, '}');
    fputc('\n', out);
}

bool print_links(FILE *out, char *text, bool json)
{
    struct links l;
    read_links(&l, text);
    char *words = trouble(&l);
    if (words == NULL)
        return false;
    if (json)
        print_json(out, &l, words);
    else
        print_table(out, &l, words);
    free(words);
    return true;
}
