import Storage

/// A thread of its own for what waits for a disk, where tasks ask for it: they wait, and hold up nobody else's.
final class DiskWork: Sendable {
    private let asked = Mailbox<@Sendable () -> Void>(limit: 1)
    private let thread: NamedThread

    init(_ name: String) {
        let asked = asked
        thread = NamedThread(name) { while let work = asked.take(timeout: nil) { for item in work { item() } } }
    }

    deinit { asked.close() }

    /// One task at a time. `.closed` when another is being waited for, or nothing is done any more.
    func run<T: Sendable>(_ body: @escaping @Sendable () throws(StorageError) -> T) async throws(StorageError) -> T {
        let result: Result<T, StorageError> = await withCheckedContinuation { answer in
            let isTaken = asked.put {
                do throws(StorageError) { answer.resume(returning: .success(try body())) } catch {
                    answer.resume(returning: .failure(error))
                }
            }
            if !isTaken { answer.resume(returning: .failure(.closed)) }
        }
        return try result.get()
    }

    func close() { asked.close() }
}
