package import Cells
package import Definitions
import Primitives
import Text

/// What a key can mean; the name is what keys files say.
package enum KeyAction: String, CaseIterable, Sendable {
    case up, down, pageUp = "page_up", pageDown = "page_down", top, bottom, left, right
    case open, back, quit
    case palette, filter, highlight
    case nextMatch = "next_match"
    case previousMatch = "previous_match"
    case historyBack = "history_back"
    case historyForward = "history_forward"
    case lastView = "last_view"
    case nextTab = "next_tab"
    case previousTab = "previous_tab"
    case sort, mark
    case markRange = "mark_range"
    case markAll = "mark_all"
    case detail, follow, pause, why, source, log, compare, cancel, retry, resolve, edit, delete, transfer, promote, snapshot, cordon,
        uncordon, drain, kill, restart, copy, save, help, redraw
    case suspend, interrupt
    case tab1 = "view_1"
    case tab2 = "view_2"
    case tab3 = "view_3"
    case tab4 = "view_4"
    case tab5 = "view_5"
    case tab6 = "view_6"

    /// For help and the man page.
    package var help: String {
        switch self {
        case .up: "one row up"
        case .down: "one row down"
        case .pageUp: "one page up"
        case .pageDown: "one page down"
        case .top: "first row"
        case .bottom: "last row"
        case .left: "scroll left"
        case .right: "scroll right"
        case .open: "open what is selected"
        case .back: "go up one level; clear marks, filter or prompt first"
        case .quit: "on a top view leave the console, elsewhere go up"
        case .palette: "type a view or any command"
        case .filter: "filter: text, /regex/, !not, ~fuzzy, column>5"
        case .highlight: "let the filter hide rows, or only mark them"
        case .nextMatch: "next row that matches"
        case .previousMatch: "previous row that matches"
        case .historyBack: "back through the views seen"
        case .historyForward: "forward again"
        case .lastView: "the view before this one"
        case .nextTab: "next pane, or the log of the next member"
        case .previousTab: "previous pane, or the log of the member before"
        case .sort: "sort: arrows choose a column, enter sorts by it, the column before becomes the second key"
        case .mark: "mark the row for an action on several"
        case .markRange: "mark all from the last mark to here"
        case .markAll: "mark all rows that are loaded"
        case .detail: "show or hide the detail pane"
        case .follow: "follow the newest"
        case .pause: "hold a list still, or lines, which go on being counted"
        case .why: "why: why a rule did or did not match, why a task waits or failed, why this leader"
        case .source: "go to the message that caused it"
        case .log: "open the log of the selected member of the Raft group"
        case .compare: "put the log of the next member beside it, and mark where they differ"
        case .cancel: "cancel the run"
        case .retry: "start the run again with the same message"
        case .resolve: "say what became of an unknown task"
        case .edit: "edit the definition in $EDITOR and apply it"
        case .delete: "take the definition out of force, or the member out of the Raft group"
        case .transfer: "let the selected member of the Raft group lead"
        case .promote: "let the selected learner vote"
        case .snapshot: "write a snapshot, and let go of the log before it"
        case .cordon: "give the selected worker nothing new"
        case .uncordon: "give it tasks again"
        case .drain: "empty the selected node, so that it can be stopped"
        case .kill: "in a demo: kill the selected member, elsewhere than among members whoever leads"
        case .restart: "in a demo: begin the selected member again, elsewhere all that are down"
        case .copy: "copy the selected id to the clipboard (OSC 52)"
        case .save: "save the view as text; :save FILE takes .txt, .ansi, .json or .csv"
        case .help: "all keys"
        case .redraw: "draw everything again"
        case .suspend: "stop the console; fg brings it back"
        case .interrupt: "twice: leave the console"
        case .tab1: "raft"
        case .tab2: "gossip"
        case .tab3: "tasks"
        case .tab4: "runs"
        case .tab5: "rules"
        case .tab6: "events"
        }
    }

    /// Changes something on the node.
    package var isMutating: Bool {
        switch self {
        case .cancel, .retry, .resolve, .edit, .delete, .transfer, .promote, .snapshot, .cordon, .uncordon, .drain, .kill,
            .restart:
            true
        default: false
        }
    }

    fileprivate var standard: [String] {
        switch self {
        case .up: ["Up", "k"]
        case .down: ["Down", "j"]
        case .pageUp: ["PgUp", "C-b"]
        case .pageDown: ["PgDn", "C-f"]
        case .top: ["Home", "g"]
        case .bottom: ["End", "G"]
        case .left: ["Left", "h"]
        case .right: ["Right", "l"]
        case .open: ["Enter"]
        case .back: ["Esc", "Backspace"]
        case .quit: ["q"]
        case .palette: [":"]
        case .filter: ["/"]
        case .highlight: ["C-t"]
        case .nextMatch: ["n"]
        case .previousMatch: ["N"]
        case .historyBack: ["["]
        case .historyForward: ["]"]
        case .lastView: ["-"]
        case .nextTab: ["Tab"]
        case .previousTab: ["S-Tab"]
        case .sort: ["s"]
        case .mark: ["Space"]
        case .markRange: ["v"]
        case .markAll: ["C-a"]
        case .detail: ["d"]
        case .follow: ["f"]
        case .pause: ["p"]
        case .why: ["y"]
        case .source: ["m"]
        case .log: ["L"]
        case .compare: ["="]
        case .cancel: ["x"]
        case .retry: ["r"]
        case .resolve: ["u"]
        case .edit: ["e"]
        case .delete: ["D"]
        case .transfer: ["T"]
        case .promote: ["P"]
        case .snapshot: ["S"]
        case .cordon: ["C"]
        case .uncordon: ["U"]
        case .drain: ["E"]
        case .kill: ["K"]
        case .restart: ["R"]
        case .copy: ["c"]
        case .save: ["w"]
        case .help: ["?", "F1"]
        case .redraw: ["C-l"]
        case .suspend: ["C-z"]
        case .interrupt: ["C-c"]
        case .tab1: ["1"]
        case .tab2: ["2"]
        case .tab3: ["3"]
        case .tab4: ["4"]
        case .tab5: ["5"]
        case .tab6: ["6"]
        }
    }
}

/// Which key means what: the standard, with what `keys.toml` changes.
///
///     [keys]
///     quit = ["Q", "F10"]
///     retry = "R"
package struct Keymap: Equatable, Sendable {
    private var keys: [KeyAction: [Key]]
    private var actions: [Key: KeyAction]

    package static let standard = Keymap(
        keys: Dictionary(uniqueKeysWithValues: KeyAction.allCases.map { ($0, $0.standard.compactMap(Key.init(name:))) }))

    private init(keys: [KeyAction: [Key]]) {
        self.keys = keys
        actions = [:]
        for action in KeyAction.allCases { for key in keys[action] ?? [] { actions[key] = action } }
    }

    package func action(for key: Key) -> KeyAction? { actions[key] }

    package func keys(for action: KeyAction) -> [Key] { keys[action] ?? [] }

    /// The first key of an action, as hints show it.
    package func name(of action: KeyAction) -> String { keys[action]?.first?.name.map(Self.shown) ?? "" }

    private static func shown(_ name: String) -> String { name.count > 1 ? name.lowercased() : name }

    /// Reads a keys file. A key that would mean two things refuses the whole file, by file and line.
    package init(toml bytes: [UInt8], file: String) throws(Diagnostic) {
        let value = try TOMLReader.read(bytes, file: file)
        let lines = TOMLLines(bytes)
        func problem(_ key: String, _ message: String, in table: String? = "keys") -> Diagnostic {
            Diagnostic(file: file, position: lines.position(of: key, in: table), message: message)
        }
        for member in value.map?.members ?? [] where member.key != "keys" {
            throw problem(member.key, "unknown key '\(member.key)'; a keys file has the table [keys]", in: nil)
        }
        var changed: [KeyAction: [Key]] = [:]
        let table = value["keys"]?.map ?? Fields()
        for member in table.members {
            guard let action = KeyAction(rawValue: member.key) else {
                let meant = suggestion(for: member.key, among: KeyAction.allCases.map(\.rawValue)).map { "; did you mean '\($0)'?" } ?? ""
                throw problem(member.key, "no action '\(member.key)'\(meant)")
            }
            var keys: [Key] = []
            for item in member.value.list ?? [member.value] {
                guard let name = item.string, let key = Key(name: name) else {
                    throw problem(member.key, "'\(JSONWriter.text(item))' is no key; write q, C-c, Enter, F5, PgUp or Space")
                }
                keys.append(key)
            }
            changed[action] = keys
        }
        // What the file takes for one action is free no longer for the standard of another.
        var all = Self.standard.keys
        let taken = Set(changed.values.flatMap { $0 })
        for (action, keys) in all where changed[action] == nil { all[action] = keys.filter { !taken.contains($0) } }
        for (action, keys) in changed { all[action] = keys }
        var owner: [Key: KeyAction] = [:]
        for action in KeyAction.allCases {
            for key in changed[action] ?? [] {
                if let other = owner[key] {
                    let name = key.name ?? "?"
                    throw problem(action.rawValue, "'\(name)' would mean both \(other.rawValue) and \(action.rawValue)")
                }
                owner[key] = action
            }
        }
        for action in [KeyAction.quit, .back, .palette, .help, .open, .up, .down] where all[action]?.isEmpty ?? true {
            throw problem("keys", "no key is left for \(action.rawValue); give it one")
        }
        self.init(keys: all)
    }
}
