import Coordinator
import HTTPTypes
import Hummingbird
import NIOCore
import Observability
import Primitives
import Text

/// Which part of a list a view shows: `filter`, `sort`, `window=offset:count`, `watch=true`. With `anchor=ID&before=N` the window begins N
/// rows before that row wherever it has gone, so that rows that come above it do not move what is looked at.
struct Window {
    var filter: RowFilter
    var order: RowOrder
    var offset: Int
    var limit: Int
    var anchor: (id: String, before: Int)?

    private static let offsetLimit = 1_000_000_000
    /// How far down an anchor is looked for in a list that is neither filtered nor sorted.
    static let anchorReach = 2000

    /// Nil when the request asks for none of it: such lists are paged by cursor.
    init?(_ request: Request) throws {
        let parameters = request.uri.queryParameters
        let (filter, sort, window) = (parameters["filter"], parameters["sort"], parameters["window"])
        guard filter != nil || sort != nil || window != nil || request.isWatching else { return nil }
        do throws(RowFilter.Problem) { self.filter = try RowFilter(filter.map(String.init) ?? "") } catch {
            throw Problem.badRequest("invalid_filter", error.description)
        }
        guard let order = sort.map({ $0.isEmpty ? RowOrder() : RowOrder(String($0)) }) ?? RowOrder() else {
            throw Problem.badRequest("invalid_sort", "sort names one or two columns, as 'state,-created'")
        }
        self.order = order
        (offset, limit) = (0, try request.limit())
        guard let window else { return }
        let parts = window.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let from = parts[0], let count = parts[1], (0...Self.offsetLimit).contains(from), (1...1000).contains(count)
        else {
            throw Problem.badRequest("invalid_window", "window is offset:count, as 0:50, with a count of 1 to 1000")
        }
        (offset, limit) = (from, count)
        guard let id = parameters["anchor"] else { return }
        guard let before = parameters["before"].map({ Int($0) }) ?? 0, (0...1000).contains(before) else {
            throw Problem.badRequest("invalid_window", "before is a number of rows up to 1000")
        }
        anchor = (String(id), before)
    }

    static func check(_ name: String, _ columns: [String]) throws(Problem) {
        guard !columns.contains(name) else { return }
        let meant =
            suggestion(for: name, among: columns).map { "; did you mean '\($0)'?" } ?? "; there are \(columns.joined(separator: ", "))"
        throw Problem.badRequest("invalid_column", "no column '\(name)'\(meant)")
    }
}

/// Rows of one list, cheap to count and to order: a row becomes a value only when it is shown.
protocol RowSource: Sendable {
    associatedtype Row: Sendable
    /// Names that filter and sort may use.
    var columns: [String] { get }
    /// In the list's own order. `least` says how many are needed when nothing is sorted or filtered.
    func rows(atLeast least: Int?) throws -> (rows: [Row], total: Int)
    func column(_ name: String, of row: Row) -> Value
    func id(of row: Row) -> String
    func present(_ row: Row) -> Value
    /// The same as long as `present` gives the same; nil when only presenting tells.
    func fingerprint(of row: Row) -> UInt64?
    /// Changes when the rows may have; nil when that is not known.
    var version: UInt64? { get }
    /// The rows of a window.
    func page(_ window: Window) throws -> Page
}

extension RowSource {
    func fingerprint(of row: Row) -> UInt64? { nil }

    func text(of row: Row) -> String { columns.map { RowFilter.plain(column($0, of: row)) }.joined(separator: " ") }

    func page(_ window: Window) throws -> Page {
        for name in window.filter.columns + window.order.keys.map(\.column) { try Window.check(name, columns) }
        let isPlain = window.filter.isEmpty && window.order.keys.isEmpty
        let reach = window.anchor == nil ? 0 : Window.anchorReach
        var (rows, total) = try rows(atLeast: isPlain ? window.offset + window.limit + reach : nil)
        var matched = total
        if !window.filter.isEmpty {
            rows = rows.filter { row in window.filter.matches(column: { column($0, of: row) }, text: { text(of: row) }) }
            (matched, total) = (rows.count, max(total, rows.count))
        }
        if !window.order.keys.isEmpty { rows = sorted(rows, by: window.order) }
        let found = window.anchor.flatMap { anchor in
            rows.firstIndex { sameBytes(id(of: $0), anchor.id) }.map { max(0, $0 - anchor.before) }
        }
        let offset = found ?? window.offset
        let shown = rows.dropFirst(offset).prefix(window.limit)
        return Page(
            offset: offset, total: total, matched: matched,
            rows: shown.map { row in
                Page.Row(id: id(of: row), fingerprint: fingerprint(of: row)) { present(row) }
            })
    }

    private func sorted(_ rows: [Row], by order: RowOrder) -> [Row] {
        let keyed = rows.enumerated().map { place, row in (place: place, keys: order.keys.map { column($0.column, of: row) }) }
        let places = keyed.sorted { left, right in
            for (place, key) in order.keys.enumerated() {
                switch RowOrder.precedes(left.keys[place], right.keys[place], descending: key.isDescending) {
                case .less: return true
                case .greater: return false
                case .equal, .unordered: continue
                }
            }
            return left.place < right.place
        }
        return places.map { rows[$0.place] }
    }
}

/// What a window shows.
struct Page: Sendable {
    var offset: Int
    /// Rows of the list, and those that the filter keeps.
    var total: Int
    var matched: Int
    var rows: [Row]

    /// One row, made into a value only when that is needed.
    struct Row: Sendable {
        var id: String
        var fingerprint: UInt64?
        var value: @Sendable () -> Value
    }
}

/// Rows that are made already: small lists.
struct ValueRows: RowSource {
    let columns: [String]
    let idKey: String
    let changes: @Sendable () -> UInt64?
    let make: @Sendable () throws -> [Value]
    var version: UInt64? { changes() }

    func rows(atLeast least: Int?) throws -> (rows: [Value], total: Int) {
        let rows = try make()
        return (rows, rows.count)
    }

    func column(_ name: String, of row: Value) -> Value { row[name] ?? .null }

    func id(of row: Value) -> String { RowFilter.plain(row[idKey] ?? .null) }
    func present(_ row: Value) -> Value { row }
}

extension Request {
    var isWatching: Bool { uri.queryParameters["watch"] == "true" }
}
