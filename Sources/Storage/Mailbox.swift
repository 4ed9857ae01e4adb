import Glibc
import Primitives

/// A bounded queue that many threads fill and one thread empties in batches: the reader is woken once however many items wait.
package final class Mailbox<Item: Sendable>: @unchecked Sendable {
    private let limit: Int
    private var items: [Item] = []
    private var isClosed = false
    private var isWaiting = false
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    /// - Parameter limit: items that may wait; `put` refuses beyond it.
    package init(limit: Int) {
        self.limit = limit
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// False when the queue is full or closed: the item was not taken.
    package func put(_ item: Item) -> Bool { put(item, overLimit: false) }

    /// For what must not be refused and is bounded by what was admitted before: completions, shutdown. False once closed.
    @discardableResult
    package func force(_ item: Item) -> Bool { put(item, overLimit: true) }

    private func put(_ item: Item, overLimit: Bool) -> Bool {
        pthread_mutex_lock(mutex)
        guard !isClosed, overLimit || items.count < limit else {
            pthread_mutex_unlock(mutex)
            return false
        }
        items.append(item)
        let wake = isWaiting
        isWaiting = false
        pthread_mutex_unlock(mutex)
        if wake { pthread_cond_signal(condition) }
        return true
    }

    /// All that waits, in order; waits up to `timeout` for the first (nil: for ever). Empty when the time ran out; nil when
    /// the queue is closed and empty.
    package func take(timeout: Duration?) -> [Item]? {
        let deadline = timeout.map(Self.deadline)
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while items.isEmpty, !isClosed {
            isWaiting = true
            if var deadline {
                if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT { break }
            } else {
                pthread_cond_wait(condition, mutex)
            }
        }
        isWaiting = false
        if items.isEmpty, isClosed { return nil }
        var taken: [Item] = []
        taken.reserveCapacity(min(limit, 64))
        swap(&taken, &items)
        return taken
    }

    package var count: Int {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return items.count
    }

    /// Nothing is taken any more, whatever room there is.
    package var hasClosed: Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return isClosed
    }

    package func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_mutex_unlock(mutex)
        pthread_cond_broadcast(condition)
    }

    private static func deadline(after timeout: Duration) -> timespec {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let total = Int64(now.tv_nsec) + min(max(0, timeout.nanoseconds), Int64.max / 2)
        return timespec(tv_sec: now.tv_sec + Int(total / 1_000_000_000), tv_nsec: Int(total % 1_000_000_000))
    }
}

/// A thread of its own with a name that `top -H` shows.
package final class NamedThread: @unchecked Sendable {
    private var handle = pthread_t()
    private let finished = Mailbox<Void>(limit: 1)

    package init(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Body(name: String(name.prefix(15)), run: body, finished: finished))
        let code = pthread_create(
            &handle, nil,
            { raw in
                guard let raw else { return nil }
                let body = Unmanaged<Body>.fromOpaque(raw).takeRetainedValue()
                body.nameThread()
                body.run()
                body.finished.close()
                return nil
            }, box.toOpaque())
        guard code == 0 else { preconditionFailure("cannot start a thread: error \(code)") }
        pthread_detach(handle)
    }

    /// Waits until the body has returned.
    package func join() { _ = finished.take(timeout: nil) }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        let finished: Mailbox<Void>

        init(name: String, run: @escaping @Sendable () -> Void, finished: Mailbox<Void>) {
            self.name = name
            self.run = run
            self.finished = finished
        }

        /// glibc's own call needs _GNU_SOURCE, which the module map does not set; the kernel's file does the same.
        func nameThread() {
            let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            _ = Array(name.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
        }
    }
}
