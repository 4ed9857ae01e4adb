import NIOCore
import Primitives
import Testing

@testable import Wire

/// What is counted, written and read in one go is what visiting gives (Decisions/FieldsVisited).
struct FieldsInOrderTests {
    private static func random(_ generator: inout SeededGenerator) throws -> AppendEntries {
        func number() -> UInt64 {
            let shift = UInt64.random(in: 0...63, using: &generator)
            return generator.next() >> shift
        }
        let entries = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
            LogEntry(
                index: LogIndex(number()), term: Term(number()), kind: Bool.random(using: &generator) ? .commands : .leaderStart,
                payload: (0..<Int.random(in: 0...300, using: &generator)).map { _ in .random(in: 0...255, using: &generator) })
        }
        return AppendEntries(
            group: UInt32(truncatingIfNeeded: number()), term: Term(number()),
            leader: try NodeID(String(repeating: "n", count: .random(in: 1...63, using: &generator))), previousIndex: LogIndex(number()),
            previousTerm: Term(number()), commitIndex: LogIndex(number()), entries: entries, round: number())
    }

    private static func visited(_ message: AppendEntries) throws -> [UInt8] {
        var (copy, sizer) = (message, FieldSizer())
        try copy.visit(&sizer)
        var bytes = [UInt8](repeating: 0, count: sizer.bytes)
        try bytes.withUnsafeMutableBytes { raw in
            guard let base = raw.baseAddress else { return }
            var (copy, writer) = (message, FieldWriter(base))
            try copy.visit(&writer)
        }
        return bytes
    }

    private static func written(_ message: AppendEntries) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: message.fieldBytes) { memory, count in
            count = memory.baseAddress.map { message.write(to: UnsafeMutableRawPointer($0)) } ?? 0
        }
    }

    private static func read(_ bytes: [UInt8]) throws -> AppendEntries { try AppendEntries.decode(ByteBuffer(bytes: bytes)) }

    /// By visiting alone.
    private static func visitedReading(_ bytes: [UInt8]) throws -> AppendEntries {
        var message = AppendEntries()
        try bytes.withUnsafeBytes { raw in
            var reader = try FieldReader(FieldSource(bytes: raw, tag: 0, offset: 0, depth: 0))
            try message.visit(&reader)
            while !reader.isAtEnd { try message.visit(&reader) }
        }
        return message
    }

    /// nil when the bytes must be visited.
    private static func inOrder(_ bytes: [UInt8]) -> AppendEntries? {
        var message = AppendEntries()
        return bytes.withUnsafeBytes { message.readInOrder($0) } ? message : nil
    }

    @Test func `bytes are those of a visit`() throws {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<500 {
            let message = try Self.random(&generator)
            #expect(Self.written(message) == (try Self.visited(message)))
        }
    }

    @Test func `what was written reads back, in order and visited`() throws {
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<500 {
            let message = try Self.random(&generator)
            let bytes = Self.written(message)
            #expect(Self.inOrder(bytes) == message)
            #expect(try Self.visitedReading(bytes) == message)
        }
    }

    @Test func `whatever is read in order is what a visit reads of the same bytes`() throws {
        var generator = SeededGenerator(seed: 13)
        var differing = 0
        for _ in 0..<4_000 {
            var bytes = Self.written(try Self.random(&generator))
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0...3, using: &generator) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            case 1: bytes.removeLast(bytes.count - place)
            case 2: bytes.insert(.random(in: 0...255, using: &generator), at: place)
            default: bytes += [0, 60, 1, 0, 0, 0, 1, 9]
            }
            guard let copy = Self.inOrder(bytes) else {
                differing += 1
                continue
            }
            #expect(try Self.visitedReading(bytes) == copy)
        }
        #expect(differing > 1_000)
    }

    @Test func `fields in another order, and ones that are not known, are read all the same`() throws {
        var generator = SeededGenerator(seed: 14)
        let message = try Self.random(&generator)
        let bytes = Self.written(message)
        // Group is the first field: to the end with it, and a field of the future after it.
        let moved = Array(bytes[11...]) + Array(bytes[..<11]) + [0, 60, 1, 0, 0, 0, 1, 9]
        #expect(Self.inOrder(moved) == nil)
        #expect(try Self.read(moved) == message)
    }
}
