import Primitives
import Text

@testable import Operator

/// The logs of the sample's coordinators, as `/api/v1/raft/log` answers: c-2 lacks the newest three entries of c-1, c-3 is 212 behind, and c-4 has entries of an
/// older term from 120320 on.
enum SampleLog {
    static let first = 118_002
    private static let applied = 120_331

    static func last(_ node: String) -> Int { ["c-2": 120_331, "c-3": 120_122, "c-4": 120_325][node] ?? 120_334 }

    /// From where on a node's entries are others than those of c-1.
    private static func parts(_ node: String, _ index: Int) -> Bool { node == "c-4" && index >= 120_320 }

    static func entry(_ index: Int, of node: String) -> Value {
        let isOther = parts(node, index)
        var fields = Fields()
        fields["index"] = Value(index)
        fields["term"] = Value(isOther ? 6 : 7)
        fields["kind"] = "commands"
        fields["bytes"] = Value(200 + index % 7 * 31)
        switch index % 16 {
        case 3:
            fields["kind"] = "leader-start"
            fields["bytes"] = 0
            fields["text"] = "a leader begins its term"
        case 9:
            fields["kind"] = "configuration"
            fields["configuration"] = ["voters": ["c-1", "c-2", "c-3"], "outgoing": [], "learners": [], "target": []]
            fields["text"] = "voters c-1, c-2, c-3"
        default: commands(index, &fields)
        }
        fields["id"] = .string(String(index))
        fields["checksum"] = .string(hexadecimal(UInt64(index &* 2_654_435_761 % 0xFFFF_FFFF) ^ (isOther ? 1 : 0), digits: 8))
        fields["chain"] = .string(hexadecimal(UInt64(index &* 11_400_714_819) ^ (isOther ? 1 : 0)))
        let state = index <= applied ? "applied" : "appended"
        (fields["state"], fields["committed"], fields["applied"]) = (.string(state), .bool(index <= applied), .bool(index <= applied))
        return .map(fields)
    }

    private static func commands(_ index: Int, _ fields: inout Fields) {
        let time = SampleData.now.advanced(by: .milliseconds(-40 * (120_334 - index))).rfc3339
        fields["time"] = .string(time)
        fields["featureLevel"] = 3
        let settled = 1 + index % 3
        fields["commands"] = [
            ["kind": "submit", "namespace": "default", "count": 1, "bytes": 120],
            ["kind": "settle", "namespace": "default", "count": Value(settled), "bytes": Value(60 * settled)],
        ]
        fields["namespaces"] = ["default"]
        fields["text"] = .string("\(time) submit default, \(settled) settle default")
    }

    /// A window of the list, newest first.
    static func window(_ request: FeedRequest) -> FeedUpdate {
        let node = request.key.parameters.first { $0.name == "node" }?.value ?? "c-1"
        guard node != "c-5" else { return .failed(CommandFailure(.temporary, "node c-5 cannot be reached")) }
        let newest = last(node)
        let total = newest - first + 1
        let anchored = request.anchor.flatMap { anchor in Int(anchor.id).flatMap { $0 <= newest ? newest - $0 - anchor.before : nil } }
        let offset = max(0, anchored ?? request.offset)
        let rows = (0..<max(0, min(request.count, total - offset))).map { entry(newest - offset - $0, of: node) }
        do throws(RowFilter.Problem) {
            let filter = try RowFilter(request.key.parameters.first { $0.name == "filter" }?.value ?? "")
            let kept = rows.filter { row in filter.matches(column: { row[$0] }, text: { JSONWriter.text(row) }) }
            return .rows(
                total: total, matched: filter.isEmpty ? total : kept.count, offset: offset, ids: kept.compactMap { $0["id"]?.string },
                rows: kept)
        } catch {
            return .failed(CommandFailure(.badData, error.description))
        }
    }

    /// A part of it from an index on, or the newest.
    static func part(_ node: String, _ from: UInt64?, _ limit: Int) -> Value {
        let newest = last(node)
        let start = from.map { Int($0) } ?? newest - limit + 1
        let items = start > newest ? [] : (start...min(newest, start + limit - 1)).map { entry($0, of: node) }
        return ["items": .list(items), "firstIndex": Value(first), "lastIndex": Value(newest), "node": .string(node)]
    }
}
