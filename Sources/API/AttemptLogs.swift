import Cluster
import Hummingbird
import NIOCore
import Observability
import Primitives
import Workflows

/// What an attempt wrote: kept on the node whose worker ran it, and asked of that node where it is another one.
struct AttemptLogs: Sendable {
    /// Nodes that are asked where it is not known who ran it.
    private static let asked = 8

    let info: NodeInfo

    func answer(_ run: WorkflowRun, _ task: TaskRecord, attempt: Int, _ request: Request, _ context: NodeRequestContext) async throws
        -> Response
    {
        if let bytes = info.worker?.log(run: run.id, task: task.name, attempt: attempt) {
            return Response(
                status: .ok, headers: [.contentType: "text/plain; charset=utf-8"], body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
        }
        guard attempt <= task.attempts else {
            throw Problem.notFound("task '\(task.name)' had \(task.attempts) attempts, and no attempt \(attempt)")
        }
        let worker = worker(of: attempt, run, task)
        guard request.headers[.districForwarded] == nil, worker != info.node else { throw gone(task, attempt, worker) }
        if let worker { return try await ask(worker, task, attempt, request, context) }
        for node in others {
            let answer = try? await PeerForwarding(info: info).ask(node, request, context)
            if let answer, answer.status == .ok { return answer }
        }
        throw gone(task, attempt, nil)
    }

    /// Whose worker ran it, where that is known: of the last attempt the state says it, of those before it the trace, while that is kept here.
    func worker(of attempt: Int, _ run: WorkflowRun, _ task: TaskRecord) -> NodeID? {
        if attempt == task.attempts, let worker = task.worker { return worker }
        guard let trace = run.trace else { return nil }
        return info.telemetry.spans.trace(trace.traceID).last { span in
            span.service == "worker" && span.name == "task \(task.name)" && span.attributes["attempt"] == Value(attempt)
        }?.node
    }

    private func ask(
        _ worker: NodeID, _ task: TaskRecord, _ attempt: Int, _ request: Request, _ context: NodeRequestContext
    ) async throws -> Response {
        do { return try await PeerForwarding(info: info).ask(worker, request, context) } catch var problem as Problem {
            problem.detail = "attempt \(attempt) of task '\(task.name)' ran on node \(worker), which keeps what it wrote: \(problem.detail)"
            throw problem
        }
    }

    private var others: [NodeID] {
        info.consensus.members.filter { $0.node != info.node && $0.roles.contains("worker") && $0.isConnected }.prefix(Self.asked).map(
            \.node)
    }

    private func gone(_ task: TaskRecord, _ attempt: Int, _ worker: NodeID?) -> Problem {
        let place = worker.map { " on node \($0), which ran it" } ?? ""
        return .notFound(
            "nothing is kept\(place) of what attempt \(attempt) of task '\(task.name)' wrote: it wrote nothing, or it was too long ago")
    }
}
