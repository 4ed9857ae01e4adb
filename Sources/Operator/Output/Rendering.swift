import ArgumentParser
import Cells
import Definitions
package import Primitives
import Text

/// How a command prints what it found.
package enum OutputFormat: String, CaseIterable, ExpressibleByArgument, Sendable { case table, wide, json, jsonl, yaml, csv, tsv, name }

/// One column of a table: where its value lies, and how it reads.
package struct Column: Sendable {
    package let title: String
    package let isWide: Bool
    package let text: @Sendable (Value) -> String

    /// The value at a path of keys.
    package init(_ title: String, _ path: String..., wide: Bool = false) {
        self.title = title
        isWide = wide
        text = { value in
            var here: Value? = value
            for key in path { here = here?[key] }
            return Column.plain(here ?? .null)
        }
    }

    package init(_ title: String, wide: Bool = false, _ text: @escaping @Sendable (Value) -> String) {
        self.title = title
        isWide = wide
        self.text = text
    }

    static func plain(_ value: Value) -> String {
        switch value {
        case .null: "-"
        case .string(let text): text
        case .list(let items): items.isEmpty ? "-" : items.map(plain).joined(separator: ",")
        case .bool, .int, .uint, .double, .map: JSONWriter.text(value)
        }
    }
}

/// Prints rows or one thing in the format asked for.
package struct Rendering: Sendable {
    package let format: OutputFormat
    /// Cells are cut to keep a line within this; 0 for never.
    package let width: Int
    /// Rows as lists of facts, as psql's \\x.
    package let isExpanded: Bool

    package init(format: OutputFormat, width: Int = 0, isExpanded: Bool = false) {
        self.format = format
        self.width = width
        self.isExpanded = isExpanded
    }

    package func rows(_ items: [Value], _ columns: [Column], name: String = "id") -> String {
        if isExpanded, format == .table || format == .wide { return expanded(items, columns) }
        return switch format {
        case .table, .wide: table(items, columns.filter { format == .wide || !$0.isWide })
        case .json: JSONWriter.pretty(.list(items)) + "\n"
        case .jsonl: items.map { JSONWriter.text($0) + "\n" }.joined()
        case .yaml: YAMLWriter.text(.list(items))
        case .csv: separated(items, columns, ",") { Self.quoted($0) }
        case .tsv: separated(items, columns, "\t") { $0.map { $0 == "\t" || $0.isNewline ? " " : String($0) }.joined() }
        case .name: items.map { Column.plain($0[name] ?? .null) + "\n" }.joined()
        }
    }

    /// One thing: a list of facts for people, the value for programs.
    package func one(_ value: Value, name: String = "id") -> String {
        switch format {
        case .table, .wide: facts(value, indent: 0)
        case .json: JSONWriter.pretty(value) + "\n"
        case .jsonl: JSONWriter.text(value) + "\n"
        case .yaml: YAMLWriter.text(value)
        case .csv, .tsv: facts(value, indent: 0)
        case .name: Column.plain(value[name] ?? .null) + "\n"
        }
    }

    private func expanded(_ items: [Value], _ columns: [Column]) -> String {
        let longest = columns.map(\.title.count).max() ?? 0
        return items.enumerated().map { number, item in
            "-[ \(number + 1) ]-\n"
                + columns.map { column in
                    column.title + String(repeating: " ", count: longest - column.title.count + 1) + "| "
                        + PlainText.oneLine(column.text(item))
                        + "\n"
                }.joined()
        }.joined()
    }

    private func table(_ items: [Value], _ columns: [Column]) -> String {
        let cells = [columns.map(\.title)] + items.map { item in columns.map { PlainText.oneLine($0.text(item)) } }
        var widths = columns.indices.map { column in cells.map { CharacterWidth.of($0[column]) }.max() ?? 0 }
        if width > 0, let last = widths.indices.last {
            let others = widths.dropLast().reduce(0) { $0 + $1 + 2 }
            widths[last] = min(widths[last], max(20, width - others))
        }
        return cells.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let isLast = column == row.count - 1
                let shown = isLast && format == .table ? CharacterWidth.cut(cell, to: widths[column]) : cell
                line += isLast ? shown : shown + String(repeating: " ", count: max(0, widths[column] - CharacterWidth.of(shown)) + 2)
            }
            return line + "\n"
        }.joined()
    }

    private func separated(_ items: [Value], _ columns: [Column], _ separator: String, _ cell: (String) -> String) -> String {
        ([columns.map { cell($0.title) }] + items.map { item in columns.map { cell($0.text(item)) } })
            .map { $0.joined(separator: separator) + "\n" }.joined()
    }

    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"" + text.map { $0 == "\"" ? "\"\"" : String($0) }.joined() + "\""
    }

    private func facts(_ value: Value, indent: Int) -> String {
        guard case .map(let fields) = value else { return String(repeating: " ", count: indent) + Column.plain(value) + "\n" }
        let space = String(repeating: " ", count: indent)
        let longest = fields.members.map(\.key.count).max() ?? 0
        return fields.members.map { member in
            switch member.value {
            case .map(let inner) where !inner.isEmpty: "\(space)\(member.key):\n" + facts(member.value, indent: indent + 2)
            case .list(let items) where items.contains(where: { $0.map != nil }):
                "\(space)\(member.key):\n" + items.map { "\(space)  -\n" + facts($0, indent: indent + 4) }.joined()
            default:
                "\(space)\(member.key):" + String(repeating: " ", count: longest - member.key.count + 1)
                    + PlainText.oneLine(Column.plain(member.value)) + "\n"
            }
        }.joined()
    }
}
