import Storage

/// Event numbers never come twice, over restarts too: they are taken from the disk by blocks, and a start begins a new block.
enum EventNumbers {
    private static let block: UInt64 = 1 << 32
    /// Numbers stay below 2^53, which JSON readers hold exactly.
    private static let limit: UInt64 = 1 << 21

    static func reserve(_ disk: any Disk, _ path: String) throws(StorageError) -> UInt64 {
        var used: UInt64 = 0
        if let bytes = try disk.contents(of: path) {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let number = text.split(separator: "\n").first.flatMap({ UInt64($0) }), number < limit else {
                throw .damaged(path: path, offset: 0, reason: "it holds no number of blocks; without it event numbers could come twice")
            }
            used = number
        }
        try disk.replace(path, with: Array("\(used + 1)\n".utf8))
        return used * block + 1
    }
}
