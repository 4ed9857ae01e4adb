#define _GNU_SOURCE
#include "cterminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static atomic_int wake_target = -1;
static atomic_uint pending;
static atomic_int armed;
static atomic_int installed;
static int terminal = -1;
static int has_modes;
static struct termios modes;
static char restore_text[2048];
static size_t restore_length;
static struct sigaction previous[65];
static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGQUIT };
static const int note_signals[] = { SIGWINCH, SIGTSTP, SIGCONT, SIGTERM, SIGINT, SIGHUP };

static void restore_now(void) {
    if (!atomic_exchange(&armed, 0)) return;
    ssize_t ignored = write(STDOUT_FILENO, restore_text, restore_length);
    (void)ignored;
    if (has_modes) tcsetattr(terminal, TCSANOW, &modes);
}

static uint32_t bit(int number) {
    switch (number) {
    case SIGWINCH: return CT_WINCH;
    case SIGTSTP: return CT_TSTP;
    case SIGCONT: return CT_CONT;
    case SIGTERM: return CT_TERM;
    case SIGINT: return CT_INT;
    default: return CT_HUP;
    }
}

static void on_note(int number) {
    int saved = errno;
    atomic_fetch_or(&pending, bit(number));
    ct_wake(atomic_load(&wake_target));
    errno = saved;
}

// The terminal first, then whoever had the signal before: Swift's backtracer, or the end.
static void on_crash(int number, siginfo_t *info, void *context) {
    (void)context;
    restore_now();
    sigaction(number, &previous[number], NULL);
    if (info->si_code <= 0) raise(number);
}

uint32_t ct_guard_take(void) { return atomic_exchange(&pending, 0); }

int ct_guard_install(int wake_fd) {
    atomic_store(&wake_target, wake_fd);
    if (atomic_exchange(&installed, 1)) return 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_note;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof note_signals / sizeof *note_signals; i++) sigaction(note_signals[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++)
        sigaction(crash_signals[i], &action, &previous[crash_signals[i]]);
    atexit(restore_now);
    ct_guard_altstack();
    return 0;
}

void ct_guard_altstack(void) {
    static __thread char stack[32768];
    stack_t current;
    if (sigaltstack(NULL, &current) == 0 && !(current.ss_flags & SS_DISABLE)) return;
    stack_t own = { .ss_sp = stack, .ss_size = sizeof stack };
    sigaltstack(&own, NULL);
}

void ct_guard_save(int tty_fd) {
    terminal = tty_fd;
    has_modes = tcgetattr(tty_fd, &modes) == 0;
}

void ct_guard_arm(int tty_fd, const void *restore, size_t length) {
    terminal = tty_fd;
    restore_length = length < sizeof restore_text ? length : sizeof restore_text;
    memcpy(restore_text, restore, restore_length);
    atomic_store(&armed, 1);
}

void ct_guard_disarm(void) { atomic_store(&armed, 0); }

void ct_guard_stop_self(void) {
    struct sigaction standard, before;
    memset(&standard, 0, sizeof standard);
    standard.sa_handler = SIG_DFL;
    sigemptyset(&standard.sa_mask);
    sigaction(SIGTSTP, &standard, &before);
    // To this thread, which may have it blocked: another one would take it after the handler is back.
    sigset_t stop, mask;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &stop, &mask);
    raise(SIGTSTP);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGTSTP, &before, NULL);
}

void ct_guard_standard_stop(int is_standard) {
    static struct sigaction before;
    struct sigaction standard;
    if (!is_standard) {
        sigaction(SIGTSTP, &before, NULL);
        return;
    }
    memset(&standard, 0, sizeof standard);
    standard.sa_handler = SIG_DFL;
    sigemptyset(&standard.sa_mask);
    sigaction(SIGTSTP, &standard, &before);
}

int ct_wake_create(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void ct_wake(int fd) {
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
}

void ct_wake_clear(int fd) {
    uint64_t number;
    ssize_t ignored = read(fd, &number, sizeof number);
    (void)ignored;
}

int ct_pty_open(int rows, int columns, int *other_end) {
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -1;
    char name[128];
    if (grantpt(fd) == 0 && unlockpt(fd) == 0 && ptsname_r(fd, name, sizeof name) == 0) {
        struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
        *other_end = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (*other_end >= 0 && ioctl(fd, TIOCSWINSZ, &size) == 0) return fd;
        if (*other_end >= 0) close(*other_end);
    }
    close(fd);
    return -1;
}

int ct_window_size(int fd, int *rows, int *columns) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return -1;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}
