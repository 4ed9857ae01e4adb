#define _GNU_SOURCE
#include "CExecGuard.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

static void become(const char *program, char *const words[], const struct distric_limit *limits, int count, pid_t parent) {
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(137);
#else
    (void)parent;
#endif
    for (int place = 0; place < count; place++) {
        struct rlimit limit;
        if (getrlimit(limits[place].resource, &limit) != 0) _exit(71);
        rlim_t most = (rlim_t)limits[place].most;
        if (most > limit.rlim_max) most = limit.rlim_max;
        limit.rlim_cur = limit.rlim_max = most;
        if (setrlimit(limits[place].resource, &limit) != 0) {
            dprintf(2, "exec-guard: cannot set a limit: %s\n", strerror(errno));
            _exit(71);
        }
    }
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(program, words);
    dprintf(2, "exec-guard: cannot start %s: %s\n", program, strerror(errno));
    _exit(127);
}

pid_t distric_guard_start(const char *program, char *const words[], const struct distric_limit *limits, int count) {
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) become(program, words, limits, count, parent);
    return child;
}

int distric_process_descriptor(pid_t process) {
#if defined(__linux__) && defined(SYS_pidfd_open)
    return (int)syscall(SYS_pidfd_open, process, 0);
#else
    (void)process;
    return -1;
#endif
}
