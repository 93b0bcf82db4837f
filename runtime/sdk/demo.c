/*
 * The demo guest: says what it is, checks its first disk, then does a little I/O each second and
 * answers messages, and lines that are typed at its console. Made of events, so it costs no thread.
 *
 * The check writes a pattern over the disk (8 MiB of it at most), flushes, reads it back and
 * compares, DEPTH requests at a time. What was on the disk is gone then; a read-only disk is only read.
 *
 *   messages: "stats", "check" (again), "stop"; anything else is answered with what it understands
 *   exit:     0, or 1 if the disk gave back something else than was written
 */
#include "text.h"

#define BLOCK 65536u
#define DEPTH 16u
#define CHECK_MAX (8ull << 20)
#define SECOND 1000000000ll

enum phase { IDLE, WRITING, FLUSHING, READING };
enum { TICK = 0 };

static _Alignas(4096) uint8_t payloads[DEPTH][BLOCK];
static uint64_t begins[DEPTH]; /* where on the disk each payload belongs */
static uint32_t lengths[DEPTH];
static uint8_t busy[DEPTH];
static uint32_t in_flight;

static enum phase phase;
static uint64_t bytes;    /* of the disk that are checked */
static uint64_t next;     /* first byte not yet asked for */
static uint64_t round;    /* so that no check finds what an earlier one wrote */
static uint64_t mismatches;
static int64_t began;
static int written;       /* the pattern is there to compare with */
static int disk_errors;
static int stopping;

static uint64_t reads, writes, errors, seconds;
static char message[256];

/* What belongs at an offset: every word tells its place and its round. */
static uint64_t pattern(uint64_t offset) {
    uint64_t x = (offset ^ (round << 48)) * 0x9E3779B97F4A7C15ull;
    return x ^ (x >> 29);
}

static void fill(uint32_t slot) {
    uint64_t *words = (uint64_t *)payloads[slot];
    for (uint32_t i = 0; i < lengths[slot] / 8; i++) words[i] = pattern(begins[slot] + 8 * i);
}

static int differs(uint32_t slot) {
    const uint64_t *words = (const uint64_t *)payloads[slot];
    for (uint32_t i = 0; i < lengths[slot] / 8; i++) {
        if (words[i] != pattern(begins[slot] + 8 * i)) return 1;
    }
    return 0;
}

static int send(uint32_t operation, uint32_t slot) {
    struct sc_request request = {
        .operation = operation,
        .offset = operation == SC_FLUSH ? 0 : begins[slot],
        .length = operation == SC_FLUSH ? 0 : lengths[slot],
        .tag = slot,
        .address = (uint32_t)(uintptr_t)payloads[slot],
    };
    int32_t sent = vif_send(0, &request);
    if (sent == 0) {
        busy[slot] = 1;
        in_flight++;
    } else if (sent != -SC_EAGAIN) {
        errors++;
        disk_errors++;
    }
    return sent;
}

static void report(void) {
    struct line line = {.length = 0};
    int64_t micros = (clock_nanos() - began) / 1000;
    if (mismatches) {
        put(&line, "demo: check FAILED: ");
        put_number(&line, mismatches);
        put(&line, " blocks are not what was written");
    } else if (disk_errors) {
        put(&line, "demo: the disk answered with errors: ");
        put_number(&line, (uint64_t)disk_errors);
    } else {
        put(&line, written ? "demo: check passed: wrote, flushed and read back " : "demo: read ");
        put_size(&line, bytes);
        put(&line, " in ");
        put_number(&line, (uint64_t)micros / 1000);
        put(&line, " ms");
        if (micros > 0) {
            put(&line, ", ");
            put_number(&line, bytes * (written ? 2 : 1) / (uint64_t)micros);
            put(&line, " MB/s at depth ");
            put_number(&line, DEPTH);
        }
    }
    say(&line);
    if (mismatches) sc_exit(1);
}

/* Keeps DEPTH requests going, and goes to the next phase when the last of one is answered. */
static void advance(void) {
    while (phase != IDLE) {
        if (phase == WRITING || phase == READING) {
            for (uint32_t slot = 0; slot < DEPTH && next < bytes && !disk_errors; slot++) {
                if (busy[slot]) continue;
                begins[slot] = next;
                lengths[slot] = bytes - next < BLOCK ? (uint32_t)(bytes - next) : BLOCK;
                if (phase == WRITING) fill(slot);
                if (send(phase == WRITING ? SC_WRITE : SC_READ, slot) != 0) break;
                next += lengths[slot];
            }
        }
        if (in_flight || (next < bytes && !disk_errors)) return; /* on_block goes on */
        if (disk_errors || phase == READING) {
            phase = IDLE;
            report();
            if (stopping) sc_exit(0);
        } else if (phase == WRITING) {
            phase = FLUSHING;
            if (send(SC_FLUSH, 0) == -SC_EAGAIN) {
                phase = WRITING; /* no room: once more when there is */
                return;
            }
        } else {
            phase = READING;
            next = 0;
        }
    }
}

static void check(void) {
    if (phase != IDLE || bytes == 0) return;
    round++;
    next = mismatches = 0;
    disk_errors = 0;
    began = clock_nanos();
    written = !vif_is_read_only(0);
    phase = written ? WRITING : READING;
    advance();
}

SC_EXPORT(on_start) void on_start(void) {
    struct line line = {.length = 0};
    put(&line, "demo: a guest in WebAssembly, made of events; type stats, check or stop");
    say(&line);
    put(&line, "demo: ");
    put_number(&line, (uint64_t)vif_count());
    put(&line, vif_count() == 1 ? " disk" : " disks");
    for (int32_t vif = 0; vif < vif_count() && vif < 8; vif++) {
        put(&line, vif ? ", " : ": ");
        put_size(&line, (uint64_t)vif_size(vif));
        if (vif_is_read_only(vif)) put(&line, " (read-only)");
    }
    say(&line);
    if (vif_count() > 0) {
        bytes = (uint64_t)vif_size(0) & ~7ull;
        if (bytes > CHECK_MAX) bytes = CHECK_MAX;
    }
    check();
    timer_set(TICK, SECOND);
}

SC_EXPORT(on_block) void on_block(int32_t vif) {
    struct sc_answer answer;
    while (vif_recv(vif, &answer) == 1) {
        uint32_t slot = (uint32_t)answer.tag;
        if (vif != 0 || slot >= DEPTH || !busy[slot]) continue;
        busy[slot] = 0;
        in_flight--;
        if (answer.error != SC_OK) {
            errors++;
            disk_errors++;
        } else if (phase == WRITING) {
            writes++;
        } else if (phase != FLUSHING) {
            reads++;
            if (written && differs(slot)) mismatches++;
        }
    }
    if (phase == IDLE && mismatches) report(); /* the light I/O of each second is compared as well */
    advance();
}

static void put_stats(struct line *line) {
    put_number(line, reads);
    put(line, " reads, ");
    put_number(line, writes);
    put(line, " writes, ");
    put_number(line, errors);
    put(line, " errors, ");
    put_number(line, seconds);
    put(line, " s");
}

SC_EXPORT(on_timer) void on_timer(int32_t number) {
    seconds++;
    if (phase == IDLE && bytes > 0 && in_flight == 0) {
        /* A block a second, from a place that changes. */
        uint64_t blocks = (bytes + BLOCK - 1) / BLOCK;
        begins[0] = pattern(seconds) % blocks * BLOCK;
        lengths[0] = bytes - begins[0] < BLOCK ? (uint32_t)(bytes - begins[0]) : BLOCK;
        send(SC_READ, 0);
    }
    if (seconds == 1 || seconds % 10 == 0) {
        struct line line = {.length = 0};
        put(&line, "demo: ");
        put_stats(&line);
        say(&line);
    }
    timer_set(number, SECOND);
}

SC_EXPORT(message_buffer) void *message_buffer(uint32_t length) {
    return length <= sizeof message ? message : 0;
}

static int is(const char *word, const char *text, uint32_t length) {
    while (length && *word && *word == *text) word++, text++, length--;
    return *word == 0 && (length == 0 || (length == 1 && *text == '\n'));
}

SC_EXPORT(on_message) void on_message(const char *text, uint32_t length) {
    struct line line = {.length = 0};
    if (is("stats", text, length)) {
        put_stats(&line);
    } else if (is("check", text, length)) {
        put(&line, bytes == 0 ? "there is no disk" : phase == IDLE ? "checking" : "checking already");
    } else if (is("stop", text, length)) {
        put(&line, "stopping");
        sc_exit(0);
    } else {
        put(&line, "demo understands: stats, check, stop");
    }
    message_send(line.text, line.length);
    say(&line); /* a line that is typed at the console is a message, too */
    if (is("check", text, length)) check();
}

SC_EXPORT(on_stop) void on_stop(void) {
    struct line line = {.length = 0};
    put(&line, "demo: asked to stop, after ");
    put_stats(&line);
    say(&line);
    if (phase == IDLE) {
        sc_exit(0);
    } else {
        stopping = 1; /* the check ends first; no new one begins */
        bytes = next;
        advance();
    }
}
