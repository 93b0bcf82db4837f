/*
 * The guest of the benchmark of VIF calls: a message says what to do for how long, the answer says
 * what it took. CallingGuest.java is the same in Java; layouts are told there.
 *
 *   runtime/sdk/build -o it-tests/src/test/resources it-tests/src/test/resources/calls.c
 */
#include "sidecore.h"

#define LENGTH 4096u
#define DEPTH_MAX 32u
#define BUCKETS 1024u

struct job {
    uint32_t operation;
    uint32_t depth;
    uint32_t told;
    uint32_t reserved;
    int64_t nanos;
};

static struct {
    uint64_t requests;
    int64_t nanos;
    uint64_t errors;
    uint32_t took[BUCKETS];
} result;

static _Alignas(4096) uint8_t payloads[DEPTH_MAX][LENGTH];
static int64_t sent_at[DEPTH_MAX];
static struct job job;
static int64_t began, now;
static uint32_t in_flight;
static uint64_t blocks, random = 88172645463325252ull;

static uint32_t bucket(uint64_t nanos) {
    if (nanos < 64) return (uint32_t)nanos;
    uint32_t shift = 58 - (uint32_t)__builtin_clzll(nanos);
    uint32_t found = shift * 32 + (uint32_t)(nanos >> shift);
    return found < BUCKETS ? found : BUCKETS - 1;
}

static void send(uint32_t slot) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    struct sc_request request = {
        .operation = job.operation,
        .offset = (random >> 16) % blocks * LENGTH,
        .length = LENGTH,
        .tag = slot,
        .address = (uint32_t)(uintptr_t)payloads[slot],
    };
    sent_at[slot] = now;
    if (vif_send(0, &request) == 0) {
        in_flight++;
    } else {
        result.errors++;
    }
}

/* Takes what is answered, and asks anew while there is time. */
static void drain(void) {
    struct sc_answer answer;
    while (vif_recv(0, &answer) == 1) {
        uint32_t slot = (uint32_t)answer.tag;
        now = clock_nanos();
        in_flight--;
        result.requests++;
        result.errors += answer.error != SC_OK;
        result.took[bucket((uint64_t)(now - sent_at[slot]))]++;
        if (now - began < job.nanos) send(slot);
    }
}

static void report(void) {
    result.nanos = clock_nanos() - began;
    message_send(&result, sizeof result);
}

SC_EXPORT(on_start) void on_start(void) {
    blocks = (uint64_t)vif_size(0) / LENGTH;
}

SC_EXPORT(message_buffer) void *message_buffer(uint32_t length) {
    return length == sizeof job ? &job : 0;
}

SC_EXPORT(on_message) void on_message(const void *message, uint32_t length) {
    (void)message;
    (void)length;
    __builtin_memset(&result, 0, sizeof result);
    vif_signal(0, job.told ? SC_ANSWERS | SC_ROOM : 0);
    began = now = clock_nanos();
    for (uint32_t slot = 0; slot < job.depth; slot++) send(slot);
    if (job.told) return;
    while (in_flight > 0) drain();
    report();
}

SC_EXPORT(on_block) void on_block(int32_t vif) {
    (void)vif;
    if (in_flight == 0) return;
    drain();
    if (in_flight == 0) report();
}
