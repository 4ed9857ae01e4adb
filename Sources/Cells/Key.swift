/// One key press or mouse event, as a console sees it.
package enum Key: Hashable, Sendable {
    case character(Character)
    case control(Character)
    case function(Int)
    case up, down, left, right, pageUp, pageDown, home, end, enter, escape, tab, backTab, backspace, delete
    case mouse(Point, Mouse)
    /// Text that was pasted as one piece.
    case paste(String)
    case unknown(Int32)

    package enum Mouse: Hashable, Sendable { case press, release, click, doubleClick, wheelUp, wheelDown }
}

extension Key {
    private static let named: [(String, Key)] = [
        ("Up", .up), ("Down", .down), ("Left", .left), ("Right", .right), ("PgUp", .pageUp), ("PgDn", .pageDown), ("Home", .home),
        ("End", .end), ("Enter", .enter), ("Esc", .escape), ("Tab", .tab), ("S-Tab", .backTab), ("Backspace", .backspace),
        ("Del", .delete), ("Space", .character(" ")),
    ]

    /// As keys files and help write it: `q`, `C-c`, `Enter`, `F5`; nil when the text names no key.
    package init?(name: String) {
        if let found = Self.named.first(where: { $0.0.lowercased() == name.lowercased() }) {
            self = found.1
        } else if name.count == 1, let character = name.first {
            self = .character(character)
        } else if name.hasPrefix("C-") || name.hasPrefix("c-"), name.count == 3, let character = name.last, character.isASCII {
            self = .control(Character(character.lowercased()))
        } else if name.first == "F" || name.first == "f", name.dropFirst().allSatisfy(\.isNumber), let number = Int(name.dropFirst()),
            (1...24).contains(number)
        {
            self = .function(number)
        } else {
            return nil
        }
    }

    /// What `init(name:)` reads back; mouse events and pastes have none.
    package var name: String? {
        if let found = Self.named.first(where: { $0.1 == self }) { return found.0 }
        return switch self {
        case .character(let character): String(character)
        case .control(let character): "C-\(character)"
        case .function(let number): "F\(number)"
        default: nil
        }
    }
}
