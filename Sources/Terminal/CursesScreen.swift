import CNcursesW
import CTerminal
package import Cells
import Glibc

/// How many colours a terminal shows.
package enum ColorDepth: String, Sendable { case none, sixteen, indexed256, direct }

/// Owns curses: paints surfaces, and only the rows that changed.
@TerminalActor
package final class CursesScreen {
    private let root: UnsafeMutablePointer<WINDOW>
    let keys: UnsafeMutablePointer<WINDOW>
    private var front: Surface
    private var repaintsAll = true
    private var pairs: [UInt64: Int32] = [:]
    private var row: [cchar_t] = []
    package let depth: ColorDepth
    package let isUnicode: Bool
    private let capturesMouse: Bool

    package var size: Size { Size(Int(cx_cols()), Int(cx_lines())) }

    /// Nil when the terminal cannot place its cursor; nothing was changed then.
    package init?(environment: [String: String], mouse: Bool) {
        cx_use_utf8_locale()
        isUnicode = cx_is_utf8() != 0
        set_escdelay(25)
        ct_guard_save(STDIN_FILENO)
        let term = environment["TERM"] ?? "dumb"
        let wantsColor = (environment["NO_COLOR"] ?? "").isEmpty
        // Only terminals of the same stem as a "-direct" entry take 24-bit colours through curses.
        var opened: OpaquePointer?
        if wantsColor, ["truecolor", "24bit"].contains(environment["COLORTERM"] ?? "") {
            let stem = term.split(separator: "-").first.map(String.init) ?? term
            opened = cx_newterm("\(stem)-direct")
        }
        opened = opened ?? cx_newterm(term)
        guard let opened else { return nil }
        guard cx_capability("cup") != nil else {
            endwin()
            delscreen(opened)
            return nil
        }
        capturesMouse = mouse
        root = cx_stdscr()
        keys = newpad(1, 1)
        Self.armRestore()
        raw()
        noecho()
        nonl()
        curs_set(0)
        intrflush(root, false)
        keypad(keys, true)
        nodelay(keys, true)
        leaveok(root, true)
        idlok(root, false)
        var depth = ColorDepth.none
        if wantsColor, has_colors() {
            start_color()
            use_default_colors()
            depth = cx_colors() > 256 ? .direct : cx_colors() >= 256 ? .indexed256 : cx_colors() >= 8 ? .sixteen : .none
        }
        self.depth = depth
        mouseinterval(0)
        if mouse { mousemask(CX_MOUSE_EVENTS, nil) }
        front = Surface(width: Int(cx_cols()), height: Int(cx_lines()))
        Self.send("\u{1B}[?2004h")
    }

    /// Composed now, so that a crash only has to write it.
    private static func armRestore() {
        var undo = "\u{1B}[?1000l\u{1B}[?1002l\u{1B}[?1003l\u{1B}[?1006l\u{1B}[?2004l"
        for name in ["sgr0", "cnorm", "rmkx", "rmcup"] { if let found = cx_capability(name) { undo += String(cString: found) } }
        let bytes = Array(undo.utf8)
        ct_guard_arm(STDIN_FILENO, bytes, bytes.count)
    }

    private static func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }

    /// Text for the terminal itself (OSC 52), past curses.
    package func sendControl(_ text: String) { Self.send(text) }

    package func close() {
        Self.send("\u{1B}[?2004l")
        endwin()
        ct_guard_disarm()
    }

    /// Gives the terminal back, for another program; `resume` takes it again.
    private func leave() {
        Self.send("\u{1B}[?2004l")
        endwin()
    }

    /// As Ctrl-Z: gives the terminal back and stops the process; returns when it goes on.
    package func suspend() {
        leave()
        ct_guard_stop_self()
        resume()
    }

    /// Another program has the terminal until `body` returns. Ctrl-Z in it stops it and whoever waits for it, as in any shell.
    package func lend<Result>(_ body: () -> Result) -> Result {
        leave()
        ct_guard_standard_stop(1)
        let result = body()
        ct_guard_standard_stop(0)
        resume()
        return result
    }

    package func resume() {
        // After SIGSTOP the shell has set the modes behind curses' back.
        if !isendwin() { endwin() }
        Self.send("\u{1B}[?2004h")
        refreshSize()
        if capturesMouse { mousemask(CX_MOUSE_EVENTS, nil) }
    }

    package func repaint() {
        clearok(cx_curscr(), true)
        repaintsAll = true
    }

    package func refreshSize() {
        var (rows, columns): (Int32, Int32) = (0, 0)
        if ct_window_size(STDOUT_FILENO, &rows, &columns) == 0 { resize_term(rows, columns) }
        repaint()
    }

    // MARK: Painting

    package func present(_ surface: Surface) {
        let all = repaintsAll || surface.width != front.width || surface.height != front.height
        for y in 0..<min(surface.height, Int(cx_lines())) where all || !surface.rowEquals(y, front) {
            paint(surface, y)
        }
        wnoutrefresh(root)
        doupdate()
        front = surface
        repaintsAll = false
    }

    private func paint(_ surface: Surface, _ y: Int) {
        row.removeAll(keepingCapacity: true)
        var style = Style()
        var pair = pair(for: style)
        var attributes = attributes(of: style, pair)
        for x in 0..<surface.width {
            let cell = surface[x, y]
            // The right half of a wide character comes with its left.
            guard cell.scalar != 0 else { continue }
            if cell.style != style {
                style = cell.style
                pair = self.pair(for: style)
                attributes = self.attributes(of: style, pair)
            }
            row.append(
                cchar_t(
                    attr: attributes, chars: (wchar_t(cell.scalar), wchar_t(cell.mark1), wchar_t(cell.mark2), 0, 0), ext_color: pair))
        }
        mvwadd_wchnstr(root, Int32(y), 0, row, Int32(row.count))
    }

    /// The pair's low bits live in the attributes too.
    private func attributes(of style: Style, _ pair: Int32) -> attr_t {
        var found: attr_t = 0
        if style.attributes.contains(.bold) { found |= CX_BOLD }
        if style.attributes.contains(.dim) { found |= CX_DIM }
        if style.attributes.contains(.italic) { found |= CX_ITALIC }
        if style.attributes.contains(.underline) { found |= CX_UNDERLINE }
        if style.attributes.contains(.reverse) { found |= CX_REVERSE }
        return found | attr_t(UInt32(bitPattern: min(pair, 255)) << 8)
    }

    private func pair(for style: Style) -> Int32 {
        guard depth != .none else { return 0 }
        let (front, back) = (number(style.foreground), number(style.background))
        guard front >= 0 || back >= 0 else { return 0 }
        let key = UInt64(UInt32(bitPattern: front)) << 32 | UInt64(UInt32(bitPattern: back))
        if let known = pairs[key] { return known }
        let made = max(0, alloc_pair(front, back))
        pairs[key] = made
        return made
    }

    private func number(_ color: Color) -> Int32 {
        switch (color.form, depth) {
        case (.standard, _), (_, .none): -1
        case (.index(let number), .direct): number < 8 ? Int32(number) : Int32(max(8, Palette.rgb(number)))
        case (.index(let number), .indexed256): Int32(number)
        case (.index(let number), .sixteen):
            Int32(number < 16 ? Int(number) : Int(Palette.nearest16(Palette.rgb(number)))) % Int32(max(8, min(16, cx_colors())))
        // 0 to 7 mean the palette in "-direct" entries.
        case (.rgb(let hex), .direct): Int32(max(8, hex))
        case (.rgb(let hex), .indexed256): Int32(Palette.nearest256(hex))
        case (.rgb(let hex), .sixteen): Int32(Palette.nearest16(hex)) % Int32(max(8, min(16, cx_colors())))
        }
    }
}
