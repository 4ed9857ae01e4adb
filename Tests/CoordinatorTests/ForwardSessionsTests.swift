import Primitives
import Testing
import Wire

@testable import Coordinator

/// A batch that comes again gets the answer of the first (ForwardSessions.swift; thesis section 6.3).
struct ForwardSessionsTests {
    private let node: NodeID
    private let reply = ForwardMessagesReply([ForwardResult(.accepted)])

    init() throws { node = try NodeID("c-2") }

    @Test func `one that is sent again while it is done waits for the first, and after it gets its answer`() {
        let sessions = Sessions()
        #expect(sessions.begin(node, 9, 1, answered: 1) == .fresh)
        #expect(sessions.begin(node, 9, 1, answered: 1) == .running)
        #expect(sessions.wait(node, 9, 1, "again"))
        #expect(sessions.finish(node, 9, 1, reply) == ["again"])
        #expect(sessions.begin(node, 9, 1, answered: 1) == .replay(reply))
        #expect(!sessions.wait(node, 9, 1, "late"))
        #expect(sessions.begin(node, 9, 2, answered: 1) == .fresh, "another batch of the session")
        #expect(sessions.finish(node, 9, 2, reply) == [])
    }

    @Test func `one whose outcome is not known may be done again`() {
        let sessions = Sessions()
        #expect(sessions.begin(node, 9, 1, answered: 1) == .fresh)
        #expect(sessions.finish(node, 9, 1, nil) == [])
        #expect(sessions.begin(node, 9, 1, answered: 1) == .fresh)
    }

    @Test func `what its sender has the answer of is forgotten, and refused when it comes late`() {
        let sessions = Sessions()
        for sequence in UInt64(1)...3 {
            #expect(sessions.begin(node, 9, sequence, answered: 1) == .fresh)
            #expect(sessions.finish(node, 9, sequence, reply) == [])
        }
        #expect(sessions.begin(node, 9, 4, answered: 3) == .fresh)
        #expect(sessions.begin(node, 9, 2, answered: 1) == .over, "what was said of it is not unsaid")
        #expect(sessions.begin(node, 9, 3, answered: 1) == .replay(reply))
    }

    @Test func `a node that was started anew begins anew, and whoever waits for its old batches is answered`() throws {
        let sessions = Sessions()
        #expect(sessions.begin(node, 9, 1, answered: 1) == .fresh)
        #expect(sessions.finish(node, 9, 1, reply) == [])
        #expect(sessions.begin(node, 9, 2, answered: 1) == .fresh)
        #expect(sessions.wait(node, 9, 2, "old"))
        let other = try NodeID("c-3")
        #expect(sessions.begin(other, 9, 1, answered: 1) == .fresh, "the session of another node")
        #expect(sessions.begin(node, 10, 1, answered: 1) == .fresh)
        #expect(sessions.finish(node, 9, 2, reply) == ["old"])
        #expect(sessions.begin(node, 11, 1, answered: 1) == .fresh)
        #expect(sessions.count <= 4)
    }

    @Test func `so many are open at once and no more`() {
        let sessions = Sessions()
        let window = UInt64(ForwardSessions<String>.window)
        for sequence in 1...window { #expect(sessions.begin(node, 9, sequence, answered: 1) == .fresh) }
        #expect(sessions.begin(node, 9, window + 1, answered: 1) == .tooMany)
        #expect(sessions.finish(node, 9, 1, reply) == [])
        #expect(sessions.begin(node, 9, window + 1, answered: 1) == .tooMany, "its answer is kept")
        #expect(sessions.begin(node, 9, window + 1, answered: 2) == .fresh)
    }
}

/// The sessions, behind a reference: an expectation cannot change a value.
private final class Sessions {
    private var sessions = ForwardSessions<String>()
    var count: Int { sessions.count }

    func begin(_ node: NodeID, _ session: UInt64, _ sequence: UInt64, answered: UInt64) -> ForwardSessions<String>.Verdict {
        sessions.begin(node, session, sequence, answered: answered)
    }

    func wait(_ node: NodeID, _ session: UInt64, _ sequence: UInt64, _ waiter: String) -> Bool {
        sessions.wait(node, session, sequence, waiter)
    }

    func finish(_ node: NodeID, _ session: UInt64, _ sequence: UInt64, _ reply: ForwardMessagesReply?) -> [String] {
        sessions.finish(node, session, sequence, reply)
    }
}
