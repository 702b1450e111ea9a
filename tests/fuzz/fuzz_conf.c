// LINK: raftd/conf.c raftd/conf_addr.c raftd/base/num.c
/* Any text: parsed or refused with a message; what parses is printed and parses to the same. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftd/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[CONF_ERR_SIZE] = "";
    struct conf conf, again;
    char *text = malloc(size + 1); /* exact size: reading past the end is seen */
    assert(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    int result = conf_parse(&conf, text, "f", err, sizeof(err));
    free(text);
    assert(result == 0 || (result == -1 && err[0] != '\0'));
    if (result != 0) {
        return 0;
    }
    char *printed = NULL;
    size_t printed_size = 0;
    FILE *out = open_memstream(&printed, &printed_size);
    assert(out != NULL);
    result = conf_print(&conf, out);
    assert(result == 0);
    result = fclose(out);
    assert(result == 0);
    result = conf_parse(&again, printed, "printed", err, sizeof(err));
    assert(result == 0);
    assert(memcmp(&conf, &again, sizeof(conf)) == 0);
    result = conf_set_node(&conf, conf.nodes[0].id, err, sizeof(err));
    assert(result == 0 && conf_self(&conf) == &conf.nodes[0]);
    free(printed);
    return 0;
}
