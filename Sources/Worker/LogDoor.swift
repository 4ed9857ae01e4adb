import Primitives
package import Transport
import Wire

extension TaskRunner {
    private static let pieceBytes = 64 << 10

    /// What attempts wrote here, for whoever asks over the binary protocol: from an offset on, as a stream.
    package func addLogs(to handlers: inout RPCHandlers) {
        let logs = logs
        handlers.stream(TaskLog.self) { call, _, writer throws(CallError) in
            // A task's name becomes a part of a path.
            guard isDefinitionName(call.task) else { throw CallError(.invalid, "'\(call.task.prefix(80))' is no name of a task") }
            guard let bytes = logs.read(run: call.run, task: call.task, attempt: Int(call.attempt)) else {
                throw CallError(.notFound, "nothing is kept of what attempt \(call.attempt) of task '\(call.task)' wrote")
            }
            var place = Int(clamping: min(call.offset, UInt64(bytes.count)))
            while place < bytes.count {
                let end = min(bytes.count, place + Self.pieceBytes)
                try await writer.send(Array(bytes[place..<end]))
                place = end
            }
            var reply = TaskLog()
            (reply.run, reply.task, reply.attempt) = (call.run, call.task, call.attempt)
            (reply.offset, reply.isLast) = (UInt64(bytes.count), true)
            return reply
        }
    }
}
