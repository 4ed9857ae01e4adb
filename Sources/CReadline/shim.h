// readline's globals behind accessors (Swift 6 refuses shared mutable state), and the few things that need several of them at once.
#ifndef CREADLINE_SHIM_H
#define CREADLINE_SHIM_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <readline/readline.h>
#include <readline/history.h>

static inline void rlx_configure(const char *app, rl_completion_func_t *complete) {
    rl_readline_name = app;
    rl_attempted_completion_function = complete;
    rl_catch_signals = 0;       // signals are the program's own
    rl_catch_sigwinch = 0;
    rl_change_environment = 0;  // setenv() is not safe beside other threads
    rl_variable_bind("enable-bracketed-paste", "on");
    rl_variable_bind("completion-ignore-case", "on");
    rl_variable_bind("show-all-if-ambiguous", "on");
    rl_variable_bind("colored-completion-prefix", "on");
    rl_completer_word_break_characters = " \t\n|>";
    rl_completer_quote_characters = "\"'";
}
static inline void rlx_no_file_completion(void) { rl_attempted_completion_over = 1; }
static inline const char *rlx_line(void) { return rl_line_buffer ? rl_line_buffer : ""; }
static inline char *rlx_copy(const char *text) { return strdup(text); }
// Text above the prompt while a line is being typed: the line, its point and mark stay as they are.
static inline void rlx_print_above(const char *text) {
    FILE *out = rl_outstream ? rl_outstream : stdout;
    rl_clear_visible_line();
    fputs(text, out);
    fflush(out);
    rl_on_new_line();
    rl_redisplay();
}
static inline void rlx_print_plain(const char *text) {
    fputs(text, stdout);
    fflush(stdout);
}
// A line stands in the history once: what was there before goes.
static inline void rlx_forget(const char *text) {
    for (int place = history_length - 1; place >= 0; place--) {
        HIST_ENTRY *entry = history_get(history_base + place);
        if (!entry || strcmp(entry->line, text) != 0) continue;
        HIST_ENTRY *removed = remove_history(place);
        if (removed) free_history_entry(removed);
    }
}
// Ctrl-C: gives up the line as bash does, out of whatever state readline was in.
static inline void rlx_interrupt(void) {
    FILE *out = rl_outstream ? rl_outstream : stdout;
    rl_callback_sigcleanup();
    rl_free_line_state();
    rl_replace_line("", 1);
    rl_point = rl_end = rl_mark = 0;
    fputs("^C\n", out);
    fflush(out);
    rl_on_new_line();
    rl_redisplay();
}
#endif
