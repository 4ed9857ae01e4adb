import Synchronization

/// Waits for what cannot be called back, and no longer than `patience`: nil when it has not ended by then. It goes on all the same.
package func outcome<T: Sendable, Failure: Error>(
    within patience: Duration, of work: @escaping @Sendable () async throws(Failure) -> T
) async -> Result<T, Failure>? {
    await withCheckedContinuation { continuation in
        let answer = FirstAnswer<Result<T, Failure>?>(continuation)
        let late = Task {
            try? await Task.sleep(for: patience)
            answer.give(nil)
        }
        Task {
            do throws(Failure) { answer.give(.success(try await work())) } catch { answer.give(.failure(error)) }
            late.cancel()
        }
    }
}

/// Resumes with the first answer that it is given.
private final class FirstAnswer<Answer: Sendable>: Sendable {
    private let continuation: Mutex<CheckedContinuation<Answer, Never>?>
    init(_ continuation: CheckedContinuation<Answer, Never>) { self.continuation = Mutex(continuation) }

    func give(_ answer: Answer) {
        let waiting = continuation.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume(returning: answer)
    }
}
