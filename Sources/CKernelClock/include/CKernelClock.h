#ifndef DISTRIC_KERNEL_CLOCK_H
#define DISTRIC_KERNEL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/// Reads what the kernel knows of the wall clock's error (adjtimex(2), nothing is changed): its offset in nanoseconds from the time that is kept to,
/// and whether anybody keeps it. False where the kernel does not say.
bool distric_kernel_clock(int64_t *offset, bool *is_synchronised);

#endif
