import NIOCore
import Primitives
import Synchronization
import Testing
import Transport
import Wire

@testable import Cluster
@testable import Raft

/// Three drivers over loopback are one replicated log (RaftDriver.swift; Raft section 5).
@Suite(.serialized, .timeLimit(.minutes(3)))
struct RaftDriverTests {
    private func payloads(_ range: Range<Int>, bytes: Int = 8) -> [[UInt8]] {
        range.map { number in Array("\(number):".utf8) + [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes) }
    }

    // MARK: Leading

    @Test func `one leads, the others know it, and its first entry is where it said`() async throws {
        try await withRaft { stage in
            var seen: [RaftStatus] = []
            let isAgreed = await eventually {
                seen = stage.members.map(\.status)
                return seen[0].leader != nil && seen.allSatisfy { $0.leader == seen[0].leader && $0.term == seen[0].term }
            }
            #expect(isAgreed)
            #expect(seen.filter(\.isLeader).map(\.node) == [seen[0].leader])
            let first = try await stage.withLeader { leader, status -> LogEntry? in
                guard let from = leader.start(of: status.term), status.commitIndex >= from else { return nil }
                return try leader.driver.entries(after: LogIndex(from.number - 1), through: from).first
            }
            #expect(first.kind == .leaderStart)
            #expect(first.payload.isEmpty)
        }
    }

    @Test func `what is proposed is committed on all, in one order`() async throws {
        try await withRaft { stage in
            var last = LogIndex.zero
            for round in 0..<20 { last = try await stage.commit(payloads(round * 10..<round * 10 + 1 + round % 10, bytes: 1 + round * 30)) }
            let haveAll = await stage.haveCommitted(last)
            #expect(haveAll)
            let logs = try stage.members.map { try $0.log(through: last) }
            #expect(logs[0].count == Int(last.number))
            #expect(logs[0].map(\.index.number) == Array(1...last.number))
            for log in logs { #expect(log == logs[0]) }
            let committed = logs[0].filter { $0.kind == .commands }.map(\.payload)
            for round in 0..<20 {
                let group = payloads(round * 10..<round * 10 + 1 + round % 10, bytes: 1 + round * 30)
                #expect(committed.indices.contains { Array(committed[$0...].prefix(group.count)) == group }, "group \(round)")
            }
            for member in stage.members {
                // What is not durable there yet is not told.
                let isTold = await eventually { member.committed.last.map { $0 >= last } == true }
                #expect(isTold)
                let told = member.committed
                #expect(zip(told, told.dropFirst()).allSatisfy { $0 < $1 }, "\(member.id) is told each step once")
            }
        }
    }

    @Test func `entries are given piece by piece, one at least, and none beyond what was asked for`() async throws {
        try await withRaft(1) { stage in
            let last = try await stage.commit(payloads(0..<40, bytes: 1000))
            let driver = stage.members[0].driver
            let all = try stage.members[0].log(through: last)
            #expect(all.count == Int(last.number))
            #expect(try driver.entries(after: LogIndex(3), through: last, maxBytes: 1) == [all[3]], "from the disk")
            #expect(try driver.entries(after: LogIndex(last.number - 1), through: last, maxBytes: 1) == [all[Int(last.number) - 1]])
            #expect(try driver.entries(after: LogIndex(2), through: LogIndex(4)) == Array(all[2..<4]))
            #expect(try driver.entries(after: last, through: last).isEmpty)
            #expect(try driver.entries(after: last, through: LogIndex(3)).isEmpty)
        }
    }

    // MARK: Refusing

    @Test func `a proposal for another place than the log's end takes nothing, and says where it goes on`() async throws {
        try await withRaft { stage in
            try await stage.commit(payloads(0..<3))
            for distance in [-1, 1, 100] {
                let (answer, status) = try await stage.withLeader { leader, before -> (RaftDriver.Proposed, RaftStatus)? in
                    let place = LogIndex(UInt64(Int(before.lastIndex.number) + 1 + distance))
                    let answer = leader.driver.propose(payloads(0..<1), at: place, term: before.term)
                    let after = leader.status
                    guard after.isLeader, after.term == before.term, after.lastIndex == before.lastIndex else { return nil }
                    return (answer, before)
                }
                #expect(answer == .moved(next: status.lastIndex.next))
            }
        }
    }

    @Test func `a proposal on a follower is refused with who leads, and one of another term on the leader`() async throws {
        try await withRaft { stage in
            let (answer, leader) = try await stage.withLeader { leader, status -> (RaftDriver.Proposed, NodeID)? in
                let follower = stage.others(than: leader)[0]
                let before = follower.status
                let answer = follower.driver.propose(payloads(0..<1), at: before.lastIndex.next, term: before.term)
                let after = follower.status
                guard !before.isLeader, before.leader == leader.id, after.leader == leader.id, after.term == before.term else { return nil }
                return (answer, leader.id)
            }
            #expect(answer == .refused(.notLeader(hint: leader)))
            let (old, led) = try await stage.withLeader { leader, before -> (RaftDriver.Proposed, NodeID)? in
                let answer = leader.driver.propose(payloads(0..<1), at: before.lastIndex.next, term: Term(before.term.number - 1))
                let after = leader.status
                guard after.isLeader, after.term == before.term else { return nil }
                return (answer, leader.id)
            }
            #expect(old == .refused(.notLeader(hint: led)))
        }
    }

    @Test func `a frame that is not from who it says, or cannot be read, is refused, and others are none of Raft's`() async throws {
        try await withRaft(1) { stage in
            let driver = stage.members[0].driver
            let (second, third) = (try node("c-2"), try node("c-3"))
            let before = driver.status
            #expect(
                callError { () throws(CallError) in try driver.receive(frame(.timeoutNow(term: Term(99)), from: second), from: third) }?
                    .code == .denied)
            #expect(
                callError { () throws(CallError) in try driver.receive(frame(.timeoutNow(term: Term(99)), from: second), from: nil) }?.code
                    == .denied)
            #expect(
                callError { () throws(CallError) in
                    try driver.receive(
                        Frame(header: FrameHeader(type: .timeoutNow), payload: .init(bytes: [1, 2, 3])), from: second)
                }?.code == .invalid)
            #expect(
                callError { () throws(CallError) in
                    try driver.receive(
                        Frame(header: FrameHeader(type: .ping), payload: .init(bytes: [1, 2, 3])), from: second)
                } == nil)
            #expect(driver.status.term == before.term)
        }
    }

    private func frame(_ message: RaftMessage, from sender: NodeID) -> Frame {
        var (buffer, decoder) = (ByteBuffer(), FrameDecoder())
        RaftCodec.encode(message, from: sender, chunkBytes: 1, into: &buffer)
        decoder.append(buffer)
        guard let frame = try? decoder.next() else { preconditionFailure("no frame of \(message)") }
        return frame
    }

    private func callError(_ body: () throws(CallError) -> Void) -> CallError? {
        do throws(CallError) {
            try body()
            return nil
        } catch {
            return error
        }
    }

    // MARK: Reading

    @Test func `a read's index is no less than what was committed before it was asked for, on every server`() async throws {
        try await withRaft { stage in
            for round in 0..<5 {
                let last = try await stage.commit(payloads(round..<round + 1))
                for member in stage.members {
                    var found: LogIndex?
                    _ = await eventually {
                        found = try? await member.driver.readIndex()
                        return found != nil
                    }
                    let index = try #require(found)
                    #expect(index >= last)
                }
            }
        }
    }

    @Test func `a leader that nobody hears answers no read and commits nothing, and drops what it took`() async throws {
        try await withRaft { stage in
            try await stage.commit(payloads(0..<1))
            let (lonely, status) = try await stage.leader()
            let others = stage.others(than: lonely)
            lonely.cut(to: others)
            for other in others { other.cut(to: [lonely]) }
            let lost = Array("nobody will see this".utf8)
            _ = lonely.driver.propose([lost], at: status.lastIndex.next, term: status.term)
            await #expect(throws: RaftRefusal.self) { _ = try await lonely.driver.readIndex() }
            // The others go on.
            var led: RaftStatus?
            let isLed = await eventually {
                led = others.map(\.status).first { $0.isLeader && $0.term > status.term }
                return led != nil
            }
            #expect(isLed)
            for member in stage.members { member.faults.clear() }
            let last = try await stage.commit(payloads(1..<2))
            let haveAll = await stage.haveCommitted(last)
            #expect(haveAll)
            let logs = try stage.members.map { try $0.log(through: last) }
            for log in logs { #expect(log == logs[0]) }
            #expect(!logs[0].contains { $0.payload == lost })
        }
    }

    // MARK: Handing over

    @Test func `leadership goes to whom it is handed, and who asked is told`() async throws {
        try await withRaft { stage in
            try await stage.commit(payloads(0..<5))
            let (term, target) = try await stage.withLeader { leader, status -> (Term, NodeID)? in
                let target = stage.others(than: leader)[1].id
                guard let led = try? await leader.driver.transfer(to: target) else { return nil }
                #expect(led == target)
                return (status.term, target)
            }
            let hasLed = await eventually {
                stage.members.contains { $0.status.elections.contains { $0.leader == target && $0.term > term } }
            }
            #expect(hasLed)
        }
    }

    @Test func `leadership goes to somebody where nobody is named`() async throws {
        try await withRaft { stage in
            let (old, led) = try await stage.withLeader { leader, _ -> (NodeID, NodeID)? in
                guard let led = try? await leader.driver.transfer(to: nil) else { return nil }
                return (leader.id, led)
            }
            #expect(old != led)
            #expect(stage.members.contains { $0.id == led })
        }
    }

    @Test func `who is no voter, or does not answer, does not take over, and a follower hands over nothing`() async throws {
        try await withRaft { stage in
            let stranger = try node("c-9")
            let unknown = try await stage.withLeader { leader, _ -> RaftRefusal? in
                let found = await refusal { () async throws(RaftRefusal) in _ = try await leader.driver.transfer(to: stranger) }
                if case .notLeader? = found { return nil }
                return found
            }
            #expect(unknown == .notAVoter(stranger))
            let (silent, target) = try await stage.withLeader { leader, _ -> (RaftRefusal, NodeID)? in
                let target = stage.others(than: leader)[0]
                leader.cut(to: [target])
                defer { leader.faults.clear() }
                let found = await refusal { () async throws(RaftRefusal) in _ = try await leader.driver.transfer(to: target.id) }
                guard let found, leader.status.isLeader else { return nil }
                return (found, target.id)
            }
            #expect(silent == .transferFailed(target))
            let (refused, leader) = try await stage.withLeader { leader, _ -> (RaftRefusal, NodeID)? in
                let follower = stage.others(than: leader)[0]
                guard follower.status.leader == leader.id else { return nil }
                let found = await refusal { () async throws(RaftRefusal) in _ = try await follower.driver.transfer(to: leader.id) }
                guard let found, follower.status.leader == leader.id else { return nil }
                return (found, leader.id)
            }
            #expect(refused == .notLeader(hint: leader))
        }
    }

    private func refusal(_ body: () async throws(RaftRefusal) -> Void) async -> RaftRefusal? {
        do throws(RaftRefusal) {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    // MARK: Closing

    @Test func `who waits when a driver closes is refused, and so is whoever asks afterwards`() async throws {
        var settings = RaftStage.settings
        // It would stop leading, and refuse by itself.
        settings.raft.checkQuorum = false
        try await withRaft(3, settings) { stage in
            let (leader, status) = try await stage.leader()
            leader.cut(to: stage.others(than: leader))
            for other in stage.others(than: leader) { other.cut(to: [leader]) }
            let driver = leader.driver
            let reading = Task { await Self.readRefusal(driver) }
            let isWaiting = await eventually { driver.running.withLock { $0.map { !$0.core.reads.isEmpty } ?? false } }
            #expect(isWaiting)
            driver.close()
            let found = await reading.value
            #expect(found == .notLeader(hint: nil))
            #expect(await Self.readRefusal(driver) == .notLeader(hint: nil))
            #expect(driver.propose(payloads(0..<1), at: status.lastIndex.next, term: status.term) == .stopped)
            #expect(driver.status == RaftStatus(node: leader.id))
            #expect(driver.leader == nil)
            #expect(throws: (any Error).self) { _ = try driver.entries(after: .zero, through: LogIndex(1)) }
        }
    }

    private static func readRefusal(_ driver: RaftDriver) async -> RaftRefusal? {
        do throws(RaftRefusal) {
            _ = try await driver.readIndex()
            return nil
        } catch {
            return error
        }
    }
}
