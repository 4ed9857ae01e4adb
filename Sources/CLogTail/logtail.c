#define _GNU_SOURCE
#include "logtail.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct distric_log_tail {
    atomic_int used;
    atomic_int descriptor;
    _Atomic(const char *) base;
    atomic_ullong begin, end, wrap;
};

enum { most = 16 };
static distric_log_tail tails[most];
static atomic_int installed;
static struct sigaction previous[65];
static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT };

static void write_range(int descriptor, const char *base, uint64_t from, uint64_t to) {
    while (from < to) {
        ssize_t count = write(descriptor, base + from, to - from);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        from += (uint64_t)count;
    }
}

// Only what a signal handler may do: atomics without locks, and write(2).
static void write_tails(void) {
    for (int place = 0; place < most; place++) {
        distric_log_tail *tail = &tails[place];
        const char *base = atomic_load(&tail->base);
        if (!atomic_load(&tail->used) || !base) continue;
        int descriptor = atomic_load(&tail->descriptor);
        uint64_t begin = atomic_load(&tail->begin), end = atomic_load(&tail->end), wrap = atomic_load(&tail->wrap);
        // Nobody writes it twice.
        atomic_store(&tail->begin, end);
        if (begin <= end) {
            write_range(descriptor, base, begin, end);
        } else {
            write_range(descriptor, base, begin, wrap);
            write_range(descriptor, base, 0, end);
        }
    }
}

static void on_crash(int number, siginfo_t *info, void *context) {
    (void)context;
    int saved = errno;
    write_tails();
    errno = saved;
    sigaction(number, &previous[number], NULL);
    if (info->si_code <= 0) raise(number);
}

static void install(void) {
    if (atomic_exchange(&installed, 1)) return;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++)
        sigaction(crash_signals[i], &action, &previous[crash_signals[i]]);
}

distric_log_tail *distric_log_tail_open(const void *base, int descriptor) {
    install();
    for (int place = 0; place < most; place++) {
        distric_log_tail *tail = &tails[place];
        int none = 0;
        if (!atomic_compare_exchange_strong(&tail->used, &none, 1)) continue;
        distric_log_tail_set(tail, 0, 0, 0);
        atomic_store(&tail->descriptor, descriptor);
        atomic_store(&tail->base, base);
        return tail;
    }
    return NULL;
}

void distric_log_tail_set(distric_log_tail *tail, uint64_t begin, uint64_t end, uint64_t wrap) {
    atomic_store_explicit(&tail->wrap, wrap, memory_order_relaxed);
    atomic_store_explicit(&tail->begin, begin, memory_order_relaxed);
    atomic_store_explicit(&tail->end, end, memory_order_relaxed);
}

void distric_log_tail_redirect(distric_log_tail *tail, int descriptor) { atomic_store(&tail->descriptor, descriptor); }

void distric_log_tail_close(distric_log_tail *tail) {
    atomic_store(&tail->base, NULL);
    atomic_store(&tail->used, 0);
}
