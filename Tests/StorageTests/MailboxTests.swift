import Primitives
import Synchronization
import Testing

@testable import Storage

/// A bounded queue that one thread empties in batches (Mailbox.swift).
struct MailboxTests {
    @Test func `items come out in order, all at once`() {
        let box = Mailbox<Int>(limit: 10)
        for number in 1...5 {
            let taken = box.put(number)
            #expect(taken)
        }
        #expect(box.count == 5)
        let batch = box.take(timeout: nil)
        #expect(batch == [1, 2, 3, 4, 5])
        #expect(box.count == 0)
    }

    @Test func `beyond the limit an item is refused, unless it must not be`() {
        let box = Mailbox<Int>(limit: 2)
        let answers = [box.put(1), box.put(2), box.put(3), box.force(4), box.put(5)]
        #expect(answers == [true, true, false, true, false])
        let batch = box.take(timeout: nil)
        #expect(batch == [1, 2, 4])
        let again = box.put(6)
        #expect(again)
    }

    @Test func `a closed queue gives what it holds, then its end`() {
        let box = Mailbox<Int>(limit: 10)
        _ = box.put(1)
        box.close()
        let answers = [box.put(2), box.force(3)]
        #expect(answers == [false, false])
        let batch = box.take(timeout: nil)
        #expect(batch == [1])
        for _ in 0..<2 {
            let end = box.take(timeout: nil)
            #expect(end == nil)
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(1), .seconds(-1)])
    func `when time runs out the batch is empty`(timeout: Duration) {
        let box = Mailbox<Int>(limit: 10)
        let batch = box.take(timeout: timeout)
        #expect(batch?.isEmpty == true)
        _ = box.put(1)
        let next = box.take(timeout: timeout)
        #expect(next == [1])
    }

    @Test func `closing wakes a reader that waits`() {
        let box = Mailbox<Int>(limit: 10)
        let seen = Seen()
        let reader = NamedThread("reader") {
            while let batch = box.take(timeout: nil) { seen.add(batch) }
            seen.add([-1])
        }
        _ = box.put(7)
        box.close()
        reader.join()
        #expect(seen.all == [7, -1])
    }

    @Test func `many writers lose nothing, and each one's items stay in order`() {
        let box = Mailbox<Int>(limit: 100_000)
        let writers = (0..<4).map { writer in
            NamedThread("writer-\(writer)") { for number in 0..<1000 { _ = box.put(writer * 1000 + number) } }
        }
        var seen: [Int] = []
        while seen.count < 4000 {
            guard let batch = box.take(timeout: .seconds(60)), !batch.isEmpty else { break }
            seen += batch
        }
        for writer in writers { writer.join() }
        #expect(seen.count == 4000)
        for writer in 0..<4 {
            let own = seen.filter { $0 / 1000 == writer }
            #expect(own == Array(writer * 1000..<(writer + 1) * 1000))
        }
    }

    @Test func `a thread bears the first 15 characters of its name`() {
        let seen = Seen()
        let thread = NamedThread("a-name-longer-than-linux-allows") {
            guard let file = try? FileDisk().open("/proc/thread-self/comm", create: false) else { return }
            defer { file.close() }
            seen.add(((try? file.read(at: 0, count: 64)) ?? []).map { Int($0) })
        }
        thread.join()
        let expected = Array("a-name-longer-t\n".utf8).map { Int($0) }
        #expect(seen.all == expected)
    }

    /// What a thread has seen.
    private final class Seen: Sendable {
        private let items = Mutex<[Int]>([])
        func add(_ more: [Int]) { items.withLock { $0 += more } }
        var all: [Int] { items.withLock { $0 } }
    }
}
