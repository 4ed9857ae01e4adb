import Primitives
import Synchronization
import Testing
import Wire

@testable import Coordinator

/// Calls with reports, each answered once the log has them.
struct ReportDeskTests {
    private let worker: NodeID

    init() throws { worker = try NodeID("w-1") }

    private func report(_ number: UInt64) -> TaskReport {
        TaskReport(
            run: RunID(high: 1, low: number), task: "t", attempt: 1, fence: Fence(term: Term(1), assignment: number),
            outcome: .succeeded(.null),
            startedAt: .zero, endedAt: .zero)
    }

    /// What is handed over is in the log at once.
    private func settling(_ desk: ReportDesk, isFresh: Bool = true, isOpen: Bool = true) -> @Sendable ([TaskReport]) -> Void {
        { reports in desk.settled(reports.map { ($0, isFresh) }) { _ in isOpen } }
    }

    @Test func `a call is answered in the order of its reports, when the last is in the log`() async throws {
        let desk = ReportDesk()
        let statuses = try await desk.settle([report(1), report(2), report(3)], of: worker) { reports in
            for report in reports.reversed() { desk.settled([(report, true)]) { _ in true } }
        }
        #expect(statuses.map(\.fence.assignment) == [1, 2, 3])
        #expect(statuses.allSatisfy { $0.isAccepted && $0.code == nil })
        #expect(desk.count == 0)
    }

    @Test func `what came too late says so, and what nobody knows says that`() async throws {
        let desk = ReportDesk()
        let late = try await desk.settle([report(1)], of: worker, settling(desk, isFresh: false))
        #expect(late.map(\.code) == ["stale"] && late.allSatisfy { !$0.isAccepted })
        let unknown = try await desk.settle([report(2)], of: worker, settling(desk, isFresh: false, isOpen: false))
        #expect(unknown.map(\.code) == ["unknown"])
        #expect(unknown.first?.note == "no such run is open")
    }

    @Test func `the same report twice at once is answered twice`() async throws {
        let desk = ReportDesk()
        let both = try await desk.settle([report(1), report(1)], of: worker, settling(desk))
        #expect(both.count == 2 && both.allSatisfy(\.isAccepted))
    }

    @Test func `a flood of one worker is refused as busy, with when to come again`() async throws {
        let desk = ReportDesk(limit: 100, workerLimit: 3)
        await #expect(throws: CallError.self) { try await desk.settle((1...4).map { report($0) }, of: worker) { _ in } }
        do throws(CallError) {
            _ = try await desk.settle((1...4).map { report($0) }, of: worker) { _ in }
        } catch {
            #expect(error.code == .busy && error.retryAfter == .milliseconds(200))
            #expect(error.message.contains("w-1"))
        }
        #expect(desk.count == 0, "what was refused takes no room")
        let few = try await desk.settle([report(9)], of: worker, settling(desk))
        #expect(few.count == 1)
    }

    @Test func `all workers together have a bound too`() async throws {
        let desk = ReportDesk(limit: 2, workerLimit: 100)
        let other = try NodeID("w-2")
        let statuses = try await desk.settle([report(1), report(2)], of: worker) { reports in
            desk.settled(reports.map { ($0, true) }) { _ in true }
        }
        #expect(statuses.count == 2)
        do throws(CallError) {
            _ = try await desk.settle((1...3).map { report($0) }, of: other) { _ in }
            Issue.record("three are more than two")
        } catch {
            #expect(error.code == .busy)
        }
    }

    @Test func `who leads no more says so to all that wait`() async throws {
        let desk = ReportDesk()
        do throws(CallError) {
            _ = try await desk.settle([report(1)], of: worker) { _ in desk.fail(CallError(.notLeader, "gone")) }
            Issue.record("it was never in the log")
        } catch {
            #expect(error.code == .notLeader)
        }
        #expect(desk.count == 0)
    }

    @Test func `a caller that goes away waits for nothing`() async throws {
        let desk = ReportDesk()
        let (worker, own) = (worker, report(1))
        let task = Task { () -> CallError.Code? in
            do throws(CallError) { _ = try await desk.settle([own], of: worker) { _ in } } catch { return error.code }
            return nil
        }
        task.cancel()
        let code = await task.value
        #expect(code == .cancelled)
        #expect(desk.count == 0)
    }
}
