import Primitives
import Testing

@testable import Raft

/// Thesis section 6.3.
struct SessionTableTests {
    @Test func `a request that comes again is answered with its first result`() {
        var table = SessionTable()
        table.open(at: LogIndex(7))
        #expect(table.verdict(session: 7, sequence: 1) == .fresh)
        table.record(session: 7, sequence: 1, result: [1, 2], at: LogIndex(8))
        #expect(table.verdict(session: 7, sequence: 1) == .repeated([1, 2]))
        #expect(table.verdict(session: 7, sequence: 2) == .fresh)
        #expect(table.verdict(session: 7, sequence: 3) == .expired)
    }

    @Test func `a session that was let go is never taken for a new one`() {
        var table = SessionTable(limit: 2)
        for index in 1...3 as ClosedRange<UInt64> { table.open(at: LogIndex(index)) }
        #expect(table.count == 2)
        #expect(table.verdict(session: 1, sequence: 1) == .expired)
        #expect(table.verdict(session: 2, sequence: 1) == .fresh)
        #expect(table.verdict(session: 99, sequence: 1) == .expired)
    }

    @Test func `the longest unused goes first`() {
        var table = SessionTable(limit: 2)
        table.open(at: LogIndex(1))
        table.open(at: LogIndex(2))
        table.record(session: 1, sequence: 1, result: [], at: LogIndex(3))
        table.open(at: LogIndex(4))
        #expect(table.verdict(session: 2, sequence: 1) == .expired)
        #expect(table.verdict(session: 1, sequence: 2) == .fresh)
    }

    @Test func `it is whole in a snapshot, and bytes that are none are refused`() throws {
        var table = SessionTable()
        for index in [5, 9, 30] as [UInt64] {
            table.open(at: LogIndex(index))
            table.record(session: index, sequence: 1, result: [UInt8](repeating: 7, count: Int(index)), at: LogIndex(index + 1))
        }
        var bytes: [UInt8] = []
        table.write(to: &bytes)
        var offset = 0
        #expect(SessionTable(bytes, at: &offset) == table)
        #expect(offset == bytes.count)
        for length in 0..<bytes.count {
            var offset = 0
            #expect(SessionTable(Array(bytes[..<length]), at: &offset) == nil)
        }
    }
}
