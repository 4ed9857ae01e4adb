#ifndef DISTRIC_EXEC_GUARD_H
#define DISTRIC_EXEC_GUARD_H

#include <stdint.h>
#include <sys/types.h>

/// One limit, as setrlimit(2) takes it: the resource and the most of it.
struct distric_limit {
    int32_t resource;
    uint64_t most;
};

/// Starts a program as a child in the caller's process group, under limits, with no signal blocked or ignored; it is killed when the caller
/// dies. Returns its process id, or -1 with errno. A child that cannot become the program says so on its stderr and exits with 127.
pid_t distric_guard_start(const char *program, char *const words[], const struct distric_limit *limits, int count);

/// A descriptor that poll(2) finds readable once the process has ended; -1 where the kernel has none.
int distric_process_descriptor(pid_t process);

#endif
