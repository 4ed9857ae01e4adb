// What Swift needs of curses: macros with casts as constants, C globals behind accessors (Swift 6 refuses shared mutable state).
#ifndef CNCURSESW_SHIM_H
#define CNCURSESW_SHIM_H
#ifndef NCURSES_WIDECHAR
#define NCURSES_WIDECHAR 1
#endif
#define NCURSES_NOMACROS 1
#include <wchar.h>
#include <locale.h>
#include <langinfo.h>
#include <curses.h>
#include <term.h>

static const attr_t CX_BOLD = A_BOLD, CX_DIM = A_DIM, CX_ITALIC = A_ITALIC, CX_UNDERLINE = A_UNDERLINE, CX_REVERSE = A_REVERSE;
static const mmask_t CX_MOUSE_EVENTS = BUTTON1_PRESSED | BUTTON1_RELEASED | BUTTON1_CLICKED | BUTTON1_DOUBLE_CLICKED | BUTTON4_PRESSED
    | BUTTON5_PRESSED;
static const mmask_t CX_BUTTON1_PRESSED = BUTTON1_PRESSED, CX_BUTTON1_RELEASED = BUTTON1_RELEASED, CX_BUTTON1_CLICKED = BUTTON1_CLICKED,
    CX_BUTTON1_DOUBLE = BUTTON1_DOUBLE_CLICKED, CX_WHEEL_UP = BUTTON4_PRESSED, CX_WHEEL_DOWN = BUTTON5_PRESSED;

static inline WINDOW *cx_stdscr(void) { return stdscr; }
static inline WINDOW *cx_curscr(void) { return curscr; }
static inline int cx_colors(void) { return COLORS; }
static inline int cx_lines(void) { return LINES; }
static inline int cx_cols(void) { return COLS; }
static inline SCREEN *cx_newterm(const char *type) { return newterm(type, stdout, stdin); }
static inline void cx_use_utf8_locale(void) { setlocale(LC_CTYPE, ""); }
static inline int cx_is_utf8(void) {
    const char *charset = nl_langinfo(CODESET);
    return charset[0] == 'U' && charset[1] == 'T' && charset[2] == 'F';
}
// Whether terminfo knows the string; NULL and (char *)-1 both mean no.
static inline const char *cx_capability(const char *name) {
    char *found = tigetstr(name);
    return found == (char *)-1 ? NULL : found;
}
#endif
