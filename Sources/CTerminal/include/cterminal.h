// What must be C: handlers that may only do what is safe in a signal, and the event descriptor that wakes a poll loop.
#ifndef CTERMINAL_H
#define CTERMINAL_H
#include <stddef.h>
#include <stdint.h>

enum { CT_WINCH = 1, CT_TSTP = 2, CT_CONT = 4, CT_TERM = 8, CT_INT = 16, CT_HUP = 32 };

/// Installs the handlers; each note sets a bit and writes the event descriptor. Once a process; later calls change the descriptor.
int ct_guard_install(int wake_fd);
/// The bits that are set; clears them.
uint32_t ct_guard_take(void);
/// Remembers the terminal's modes; before curses or readline touch them.
void ct_guard_save(int tty_fd);
/// From now on a crash or an exit writes `restore` and sets the saved modes.
void ct_guard_arm(int tty_fd, const void *restore, size_t length);
void ct_guard_disarm(void);
/// For threads whose stack may overflow.
void ct_guard_altstack(void);
/// Stops the process as Ctrl-Z does; returns after SIGCONT.
void ct_guard_stop_self(void);
/// While another program has the terminal: Ctrl-Z stops this process as it stops others; 0 for the handler again.
void ct_guard_standard_stop(int is_standard);
int ct_wake_create(void);
void ct_wake(int fd);
void ct_wake_clear(int fd);
/// A pseudo terminal of that size; its two ends, or -1. For those who measure and test.
int ct_pty_open(int rows, int columns, int *other_end);
int ct_window_size(int fd, int *rows, int *columns);
#endif
