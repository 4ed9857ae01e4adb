#include "threadslot.h"

#include <stdatomic.h>

__thread uint32_t distric_thread_number __attribute__((tls_model("initial-exec")));

__thread distric_second_text distric_thread_second __attribute__((tls_model("initial-exec")));

static atomic_uint given;

uint32_t distric_thread_assign(void) {
    uint32_t number = atomic_fetch_add_explicit(&given, 1, memory_order_relaxed) + 1;
    // After four thousand million threads 0 would come again and mean "none yet": any other number will do.
    distric_thread_number = number ? number : 1;
    return distric_thread_number;
}
