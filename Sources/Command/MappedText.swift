import Glibc

/// The code of this program and its libraries, as far as it is in the process's memory. The kernel maps what lies around each page that is touched, so that a start
/// maps most of a large binary, and little of that is needed afterwards.
enum MappedText {
    /// By then a node has found its cluster, or waits for it.
    private static let settled = Duration.seconds(5)

    /// Waits until the start is over, then gives back what it mapped. Pages stay in the page cache: what is needed again is mapped again, without the disk.
    static func giveBackOnceStarted() async {
        guard (try? await Task.sleep(for: settled)) != nil else { return }
        giveBack()
    }

    /// - Returns: bytes that were looked at; 0 where nothing may be touched.
    @discardableResult
    static func giveBack() -> Int {
        // Breakpoints are written into the code, and would be lost with it.
        guard let status = text(of: "/proc/self/status"), status.contains("TracerPid:\t0\n"), let maps = text(of: "/proc/self/maps") else {
            return 0
        }
        var bytes = 0
        for line in maps.split(separator: "\n") {
            guard let range = code(line), let start = UnsafeMutableRawPointer(bitPattern: range.lowerBound) else { continue }
            // Never written, so there is nothing that could be lost; what fails stays as it was.
            if madvise(start, range.count, MADV_DONTNEED) == 0 { bytes += range.count }
        }
        return bytes
    }

    /// Where a line of `/proc/self/maps` has code of a file: private, and neither written nor relocated (proc(5)).
    static func code(_ line: Substring) -> Range<UInt>? {
        let words = line.split(separator: " ", maxSplits: 5)
        guard words.count == 6, words[1] == "r-xp", words[5].drop(while: { $0 == " " }).hasPrefix("/") else { return nil }
        let ends = words[0].split(separator: "-").map { UInt($0, radix: 16) }
        guard ends.count == 2, let start = ends[0], let end = ends[1], start < end else { return nil }
        return start..<end
    }

    private static func text(of path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16384)
        while case let count = fread(&piece, 1, piece.count, file), count > 0 { bytes.append(contentsOf: piece[..<count]) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
