package import Primitives

/// Term and vote on disk: two slots of 128 bytes written in turn, so that a torn write leaves the slot before it, and a second copy of both
/// in another block, so that damage to the newest does not pass for a torn write.
///
/// A slot: `DSTRVOTE`, sequence u64, term u64, length of the vote u8, the vote in 63 bytes, version u8 (0), zeros, CRC-32C u32 of the rest.
/// Slots lie at bytes 0 and 128, their copies at 4096 and 4224; a file of 256 bytes is one that was written before there were copies.
package final class HardStateFile {
    /// What opening found.
    package enum Opening: Equatable, Sendable {
        case intact(HardState)
        /// Nothing was ever written.
        case fresh
        /// A term and vote that were given are not known any more: the node must not vote until a leader says that nothing can come of
        /// the lost vote (Decisions/LostVotes).
        case lost(reason: String)
    }

    private static let slotBytes = 128
    private static let copyOffset = 4096
    private static let fileBytes = copyOffset + 2 * slotBytes
    private static let magic = Array("DSTRVOTE".utf8)
    private static let version: UInt8 = 0

    private let disk: any Disk
    private let path: String
    /// Nil while the state is lost: what is on disk stays as it is until a state is persisted.
    private var file: (any DiskFile)?
    private var sequence: UInt64 = 0
    package private(set) var state = HardState(term: Term(0), vote: nil)

    /// Opens the file; one that exists and has no readable slot is damage: without it a server could vote twice in a term.
    package convenience init(disk: any Disk, path: String) throws(StorageError) {
        self.init(at: path, on: disk)
        if case .lost(let reason) = try load(hasLog: false, hasEntries: false) { throw .damaged(path: path, offset: 0, reason: reason) }
    }

    private init(at path: String, on disk: any Disk) {
        self.disk = disk
        self.path = path
    }

    /// Opens the file and says what it held. A lost state is no error: the file takes the next one.
    /// - Parameter hasLog: there are files of a log, which are made after this one.
    /// - Parameter hasEntries: a log or a snapshot holds entries, whose term was here before them.
    package static func open(
        disk: any Disk, path: String, hasLog: Bool, hasEntries: Bool
    ) throws(StorageError) -> (file: HardStateFile, opening: Opening) {
        let file = HardStateFile(at: path, on: disk)
        return (file, try file.load(hasLog: hasLog, hasEntries: hasEntries))
    }

    private func load(hasLog: Bool, hasEntries: Bool) throws(StorageError) -> Opening {
        guard disk.exists(path) || !hasLog && !hasEntries else {
            return .lost(reason: "it is missing, though there is a log: a vote could be given twice in one term")
        }
        let file = try disk.open(path, create: true)
        do throws(StorageError) {
            let opening = try read(file, hasEntries: hasEntries)
            guard case .lost = opening else {
                // What was read may have been written and not synced by a process that fell: from here on it is acted on.
                try file.sync()
                try disk.syncFolder(parentFolder(of: path))
                self.file = file
                return opening
            }
            file.close()
            return opening
        } catch {
            file.close()
            throw error
        }
    }

    private func read(_ file: any DiskFile, hasEntries: Bool) throws(StorageError) -> Opening {
        let bytes = try file.read(at: 0, count: Self.fileBytes)
        var newest: (sequence: UInt64, state: HardState)?
        for offset in [0, Self.slotBytes, Self.copyOffset, Self.copyOffset + Self.slotBytes] {
            if let slot = try slot(bytes, at: offset), slot.sequence > newest?.sequence ?? 0 { newest = slot }
        }
        if let newest {
            // A slot that is cut off may have been the newest.
            guard bytes.count >= 2 * Self.slotBytes else { return .lost(reason: "it is cut short") }
            (sequence, state) = newest
            return .intact(state)
        }
        guard !bytes.contains(where: { $0 != 0 }) || !hasEntries && Self.isFirstWriteCut(bytes) else {
            return .lost(reason: "neither copy of term and vote can be read")
        }
        guard !hasEntries else { return .lost(reason: "it holds nothing, though there are entries of some term") }
        if bytes.count < Self.fileBytes { try file.write([UInt8](repeating: 0, count: Self.fileBytes), at: 0) }
        return .fresh
    }

    /// The first state of all goes to the second slot, and to its copy after that: where only the slot has anything, the write was cut off, and nobody was told.
    private static func isFirstWriteCut(_ bytes: [UInt8]) -> Bool {
        bytes.count == fileBytes && !bytes[..<slotBytes].contains { $0 != 0 } && !bytes[(2 * slotBytes)...].contains { $0 != 0 }
    }

    /// Durable when it returns.
    package func persist(_ state: HardState) throws(StorageError) {
        sequence += 1
        let slot = slot(of: state)
        let offset = Int(sequence % 2) * Self.slotBytes
        if let file {
            try file.write(slot, at: offset)
            try file.write(slot, at: Self.copyOffset + offset)
            try file.sync()
        } else {
            // Nothing half-written may be taken for a file that never held a vote.
            var bytes = [UInt8](repeating: 0, count: Self.fileBytes)
            for start in [offset, Self.copyOffset + offset] { bytes.replaceSubrange(start..<start + slot.count, with: slot) }
            try disk.replace(path, with: bytes)
            file = try disk.open(path, create: false)
        }
        self.state = state
    }

    package func close() {
        file?.close()
        file = nil
    }

    private func slot(of state: HardState) -> [UInt8] {
        var slot = Self.magic
        put(sequence, &slot)
        put(state.term.number, &slot)
        let vote = Array((state.vote?.text ?? "").utf8)
        slot.append(UInt8(vote.count))
        slot.append(contentsOf: vote)
        slot.append(contentsOf: repeatElement(0, count: 63 - vote.count))
        slot.append(Self.version)
        slot.append(contentsOf: repeatElement(0, count: Self.slotBytes - 4 - slot.count))
        put(checksum(slot), &slot)
        return slot
    }

    private func slot(_ bytes: [UInt8], at offset: Int) throws(StorageError) -> (sequence: UInt64, state: HardState)? {
        guard bytes.count >= offset + Self.slotBytes else { return nil }
        let slot = Array(bytes[offset..<offset + Self.slotBytes])
        let (sequence, term, seal) = slot.withUnsafeBytes { (get($0, 8) as UInt64, get($0, 16) as UInt64, get($0, 124) as UInt32) }
        guard Array(slot[..<8]) == Self.magic, sequence < .max, checksum(Array(slot.dropLast(4))) == seal else { return nil }
        guard slot[88] <= Self.version else { throw .newerFormat(path: path, found: "version \(slot[88])", supported: Int(Self.version)) }
        let length = Int(slot[24])
        guard length > 0 else { return (sequence, HardState(term: Term(term), vote: nil)) }
        guard length <= 63, let vote = try? NodeID(String(decoding: slot[25..<25 + length], as: UTF8.self)) else { return nil }
        return (sequence, HardState(term: Term(term), vote: vote))
    }
}
