import Dispatch
import Glibc
import Primitives
import Synchronization

/// Ctrl-C as a flag, for commands that have something to say when they are ended.
final class InterruptFlag: Sendable {
    private let flag = Atomic(false)
    private nonisolated(unsafe) let source: any DispatchSourceSignal

    init() {
        signal(SIGINT, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGINT)
        source.setEventHandler { [weak self] in self?.flag.store(true, ordering: .relaxed) }
        source.resume()
    }

    deinit {
        source.cancel()
        signal(SIGINT, SIG_DFL)
    }

    var isSet: Bool { flag.load(ordering: .relaxed) }

    /// False when it was set meanwhile.
    func sleep(_ duration: Duration) async -> Bool {
        var left = duration
        while left > .zero, !isSet {
            let piece = min(left, .milliseconds(50))
            try? await Task.sleep(for: piece)
            left -= piece
        }
        return !isSet
    }
}
