import Primitives
import Synchronization
import Wire

/// Reports that came by calls, each of which is answered once its reports are in the log.
final class ReportDesk: Sendable {
    private struct Key: Hashable {
        var run: RunID
        var task: String
        var fence: Fence

        init(_ report: TaskReport) { (run, task, fence) = (report.run, report.task, report.fence) }
    }

    /// One call.
    private final class Batch: Sendable {
        private struct State {
            var statuses: [TaskStatus?]
            var missing: Int
            var continuation: CheckedContinuation<Result<[TaskStatus], CallError>, Never>?
        }

        private let state: Mutex<State>

        init(count: Int, _ continuation: CheckedContinuation<Result<[TaskStatus], CallError>, Never>) {
            state = Mutex(State(statuses: [TaskStatus?](repeating: nil, count: count), missing: count, continuation: continuation))
        }

        func answer(_ slot: Int, _ status: TaskStatus) {
            let (done, statuses) = state.withLock { state -> (CheckedContinuation<Result<[TaskStatus], CallError>, Never>?, [TaskStatus]) in
                guard state.statuses[slot] == nil else { return (nil, []) }
                state.statuses[slot] = status
                state.missing -= 1
                guard state.missing == 0 else { return (nil, []) }
                defer { state.continuation = nil }
                return (state.continuation, state.statuses.compactMap(\.self))
            }
            done?.resume(returning: .success(statuses))
        }

        func fail(_ error: CallError) {
            let waiting = state.withLock { state in
                defer { state.continuation = nil }
                return state.continuation
            }
            waiting?.resume(returning: .failure(error))
        }
    }

    private struct State {
        var slots: [Key: [(batch: Batch, slot: Int)]] = [:]
        var count = 0
        var byWorker: [NodeID: Int] = [:]
    }

    private let state = Mutex(State())
    private let limit: Int
    private let workerLimit: Int

    /// - Parameters:
    ///   - limit: reports that may wait for the log.
    ///   - workerLimit: those of one worker.
    init(limit: Int = 65_536, workerLimit: Int = 4096) { (self.limit, self.workerLimit) = (limit, workerLimit) }

    var count: Int { state.withLock { $0.count } }

    /// Hands reports over, and waits until each is in the log, or known to be of no use.
    func settle(_ reports: [TaskReport], of worker: NodeID, _ hand: @Sendable ([TaskReport]) -> Void) async throws(CallError)
        -> [TaskStatus]
    {
        guard !reports.isEmpty else { return [] }
        let refusal = state.withLock { state -> CallError? in
            let own = state.byWorker[worker, default: 0]
            guard state.count + reports.count <= limit, own + reports.count <= workerLimit else {
                return CallError(
                    .busy, "\(own) reports of '\(worker)' wait for the log, \(state.count) of all workers: send the rest later",
                    retryAfter: .milliseconds(200))
            }
            state.count += reports.count
            state.byWorker[worker] = own + reports.count
            return nil
        }
        if let refusal { throw refusal }
        defer {
            state.withLock { state in
                state.count -= reports.count
                let left = state.byWorker[worker, default: 0] - reports.count
                state.byWorker[worker] = left > 0 ? left : nil
            }
        }
        let holder = Mutex<Batch?>(nil)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let batch = Batch(count: reports.count, continuation)
                holder.withLock { $0 = batch }
                state.withLock { state in
                    for (slot, report) in reports.enumerated() { state.slots[Key(report), default: []].append((batch, slot)) }
                }
                if Task.isCancelled { batch.fail(CallError(.cancelled, "the worker went away")) }
                hand(reports)
            }
        } onCancel: {
            holder.withLock { $0 }?.fail(CallError(.cancelled, "the worker went away"))
        }
        return try result.get()
    }

    /// These are in the log, or were refused by it.
    func settled(_ items: [(report: TaskReport, isFresh: Bool)], isOpen: (RunID) -> Bool) {
        let found = state.withLock { state -> [([(batch: Batch, slot: Int)], TaskStatus)] in
            guard !state.slots.isEmpty else { return [] }
            return items.compactMap { item in
                guard let slots = state.slots.removeValue(forKey: Key(item.report)) else { return nil }
                var status = TaskStatus()
                (status.run, status.task, status.fence) = (item.report.run, item.report.task, item.report.fence)
                status.isAccepted = item.isFresh
                if !item.isFresh {
                    let isKnown = isOpen(item.report.run)
                    status.code = isKnown ? "stale" : "unknown"
                    status.note = isKnown ? "the attempt is not the one that is running" : "no such run is open"
                }
                return (slots, status)
            }
        }
        for (slots, status) in found { for item in slots { item.batch.answer(item.slot, status) } }
    }

    /// This node leads no more: whoever waits asks the next leader.
    func fail(_ error: CallError) {
        let left = state.withLock { state in
            defer { state.slots = [:] }
            return Array(state.slots.values)
        }
        for slots in left { for item in slots { item.batch.fail(error) } }
    }
}
