/* screen.c: see screen.h. */
#include "raftd/tool/screen.h"

#include <string.h>

void screen_clear(struct screen *s, unsigned columns, unsigned rows)
{
    s->columns = columns < SCREEN_COLUMNS_MAX ? columns : SCREEN_COLUMNS_MAX;
    s->rows = rows < SCREEN_ROWS_MAX ? rows : SCREEN_ROWS_MAX;
    for (unsigned row = 0; row < SCREEN_ROWS_MAX; row++)
        for (unsigned column = 0; column < SCREEN_COLUMNS_MAX; column++)
            s->cells[row][column] = (struct cell){' ', LOOK_PLAIN};
}

unsigned screen_put(struct screen *s, unsigned row, unsigned column, unsigned end, enum look look,
                    const char *text)
{
    if (end > s->columns)
        end = s->columns;
    if (row >= s->rows)
        return column;
    for (; *text != '\0' && column < end; text++, column++) {
        uint8_t c = (uint8_t)*text;
        if (column + 1 == end && text[1] != '\0')
            c = '~';
        s->cells[row][column] = (struct cell){c >= ' ' && c < 0x7f ? c : '?', (uint8_t)look};
    }
    return column;
}

void screen_bar(struct screen *s, unsigned row, unsigned column, unsigned height)
{
    if (row < s->rows && column < s->columns && height > 0)
        s->cells[row][column].what = (uint8_t)(height < SCREEN_BARS ? height : SCREEN_BARS);
}

/* --- output ----------------------------------------------------------------------------------- */

static void print_cell(const struct cell *c, struct screen_as as, FILE *out)
{
    static const char ascii[SCREEN_BARS + 1] = ".:-=+*%#";
    if (c->what > SCREEN_BARS)
        fputc(c->what, out);
    else if (as.utf8)
        fprintf(out, "\xe2\x96%c", 0x80 + c->what); /* U+2581 to U+2588 */
    else
        fputc(ascii[c->what - 1], out);
}

/* How many cells of a row are worth printing. */
static unsigned length_of(const struct screen *s, unsigned row)
{
    unsigned n = s->columns;
    while (n > 0 && s->cells[row][n - 1].what == ' ')
        n--;
    return n;
}

void screen_print(const struct screen *s, struct screen_as as, FILE *out)
{
    unsigned rows = s->rows;
    while (rows > 0 && length_of(s, rows - 1) == 0)
        rows--;
    for (unsigned row = 0; row < rows; row++) {
        for (unsigned column = 0, n = length_of(s, row); column < n; column++)
            print_cell(&s->cells[row][column], as, out);
        fputc('\n', out);
    }
}

static void paint_row(const struct screen *s, unsigned row, struct screen_as as, FILE *out)
{
    static const char *const looks[] = {"", "\033[1m", "\033[32m", "\033[1;31m"};
    unsigned n = length_of(s, row), look = LOOK_PLAIN;
    if (row + 1 == s->rows && n == s->columns)
        n--;
    fprintf(out, "\033[%u;1H\033[K", row + 1);
    for (unsigned column = 0; column < n; column++) {
        const struct cell *c = &s->cells[row][column];
        if (as.colours && c->look != look) {
            fprintf(out, "%s%s", look != LOOK_PLAIN ? "\033[0m" : "", looks[c->look]);
            look = c->look;
        }
        print_cell(c, as, out);
    }
    if (look != LOOK_PLAIN)
        fputs("\033[0m", out);
}

void screen_paint(const struct screen *s, const struct screen *before, struct screen_as as,
                  FILE *out)
{
    if (before != NULL && (before->rows != s->rows || before->columns != s->columns))
        before = NULL;
    if (before == NULL)
        fprintf(out, "%s\033[2J", as.colours ? "\033[0m" : "");
    for (unsigned row = 0; row < s->rows; row++)
        if (before == NULL ? length_of(s, row) > 0
                           : memcmp(s->cells[row], before->cells[row], sizeof s->cells[row]) != 0)
            paint_row(s, row, as, out);
    fprintf(out, "\033[%u;%uH", s->rows, s->columns);
}
