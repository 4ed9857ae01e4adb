import Hummingbird
import Logging
import NIOCore
import Observability
import Primitives
import Text

/// `/api/v1/logs/levels`: what is logged, by label, changed while the node runs.
struct LogLevelRoutes: Sendable {
    /// Of a request that changes levels.
    private static let bodyBytes = 64 << 10
    /// The label that stands for all that have no level of their own.
    private static let standard = "default"

    let info: NodeInfo

    func list() -> Response {
        let levels = info.telemetry.levels
        return Response.json([
            "default": .string(levels.standard.rawValue),
            "items": .list(
                levels.all.map { item in
                    ["label": .string(item.label), "level": .string(item.level.rawValue), "own": .bool(item.isOwn)]
                }),
        ])
    }

    /// `{"raft": "debug", "http": null}`: null lets a label go by what is above it again. All of it or nothing.
    func change(_ request: Request, _ context: NodeRequestContext) async throws -> Response {
        let body = try await request.body(upTo: Self.bodyBytes, "a change of levels")
        let value: Value
        do { value = try JSONScanner.parse(Array(body.readableBytesView)) } catch {
            throw Problem.badRequest("invalid_json", "\(error)")
        }
        guard case .map(let fields) = value, !fields.isEmpty else {
            throw Problem.badRequest("invalid_levels", #"expected an object of labels and levels: {"raft": "debug"}"#)
        }
        let wanted = try fields.members.map { ($0.key, try level($0)) }
        let levels = info.telemetry.levels
        for (label, level) in wanted {
            let before = label == Self.standard ? levels.standard : levels.all.first { $0.label == label }?.level
            if label == Self.standard, let level {
                levels.standard = level
            } else if !levels.set(label, to: level) {
                throw Problem.badRequest("too_many_levels", "\(LogLevels.limit) labels have a level of their own already")
            }
            let text = "log level of \(label) is \(level?.rawValue ?? "the default"), was \(before?.rawValue ?? "the default")"
            info.telemetry.events.emit("log.level_changed", subject: label, text)
        }
        return list()
    }

    private func level(_ member: Fields.Member) throws -> Logger.Level? {
        let pointer = "/" + member.key.prefix(80)
        guard !member.key.isEmpty, member.key.utf8.count <= 128 else {
            throw Problem.badRequest("invalid_label", "a label has 1 to 128 bytes", pointer: pointer)
        }
        if case .null = member.value {
            guard member.key != Self.standard else { throw Problem.badRequest("invalid_level", "default needs a level", pointer: pointer) }
            return nil
        }
        guard let level = member.value.string.flatMap({ Logger.Level(rawValue: $0) }) else {
            throw Problem.badRequest(
                "invalid_level",
                "'\(member.value.string ?? JSONWriter.text(member.value))' is none of trace, debug, info, notice, warning, error, critical",
                pointer: pointer)
        }
        return level
    }
}
