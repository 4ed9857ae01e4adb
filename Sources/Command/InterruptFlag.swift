import Dispatch
import Glibc
import Primitives
import Synchronization

/// Ctrl-C as a flag, for commands that have something to say when they are ended.
final class InterruptFlag: Sendable {
    private let flag = Atomic(false)
    private let signals: [Int32]
    private nonisolated(unsafe) var sources: [any DispatchSourceSignal] = []

    /// - Parameter signals: Ctrl-C alone, or others too.
    init(_ signals: [Int32] = [SIGINT]) {
        self.signals = signals
        for number in signals {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { [weak self] in self?.flag.store(true, ordering: .relaxed) }
            source.resume()
            sources.append(source)
        }
    }

    deinit {
        for source in sources { source.cancel() }
        for number in signals { signal(number, SIG_DFL) }
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
