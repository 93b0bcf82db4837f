/*
 * Sidecore: guests in WebAssembly, for C.
 *
 * There are two kinds of module, told apart by what they export:
 *
 *   events    exports on_start() and other handlers. The host calls them, one at a time; each
 *             must return soon (a deadline holds) and waits by returning. Cheapest: no thread.
 *   program   exports _start(), as every program of WASI preview 1 does. Runs on a thread of its
 *             own and may wait: vif_wait(). No files and no network.
 *
 * Linear memory is the memory of the VM: it begins at address 0, is as large as the module says,
 * and grows (memory.grow) up to what the VM was given. Payloads are served where they lie in it:
 * from vif_send() until their answer was received they are the host's.
 *
 * Every call that can fail answers a negative errno. A pointer that does not lie in linear memory
 * is -SC_EFAULT, never a crash. All numbers are little-endian, all structs as laid out here.
 */
#ifndef SIDECORE_H
#define SIDECORE_H

#include <stdint.h>

#define SC_IMPORT(name) __attribute__((import_module("sidecore"), import_name(#name)))
#define SC_EXPORT(name) __attribute__((export_name(#name), visibility("default")))

/* Error numbers, negative where a call answers them, positive in sc_answer.error. */
enum {
    SC_OK = 0,
    SC_EPERM = 1,       /* the device is read-only */
    SC_EIO = 5,         /* input/output error */
    SC_E2BIG = 7,       /* text or message longer than SC_BYTES_MAX */
    SC_EBADF = 9,       /* no VIF of this number */
    SC_EAGAIN = 11,     /* no room: once there is, on_block is called, or vif_wait ends */
    SC_ENOMEM = 12,
    SC_EFAULT = 14,     /* a pointer, or a payload, does not lie in linear memory */
    SC_EINVAL = 22,     /* the request makes no sense, or its range is not on the device */
    SC_ENOSPC = 28,
    SC_EOVERFLOW = 75,
    SC_ENOTSUP = 95,
    SC_ESHUTDOWN = 108
};

/* Operations. */
enum {
    SC_READ = 0,         /* fill the payload from the device */
    SC_WRITE = 1,        /* put the payload on the device */
    SC_FLUSH = 2,        /* make durable what was answered before; length 0 */
    SC_TRIM = 3,         /* the range is not wanted any more; no payload */
    SC_WRITE_ZEROES = 4  /* make the range read as zeroes; no payload */
};

/* Flags of a request. */
enum {
    SC_FUA = 1,       /* answered once it is durable */
    SC_NO_HOLE = 2,   /* SC_WRITE_ZEROES: keep the room allocated */
    SC_FAST_ZERO = 4  /* SC_WRITE_ZEROES: fail rather than be slow */
};

/* A request; read by vif_send() before it returns. */
struct sc_request {
    uint32_t operation; /*  0 */
    uint32_t flags;     /*  4 */
    uint64_t offset;    /*  8  first byte on the device */
    uint64_t length;    /* 16  bytes */
    uint64_t tag;       /* 24  what you call it; comes back in the answer */
    uint32_t address;   /* 32  where the payload lies */
    uint32_t reserved;  /* 36  0 */
};
_Static_assert(sizeof(struct sc_request) == 40, "layout of sc_request");

/* An answer; written by vif_recv(). Answers come in any order. */
struct sc_answer {
    uint64_t tag;      /*  0 */
    uint32_t error;    /*  8  SC_OK, or what went wrong */
    uint32_t reserved; /* 12 */
};
_Static_assert(sizeof(struct sc_answer) == 16, "layout of sc_answer");

/* --- VIFs: the disks of the VM, numbered from 0 in the order of its definition -------------- */

/* How many. */
SC_IMPORT(vif_count) int32_t vif_count(void);

/* Bytes of the device. */
SC_IMPORT(vif_size) int64_t vif_size(int32_t vif);

/* 1 if nothing can be written through it. */
SC_IMPORT(vif_is_read_only) int32_t vif_is_read_only(int32_t vif);

/* 1 if a request sent now would find no room. */
SC_IMPORT(vif_is_full) int32_t vif_is_full(int32_t vif);

/* Sends a request: 0, or -SC_EAGAIN if there is no room, or why it was refused. */
SC_IMPORT(vif_send) int32_t vif_send(int32_t vif, const struct sc_request *request);

/* 1 if no answer is there. */
SC_IMPORT(vif_is_empty) int32_t vif_is_empty(int32_t vif);

/* Takes the next answer: 1, or 0 if there is none. */
SC_IMPORT(vif_recv) int32_t vif_recv(int32_t vif, struct sc_answer *answer);

/* Which signals are on (both at first): SC_ANSWERS | SC_ROOM. With a signal off you have to look. */
enum { SC_ANSWERS = 1, SC_ROOM = 2 };
SC_IMPORT(vif_signal) int32_t vif_signal(int32_t vif, int32_t signals);

/* Programs only: waits for answers, or for room where there was none, so many milliseconds at
 * most (negative: for ever). Answers SC_ANSWERS | SC_ROOM, or 0 when the time has passed.
 * Switches the signals of the VIF on. */
SC_IMPORT(vif_wait) int32_t vif_wait(int32_t vif, int32_t milliseconds);

/* --- time ----------------------------------------------------------------------------------- */

/* Events only: on_timer(number) once so many nanoseconds have passed. 64 timers, from 0; setting
 * one that is set moves it. */
SC_IMPORT(timer_set) int32_t timer_set(int32_t number, int64_t nanoseconds);
SC_IMPORT(timer_cancel) int32_t timer_cancel(int32_t number);

/* Nanoseconds: of a clock that never goes back, and since 1970. */
SC_IMPORT(clock_nanos) int64_t clock_nanos(void);
SC_IMPORT(wall_nanos) int64_t wall_nanos(void);

/* --- the outside ---------------------------------------------------------------------------- */

#define SC_BYTES_MAX 65536

/* Writes to the console of the VM. */
SC_IMPORT(print) int32_t print(const void *text, uint32_t length);

/* Tells whoever listens to the messages of the VM. */
SC_IMPORT(message_send) int32_t message_send(const void *message, uint32_t length);

/* Ends the VM: events, once the handler has returned; programs, at once. 0 means well. */
SC_IMPORT(exit) void sc_exit(int32_t code);

/*
 * Handlers of a module made of events; all but on_start may be missing:
 *
 *   SC_EXPORT(on_start) void on_start(void);
 *   SC_EXPORT(on_block) void on_block(int32_t vif);
 *       The VIF has answers, or room again. Receive until there are none: told once for all.
 *   SC_EXPORT(on_timer) void on_timer(int32_t number);
 *   SC_EXPORT(message_buffer) void *message_buffer(uint32_t length);
 *   SC_EXPORT(on_message) void on_message(const void *message, uint32_t length);
 *       A message is put where message_buffer says, then told. 0: it is not taken.
 *   SC_EXPORT(on_stop) void on_stop(void);
 *       Asked to end: call sc_exit() sooner or later. Without it the VM ends at once.
 *   SC_EXPORT(_initialize) void _initialize(void);
 *       Before on_start: constructors, where a tool chain makes it.
 *
 * on_frame(int32_t) is reserved for network interfaces, and not called yet.
 *
 * A VM may be saved between two events and go on elsewhere: memory, globals and tables come back
 * as they were, pointers stay valid. clock_nanos() may jump then.
 */

#endif
