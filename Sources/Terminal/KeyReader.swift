import CNcursesW
package import Cells

/// Reads keys from curses; text pasted between brackets comes as one piece.
@TerminalActor
package final class KeyReader {
    /// Characters of a paste that are kept; the rest is dropped.
    package static let pasteLimit = 64 << 10

    private let keys: UnsafeMutablePointer<WINDOW>
    private var pasted: [Unicode.Scalar]?
    /// What has come of a paste's end, which may come in pieces, long after the first.
    private var tail: [UInt32] = []
    private static let pasteEnd: [UInt32] = "\u{1B}[201~".unicodeScalars.map(\.value)
    private var pushedBack: [wint_t] = []

    package init(_ screen: CursesScreen) { keys = screen.keys }

    private func read() -> (code: Int32, character: wint_t)? {
        if !pushedBack.isEmpty { return (OK, pushedBack.removeFirst()) }
        var character: wint_t = 0
        let result = wget_wch(keys, &character)
        return result == ERR ? nil : (result, character)
    }

    /// The next key that is there; nil when none is.
    package func next() -> Key? {
        while let (code, character) = read() {
            if code != KEY_CODE_YES, character == 27, let key = escape() {
                if pasted == nil, case .paste = key { return key }
                if case .paste = key { continue }
                return key
            }
            if pasted != nil {
                if let key = keep(code, character) { return key }
                continue
            }
            return code == KEY_CODE_YES ? special(Int32(bitPattern: character)) : plain(character)
        }
        return nil
    }

    /// The paste, when this was the last piece of its end.
    private func keep(_ code: Int32, _ character: wint_t) -> Key? {
        guard code != KEY_CODE_YES, let scalar = Unicode.Scalar(UInt32(character)) else { return nil }
        if !tail.isEmpty {
            tail.append(scalar.value)
            if tail == Self.pasteEnd { return endPaste() }
            if Self.pasteEnd.starts(with: tail) { return nil }
            // It was no end: what looked like one belongs to the text.
            for value in tail.dropFirst() { if let scalar = Unicode.Scalar(value) { add(scalar) } }
            tail = []
            return nil
        }
        add(scalar)
        return nil
    }

    private func add(_ scalar: Unicode.Scalar) { if (pasted?.count ?? 0) < Self.pasteLimit { pasted?.append(scalar) } }

    private func endPaste() -> Key {
        defer { (pasted, tail) = (nil, []) }
        return .paste(String(String.UnicodeScalarView(pasted ?? [])))
    }

    /// After ESC: the brackets of a paste; a sequence that nobody knows, swallowed whole; else the key itself. While a paste goes on, an
    /// empty `.paste` means "go on".
    private func escape() -> Key? {
        let here: Key = pasted == nil ? .escape : .paste("")
        if pasted != nil { tail = [27] }
        guard let (code, first) = read() else { return here }
        guard code != KEY_CODE_YES, first == 0x5B || first == 0x4F else {
            if code == KEY_CODE_YES { ungetch(Int32(bitPattern: first)) } else { pushedBack.append(first) }
            return here
        }
        var parameters = ""
        while parameters.utf8.count < 32, let (code, next) = read() {
            guard code != KEY_CODE_YES, let scalar = Unicode.Scalar(UInt32(next)) else { break }
            parameters.unicodeScalars.append(scalar)
            if first == 0x4F || (0x40...0x7E).contains(next) { break }
        }
        switch parameters {
        case "200~":
            (pasted, tail) = ([], [])
            return .paste("")
        case "201~": return endPaste()
        case "":
            // Esc and then the character, as two keys.
            pushedBack.append(first)
            return here
        default:
            guard pasted != nil else { return .unknown(27) }
            tail += [UInt32(first)] + parameters.unicodeScalars.map(\.value)
            if !Self.pasteEnd.starts(with: tail) { tail = [] }
            return .paste("")
        }
    }

    private func special(_ code: Int32) -> Key? {
        switch code {
        case KEY_UP: return .up
        case KEY_DOWN: return .down
        case KEY_LEFT: return .left
        case KEY_RIGHT: return .right
        case KEY_PPAGE: return .pageUp
        case KEY_NPAGE: return .pageDown
        case KEY_HOME: return .home
        case KEY_END: return .end
        case KEY_BACKSPACE: return .backspace
        case KEY_DC: return .delete
        case KEY_BTAB: return .backTab
        case KEY_ENTER: return .enter
        case (KEY_F0 + 1)...(KEY_F0 + 24): return .function(Int(code - KEY_F0))
        case KEY_MOUSE: return mouse(code)
        default: return .unknown(code)
        }
    }

    private func mouse(_ code: Int32) -> Key {
        var event = MEVENT()
        guard getmouse(&event) == OK else { return .unknown(code) }
        let point = Point(Int(event.x), Int(event.y))
        let kinds: [(mmask_t, Key.Mouse)] = [
            (CX_WHEEL_UP, .wheelUp), (CX_WHEEL_DOWN, .wheelDown), (CX_BUTTON1_DOUBLE, .doubleClick), (CX_BUTTON1_CLICKED, .click),
            (CX_BUTTON1_PRESSED, .press), (CX_BUTTON1_RELEASED, .release),
        ]
        return kinds.first { event.bstate & $0.0 != 0 }.map { .mouse(point, $0.1) } ?? .unknown(code)
    }

    private func plain(_ character: wint_t) -> Key {
        switch character {
        case 13, 10: .enter
        case 9: .tab
        case 27: .escape
        case 8, 127: .backspace
        case 0..<32: Unicode.Scalar(UInt32(character) + 0x60).map { .control(Character($0)) } ?? .unknown(Int32(bitPattern: character))
        default: Unicode.Scalar(UInt32(character)).map { .character(Character($0)) } ?? .unknown(Int32(bitPattern: character))
        }
    }
}
