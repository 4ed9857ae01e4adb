import Primitives
import Testing
import Wire
import Workflows

@testable import Coordinator

/// A batch as it goes to the leader (ForwardedBatch.swift).
struct ForwardedBatchTests {
    private func submission(_ type: String, _ number: Int, at wall: ClusterTime) throws -> Planner.Submission {
        let rig = try Rig()
        var generator = SeededGenerator(seed: 3)
        return Planner.Submission.begin(
            numbered(type, number), workflow: type, rule: "rules/\(type)", catalog: rig.planner.catalog, wall: wall, generator: &generator)
    }

    @Test func `what is read is what was sent, with its traces`() throws {
        let wall = Rig.wallAtStart
        let sent = [try submission("note", 1, at: wall), try submission("pause", 2, at: wall)]
        let trace = TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: true)
        let call = ForwardedBatch.call(sent, traces: [nil, trace], time: wall)
        for later in [Int64(0), 900] {
            let (found, traces) = try ForwardedBatch.read(call, wall: wall.advanced(by: .milliseconds(later)))
            #expect(found.map(\.message) == sent.map(\.message))
            #expect(found.map(\.runs) == sent.map(\.runs))
            #expect(found.map(\.matched) == sent.map(\.matched))
            #expect(found.map(\.catalogVersion) == [1, 1])
            #expect(traces.map { $0?.traceID } == [nil, trace.traceID])
        }
    }

    @Test func `times of a clock that goes wrong are moved to the leader's`() throws {
        let wall = Rig.wallAtStart
        let sent = try submission("pause", 1, at: wall)
        #expect(sent.runs[0].tasks[0].dueAt == wall.advanced(by: .seconds(90)))
        let call = ForwardedBatch.call([sent], traces: [nil], time: wall)
        for difference in [Duration.seconds(300), .seconds(-300)] {
            let run = try ForwardedBatch.read(call, wall: wall.advanced(by: difference)).submissions[0].runs[0]
            #expect(run.createdAt == wall.advanced(by: difference))
            #expect(run.tasks[0].dueAt == wall.advanced(by: difference).advanced(by: .seconds(90)))
            #expect(run.nextTimer == run.tasks[0].dueAt)
            #expect(run.id == sent.runs[0].id && run.message == sent.message && run.revision == sent.runs[0].revision)
        }
    }

    @Test func `what is no batch of messages is refused`() throws {
        let wall = Rig.wallAtStart
        func code(_ entry: [UInt8]) -> CallError.Code? {
            var call = ForwardMessages()
            call.entry = entry
            do throws(CallError) {
                _ = try ForwardedBatch.read(call, wall: wall)
                return nil
            } catch {
                return error.code
            }
        }
        let sent = try submission("note", 1, at: wall)
        let whole = ForwardedBatch.call([sent], traces: [nil], time: wall).entry
        #expect(code(whole) == nil)
        #expect(code([]) == .invalid)
        #expect(code(CommandCodec.encode([], time: wall)) == .invalid)
        #expect(code(CommandCodec.encode([.featureLevel(2)], time: wall)) == .invalid)
        for count in stride(from: 0, to: whole.count, by: 7) { #expect(code(Array(whole.prefix(count))) == .invalid, "\(count)") }
        var foreign = sent
        foreign.message.namespace = try Namespace("other")
        #expect(code(ForwardedBatch.call([foreign], traces: [nil], time: wall).entry) == .invalid)
        var call = ForwardedBatch.call([sent], traces: [nil], time: wall)
        call.traces = [ForwardedTrace(place: 7, trace: TraceContext(traceHigh: 1, traceLow: 2, span: 3, isSampled: true))]
        #expect(try ForwardedBatch.read(call, wall: wall).traces.count == 1)
    }

    @Test func `every answer comes over as it is`() throws {
        let run = RunID(high: 1, low: 2)
        let answers: [Planner.Answer] = [
            .accepted(runs: [run], duplicate: true), .accepted(runs: [], duplicate: false), .rematch(7), .busy("b"), .full("f"),
            .uncertain("u"),
        ]
        for answer in answers { #expect(ForwardedBatch.answer(ForwardedBatch.result(answer)) == answer) }
    }
}

extension Rig {
    static let wallAtStart = ClusterTime(milliseconds: 1_700_000_000_000)
}
