import CLogTail
package import Logging
package import Primitives
import Synchronization

/// The last log lines of a node: for whoever looks at them live, who is told how many were missed when the lines came faster; and the queue
/// of whoever writes them. Bounded by lines and bytes; the oldest go first, and of those that nobody had written it is counted how many.
package final class LogRing: Sendable {
    package struct Entry: Sendable {
        package let seq: UInt64
        package let level: Logger.Level
        package let label: String
        /// The line as it was written: one JSON object.
        package let line: [UInt8]
    }

    package static let retained = 20_000
    package static let retainedBytes = 8 << 20
    /// Longer lines are cut off where they are made.
    static let lineLimit = 1 << 20
    /// Lines that are copied under the lock at a time.
    private static let slice: UInt64 = 256
    /// Lines that the writer looks at at a time.
    private static let slotsTaken = 2048

    private struct Slot {
        var offset: Int
        /// With the end of the line.
        var count: Int
        var level: Logger.Level
        /// Its place among the labels that the ring has seen.
        var label: UInt32
    }

    private struct State {
        var labels: [String] = []
        var labelNumbers: [String: UInt32] = [:]
        /// By number modulo `retained`.
        var slots: [Slot] = []
        var oldest: UInt64
        var next: UInt64
        /// Where the next line goes.
        var head = 0
        /// Where the bytes ended when `head` last began again at 0.
        var wrap = 0
        /// The first line that the writer has not taken; nil without a writer.
        var unwritten: UInt64?
        var isWriterWaiting = false
        var tail: OpaquePointer?
    }

    private nonisolated(unsafe) let base = UnsafeMutableRawPointer.allocate(byteCount: retainedBytes, alignment: 64)
    private let state: Mutex<State>
    /// The number that this process began with.
    private let first: UInt64
    /// Lines that went before they were written, by level.
    package let dropped: [(level: Logger.Level, counter: Counter)] = Logger.Level.allCases.map { ($0, Counter()) }

    /// - Parameter first: above every number of the process before, so that whoever comes back after a restart misses nothing.
    package init(first: UInt64 = 1) {
        self.first = first
        state = Mutex(State(oldest: first, next: first))
    }

    deinit {
        state.withLock { state in if let tail = state.tail { distric_log_tail_close(tail) } }
        base.deallocate()
    }

    /// A first number by the time of day: no process writes a million lines a second for long.
    package static func first(at wall: ClusterTime) -> UInt64 { wall.milliseconds * 1000 }

    // MARK: Writing

    package func append(level: Logger.Level, label: String, line: [UInt8]) {
        let number = number(of: label)
        _ = (line + [0x0A]).withUnsafeBytes { append(level: level, label: number, line: $0) }
    }

    /// What stands for a label within this ring.
    func number(of label: String) -> UInt32 {
        state.withLock { state in
            if let known = state.labelNumbers[label] { return known }
            let number = UInt32(state.labels.count)
            state.labels.append(label)
            state.labelNumbers[label] = number
            return number
        }
    }

    /// - Parameter line: with its end.
    /// - Returns: whether somebody waits for lines to write.
    func append(level: Logger.Level, label: UInt32, line: UnsafeRawBufferPointer) -> Bool {
        guard let from = line.baseAddress, line.count <= Self.lineLimit else { return false }
        return state.withLock { state in
            makeRoom(line.count, &state)
            (base + state.head).copyMemory(from: from, byteCount: line.count)
            let slot = Slot(offset: state.head, count: line.count, level: level, label: label)
            let index = Int((state.next - first) % UInt64(Self.retained))
            if index < state.slots.count { state.slots[index] = slot } else { state.slots.append(slot) }
            state.next += 1
            state.head += line.count
            tellTail(state)
            defer { state.isWriterWaiting = false }
            return state.isWriterWaiting
        }
    }

    private func slot(_ number: UInt64, _ state: borrowing State) -> Slot {
        state.slots[Int((number - first) % UInt64(Self.retained))]
    }

    /// Lets the oldest lines go until so many bytes are free at `head`, and a slot.
    private func makeRoom(_ need: Int, _ state: inout State) {
        if state.head + need > Self.retainedBytes {
            while state.oldest < state.next, slot(state.oldest, state).offset >= state.head { letGo(&state) }
            state.wrap = state.head
            state.head = 0
        }
        let reach = state.head..<state.head + need
        while state.oldest < state.next, reach.contains(slot(state.oldest, state).offset) { letGo(&state) }
        if state.next - state.oldest >= UInt64(Self.retained) { letGo(&state) }
    }

    private func letGo(_ state: inout State) {
        if state.unwritten == state.oldest {
            let level = slot(state.oldest, state).level
            dropped.first { $0.level == level }?.counter.increment()
            state.unwritten = state.oldest + 1
        }
        state.oldest += 1
    }

    private func tellTail(_ state: borrowing State) {
        guard let tail = state.tail, let unwritten = state.unwritten else { return }
        let begin = unwritten < state.next ? slot(unwritten, state).offset : state.head
        distric_log_tail_set(tail, UInt64(begin), UInt64(state.head), UInt64(state.wrap))
    }

    // MARK: The writer's side

    /// From here on lines are taken to be written; what is lost in a crash of the process is written by then.
    func beginQueue(descriptor: Int32) {
        state.withLock { state in
            state.unwritten = state.next
            state.tail = distric_log_tail_open(base, descriptor)
            tellTail(state)
        }
    }

    func redirectTail(_ descriptor: Int32) {
        state.withLock { state in if let tail = state.tail { distric_log_tail_redirect(tail, descriptor) } }
    }

    /// Lines to write, at most so many bytes but at least one line, each after what `prefix` says of its level; none when there are none,
    /// and then whoever appends next is told that somebody waits. One at a time may take.
    func take(into buffer: inout [UInt8], limit: Int, prefix: ((Logger.Level) -> [UInt8])?) -> Int {
        while true {
            buffer.removeAll(keepingCapacity: true)
            let (begin, waiting) = waiting()
            guard let first = waiting.first else { return 0 }
            var (count, bytes) = (1, first.count)
            while count < waiting.count, bytes + waiting[count].count <= limit {
                (count, bytes) = (count + 1, bytes + waiting[count].count)
            }
            let taken = copy(waiting[..<count], from: begin, into: &buffer, prefix)
            // Zero when all of them were overwritten, and then there are newer ones.
            if taken > 0 { return taken }
        }
    }

    /// Whoever logs waits for the lock: it is not held while the bytes are copied. A line that is overwritten meanwhile is dropped and counted
    /// as such by whoever overwrites it, and then not among those that are written.
    private func copy(_ slots: ArraySlice<Slot>, from begin: UInt64, into buffer: inout [UInt8], _ prefix: ((Logger.Level) -> [UInt8])?)
        -> Int
    {
        var ends: [Int] = []
        ends.reserveCapacity(slots.count)
        for slot in slots {
            if let prefix { buffer += prefix(slot.level) }
            buffer.append(contentsOf: UnsafeRawBufferPointer(start: base + slot.offset, count: slot.count))
            ends.append(buffer.count)
        }
        return state.withLock { state in
            let lost = Int(min(max(state.oldest, begin) - begin, UInt64(slots.count)))
            if lost > 0 { buffer.removeFirst(ends[lost - 1]) }
            state.unwritten = max(state.oldest, begin + UInt64(slots.count))
            tellTail(state)
            return slots.count - lost
        }
    }

    /// The first line that waits, and where it and those after it are.
    private func waiting() -> (begin: UInt64, slots: [Slot]) {
        state.withLock { state in
            guard let begin = state.unwritten, begin < state.next else {
                state.isWriterWaiting = state.unwritten != nil
                return (0, [])
            }
            // Whoever logs waits meanwhile: what lies side by side is taken at once.
            let start = Int((begin - first) % UInt64(Self.retained))
            let count = min(Int(min(state.next - begin, UInt64(Self.slotsTaken))), Self.retained - start)
            return (begin, Array(state.slots[start..<start + count]))
        }
    }

    /// Lines that wait to be written.
    package var queued: Int { state.withLock { state in state.unwritten.map { Int(state.next - $0) } ?? 0 } }

    // MARK: Reading

    package var lastNumber: UInt64 { state.withLock { $0.next - 1 } }

    package var bytes: Int {
        state.withLock { state in
            guard state.oldest < state.next else { return 0 }
            let begin = slot(state.oldest, state).offset
            return begin < state.head ? state.head - begin : state.wrap - begin + state.head
        }
    }

    /// The newest `limit` lines above `seq`, oldest first, and how many between are not among them: overwritten, or more than `limit`.
    package func newest(after seq: UInt64, limit: Int, keep: (Entry) -> Bool = { _ in true }) -> (
        entries: [Entry], missed: Int, last: UInt64
    ) {
        let last = lastNumber
        let from = max(seq, first - 1)
        var found: [Entry] = []
        var missed = 0
        var end = last
        // Whoever writes a log line waits for the lock: nothing is looked into under it, and no more than a slice is copied.
        while end > from {
            let begin = end - min(Self.slice, end - from) + 1
            let held = entries(begin...end)
            missed += Int(end - begin + 1) - held.count
            for entry in held.reversed() where keep(entry) {
                if found.count < limit { found.append(entry) } else { missed += 1 }
            }
            end = begin - 1
        }
        return (found.reversed(), missed, last)
    }

    private func entries(_ numbers: ClosedRange<UInt64>) -> [Entry] {
        state.withLock { state in
            guard state.oldest <= numbers.upperBound else { return [] }
            return (max(numbers.lowerBound, state.oldest)...numbers.upperBound).map { number in
                let slot = slot(number, state)
                let line = [UInt8](UnsafeRawBufferPointer(start: base + slot.offset, count: slot.count - 1))
                return Entry(seq: number, level: slot.level, label: state.labels[Int(slot.label)], line: line)
            }
        }
    }
}
