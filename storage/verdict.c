/* verdict.c: see verdict.h. */
#include "storage/verdict.h"

#include <stdbool.h>

#define ANY VERDICT_ANY

#define NOT_HEAD (AT_MARKED | AT_STRANGE)
#define UNMARKED (AT_ZERO | AT_STRANGE)

/* The order of columns is that of struct verdict_facts. */
const struct verdict_rule verdict_rules[] = {
    /* seal  block    payl seq         chain later last rest recycled */
    {{YES, ANY, ANY, ANY, ANY, ANY, ANY, ANY, ANY}, VERDICT_SEALED, "sealed"},
    {{NO, AT_HEAD, YES, SEQ_NEXT, YES, ANY, ANY, ANY, ANY}, VERDICT_ACCEPT, "whole"},
    /* A valid head that a cut write cannot have produced: every block is written once. */
    {{NO, AT_HEAD, ANY, SEQ_LOWER, ANY, ANY, ANY, ANY, ANY},
     VERDICT_CORRUPT,
     "holds an older batch"},
    {{NO, AT_HEAD, ANY, SEQ_HIGHER, ANY, ANY, ANY, ANY, ANY},
     VERDICT_CORRUPT,
     "holds a later batch, so one before it is gone"},
    {{NO, AT_HEAD, ANY, SEQ_NEXT, NO, ANY, ANY, ANY, ANY},
     VERDICT_CORRUPT,
     "holds a batch that does not follow the one before it"},
    /* The right head with a wrong payload: durable if anything came behind it. */
    {{NO, AT_HEAD, NO, SEQ_NEXT, YES, YES, ANY, ANY, ANY},
     VERDICT_CORRUPT,
     "is damaged (payload checksum), and a later batch behind it is whole"},
    {{NO, AT_HEAD, NO, SEQ_NEXT, YES, NO, NO, ANY, ANY},
     VERDICT_CORRUPT,
     "is damaged (payload checksum), and a later segment is in use"},
    {{NO, AT_HEAD, NO, SEQ_NEXT, YES, NO, YES, ANY, ANY}, VERDICT_TORN, "is damaged or was cut"},
    /* No head at all. */
    {{NO, NOT_HEAD, ANY, ANY, ANY, YES, ANY, ANY, ANY},
     VERDICT_CORRUPT,
     "is damaged (batch head), and a later batch behind it is whole"},
    {{NO, NOT_HEAD, ANY, ANY, ANY, NO, NO, ANY, ANY},
     VERDICT_CORRUPT,
     "is damaged (batch head), and a later segment is in use"},
    {{NO, AT_ZERO, ANY, ANY, ANY, YES, ANY, ANY, ANY},
     VERDICT_CORRUPT,
     "is zero, and a later batch behind it is whole"},
    {{NO, AT_ZERO, ANY, ANY, ANY, NO, NO, ANY, ANY},
     VERDICT_CORRUPT,
     "is zero or its seal is damaged, and a later segment is in use"},
    {{NO, AT_MARKED, ANY, ANY, ANY, NO, YES, ANY, ANY}, VERDICT_TORN, "is damaged or was cut"},
    {{NO, UNMARKED, ANY, ANY, ANY, NO, YES, AT_MARKED, ANY}, VERDICT_TORN, "is damaged or was cut"},
    /* No sign of a write here or behind, but for blocks that zeros do not explain. */
    {{NO, AT_STRANGE, ANY, ANY, ANY, NO, YES, UNMARKED, NO}, VERDICT_TORN, "is damaged or was cut"},
    {{NO, AT_ZERO, ANY, ANY, ANY, NO, YES, AT_STRANGE, NO}, VERDICT_TORN, "is damaged or was cut"},
    {{NO, AT_ZERO, ANY, ANY, ANY, NO, YES, AT_ZERO, NO}, VERDICT_CLEAN, "end of the log"},
    {{NO, UNMARKED, ANY, ANY, ANY, NO, YES, UNMARKED, YES}, VERDICT_CLEAN, "end of the log"},
};
const size_t verdict_n_rules = sizeof verdict_rules / sizeof *verdict_rules;

static bool allows(uint8_t set, uint8_t fact)
{
    return set == ANY || (set & fact) != 0;
}

const struct verdict_rule *verdict_judge(const struct verdict_facts *f)
{
    for (size_t i = 0; i < verdict_n_rules; i++) {
        const struct verdict_facts *w = &verdict_rules[i].when;
        if (allows(w->seal, f->seal) && allows(w->block, f->block) &&
            allows(w->payload, f->payload) && allows(w->seq, f->seq) &&
            allows(w->chained, f->chained) && allows(w->later, f->later) &&
            allows(w->last, f->last) && allows(w->rest, f->rest) &&
            allows(w->recycled, f->recycled))
            return &verdict_rules[i];
    }
    return NULL;
}
