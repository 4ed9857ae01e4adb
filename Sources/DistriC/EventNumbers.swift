import Storage

/// Event numbers never come twice, over restarts too: they are taken from the disk by blocks, and a start begins a new block.
enum EventNumbers {
    private static let block: UInt64 = 1 << 32

    static func reserve(_ disk: any Disk, _ path: String) throws(StorageError) -> UInt64 {
        let text = String(decoding: try disk.contents(of: path) ?? [], as: UTF8.self)
        let used = text.split(separator: "\n").first.flatMap { UInt64($0) } ?? 0
        try disk.replace(path, with: Array("\(used + 1)\n".utf8))
        return used * block % (1 << 52) + 1
    }
}
