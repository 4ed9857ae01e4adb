import Foundation
package import Primitives
import Synchronization

/// What attempts wrote, each in a file `<run>/<task>.<attempt>.log`, capped; the oldest runs go first.
package final class AttemptLogs: Sendable {
    private let folder: URL
    private let maximumBytes: Int
    private let keptRuns: Int
    private let written = Mutex<Int>(0)

    package init(folder: String, maximumBytes: Int, keptRuns: Int) {
        self.folder = URL(filePath: folder, directoryHint: .isDirectory)
        self.maximumBytes = maximumBytes
        self.keptRuns = keptRuns
    }

    private func place(run: RunID, task: String, attempt: Int) -> URL {
        folder.appending(path: run.description).appending(path: "\(task).\(attempt).log")
    }

    func write(_ bytes: [UInt8], run: RunID, task: String, attempt: Int) {
        let place = place(run: run, task: task, attempt: attempt)
        try? FileManager.default.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
        try? Data(bytes.prefix(maximumBytes)).write(to: place)
        let count = written.withLock { count in
            count += 1
            return count
        }
        if count % 128 == 0 { expire() }
    }

    package func read(run: RunID, task: String, attempt: Int) -> [UInt8]? {
        (try? Data(contentsOf: place(run: run, task: task, attempt: attempt))).map { [UInt8]($0) }
    }

    /// Without reading what comes before it.
    package func tail(run: RunID, task: String, attempt: Int, bytes: Int) -> (total: Int, tail: [UInt8]) {
        guard let file = try? FileHandle(forReadingFrom: place(run: run, task: task, attempt: attempt)),
            let end = try? file.seekToEnd()
        else { return (0, []) }
        defer { try? file.close() }
        guard bytes > 0, (try? file.seek(toOffset: end - min(end, UInt64(bytes)))) != nil else { return (Int(end), []) }
        return (Int(end), [UInt8]((try? file.read(upToCount: bytes)) ?? Data()))
    }

    /// Run ids sort by time.
    private func expire() {
        guard let runs = try? FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false)), runs.count > keptRuns
        else { return }
        for run in runs.sorted().prefix(runs.count - keptRuns) { try? FileManager.default.removeItem(at: folder.appending(path: run)) }
    }
}
