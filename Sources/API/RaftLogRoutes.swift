import Cluster
import Hummingbird
import Observability
import Primitives
import Raft
import Text

/// `/api/v1/raft/log`: the entries of one node's log, as they lie on its disk. With `from=` they come upwards from there; without, the newest. As a list with a
/// window they stand newest first, as lists of a console do. `node=` asks another node for its own.
struct RaftLogRoutes: Sendable {
    let info: NodeInfo

    func add(to router: RouterGroup<NodeRequestContext>) {
        router.get("raft/log") { request, context in try await log(request, context) }
    }

    private func log(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let peers = PeerForwarding(info: info)
        if let node = try peers.target(request) { return try await peers.ask(node, request, context) }
        let start = try start(request)
        let rows = LogRows(consensus: info.consensus)
        if start == nil, let window = try Window(request) { return try info.rows(request, window, rows) }
        let limit = try request.limit()
        return try info.object(request) { try part(from: start, limit, rows) }
    }

    private func start(_ request: Request) throws(Problem) -> LogIndex? {
        guard let text = request.uri.queryParameters["from"] else { return nil }
        guard let number = UInt64(text), (1...LogRows.indexLimit).contains(number) else {
            throw .badRequest("invalid_request", "from is a log index, as 42")
        }
        return LogIndex(number)
    }

    /// `next` is where to go on; null at the end of the log.
    private func part(from start: LogIndex?, _ limit: Int, _ rows: LogRows) throws(Problem) -> Value {
        let page = try rows.read(from: start, limit)
        if let start, start < page.first {
            throw Problem(
                status: .notFound, type: "compacted", title: "Not in the log any more",
                detail:
                    "entry \(start) is compacted on '\(info.node)': a snapshot stands for all before entry \(page.first), which is the first that is kept; ask from=\(page.first)",
                limits: ["firstIndex": Value(page.first.number)])
        }
        let end = page.entries.last?.index ?? page.last
        return .object([
            "items": .list(page.entries.map { rows.value($0, page) }), "next": end < page.last ? Value(end.next.number) : .null,
            "appliedIndex": Value(info.consensus.applied.index.number), "node": .string(info.node.text),
            "firstIndex": Value(page.first.number), "lastIndex": Value(page.last.number), "commitIndex": Value(page.commit.number),
        ])
    }
}

/// The log as a list, newest first: its rows are read only where a window shows them.
struct LogRows: RowSource {
    static let indexLimit: UInt64 = 1 << 62
    /// Filters and orders look at so many of the newest.
    static let reach = 5_000
    private static let pieces = 1_000

    let consensus: any Consensus

    let columns = [
        "index", "term", "kind", "bytes", "checksum", "chain", "state", "committed", "applied", "namespaces", "time", "text",
        "featureLevel",
    ]

    var version: UInt64? {
        let status = consensus.status
        var hasher = Hasher()
        for index in [status.durableIndex, status.commitIndex, status.firstIndex, consensus.applied.index] { hasher.combine(index) }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    func read(from start: LogIndex?, _ count: Int) throws(Problem) -> RaftLogPage {
        do throws(RaftLogProblem) { return try consensus.log(from: start, count: count) } catch {
            throw Problem(
                status: .internalServerError, type: "log_unreadable", title: "The log cannot be read", detail: error.description)
        }
    }

    func page(_ window: Window) throws -> Page {
        for name in window.filter.columns + window.order.keys.map(\.column) { try Window.check(name, columns) }
        guard window.filter.isEmpty, window.order.keys.isEmpty else { return try searched(window) }
        let ends = try read(from: nil, 0)
        let total = Int(clamping: ends.last.next.number - min(ends.last.next.number, ends.first.number))
        let anchored = window.anchor.flatMap { anchor in
            UInt64(anchor.id).flatMap { index in
                index <= ends.last.number ? Int(clamping: ends.last.number - index) - anchor.before : nil
            }
        }
        let offset = max(0, anchored ?? window.offset)
        guard offset < total else { return Page(offset: offset, total: total, matched: total, rows: []) }
        let count = min(window.limit, total - offset)
        let lowest = LogIndex(ends.last.number - UInt64(offset + count - 1))
        let page = try read(from: lowest, count)
        return Page(offset: offset, total: total, matched: total, rows: rows(page))
    }

    /// What a filter keeps, or an order arranges, of the newest entries.
    private func searched(_ window: Window) throws -> Page {
        let (values, total) = try newest()
        var page = try ValueRows(columns: columns, idKey: "index", changes: { nil }, make: { values }).page(window)
        page.total = max(total, page.matched)
        return page
    }

    private func newest() throws(Problem) -> (rows: [Value], total: Int) {
        let ends = try read(from: nil, 0)
        var next = max(ends.first, LogIndex(ends.last.number - min(ends.last.number, UInt64(Self.reach)) + 1))
        var values: [Value] = []
        while next <= ends.last {
            let page = try read(from: next, Self.pieces)
            guard let last = page.entries.last else { break }
            values += page.entries.map { value($0, page) }
            next = last.index.next
        }
        return (values.reversed(), Int(clamping: ends.last.next.number - min(ends.last.next.number, ends.first.number)))
    }

    private func rows(_ page: RaftLogPage) -> [Page.Row] {
        let values = page.entries.map { value($0, page) }
        return values.reversed().map { value in Page.Row(id: RowFilter.plain(value["index"] ?? .null), fingerprint: nil) { value } }
    }

    func value(_ entry: RaftLogPage.Entry, _ page: RaftLogPage) -> Value {
        var fields = entry.about
        let (isCommitted, isApplied) = (entry.index <= page.commit, entry.index <= consensus.applied.index)
        fields["id"] = .string(entry.index.description)
        fields["checksum"] = .string(hexadecimal(UInt64(entry.checksum), digits: 8))
        fields["chain"] = .string(hexadecimal(entry.chain))
        fields["state"] = .string(isApplied ? "applied" : isCommitted ? "committed" : "appended")
        fields["committed"] = .bool(isCommitted)
        fields["applied"] = .bool(isApplied)
        var namespaces: [Value] = []
        for command in fields["commands"]?.list ?? [] {
            if let name = command["namespace"], name != "", !namespaces.contains(name) { namespaces.append(name) }
        }
        fields["namespaces"] = .list(namespaces)
        return .map(fields)
    }

    // MARK: Rows that are made already

    func rows(atLeast least: Int?) throws -> (rows: [Value], total: Int) { try newest() }
    func column(_ name: String, of row: Value) -> Value { row[name] ?? .null }
    func id(of row: Value) -> String { RowFilter.plain(row["index"] ?? .null) }
    func present(_ row: Value) -> Value { row }
}
