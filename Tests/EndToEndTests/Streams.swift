import Foundation
import Operator
import Primitives
import Text

/// One event of a stream of changes; a heartbeat has no name.
struct Heard {
    var name: String
    var value: Value

    var isBeat: Bool { name.isEmpty }
}

extension RunningNode {
    /// Listens to a stream of changes until it has heard enough, for at most half a minute; or to its end.
    func listen(
        _ path: String, _ query: [(String, String?)] = [], until isEnough: ([Heard]) async throws -> Bool
    ) async throws -> [Heard] {
        let enough = CommandFailure(.interrupted, "heard enough")
        let end = Date().addingTimeInterval(30)
        var heard: [Heard] = []
        var name = ""
        do {
            try await client.stream(path, query + [("watch", "true")], beats: true) { line in
                if line.hasPrefix("event: ") {
                    name = String(line.dropFirst(7))
                    return
                }
                if line.hasPrefix("data: ") {
                    heard.append(Heard(name: name, value: try JSONScanner.parse(String(line.dropFirst(6)), maximumDepth: 512)))
                } else if line.hasPrefix(":") {
                    heard.append(Heard(name: "", value: .null))
                } else {
                    return
                }
                let isDone = try await isEnough(heard)
                if isDone || Date() > end { throw enough }
            }
        } catch let failure as CommandFailure where failure == enough {
            return heard
        }
        return heard
    }
}

/// A list as a console keeps it: what the first event brought, changed by those after it.
struct WatchedRows {
    private(set) var ids: [String] = []
    private(set) var rows: [String: Value] = [:]
    private(set) var total = -1
    private(set) var matched = -1
    private(set) var offset = -1
    /// Rows of the window that came again as they were.
    private(set) var repeated = 0

    mutating func take(_ value: Value, idKey: String = "id") {
        total = Int(value["total"]?.int ?? -1)
        matched = Int(value["matched"]?.int ?? -1)
        offset = Int(value["offset"]?.int ?? -1)
        for row in value["rows"]?.list ?? [] {
            guard let id = row[idKey]?.string else { continue }
            if ids.contains(id), rows[id] == row { repeated += 1 }
            rows[id] = row
        }
        if let ids = value["ids"]?.list { self.ids = ids.compactMap(\.string) }
    }

    var items: [Value] { ids.compactMap { rows[$0] } }

    /// Whether it shows what a list says that was asked for at once.
    func shows(_ answer: Value) -> Bool {
        items == answer.items && answer["total"] == Value(total) && answer["matched"] == Value(matched)
            && answer["offset"] == Value(offset)
    }
}
