import Cells
import Definitions
import Primitives
import Testing
import Text

@testable import Operator

enum KeymapTables {
    static let mistakes: [(text: String, line: Int, says: String)] = [
        ("[keys]\nquti = \"x\"", 2, "no action 'quti'; did you mean 'quit'?"), ("[keys]\n\nzebra = \"x\"", 3, "no action 'zebra'"),
        ("[keys]\nquit = \"Hyper-x\"", 2, "'\"Hyper-x\"' is no key; write q, C-c, Enter, F5, PgUp or Space"),
        ("[keys]\nquit = \"\"", 2, "'\"\"' is no key"), ("[keys]\nquit = 5", 2, "'5' is no key"),
        ("[keys]\nquit = true", 2, "'true' is no key"),
        ("[keys]\nhelp = \"F1\"\nquit = [\"q\", 5]", 3, "'5' is no key"), ("[keys]\n\"quit\" = 5", 2, "'5' is no key"),
        ("[keys]\nquit = \"x\"\nsave = \"x\"", 3, "'x' would mean both quit and save"),
        ("[keys]\nup = [\"a\", \"b\"]\ndown = \"c\"\nleft = [\"d\", \"b\"]", 4, "'b' would mean both up and left"),
        ("[keys]\nquit = \"C-x\"\nsave = \"c-X\"", 3, "'C-x' would mean both quit and save"),
        ("[keys]\nquit = []", 1, "no key is left for quit; give it one"),
        ("\n[keys]\nsave = [\"Esc\", \"Backspace\"]", 2, "no key is left for back"),
        ("[key]\nquit = \"x\"", 1, "unknown key 'key'; a keys file has the table [keys]"), ("quit = \"x\"", 1, "unknown key 'quit'"),
        ("[keys]\nquit = \"x\"\n[colours]\nred = 1", 3, "unknown key 'colours'"),
        ("[keys]\nquit = \"x\"\nthis is not TOML\n", 3, "not TOML: "),
        ("[keys]\nmark_all = \"A\"\nmark = \"no key\"", 3, "'\"no key\"' is no key"),
        ("# quit is Q here\n[keys]\nsave = \"Q\"\n# quit too\nquit = 5", 5, "'5' is no key"),
    ]
}

/// Requirement 5: keys are remapped in keys.toml; a conflict refuses to load, with file and line.
struct KeymapTests {
    private func read(_ text: String) throws -> Keymap { try Keymap(toml: Array(text.utf8), file: "keys.toml") }

    @Test func `no key of the standard means two things, and every action has one`() {
        var owners: [Key: KeyAction] = [:]
        for action in KeyAction.allCases {
            let keys = Keymap.standard.keys(for: action)
            #expect(!keys.isEmpty, "\(action.rawValue)")
            for key in keys {
                #expect(owners[key] == nil, "\(key) is \(owners[key]?.rawValue ?? "") and \(action.rawValue)")
                owners[key] = action
                #expect(Keymap.standard.action(for: key) == action)
                #expect(key.name != nil)
            }
        }
        #expect(Keymap.standard.action(for: .function(9)) == nil)
        #expect(Keymap.standard.action(for: .paste("q")) == nil)
    }

    @Test func `an action takes the keys that the file gives it, and no others`() throws {
        let keymap = try read("[keys]\nquit = [\"Q\", \"F10\"]\nretry = \"V\"\nmark = \"Space\"\n")
        #expect(keymap.keys(for: .quit) == [.character("Q"), .function(10)])
        #expect(keymap.action(for: .character("Q")) == .quit)
        #expect(keymap.action(for: .function(10)) == .quit)
        #expect(keymap.action(for: .character("q")) == nil)
        #expect(keymap.action(for: .character("r")) == nil)
        #expect(keymap.action(for: .character("V")) == .retry)
        #expect(keymap.name(of: .quit) == "Q")
        for action in KeyAction.allCases where action != .quit && action != .retry {
            #expect(keymap.keys(for: action) == Keymap.standard.keys(for: action), "\(action.rawValue)")
        }
    }

    @Test func `a key that the file takes means nothing else any more`() throws {
        let keymap = try read("[keys]\nquit = \"x\"\nup = [\"Down\", \"Up\"]")
        #expect(keymap.action(for: .character("x")) == .quit)
        #expect(keymap.keys(for: .cancel).isEmpty)
        #expect(keymap.name(of: .cancel) == "")
        #expect(keymap.action(for: .down) == .up)
        #expect(keymap.keys(for: .down) == [.character("j")])
        #expect(keymap.action(for: .character("k")) == nil)
    }

    @Test func `an empty file changes nothing`() throws {
        for text in ["", "# nothing\n", "[keys]\n"] {
            let keymap = try read(text)
            #expect(keymap == .standard)
        }
    }

    @Test func `the standard, written out, is read back`() throws {
        let lines = KeyAction.allCases.map { action -> String in
            let names = Keymap.standard.keys(for: action).compactMap(\.name).map { "\"\($0)\"" }
            return "\(action.rawValue) = [\(names.joined(separator: ", "))]"
        }
        let keymap = try read("[keys]\n" + lines.joined(separator: "\n"))
        #expect(keymap == .standard)
    }

    @Test func `two actions may change places`() throws {
        let keymap = try read("[keys]\nquit = \"x\"\ncancel = \"q\"")
        #expect(keymap.action(for: .character("x")) == .quit)
        #expect(keymap.action(for: .character("q")) == .cancel)
    }

    @Test func `a mistake is named with its file and line`() throws {
        for (text, line, says) in KeymapTables.mistakes {
            let found = try #require(throws: Diagnostic.self, "\(text)") { try read(text) }
            #expect(found.file == "keys.toml")
            #expect(found.position?.line == line, "\(text): \(found)")
            #expect(found.message.hasPrefix(says), "\(text): \(found)")
        }
    }

    @Test func `bytes that are no text are refused`() throws {
        let found = try #require(throws: Diagnostic.self) { try Keymap(toml: [0x71, 0xFF, 0xFE], file: "keys.toml") }
        #expect(found.file == "keys.toml")
    }

    @Test func `names of keys are shown small, single characters as they are`() {
        let names: [(KeyAction, String)] = [
            (.open, "enter"), (.quit, "q"), (.delete, "D"), (.interrupt, "c-c"), (.mark, "space"), (.previousTab, "s-tab"), (.help, "?"),
        ]
        for (action, name) in names { #expect(Keymap.standard.name(of: action) == name, "\(action.rawValue)") }
    }

    @Test func `what changes something is known to`() {
        #expect(
            Set(KeyAction.allCases.filter(\.isMutating)) == [
                .cancel, .retry, .resolve, .edit, .delete, .transfer, .promote, .snapshot, .cordon, .uncordon, .drain, .kill, .restart,
            ])
        for view in View.allCases {
            for action in Views.spec(view).actions { #expect(action.action.isMutating, "\(action.title) of \(view)") }
        }
    }
}
