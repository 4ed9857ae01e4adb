import Primitives
import Testing

@testable import Observability

/// The stages of a proposal as spans of its trace (ProposalSpans.swift).
struct ProposalSpansTests {
    private let clock = TestClock()
    private let store: SpanStore
    private let proposals: ProposalSpans

    init() throws {
        store = SpanStore(
            node: try NodeID("c-1"), clock: clock, seed: 7, sampling: .init(tracesPerSecond: 1000, keepsErrors: false, slow: nil))
        proposals = ProposalSpans(store)
    }

    private func open() throws -> OpenSpan {
        try #require(store.begin("raft.propose", service: "coordinator", in: store.context(traceparent: nil, tracestate: nil)))
    }

    /// Name, milliseconds since the trace began, and length.
    private func stages(_ span: OpenSpan) -> [String] {
        let spans = store.trace(span.context.traceID).filter { $0.name != "raft.propose" }
        let begin = clock.wall.milliseconds - UInt64(clock.now.duration(since: span.started).milliseconds)
        return spans.map { "\($0.name) \($0.start.milliseconds - begin)+\($0.duration.milliseconds)\($0.error.map { " \($0)" } ?? "")" }
    }

    private func pass(_ milliseconds: Int) { clock.advance(by: .milliseconds(milliseconds)) }

    @Test func `each stage is a child of the span that waits, as long as it took`() throws {
        let span = try open()
        let trace = try #require(ProposalTrace(span))
        pass(2)
        proposals.take([(token: 5, trace: trace)], at: [(LogIndex(10), 4), (LogIndex(11), 5)], from: LogIndex(10))
        #expect(proposals.isWatching)
        pass(1)
        proposals.see(durable: LogIndex(10), replicated: LogIndex(11), committed: LogIndex(10))
        pass(3)
        proposals.see(durable: LogIndex(11), replicated: LogIndex(11), committed: LogIndex(10))
        pass(1)
        proposals.see(durable: LogIndex(12), replicated: LogIndex(12), committed: LogIndex(12))
        pass(4)
        proposals.applied(through: LogIndex(12))
        #expect(stages(span) == ["raft.queue 0+2", "raft.append 2+4", "raft.replicate 2+1", "raft.commit 6+1", "raft.apply 7+4"])
        #expect(!proposals.isWatching)
        let spans = store.trace(span.context.traceID)
        #expect(spans.allSatisfy { $0.parent == span.context.span && $0.attributes["index"] == 11 && $0.service == "coordinator" })
        #expect(Set(spans.map(\.context.span)).count == 5)
    }

    @Test func `where nobody else is needed there is no replication`() throws {
        let span = try open()
        proposals.take([(token: 1, trace: try #require(ProposalTrace(span)))], at: [(LogIndex(3), 1)], from: LogIndex(3))
        pass(2)
        proposals.see(durable: LogIndex(3), replicated: nil, committed: LogIndex(3))
        proposals.applied(through: LogIndex(3))
        #expect(stages(span) == ["raft.queue 0+0", "raft.append 0+2", "raft.commit 2+0", "raft.apply 2+0"])
    }

    @Test func `what was not taken has no stages, and what an earlier entry answers has none either`() throws {
        let span = try open()
        let trace = try #require(ProposalTrace(span))
        proposals.take(
            [(token: 1, trace: trace), (token: 2, trace: trace), (token: 3, trace: trace)], at: [(LogIndex(9), 1), (LogIndex(2), 2)],
            from: LogIndex(8))
        proposals.drop(from: LogIndex(8))
        #expect(!proposals.isWatching)
        proposals.applied(through: LogIndex(20))
        #expect(stages(span).isEmpty)
    }

    @Test func `when leadership is lost the stage that it was in fails`() throws {
        let span = try open()
        let trace = try #require(ProposalTrace(span))
        proposals.take([(token: 1, trace: trace)], at: [(LogIndex(4), 1)], from: LogIndex(4))
        pass(1)
        proposals.see(durable: LogIndex(4), replicated: LogIndex(3), committed: LogIndex(3))
        pass(5)
        proposals.abandon("lost")
        #expect(stages(span) == ["raft.queue 0+0", "raft.append 0+1", "raft.commit 1+5 lost"])
        #expect(!proposals.isWatching)
    }

    @Test func `a trace that is not recorded is not watched`() throws {
        let context = TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: false)
        let span = OpenSpan(context: context, parent: 0, name: "raft.propose", service: "coordinator", started: clock.now)
        #expect(ProposalTrace(span) == nil)
    }

    @Test func `no more than so many are watched at once`() throws {
        let trace = try #require(ProposalTrace(try open()))
        let traced = (1...300).map { (token: $0, trace: trace) }
        proposals.take(traced, at: traced.map { (LogIndex(UInt64($0.token)), $0.token) }, from: LogIndex(1))
        let before = store.heldCount
        proposals.see(durable: LogIndex(300), replicated: nil, committed: LogIndex(300))
        proposals.applied(through: LogIndex(300))
        #expect(store.heldCount - before == 256 * 4)
    }
}
