import Testing

@testable import Cells

enum KeyTables {
    static let named: [(String, Key)] = [
        ("Up", .up), ("Down", .down), ("Left", .left), ("Right", .right), ("PgUp", .pageUp), ("PgDn", .pageDown), ("Home", .home),
        ("End", .end), ("Enter", .enter), ("Esc", .escape), ("Tab", .tab), ("S-Tab", .backTab), ("Backspace", .backspace), ("Del", .delete),
        ("Space", .character(" ")), ("q", .character("q")), ("Q", .character("Q")), ("é", .character("é")), ("中", .character("中")),
        ("F", .character("F")), ("-", .character("-")), ("C-c", .control("c")), ("C-[", .control("[")), ("F1", .function(1)),
        ("F12", .function(12)), ("F24", .function(24)),
    ]

    /// Read as the key, and written otherwise.
    static let other: [(String, Key)] = [
        ("enter", .enter), ("ENTER", .enter), ("pgup", .pageUp), ("s-TAB", .backTab), ("f5", .function(5)), ("c-c", .control("c")),
        ("C-C", .control("c")), (" ", .character(" ")), ("space", .character(" ")),
    ]
}

/// Keys by the names that keys files and help use (Key.swift).
struct KeyTests {
    @Test(arguments: KeyTables.named)
    func `a key has a name, and the name is the key's`(name: String, key: Key) {
        #expect(Key(name: name) == key)
        #expect(key.name == name)
    }

    @Test(arguments: KeyTables.other)
    func `names are read in any case`(name: String, key: Key) {
        #expect(Key(name: name) == key)
    }

    @Test(arguments: ["", "ab", "C-", "C-ab", "C-é", "M-x", "F0", "F25", "F-1", "F+5", "F 5", "F1x", "FF", "Fn", "PageUp", "Up ", "  "])
    func `what names no key is refused`(name: String) {
        #expect(Key(name: name) == nil)
    }

    @Test func `every character, control key and function key survives its name`() {
        var keys: [Key] = (1...24).map { Key.function($0) }
        for code in UInt8(0x20)..<0x7F { keys.append(.character(Character(Unicode.Scalar(code)))) }
        for code in UInt8(0x61)...0x7A { keys.append(.control(Character(Unicode.Scalar(code)))) }
        for key in keys {
            let name = key.name ?? ""
            #expect(Key(name: name) == key, "\(key)")
        }
        let names = Set(keys.compactMap(\.name))
        #expect(names.count == keys.count)
    }

    @Test func `mouse events, pastes and strange codes have no name`() {
        let keys: [Key] = [.mouse(Point(1, 2), .click), .mouse(Point(0, 0), .wheelUp), .paste("q"), .paste(""), .unknown(7)]
        for key in keys { #expect(key.name == nil) }
    }
}
