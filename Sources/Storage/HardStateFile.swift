package import Primitives

/// Term and vote on disk: two slots of 128 bytes written in turn, so that a torn write leaves the slot before it.
package final class HardStateFile {
    private static let slotBytes = 128
    private static let magic = Array("DSTRVOTE".utf8)

    private let file: any DiskFile
    private var sequence: UInt64 = 0
    package private(set) var state = HardState(term: Term(0), vote: nil)

    /// Opens the file; one that exists and has no readable slot is damage: without it a server could vote twice in a term.
    package init(disk: any Disk, path: String) throws(StorageError) {
        let isNew = !disk.exists(path)
        file = try disk.open(path, create: true)
        let bytes = try file.read(at: 0, count: 2 * Self.slotBytes)
        let slots = [0, 1].compactMap { Self.read(bytes, slot: $0) }
        if let newest = slots.max(by: { $0.sequence < $1.sequence }) {
            (sequence, state) = newest
        } else if bytes.contains(where: { $0 != 0 }) {
            throw .damaged(path: path, offset: 0, reason: "neither copy of term and vote can be read")
        }
        if isNew || bytes.count < 2 * Self.slotBytes {
            try file.write([UInt8](repeating: 0, count: 2 * Self.slotBytes), at: 0)
            try file.sync()
            try disk.syncFolder(parentFolder(of: path))
        }
    }

    /// Durable when it returns.
    package func persist(_ state: HardState) throws(StorageError) {
        sequence += 1
        var slot = Self.magic
        put(sequence, &slot)
        put(state.term.number, &slot)
        let vote = Array((state.vote?.text ?? "").utf8)
        slot.append(UInt8(vote.count))
        slot.append(contentsOf: vote)
        slot.append(contentsOf: repeatElement(0, count: Self.slotBytes - 4 - slot.count))
        put(checksum(slot), &slot)
        try file.write(slot, at: Int(sequence % 2) * Self.slotBytes)
        try file.sync()
        self.state = state
    }

    package func close() { file.close() }

    private static func read(_ bytes: [UInt8], slot: Int) -> (sequence: UInt64, state: HardState)? {
        let start = slot * slotBytes
        guard bytes.count >= start + slotBytes else { return nil }
        let part = Array(bytes[start..<start + slotBytes])
        guard Array(part[..<8]) == magic, checksum(Array(part.dropLast(4))) == part.withUnsafeBytes({ get($0, slotBytes - 4) as UInt32 })
        else {
            return nil
        }
        let length = Int(part[24])
        guard length <= 63 else { return nil }
        let (sequence, term) = part.withUnsafeBytes { (get($0, 8) as UInt64, get($0, 16) as UInt64) }
        let vote = length == 0 ? nil : try? NodeID(String(decoding: part[25..<25 + length], as: UTF8.self))
        return (sequence, HardState(term: Term(term), vote: vote))
    }
}
