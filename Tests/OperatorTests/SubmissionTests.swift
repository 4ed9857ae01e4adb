import Primitives
import Synchronization
import Testing
import Text

@testable import Operator

/// Messages are sent until it is known what became of them, each once, and within the time that was given (Submission.swift).
struct SubmissionTests {
    /// What the node does with one request.
    private enum Turn {
        case answers([Value])
        case refuses(Int, Value)
        case fails(CommandFailure.Code, isUncertain: Bool)
    }

    /// Answers in turn, and again as the last one; its clock goes on by what is waited and by a second each request.
    private final class Node: Sendable {
        private let state = Mutex((turns: [Turn](), bodies: [String](), waits: [Duration](), passed: Duration.zero))
        private let count: Int
        private let began = ContinuousClock.now

        init(_ turns: [Turn], nodes: Int = 1) {
            count = nodes
            state.withLock { $0.turns = turns }
        }

        var bodies: [String] { state.withLock { $0.bodies } }
        /// How long each answer would have been waited for.
        var waits: [Duration] { state.withLock { $0.waits } }
        var passed: Duration { state.withLock { $0.passed } }

        var surroundings: Submission.Surroundings {
            .init(
                nodes: count, send: { body, patience in try self.send(body, patience) }, now: { self.began + self.passed },
                pause: { wait in self.state.withLock { $0.passed += wait } })
        }

        private func send(_ body: [UInt8], _ patience: Duration) throws -> NodeClient.Answer {
            let turn = state.withLock { state in
                state.bodies.append(String(decoding: body, as: UTF8.self))
                state.waits.append(patience)
                state.passed += min(.seconds(1), patience)
                return state.turns.count > 1 ? state.turns.removeFirst() : state.turns[0]
            }
            switch turn {
            case .answers(let items): return Self.answer(200, ["items": .list(items)])
            case .refuses(let status, let problem): return Self.answer(status, problem)
            case .fails(let code, let isUncertain):
                var failure = CommandFailure(code, "no answer")
                failure.isUncertain = isUncertain
                throw failure
            }
        }

        private static func answer(_ status: Int, _ value: Value) -> NodeClient.Answer {
            NodeClient.Answer(url: "http://n", status: status, bytes: JSONWriter.bytes(value))
        }
    }

    private static func accepted(_ id: String, isDuplicate: Bool = false) -> Value {
        ["status": 202, "messageId": .string(id), "runs": ["r"], "duplicate": .bool(isDuplicate)]
    }

    private func lines(_ texts: [String]) -> [MessageLine] {
        texts.enumerated().map { place, text in
            var line = MessageLine(number: place + 1, bytes: Array(text.utf8))
            line.identify { "made-\(place + 1)" }
            return line
        }
    }

    private struct Outcome {
        var submission: Submission
        var failure: CommandFailure?
        var notes: String
    }

    private func run(_ node: Node, _ texts: [String], _ patience: Submission.Patience = .batch(.seconds(10)), rate: Int = 0) async
        -> Outcome
    {
        var session = Session.current
        let notes = Mutex("")
        session.note = { text in notes.withLock { $0 += text } }
        session.notesAreInteractive = false
        let own = session
        var submission = Submission(total: texts.count, file: "f", patience: patience, around: node.surroundings)
        let lines = lines(texts)
        let failure = await Session.$current.withValue(own) { () async -> CommandFailure? in
            do { try await submission.run(lines, rate: rate) } catch { return error as? CommandFailure }
            return nil
        }
        return Outcome(submission: submission, failure: failure, notes: notes.withLock { $0 })
    }

    private static let bare = #"{"type":"a","data":1}"#

    @Test func `a message goes out with an id, which is told`() async {
        let node = Node([.answers([Self.accepted("made-1")])])
        let found = await run(node, [Self.bare])
        #expect(found.failure == nil && node.bodies == [#"{"id":"made-1","type":"a","data":1}"#])
        #expect(found.submission.made.map(\.id) == ["made-1"] && found.submission.ids == ["made-1"])
        #expect(found.submission.summary["ids"] == ["made-1"] && found.submission.sentence.hasPrefix("1 accepted (1 runs), 0 unmatched"))
    }

    @Test func `after an uncertain answer it is sent again under the same id, and counts as accepted`() async {
        let node = Node([.fails(.unavailable, isUncertain: true), .answers([Self.accepted("made-1", isDuplicate: true)])])
        let found = await run(node, [Self.bare])
        #expect(found.failure == nil && node.bodies.count == 2 && Set(node.bodies).count == 1)
        #expect(found.submission.accepted == 1 && found.submission.duplicates == 0 && found.submission.runs == 1)
    }

    @Test func `one whose own id was sent before is a duplicate, whatever happened on the way`() async {
        let node = Node([.fails(.temporary, isUncertain: true), .answers([Self.accepted("own", isDuplicate: true)])])
        let found = await run(node, [#"{"id":"own","data":1}"#])
        #expect(found.submission.duplicates == 1 && found.submission.made.isEmpty && found.submission.ids == ["own"])
    }

    @Test func `what has no id is not sent a second time when nobody knows of the first`() async {
        let node = Node([.fails(.unavailable, isUncertain: true)])
        let found = await run(node, [#"{"type":"\#(String(repeating: "t", count: 1025))","x":1}"#])
        #expect(found.failure?.code == .unavailable && node.bodies.count == 1)
    }

    @Test func `nobody there is told at once, as long as nothing was sent`() async {
        let node = Node([.fails(.unavailable, isUncertain: false)])
        let found = await run(node, [Self.bare, Self.bare])
        #expect(found.failure?.code == .unavailable && node.bodies.count == 1 && found.submission.place == "; go on from f:1")
        #expect(found.notes.isEmpty)
    }

    @Test func `nobody there after an uncertain answer is tried again`() async {
        let node = Node([
            .fails(.temporary, isUncertain: true), .fails(.unavailable, isUncertain: false),
            .answers([Self.accepted("made-1", isDuplicate: true)]),
        ])
        let found = await run(node, [Self.bare])
        #expect(found.failure == nil && node.bodies.count == 3 && found.submission.accepted == 1)
    }

    @Test func `a busy node is asked again until the time is over, and not longer`() async {
        let node = Node([.refuses(503, ["detail": "too much to do"])])
        let found = await run(node, [Self.bare], .whole(.seconds(5)))
        #expect(found.failure == CommandFailure(.temporary, "too much to do"))
        #expect(node.passed == .seconds(5) && node.bodies.count > 2 && node.bodies.count < 6)
        #expect(found.submission.place == "; go on from f:1" && found.notes.isEmpty)
    }

    @Test func `the whole time is for all batches together, and each has its own without it`() async {
        let texts = Array(repeating: Self.bare, count: 401)
        let batch = { (count: Int) in Turn.answers(Array(repeating: Self.accepted("x"), count: count)) }
        let hasty = await run(Node([batch(200), batch(200), batch(1)]), texts, .whole(.milliseconds(1500)))
        #expect(hasty.failure?.code == .temporary && hasty.submission.accepted == 400 && hasty.submission.place == "; go on from f:401")
        let patient = await run(Node([batch(200), batch(200), batch(1)]), texts, .batch(.milliseconds(1500)))
        #expect(patient.failure == nil && patient.submission.accepted == 401)
    }

    @Test func `where there are several nodes one that stands still does not get all of the time`() async {
        let still = Turn.fails(.temporary, isUncertain: true)
        let several = Node([still, still, .answers([Self.accepted("made-1")])], nodes: 3)
        #expect(await run(several, [Self.bare], .whole(.seconds(9))).failure == nil)
        #expect(several.waits == [.seconds(3), .seconds(3), .seconds(3)])
        let alone = Node([.answers([Self.accepted("made-1")])])
        #expect(await run(alone, [Self.bare], .whole(.seconds(9))).failure == nil && alone.waits == [.seconds(9)])
    }

    @Test func `a rate that the time is too short for ends with it`() async {
        let node = Node([.answers([Self.accepted("x")])])
        let found = await run(node, Array(repeating: Self.bare, count: 60), .whole(.seconds(20)), rate: 1)
        #expect(found.failure?.message == "the time that --timeout gives was over before all was sent: give it more")
        #expect(node.passed == .seconds(20) && found.submission.accepted == 20 && found.submission.place == "; go on from f:21")
    }

    @Test func `of a batch only what is open is sent again, and what is left is named`() async {
        let busy: Value = ["status": 503, "code": "busy", "detail": "later"]
        let node = Node([
            .answers([Self.accepted("made-1"), busy, Self.accepted("made-3"), busy]), .answers([Self.accepted("made-2"), busy]),
            .answers([busy]),
        ])
        let found = await run(node, Array(repeating: Self.bare, count: 4))
        #expect(node.bodies[1].split(separator: "\n").count == 2 && node.bodies[2].contains("made-4"))
        #expect(found.failure == CommandFailure(.temporary, "later") && found.submission.accepted == 3)
        #expect(found.submission.place == "; go on from f:4")
        let middle = await run(Node([.answers([busy, Self.accepted("made-2")]), .answers([busy])]), [Self.bare, Self.bare])
        #expect(middle.submission.place == "; not accepted were lines 1: submit them again")
    }

    @Test func `what nobody knows of in the end is named with its id`() async {
        let uncertain: Value = ["status": 503, "code": "uncertain", "detail": "not known", "uncertain": true]
        let found = await run(Node([.answers([uncertain])]), [Self.bare], .whole(.seconds(2)))
        #expect(found.failure?.message == "not known")
        #expect(found.notes == "f:1: it is not known whether it was accepted, as made-1: 'distric messages show made-1' tells\n")
        let whole = await run(Node([.refuses(503, ["detail": "gone", "uncertain": true])]), [Self.bare], .whole(.seconds(2)))
        #expect(whole.notes.contains("as made-1"))
    }

    @Test func `one that is too long with its id goes without it`() async {
        let node = Node([.answers([["status": 413, "detail": "too long"]]), .answers([Self.accepted("of-the-node")])])
        let found = await run(node, [#"{"total":1}"#])
        #expect(node.bodies[1] == #"{"total":1}"# && found.submission.accepted == 1 && found.submission.made.isEmpty)
        let long = await run(Node([.answers([["status": 413, "detail": "too long"]])]), [#"{"total":1}"#])
        #expect(long.submission.refused == 1 && long.notes == "f:1: too long\n")
    }

    @Test func `a request that is refused for good is not repeated`() async {
        let node = Node([.refuses(403, ["detail": "not yours"])])
        let found = await run(node, [Self.bare])
        #expect(found.failure == CommandFailure(.denied, "not yours") && node.bodies.count == 1)
    }
}
