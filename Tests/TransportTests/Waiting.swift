import Primitives
import Synchronization
import Testing
import Wire

/// Asks until it holds, at most so long.
func eventually(_ limit: Duration = .seconds(10), _ condition: () async -> Bool) async -> Bool {
    let end = ContinuousClock.now.advanced(by: limit)
    while true {
        let holds = await condition()
        if holds { return true }
        guard ContinuousClock.now < end else { return false }
        try? await Task.sleep(for: .milliseconds(2))
    }
}

/// How a call failed; nil when it did not.
func failure<T>(_ work: () async throws -> T) async -> CallError? {
    do {
        _ = try await work()
        return nil
    } catch {
        guard let error = error as? CallError else {
            Issue.record("not an error of a call: \(error)")
            return nil
        }
        return error
    }
}

/// Waits until its task is cancelled; false when that does not come.
func untilCancelled() async -> Bool {
    do {
        try await Task.sleep(for: .seconds(20))
        return false
    } catch {
        return true
    }
}

/// A number that several tasks add to.
final class Tally: Sendable {
    private let number = Atomic<Int>(0)

    func add(_ amount: Int = 1) { number.add(amount, ordering: .sequentiallyConsistent) }
    var count: Int { number.load(ordering: .sequentiallyConsistent) }
}

/// What several tasks found, in the order in which they did.
final class Kept<Element: Sendable>: Sendable {
    private let items = Mutex<[Element]>([])

    func add(_ item: Element) { items.withLock { $0.append(item) } }
    var all: [Element] { items.withLock { $0 } }
}

/// Holds up whoever comes until it is opened, 20 s at most.
final class Gate: Sendable {
    private let isOpen = Atomic(false)

    func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }

    func wait() async { _ = await eventually(.seconds(20)) { isOpen.load(ordering: .sequentiallyConsistent) || Task.isCancelled } }
}
