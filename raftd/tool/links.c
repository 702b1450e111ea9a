/* links.c: who hears whom, as a status says, in a table with words below it and as JSON. Among the words is
 * the trouble of peers that the daemon names. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/base/json.h"
#include "raftd/serve/status_text.h"
#include "raftd/tool/raftctl.h"

/* That node, of which the daemon says what keeps it apart; NULL: nothing does. */
static const struct status_peer *trouble_of(const struct status *s, uint16_t id)
{
    for (unsigned i = 0; i < s->n_peers; i++)
        if (s->peers[i].id == id && s->peers[i].trouble != NULL)
            return &s->peers[i];
    return NULL;
}

/* --- words ------------------------------------------------------------------------------------ */

/* True if node i says this of all other nodes. */
static bool whole_row(const struct status *s, unsigned i, uint8_t heard)
{
    for (unsigned k = 0; k < s->n_links; k++)
        if (k != i && s->links[i].heard[k] != heard)
            return false;
    return true;
}

/* True if node i hears nobody. Then its row tells of itself and not of the others. */
static bool deaf(const struct status *s, unsigned i)
{
    return whole_row(s, i, STATUS_LINK_SILENT);
}

/* True if nobody who hears at all hears node k. */
static bool unheard(const struct status *s, unsigned k)
{
    bool silent = false;
    for (unsigned i = 0; i < s->n_links; i++) {
        if (i == k || s->links[i].heard[k] == STATUS_LINK_UNKNOWN || deaf(s, i))
            continue;
        if (s->links[i].heard[k] != STATUS_LINK_SILENT)
            return false;
        silent = true;
    }
    return silent;
}

static void tell_node(const struct status *s, unsigned i, FILE *out)
{
    bool unknown = whole_row(s, i, STATUS_LINK_UNKNOWN);
    const struct status_peer *apart = trouble_of(s, s->links[i].id);
    if (deaf(s, i))
        fprintf(out, "node %u hears nobody\n", s->links[i].id);
    if (unheard(s, i))
        fprintf(out, "nobody hears node %u%s\n", s->links[i].id,
                unknown && apart == NULL ? ": is it down, or cut off?" : "");
    else if (unknown)
        fprintf(out, "it is not known whom node %u hears\n", s->links[i].id);
    if (apart != NULL)
        fprintf(out, "node %u%s%s%s %s\n", apart->id, apart->at[0] != '\0' ? " (" : "", apart->at,
                apart->at[0] != '\0' ? ")" : "", apart->trouble);
}

static void tell_pair(const struct status *s, unsigned i, unsigned k, FILE *out)
{
    uint8_t heard = s->links[i].heard[k], back = s->links[k].heard[i];
    if (heard <= STATUS_LINK_HEARD_MAX && heard >= LINKS_LOSS_TOLD)
        fprintf(out, "node %u loses %u %% of what node %u sends\n", s->links[i].id, heard,
                s->links[k].id);
    if (heard != STATUS_LINK_SILENT || deaf(s, i) || unheard(s, k))
        return; /* nothing is wrong, or tell_node() has said it */
    if (back != STATUS_LINK_SILENT || deaf(s, k) || unheard(s, i))
        fprintf(out, "node %u does not hear node %u\n", s->links[i].id, s->links[k].id);
    else if (i < k)
        fprintf(out, "nodes %u and %u do not hear each other\n", s->links[i].id, s->links[k].id);
}

char *links_trouble(const struct status *s)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    for (unsigned i = 0; i < s->n_links; i++)
        tell_node(s, i, out);
    for (unsigned i = 0; i < s->n_links; i++)
        for (unsigned k = 0; k < s->n_links; k++)
            if (k != i)
                tell_pair(s, i, k, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* --- table ------------------------------------------------------------------------------------ */

static void print_cell(FILE *out, uint8_t heard)
{
    if (heard == STATUS_LINK_SILENT)
        fprintf(out, "   --");
    else if (heard == STATUS_LINK_UNKNOWN)
        fprintf(out, "    ?");
    else if (heard == 0)
        fprintf(out, "   ok");
    else
        fprintf(out, " %3u%%", heard);
}

/* What to print if nothing is wrong as far as is known. */
static const char *all_well(const struct status *s)
{
    for (unsigned i = 0; i < s->n_links; i++)
        for (unsigned k = 0; k < s->n_links; k++)
            if (k != i && s->links[i].heard[k] == STATUS_LINK_UNKNOWN)
                return "all nodes hear each other, as far as is known yet\n";
    return "all nodes hear each other\n";
}

static void print_table(FILE *out, const struct status *s, const char *words)
{
    if (s->n_links == 0) {
        fprintf(out, "there are no other nodes\n");
        return;
    }
    fprintf(out, "   hears");
    for (unsigned k = 0; k < s->n_links; k++)
        fprintf(out, " %4u", s->links[k].id);
    for (unsigned i = 0; i < s->n_links; i++) {
        fprintf(out, "\nnode %3u", s->links[i].id);
        for (unsigned k = 0; k < s->n_links; k++)
            if (k == i)
                fprintf(out, "    .");
            else
                print_cell(out, s->links[i].heard[k]);
    }
    fprintf(out, "\n\n%s", words[0] != '\0' ? words : all_well(s));
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_link(struct json *j, const struct status *s, unsigned i, unsigned k)
{
    uint8_t heard = s->links[i].heard[k];
    json_open(j, NULL, '{');
    json_number(j, "node", s->links[i].id);
    json_number(j, "hears", s->links[k].id);
    json_text(j, "state",
              heard == STATUS_LINK_SILENT    ? "silent"
              : heard == STATUS_LINK_UNKNOWN ? "unknown"
                                             : "heard");
    if (heard <= STATUS_LINK_HEARD_MAX)
        json_number(j, "loss_percent", heard);
    json_close(j, '}');
}

/* Changes `words`, which it takes apart. */
static void print_json(FILE *out, const struct status *s, char *words)
{
    struct json j = {.out = out};
    char *line;
    json_open(&j, NULL, '{');
    json_open(&j, "links", '[');
    for (unsigned i = 0; i < s->n_links; i++)
        for (unsigned k = 0; k < s->n_links; k++)
            if (k != i)
                put_link(&j, s, i, k);
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
    struct status s;
    status_read(&s, text, 0);
    char *words = links_trouble(&s);
    if (words == NULL)
        return false;
    if (json)
        print_json(out, &s, words);
    else
        print_table(out, &s, words);
    free(words);
    return true;
}
