import Cells

/// Help as it follows from the keymap in force.
package enum HelpText {
    static let groups: [(title: String, actions: [KeyAction])] = [
        ("Moving", [.up, .down, .pageUp, .pageDown, .top, .bottom, .left, .right, .open, .back, .quit, .nextTab, .previousTab]),
        ("Views", [.palette, .tab1, .tab2, .tab3, .tab4, .tab5, .tab6, .historyBack, .historyForward, .lastView, .help]),
        ("Finding", [.filter, .highlight, .nextMatch, .previousMatch, .sort, .detail, .follow, .pause]),
        (
            "Asking and doing",
            [
                .why, .source, .log, .compare, .retry, .cancel, .resolve, .edit, .delete, .transfer, .promote, .snapshot, .cordon,
                .uncordon,
                .drain, .kill, .restart, .mark, .markRange, .markAll,
            ]
        ),
        ("The console", [.copy, .save, .redraw, .suspend, .interrupt]),
    ]

    /// Every action is in one group; a test sees to it.
    package static var actions: [KeyAction] { groups.flatMap(\.actions) }

    static func keys(_ keymap: Keymap, _ action: KeyAction) -> String {
        let names = keymap.keys(for: action).compactMap { $0.name.map { $0.count > 1 ? $0.lowercased() : $0 } }
        return names.isEmpty ? "-" : names.joined(separator: " ")
    }

    package static func lines(_ keymap: Keymap, readOnly: Bool) -> [Line] {
        var lines: [Line] = []
        for group in groups {
            lines.append(Line(group.title, .accent))
            for action in group.actions {
                let keys = keys(keymap, action)
                let space = String(repeating: " ", count: max(1, 14 - keys.count))
                let off = readOnly && action.isMutating ? "  (read-only: off)" : ""
                lines.append(Line("  " + keys + space, .hintKey) + Line(action.help) + Line(off, .dim))
            }
            lines.append(Line())
        }
        lines.append(Line("Views", .accent))
        for view in View.top {
            let name = view.rawValue
            lines.append(Line("  :" + name + String(repeating: " ", count: max(1, 13 - name.count)), .hintKey) + Line(view.summary))
        }
        lines += [
            Line(), Line("Filters", .accent),
            Line("  word            ", .hintKey) + Line("rows that have it; a capital makes case count"),
            Line("  /re/            ", .hintKey) + Line("rows that match (RFC 9485, with ^ and $)"),
            Line("  ~wrd            ", .hintKey) + Line("the letters in this order"),
            Line("  !term           ", .hintKey) + Line("rows where the term does not hold"),
            Line("  state:fail      ", .hintKey) + Line("a column has it; also = != > >= < <= and ~regex: ms>500, ms>2s, worker~^w-"),
        ]
        return lines
    }
}
