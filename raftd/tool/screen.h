/* screen.h: a screen of characters. What is drawn on it never stands outside its size, and is plain ASCII but
 * for the bars of a history, whatever bytes were given. Each cell is a column wide on all terminals.
 */
#ifndef RAFTCTL_SCREEN_H
#define RAFTCTL_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    /* More of a larger terminal stays empty: lines of more columns are hard to read, and there is not so
     * much to tell. */
    SCREEN_COLUMNS_MAX = 200,
    SCREEN_ROWS_MAX = 100,
    SCREEN_BARS = 8, /* heights of a bar */
};

enum look { LOOK_PLAIN, LOOK_BOLD, LOOK_GOOD, LOOK_BAD };

struct cell {
    uint8_t what; /* a character of ASCII, or the height of a bar: 1 to SCREEN_BARS */
    uint8_t look;
};

struct screen {
    unsigned columns, rows;
    struct cell cells[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
};

/* How a terminal wants it. */
struct screen_as {
    bool utf8;    /* else bars are made of ASCII */
    bool colours; /* else no look differs from another */
};

/* Empties it. A size beyond the limits is cut to them. */
void screen_clear(struct screen *s, unsigned columns, unsigned rows);

/* Writes a text from that column on. What is behind `end`, a column, or behind the screen is cut off, and a
 * '~' stands where it was cut. Returns the column behind the text. */
unsigned screen_put(struct screen *s, unsigned row, unsigned column, unsigned end, enum look look,
                    const char *text);

/* Draws one bar, of that height from 0 to SCREEN_BARS, if the screen has this place. */
void screen_bar(struct screen *s, unsigned row, unsigned column, unsigned height);

/* Prints it as lines without blanks at their ends, and no empty ones at the end. */
void screen_print(const struct screen *s, struct screen_as as, FILE *out);

/* Prints what changes a terminal from `before` to `s`; NULL: from an unknown state. Each row is named, so
 * that it does not matter what the terminal does at the end of one. The last place of the last row is never
 * written, for that would make some scroll. The cursor is left there. */
void screen_paint(const struct screen *s, const struct screen *before, struct screen_as as,
                  FILE *out);

#endif
