import Foundation
import Glibc
import Primitives

/// Messages of the cluster suite by their type, and what each sets off.
enum ClusterWork: String, CaseIterable, Sendable {
    /// A rule matches, and only observes.
    case observed
    /// A run of one task that does nothing.
    case one
    /// Four such, each after the one before.
    case chain
    /// Ten tasks that wait at once.
    case wide
    /// Ten tasks that each take a slot of a worker.
    case held

    static let waitSeconds = 10
    static let wideTasks = 10

    static let definitions: Value = .list(
        [
            workflow(.one, ["t1": noop(after: nil)]),
            workflow(.chain, ["t1": noop(after: nil), "t2": noop(after: "t1"), "t3": noop(after: "t2"), "t4": noop(after: "t3")]),
            workflow(.wide, many(["use": "wait@1", "with": ["duration": .string("\(waitSeconds)s")]])),
            workflow(.held, many(["use": "exec@1", "with": ["command": ["true"]], "idempotent": true])),
            [
                "apiVersion": "distric/v1", "kind": "RuleSet", "metadata": ["name": "bench"], "rules": .list(allCases.map(\.rule)),
            ],
        ])

    private var rule: Value {
        let when: Value = ["field": "type", "operator": "equals", "value": .string(rawValue)]
        guard self != .observed else { return ["id": .string(rawValue), "when": when] }
        return ["id": .string(rawValue), "when": when, "actions": [["workflow": .string(rawValue)]]]
    }

    private static func workflow(_ name: ClusterWork, _ tasks: Value) -> Value {
        ["apiVersion": "distric/v1", "kind": "Workflow", "metadata": ["name": .string(name.rawValue)], "tasks": tasks]
    }

    /// Gives back when its message was sent.
    private static func noop(after other: String?) -> Value {
        let with: Value = ["value": "${{ message.data.sent }}"]
        guard let other else { return ["use": "transform@1", "with": with] }
        return ["use": "transform@1", "with": with, "depends_on": [.string(other)]]
    }

    private static func many(_ task: Value) -> Value {
        .map(Fields((1...wideTasks).map { Fields.Member("t\($0)", task) }))
    }

    private static let pad = [UInt8](repeating: UInt8(ascii: "x"), count: 256)
    private static let end = Array("\"}}".utf8)

    /// 256 bytes, that say when they were made.
    func message(_ id: String, bytes: Int = 256) -> [UInt8] {
        let head = #"{"id":"\#(id)","source":"/bench","type":"\#(rawValue)","data":{"sent":\#(Self.wallMilliseconds),"pad":""#
        var text = Array(head.utf8)
        text += Self.pad.prefix(max(0, bytes - text.count - Self.end.count))
        return text + Self.end
    }

    static var wallMilliseconds: Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}

/// Ids that no other load of this or another program uses.
struct MessageNames {
    private let prefix = String(UInt64.random(in: 0...UInt64.max), radix: 36)

    subscript(number: Int) -> String { "\(prefix)-\(number)" }
    func owns(_ id: String) -> Bool { id.hasPrefix(prefix + "-") }
}
