#ifndef DISTRIC_LOGTAIL_H
#define DISTRIC_LOGTAIL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/// What of a ring of log lines nobody has written yet, so that a crash can: the bytes from `begin` to `end`, or, when `end` lies before
/// `begin`, those from `begin` to `wrap` and then those from 0 to `end`.
typedef struct distric_log_tail distric_log_tail;

/// Makes a tail of the ring at `base`; from now on a process that dies by SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE or SIGABRT writes it to
/// `descriptor` first, then does what it would have done. NULL when too many are open (16).
distric_log_tail *distric_log_tail_open(const void *base, int descriptor);

/// States what is not written yet.
void distric_log_tail_set(distric_log_tail *tail, uint64_t begin, uint64_t end, uint64_t wrap);

/// Where the tail would go, after a file was rotated.
void distric_log_tail_redirect(distric_log_tail *tail, int descriptor);

void distric_log_tail_close(distric_log_tail *tail);

#endif
