package import Primitives
package import Storage

/// A disk in memory that a simulated world breaks on purpose; the same seed and the same calls leave the same bytes.
///
/// The live process sees `names` and every file with all that was written. The medium has what was synced: a file's bytes and size by
/// `sync`, names by `syncFolder` of their folder. A kill loses nothing; a power cut leaves any part of what was not synced. The page cache
/// shows a write whole until its sync; what the medium made of it (lost, misdirected, stale) is read from then on.
///
/// Sendable unchecked: a simulated world and all its disks run on one thread.
package final class SimulatedDisk: Disk, @unchecked Sendable {
    /// What a name stands for.
    enum Entry {
        case folder
        case file(SectorFile)

        var file: SectorFile? { if case .file(let file) = self { file } else { nil } }
    }

    /// One change of names, durable as a whole or not at all; a nil entry takes the name away.
    struct NameChange {
        var names: [(path: String, entry: Entry?)]

        func touches(_ folder: String) -> Bool { names.contains { parentFolder(of: $0.path) == folder } }
    }

    /// All that would move with the drive into another machine.
    struct Contents {
        var names: [String: Entry] = [:]
        var durable: [String: Entry] = [:]
        var changes: [NameChange] = []
        var usedBytes = 0
    }

    /// How the process on the disk dies.
    package enum Death: Sendable, CaseIterable {
        /// kill -9: the kernel keeps what was written.
        case kill
        /// Of what was not synced anything may be left.
        case power
    }

    /// What goes wrong from now on.
    package var faults: DiskFaults
    /// What went wrong so far.
    package internal(set) var counters = DiskCounters()
    /// May be set below what is used: then nothing grows any more.
    package var capacityBytes: Int
    /// Refuses every change and every open, as a file system does after an error; a power cut ends it.
    package var isReadOnly = false
    /// No operation ends: `takeCost` says `.max`. A power cut ends it.
    package var isStuck = false
    /// Operations begun that change or sync something.
    package private(set) var operations = 0
    var contents = Contents()
    var generator: SeededGenerator
    private var operationsLeft: Int?
    private var generation = 0
    private var brokenFolders: [String] = []
    /// Names that a failed sync has dropped.
    var dropped: [String] = []
    private var cost: Int64 = 0

    package init(seed: UInt64, capacityBytes: Int = 1 << 40, faults: DiskFaults = .none) {
        generator = SeededGenerator(seed: seed)
        self.capacityBytes = capacityBytes
        self.faults = faults
    }

    /// Nanoseconds that the operations since the last call took; `.max`, for ever, while the disk is stuck.
    package func takeCost() -> Int64 {
        defer { cost = 0 }
        return isStuck ? .max : cost
    }

    /// Lets `operations` more operations that change something through; after them everything throws `.closed` until `crash`. nil lets all through.
    package func setFuse(after operations: Int?) {
        precondition(operations ?? 0 >= 0, "operations \(operations ?? 0)")
        operationsLeft = operations
    }

    /// Whether the fuse has blown: the process must be taken for dead at that boundary.
    package var mustCrash: Bool { operationsLeft == 0 }

    package func crash(_ death: Death) {
        var own = generator
        crash(death, using: &own)
        generator = own
    }

    /// Ends the process: handles of before throw `.closed`. After a power cut the live view is what the medium has.
    package func crash(_ death: Death, using generator: inout SeededGenerator) {
        if mustCrash { counters[.crashPoint] += 1 }
        counters[death == .kill ? .kill : .powerCut] += 1
        forgetDropped()
        if death == .power {
            cutNames(using: &generator)
            for path in contents.names.keys.sorted() { contents.names[path]?.file?.cutPower(using: &generator, &counters) }
            isReadOnly = false
            isStuck = false
        }
        detach()
    }

    /// Ends all handles, and counts again what is used: nothing is open that has no name.
    func detach() {
        generation += 1
        operationsLeft = nil
        brokenFolders = []
        cost = 0
        contents.usedBytes = 0
        for case .file(let file) in contents.names.values {
            (file.handles, file.isNamed) = (0, true)
            contents.usedBytes += file.size
        }
    }

    package func open(_ path: String, create: Bool) throws(StorageError) -> any DiskFile {
        try check(generation)
        guard !isReadOnly else { throw .io(operation: "open", path: path, errno: Errno.readOnly) }
        switch contents.names[path] {
        case .folder: throw .io(operation: "open", path: path, errno: Errno.isFolder)
        case .file(let file): return SimulatedFile(file, path: path, on: self, generation: generation)
        case nil:
            guard create else { throw .io(operation: "open", path: path, errno: Errno.missing) }
            try begin("open", path)
            guard isFolder(parentFolder(of: path)) else { throw .io(operation: "open", path: path, errno: Errno.missing) }
            let file = SectorFile()
            change([(path, .file(file))])
            return SimulatedFile(file, path: path, on: self, generation: generation)
        }
    }

    package func list(_ folder: String) throws(StorageError) -> [String] {
        try check(generation)
        if case .file? = contents.names[folder] { throw .io(operation: "list", path: folder, errno: Errno.notFolder) }
        let paths = contents.names.keys.filter { parentFolder(of: $0) == folder }
        let names = paths.map { path in path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    package func makeFolder(_ path: String) throws(StorageError) {
        try check(generation)
        if isFolder(path) { return }
        guard contents.names[path] == nil else { throw .io(operation: "use as a folder", path: path, errno: Errno.notFolder) }
        try makeFolder(parentFolder(of: path))
        try begin("create", path)
        change([(path, .folder)])
    }

    package func rename(_ path: String, to newPath: String) throws(StorageError) {
        try begin("rename", path)
        guard let entry = contents.names[path], isFolder(parentFolder(of: newPath)) else {
            throw .io(operation: "rename", path: path, errno: Errno.missing)
        }
        guard case .file = entry, !isFolder(newPath) else { throw .io(operation: "rename", path: path, errno: Errno.isFolder) }
        if path != newPath { change([(path, nil), (newPath, entry)]) }
    }

    package func remove(_ path: String) throws(StorageError) {
        try check(generation)
        guard contents.names[path] != nil else { return }
        try begin("remove", path)
        guard !isFolder(path) else { throw .io(operation: "remove", path: path, errno: Errno.isFolder) }
        change([(path, nil)])
    }

    package func exists(_ path: String) -> Bool { isFolder(path) || contents.names[path] != nil }

    package func syncFolder(_ path: String) throws(StorageError) {
        try begin("sync", path)
        guard isFolder(path) else { throw .io(operation: "open", path: path, errno: Errno.missing) }
        charge(faults.syncNanoseconds, path)
        let isBroken = brokenFolders.contains(path) && !faults.forgetsSyncErrors
        guard !hits(.syncError, path), !isBroken else {
            brokenFolders.append(path)
            // Dropped: the live process goes on seeing these names, no later sync makes them durable, and the next one finds what the medium has.
            dropped += takeChanges(of: path).flatMap { $0.names.map(\.path) }
            throw .io(operation: "sync", path: path, errno: Errno.io)
        }
        for change in takeChanges(of: path) { settle(change) }
    }

    package func space(at path: String) -> (freeBytes: UInt64, totalBytes: UInt64) {
        (UInt64(max(0, capacityBytes - contents.usedBytes)), UInt64(max(0, capacityBytes)))
    }

    func isFolder(_ path: String) -> Bool {
        if path == "/" || path == "." { return true }
        if case .folder? = contents.names[path] { return true }
        return false
    }

    func link(_ file: SectorFile) {
        if !file.holdsSpace { contents.usedBytes += file.size }
        file.isNamed = true
    }

    func unlink(_ file: SectorFile) {
        file.isNamed = false
        if !file.holdsSpace { contents.usedBytes -= file.size }
    }

    fileprivate func closed(_ file: SectorFile, _ generation: Int) {
        guard generation == self.generation else { return }
        file.handles -= 1
        if !file.holdsSpace { contents.usedBytes -= file.size }
    }

    fileprivate func check(_ generation: Int) throws(StorageError) {
        guard generation == self.generation, !mustCrash else { throw .closed }
    }

    /// Enters an operation that changes something.
    fileprivate func begin(_ operation: String, _ path: String) throws(StorageError) {
        try check(generation)
        operations += 1
        if let left = operationsLeft { operationsLeft = left - 1 }
        if !isReadOnly, strikes(.readOnly, path) { isReadOnly = true }
        guard isReadOnly else { return }
        counters[.readOnly] += 1
        throw .io(operation: operation, path: path, errno: Errno.readOnly)
    }

    fileprivate func charge(_ nanoseconds: Int64, _ path: String) {
        var sum = cost.addingReportingOverflow(nanoseconds)
        if hits(.stall, path) { sum = sum.partialValue.addingReportingOverflow(faults.stall(using: &generator)) }
        cost = sum.overflow ? .max : sum.partialValue
        if !isStuck, hits(.stuck, path) { isStuck = true }
    }

    private func strikes(_ fault: DiskFault, _ path: String) -> Bool { faults.strikes(fault, path, using: &generator) }

    /// The same for a fault that takes effect at once.
    private func hits(_ fault: DiskFault, _ path: String) -> Bool {
        guard strikes(fault, path) else { return false }
        counters[fault] += 1
        return true
    }

    fileprivate func write(_ bytes: [UInt8], at offset: Int, to file: SectorFile, _ path: String) throws(StorageError) {
        try begin("write", path)
        charge(faults.writeNanoseconds, path)
        if hits(.writeError, path) { throw .io(operation: "write", path: path, errno: Errno.io) }
        var room = bytes.count
        if room > 0, hits(.shortWrite, path) { room = Int.random(in: 0..<room, using: &generator) }
        let limit = file.size + max(0, capacityBytes - contents.usedBytes)
        if offset + room > limit {
            counters[.full] += 1
            room = max(0, limit - offset)
        }
        let before = file.size
        if room > 0 {
            file.write(room < bytes.count ? Array(bytes[..<room]) : bytes, at: offset, fate: fate(of: room, at: offset, path))
        }
        contents.usedBytes += file.size - before
        if room < bytes.count { throw .full(path: path) }
    }

    private func fate(of count: Int, at offset: Int, _ path: String) -> SectorFile.Fate {
        if strikes(.lostWrite, path) { return .lost }
        if strikes(.misdirectedWrite, path) { return .misdirected }
        guard strikes(.staleSector, path) else { return .whole }
        let sectors = SectorFile.sectors(offset..<offset + count)
        return .stale(sector: Int.random(in: sectors, using: &generator))
    }

    fileprivate func truncate(_ file: SectorFile, to size: Int, _ path: String) throws(StorageError) {
        try begin("truncate", path)
        charge(faults.writeNanoseconds, path)
        guard size - file.size <= max(0, capacityBytes - contents.usedBytes) else {
            counters[.full] += 1
            throw .full(path: path)
        }
        contents.usedBytes += size - file.size
        file.resize(to: size)
    }

    /// - Parameter isBroken: whether an earlier sync of this handle failed.
    fileprivate func sync(_ file: SectorFile, isBroken: Bool, _ path: String) throws(StorageError) {
        try begin("sync", path)
        charge(faults.syncNanoseconds, path)
        guard !hits(.syncError, path), !isBroken || faults.forgetsSyncErrors else {
            contents.usedBytes -= file.size
            file.dropPending()
            contents.usedBytes += file.size
            throw .io(operation: "sync", path: path, errno: Errno.io)
        }
        for bytes in file.settle(&counters) { misdirect(bytes) }
    }

    fileprivate func read(_ file: SectorFile, at offset: Int, count: Int, _ path: String) throws(StorageError) -> [UInt8] {
        charge(faults.readNanoseconds, path)
        if hits(.readError, path) { throw .io(operation: "read", path: path, errno: Errno.io) }
        return file.read(at: offset, count: count)
    }
}

/// What Linux answers.
enum Errno {
    static let missing: Int32 = 2
    static let io: Int32 = 5
    static let notFolder: Int32 = 20
    static let isFolder: Int32 = 21
    static let readOnly: Int32 = 30
}

/// An open file; sendable unchecked as its disk is.
private final class SimulatedFile: DiskFile, @unchecked Sendable {
    let path: String
    private let file: SectorFile
    private let disk: SimulatedDisk
    private let generation: Int
    private var isOpen = true
    private var isBroken = false

    init(_ file: SectorFile, path: String, on disk: SimulatedDisk, generation: Int) {
        (self.file, self.path, self.disk, self.generation) = (file, path, disk, generation)
        file.handles += 1
    }

    private func check() throws(StorageError) {
        guard isOpen else { throw .closed }
        try disk.check(generation)
    }

    func size() throws(StorageError) -> Int {
        try check()
        return file.size
    }

    func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        try check()
        return try disk.read(file, at: offset, count: count, path)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try check()
        try disk.write(bytes, at: offset, to: file, path)
    }

    func sync() throws(StorageError) {
        try check()
        do throws(StorageError) { try disk.sync(file, isBroken: isBroken, path) } catch {
            isBroken = true
            throw error
        }
    }

    func truncate(to size: Int) throws(StorageError) {
        try check()
        try disk.truncate(file, to: size, path)
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        disk.closed(file, generation)
    }
}
