#include "CKernelClock.h"

#if defined(__linux__)
#include <sys/timex.h>

bool distric_kernel_clock(int64_t *offset, bool *is_synchronised) {
    struct timex time = {.modes = 0};
    int state = adjtimex(&time);
    if (state < 0) return false;
    *offset = (int64_t)time.offset * (time.status & STA_NANO ? 1 : 1000);
    *is_synchronised = !(time.status & STA_UNSYNC) && state != TIME_ERROR;
    return true;
}
#else
bool distric_kernel_clock(int64_t *offset, bool *is_synchronised) {
    (void)offset;
    (void)is_synchronised;
    return false;
}
#endif
