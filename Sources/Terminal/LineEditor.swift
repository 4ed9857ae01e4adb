import CReadline
import CTerminal
import Glibc
import Synchronization

/// GNU readline on a thread of its own: one poll loop reads keys, prints what comes meanwhile above the line, and serves signals.
package final class LineEditor: Sendable {
    package enum Input: Equatable, Sendable {
        case line(String)
        /// Ctrl-D on an empty line, or the terminal is gone.
        case end
    }

    /// What Tab may put in, and what to say when nothing fits.
    package struct Completion: Sendable {
        package var candidates: [String]
        package var hint: String

        package init(candidates: [String], hint: String) {
            self.candidates = candidates
            self.hint = hint
        }
    }

    /// Messages that wait to be printed; beyond it the oldest are dropped, and their number is told.
    private static let outboxLimit = 200
    private static let historyLimit = 2000

    private struct State {
        var prompt: String?
        var waiting: CheckedContinuation<Input, Never>?
        var outbox: [String] = []
        var dropped = 0
        var isStopping = false
        var hasEnded = false
    }

    private let state = Mutex(State())
    private let wake: Int32
    private let historyPath: String
    private let keeps: @Sendable (String) -> Bool
    fileprivate let complete: @Sendable (String) -> Completion
    private let interrupted: @Sendable () -> Void

    /// - Parameters:
    ///   - history: a file, made with mode 0600.
    ///   - keeps: whether a line may be remembered: secrets are not.
    ///   - complete: asked with the line up to the cursor; must answer at once.
    ///   - interrupted: Ctrl-C while no line is being read.
    package init(
        history: String, keeps: @escaping @Sendable (String) -> Bool, complete: @escaping @Sendable (String) -> Completion,
        interrupted: @escaping @Sendable () -> Void
    ) {
        wake = ct_wake_create()
        historyPath = history
        self.keeps = keeps
        self.complete = complete
        self.interrupted = interrupted
    }

    package func start() {
        current.withLock { $0 = self }
        startThread { [self] in Loop(self).run() }
    }

    /// The next line; its prompt may hold colours.
    package func read(prompt: String) async -> Input {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard !state.hasEnded else { return true }
                state.prompt = prompt
                state.waiting = continuation
                return false
            }
            if isOver { continuation.resume(returning: .end) } else { ct_wake(wake) }
        }
    }

    /// Prints above the line that is being typed, without spoiling it.
    package func printAbove(_ text: String) {
        state.withLock { state in
            state.outbox.append(text)
            guard state.outbox.count > Self.outboxLimit else { return }
            state.outbox.removeFirst()
            state.dropped += 1
        }
        ct_wake(wake)
    }

    /// Ends the thread; the terminal is as before.
    package func stop() {
        state.withLock { $0.isStopping = true }
        ct_wake(wake)
        for _ in 0..<400 where !state.withLock({ $0.hasEnded }) { usleep(5000) }
    }

    fileprivate func answer(_ input: Input) {
        let waiting = state.withLock { state in
            let waiting = state.waiting
            state.waiting = nil
            return waiting
        }
        waiting?.resume(returning: input)
    }

    /// What only the editor's thread touches.
    fileprivate final class Loop {
        let editor: LineEditor
        private var isInstalled = false
        /// What this shell adds to the history, without those of before.
        private var kept: [String] = []

        init(_ editor: LineEditor) { self.editor = editor }

        func run() {
            loop.withLock { $0 = LoopReference(self) }
            ct_guard_install(editor.wake)
            ct_guard_altstack()
            ct_guard_save(STDIN_FILENO)
            let restore = Array("\u{1B}[?2004l".utf8)
            ct_guard_arm(STDIN_FILENO, restore, restore.count)
            rlx_configure("distric") { text, start, end in LineEditor.candidates(text, start, end) }
            using_history()
            stifle_history(Int32(LineEditor.historyLimit))
            read_history(editor.historyPath)
            serve()
            // Ended from outside: what comes next begins a line of its own.
            if isInstalled { rlx_print_plain("\n") }
            uninstall()
            saveHistory()
            ct_guard_disarm()
            editor.state.withLock { $0.hasEnded = true }
            editor.answer(.end)
        }

        /// What another shell has written meanwhile stays.
        private func saveHistory() {
            guard !editor.historyPath.isEmpty, !kept.isEmpty else { return }
            clear_history()
            read_history(editor.historyPath)
            for line in kept {
                rlx_forget(line)
                add_history(line)
            }
            write_history(editor.historyPath)
            chmod(editor.historyPath, 0o600)
        }

        private func serve() {
            var descriptors = [
                pollfd(fd: STDIN_FILENO, events: 0, revents: 0), pollfd(fd: editor.wake, events: Int16(POLLIN), revents: 0),
            ]
            while !editor.state.withLock({ $0.isStopping }) {
                descriptors[0].events = isInstalled ? Int16(POLLIN) : 0
                let ready = poll(&descriptors, 2, -1)
                if ready < 0, errno != EINTR { return }
                if descriptors[1].revents != 0 { ct_wake_clear(editor.wake) }
                guard handle(ct_guard_take()) else { return }
                if isInstalled, descriptors[0].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 { rl_callback_read_char() }
                printWaiting()
                if let prompt = editor.state.withLock({ state in
                    let prompt = state.prompt
                    state.prompt = nil
                    return prompt
                }) {
                    install(prompt)
                }
            }
        }

        /// False when it is time to end.
        private func handle(_ notes: UInt32) -> Bool {
            if notes & UInt32(CT_WINCH) != 0, isInstalled { rl_resize_terminal() }
            if notes & UInt32(CT_INT) != 0 {
                if isInstalled {
                    rlx_interrupt()
                } else {
                    // Below the terminal's own ^C.
                    rlx_print_plain("\n")
                    editor.interrupted()
                }
            }
            if notes & UInt32(CT_TSTP) != 0 {
                if isInstalled { rl_deprep_terminal() }
                ct_guard_stop_self()
            }
            if notes & UInt32(CT_CONT) != 0, isInstalled {
                rl_prep_terminal(1)
                rl_forced_update_display()
            }
            guard notes & UInt32(CT_TERM | CT_HUP) != 0 else { return true }
            // A command that runs is not what keeps the program.
            if !isInstalled { editor.interrupted() }
            return false
        }

        private func printWaiting() {
            let (texts, dropped) = editor.state.withLock { state in
                defer { (state.outbox, state.dropped) = ([], 0) }
                return (state.outbox, state.dropped)
            }
            for text in (dropped > 0 ? ["(\(dropped) events are not shown)"] : []) + texts {
                if isInstalled {
                    rlx_print_above(text + "\n")
                } else {
                    rlx_print_plain(text + "\n")
                }
            }
        }

        private func install(_ prompt: String) {
            guard !isInstalled else { return }
            isInstalled = true
            rl_callback_handler_install(prompt) { line in
                loop.withLock { $0 }?.loop.took(line)
            }
        }

        private func uninstall() {
            guard isInstalled else { return }
            rl_callback_handler_remove()
            isInstalled = false
        }

        /// readline made the line with malloc; it is ours to free.
        func took(_ line: UnsafeMutablePointer<CChar>?) {
            uninstall()
            guard let line else { return editor.answer(.end) }
            let text = String(cString: line)
            free(line)
            if !text.allSatisfy(\.isWhitespace), editor.keeps(text) { remember(text) }
            editor.answer(.line(text))
        }

        private func remember(_ text: String) {
            var line = text
            while line.last?.isWhitespace == true { line.removeLast() }
            rlx_forget(line)
            add_history(line)
            kept.removeAll { $0 == line }
            kept.append(line)
            if kept.count > LineEditor.historyLimit { kept.removeFirst() }
        }
    }

    // MARK: Completion

    /// readline frees every string and the list: each comes from malloc. The first is what all have in common.
    private static func candidates(_ text: UnsafePointer<CChar>?, _ start: CInt, _ end: CInt) -> UnsafeMutablePointer<
        UnsafeMutablePointer<CChar>?
    >? {
        rlx_no_file_completion()
        guard let editor = current.withLock({ $0 }), let text else { return nil }
        let word = String(cString: text)
        let line = String(decoding: Array(String(cString: rlx_line()).utf8).prefix(Int(end)), as: UTF8.self)
        let completion = editor.complete(line)
        guard let first = completion.candidates.first else {
            if !completion.hint.isEmpty { rlx_print_above(completion.hint + "\n") }
            return nil
        }
        var common = first
        for candidate in completion.candidates.dropFirst() { common = String(zip(common, candidate).prefix { $0 == $1 }.map(\.0)) }
        // Where candidates hold the word in their middle, nothing is to be put in its place.
        let all = completion.candidates.count == 1 ? [first] : [common.hasPrefix(word) ? common : word] + completion.candidates
        guard let raw = malloc((all.count + 1) * MemoryLayout<UnsafeMutablePointer<CChar>?>.stride) else { return nil }
        let list = raw.assumingMemoryBound(to: UnsafeMutablePointer<CChar>?.self)
        for (place, candidate) in all.enumerated() { list[place] = rlx_copy(candidate) }
        list[all.count] = nil
        return list
    }
}

/// C callbacks carry no context: the one editor of the process, and its loop.
private let current = Mutex<LineEditor?>(nil)
private let loop = Mutex<LoopReference?>(nil)

/// Only the editor's thread follows it.
private struct LoopReference: @unchecked Sendable {
    let loop: LineEditor.Loop
    init(_ loop: LineEditor.Loop) { self.loop = loop }
}
