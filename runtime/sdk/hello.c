/*
 * A program of WASI preview 1, without a C library: greets, names its arguments, and if it has a
 * disk reads its first block, waiting for the answer. With wasi-libc it would be plain printf().
 */
#include "sidecore.h"

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

struct vector {
    const void *at;
    uint32_t length;
};

WASI(fd_write) int32_t fd_write(int32_t fd, const struct vector *vectors, uint32_t count, uint32_t *written);
WASI(args_sizes_get) int32_t args_sizes_get(uint32_t *count, uint32_t *bytes);
WASI(args_get) int32_t args_get(char **pointers, char *texts);
WASI(proc_exit) _Noreturn void proc_exit(int32_t code);

static uint32_t length(const char *text) {
    uint32_t n = 0;
    while (text[n]) n++;
    return n;
}

static void out(const char *text) {
    struct vector vector = {text, length(text)};
    uint32_t written;
    fd_write(1, &vector, 1, &written);
}

static char texts[4096];
static char *pointers[64];
static uint8_t block[512];

SC_EXPORT(_start) void _start(void) {
    uint32_t count, bytes;
    out("hello from a program of WASI\n");
    if (args_sizes_get(&count, &bytes) == 0 && count <= 64 && bytes <= sizeof texts && args_get(pointers, texts) == 0) {
        for (uint32_t i = 1; i < count; i++) {
            out("argument: ");
            out(pointers[i]);
            out("\n");
        }
    }
    if (vif_count() == 0) return;
    struct sc_request request = {.operation = SC_READ, .length = sizeof block, .address = (uint32_t)(uintptr_t)block};
    struct sc_answer answer;
    if (vif_send(0, &request) != 0) proc_exit(2);
    while (vif_recv(0, &answer) == 0) {
        if (vif_wait(0, 10000) == 0) {
            out("the disk has not answered within 10 s\n");
            proc_exit(3);
        }
    }
    out(answer.error == SC_OK ? "the first block of the disk was read\n" : "the disk answered with an error\n");
    if (answer.error != SC_OK) proc_exit(1);
}
