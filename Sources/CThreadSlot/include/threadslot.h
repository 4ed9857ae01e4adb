#ifndef DISTRIC_THREADSLOT_H
#define DISTRIC_THREADSLOT_H

#include <stdint.h>

/// The number of the calling thread plus one, or 0 before it has asked; use `distric_thread_slot`.
extern __thread uint32_t distric_thread_number __attribute__((tls_model("initial-exec")));

/// Numbers the calling thread: 1, 2, 3, ... in the order in which threads first ask.
uint32_t distric_thread_assign(void);

/// A small number that stays the same for the calling thread, given out in turn so that threads spread over few cells evenly.
static inline uint32_t distric_thread_slot(void) {
    uint32_t number = distric_thread_number;
    return number ? number : distric_thread_assign();
}

/// The last second that the calling thread wrote as text, and the text: lines that are logged within one share it.
typedef struct {
    uint64_t second;
    uint8_t text[24];
} distric_second_text;

extern __thread distric_second_text distric_thread_second __attribute__((tls_model("initial-exec")));

static inline distric_second_text *_Nonnull distric_second(void) { return &distric_thread_second; }

#endif
