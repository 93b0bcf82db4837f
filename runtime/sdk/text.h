/* Lines of text without a C library: put things into one, then print or send it. */
#ifndef TEXT_H
#define TEXT_H

#include "sidecore.h"

struct line {
    char text[240];
    uint32_t length;
};

static void put(struct line *line, const char *text) {
    while (*text && line->length < sizeof line->text) line->text[line->length++] = *text++;
}

static void put_number(struct line *line, uint64_t value) {
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n && line->length < sizeof line->text) line->text[line->length++] = digits[--n];
}

/* With the largest unit that leaves it whole. */
static void put_size(struct line *line, uint64_t bytes) {
    static const char *units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    int unit = 0;
    while (unit < 4 && bytes && bytes % 1024 == 0) bytes /= 1024, unit++;
    put_number(line, bytes);
    put(line, units[unit]);
}

static void say(struct line *line) {
    put(line, "\n");
    print(line->text, line->length);
    line->length = 0;
}

#endif
