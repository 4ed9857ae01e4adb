package import Primitives
import Storage

/// What can go wrong with a disk, and what a power cut makes of unsynced writes; the order is that of the counters.
package enum DiskFault: Int, CaseIterable, Sendable {
    // By chance or by script, operation by operation.
    case syncError, shortWrite, writeError, readError, readOnly, lostWrite, misdirectedWrite, staleSector, stall, stuck
    // When they are asked for.
    case full, bitFlip, truncatedFile, missingFile, garbageTail, wiped, swapped, restored, kill, powerCut, crashPoint
    // What a power cut did to a write, a size or a name that was not synced.
    case keptWrite, droppedWrite, tornWrite, lostSize, lostName

    /// Those that have a probability.
    package static let byChance = allCases.filter { $0.rawValue <= DiskFault.stuck.rawValue }
}

/// How often each fault took effect: the coverage of a run.
package struct DiskCounters: Equatable, Sendable {
    /// In the order of `DiskFault.allCases`.
    package private(set) var counts = [Int](repeating: 0, count: DiskFault.allCases.count)

    package internal(set) subscript(fault: DiskFault) -> Int {
        get { counts[fault.rawValue] }
        set { counts[fault.rawValue] = newValue }
    }
}

/// What goes wrong with a disk by chance, and what by script; and how long its operations take.
package struct DiskFaults: Equatable, Sendable {
    package static let none = DiskFaults()

    private struct Scripted: Equatable {
        var fault: DiskFault
        var suffix: String
        var passes: Int
    }

    private var rates = [UInt32](repeating: 0, count: DiskFault.byChance.count)
    private var script: [Scripted] = []
    /// A sync after a failed one succeeds, as on Linux, though what the failed one covered is gone. Otherwise it fails for ever on its handle.
    package var forgetsSyncErrors = false
    package var writeNanoseconds: Int64 = 0
    package var syncNanoseconds: Int64 = 0
    package var readNanoseconds: Int64 = 0
    /// From 1 ms to 10 s; each doubling is as likely as the next.
    package var stallNanoseconds: ClosedRange<Int64> = 1_000_000...10_000_000_000

    package init() {}

    /// How many of a million operations meet the fault.
    package subscript(fault: DiskFault) -> UInt32 {
        get { rates[fault.rawValue] }
        set {
            precondition(fault.rawValue < rates.count && newValue <= 1_000_000, "\(fault), \(newValue)")
            rates[fault.rawValue] = newValue
        }
    }

    /// Lets one operation meet a fault: after `passes` others, the next that can on a path with this ending.
    package mutating func strike(_ fault: DiskFault, on suffix: String = "", after passes: Int = 0) {
        precondition(fault.rawValue < rates.count, "\(fault)")
        script.append(Scripted(fault: fault, suffix: suffix, passes: passes))
    }

    mutating func strikes(_ fault: DiskFault, _ path: String, using generator: inout SeededGenerator) -> Bool {
        if !script.isEmpty, let place = script.firstIndex(where: { $0.fault == fault && path.hasSuffix($0.suffix) }) {
            if script[place].passes == 0 {
                script.remove(at: place)
                return true
            }
            script[place].passes -= 1
        }
        let rate = rates[fault.rawValue]
        return rate > 0 && generator.next() % 1_000_000 < rate
    }

    func stall(using generator: inout SeededGenerator) -> Int64 {
        let (low, high) = (max(1, stallNanoseconds.lowerBound), max(1, stallNanoseconds.upperBound))
        let doublings = 63 - (high / low).leadingZeroBitCount
        let least = low << Int64.random(in: 0...Int64(doublings), using: &generator)
        return min(high, Int64.random(in: least...least + (least - 1), using: &generator))
    }
}

/// What lies on a disk's medium.
package struct DiskImage: Equatable, Sendable {
    /// A name and its bytes; nil for a folder.
    struct Item: Equatable, Sendable {
        var path: String
        var bytes: [UInt8]?
    }

    /// In the order of their paths.
    let items: [Item]
}

extension SimulatedDisk {
    /// Flips a bit on the medium; false when the medium has no such byte. A write that waits for its sync covers it again.
    @discardableResult
    package func flipBit(path: String, offset: Int, bit: Int) -> Bool {
        guard let file = contents.names[path]?.file, file.medium.indices.contains(offset) else { return false }
        file.medium[offset] ^= 1 << UInt8(bit & 7)
        counters[.bitFlip] += 1
        return true
    }

    /// Flips a bit of one of the files chosen by path, up to its last byte that is not zero, and tells its number; nil when there is none.
    @discardableResult
    package func flipRandomBit(where isChosen: (String) -> Bool, using generator: inout SeededGenerator) -> (path: String, bit: Int)? {
        let written = contents.names.keys.filter(isChosen).sorted().compactMap { path in
            contents.names[path]?.file?.medium.lastIndex { $0 != 0 }.map { (path: path, last: $0) }
        }
        guard let (path, last) = written.randomElement(using: &generator) else { return nil }
        let bit = Int.random(in: 0..<(last + 1) * 8, using: &generator)
        flipBit(path: path, offset: bit / 8, bit: bit % 8)
        return (path, bit)
    }

    /// Cuts a file; what waits for a sync in it counts as synced. False when there is no such file or it is not longer.
    @discardableResult
    package func truncateFile(_ path: String, to size: Int) -> Bool {
        guard let file = contents.names[path]?.file, size < file.size else { return false }
        spoil(file, .truncatedFile) { $0.resize(to: size) }
        return true
    }

    /// Lengthens a file by bytes of chance; what waits for a sync in it counts as synced. False when there is no such file.
    @discardableResult
    package func appendGarbage(_ path: String, count: Int, using generator: inout SeededGenerator) -> Bool {
        guard let file = contents.names[path]?.file else { return false }
        let garbage = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 32) }
        spoil(file, .garbageTail) { $0.write(garbage, at: $0.size, fate: .whole) }
        return true
    }

    private func spoil(_ file: SectorFile, _ fault: DiskFault, _ change: (SectorFile) -> Void) {
        counters[fault] += 1
        contents.usedBytes -= file.size
        change(file)
        _ = file.settle(&counters)
        contents.usedBytes += file.size
    }

    /// Takes a file's name away for good; false when there is none.
    @discardableResult
    package func loseFile(_ path: String) -> Bool {
        guard let file = contents.names[path]?.file else { return false }
        unlink(file)
        contents.names[path] = nil
        contents.durable[path] = nil
        contents.changes = contents.changes.map { change in
            SimulatedDisk.NameChange(names: change.names.map { ($0.path, $0.path == path ? nil : $0.entry) })
        }
        counters[.missingFile] += 1
        return true
    }

    /// A new, empty drive; handles end.
    package func wipe() {
        counters[.wiped] += 1
        insert(Contents())
    }

    /// Exchanges the drives of two nodes that are down, with what was not synced; handles of both end.
    package func swap(with other: SimulatedDisk) {
        counters[.swapped] += 1
        other.counters[.swapped] += 1
        let own = contents
        insert(other.contents)
        other.insert(own)
    }

    /// What is on the medium now: what a power cut that keeps nothing would leave.
    package func image() -> DiskImage {
        let items = contents.durable.keys.sorted().map { path in
            DiskImage.Item(path: path, bytes: contents.durable[path]?.file?.medium)
        }
        return DiskImage(items: items)
    }

    /// Puts an image back, as a rollback does; handles end.
    package func restore(_ image: DiskImage) {
        counters[.restored] += 1
        var old = Contents()
        for item in image.items { old.durable[item.path] = item.bytes.map { .file(SectorFile($0)) } ?? .folder }
        old.names = old.durable
        insert(old)
    }

    private func insert(_ drive: Contents) {
        contents = drive
        detach()
    }

    /// Lets bytes that were meant for one place arrive at another, of any file.
    func misdirect(_ bytes: [UInt8]) {
        let files = contents.names.keys.sorted().compactMap { contents.names[$0]?.file }.filter { !$0.medium.isEmpty }
        guard let file = files.randomElement(using: &generator) else { return }
        let offset = Int.random(in: SectorFile.sectors(0..<file.medium.count), using: &generator) * SectorFile.sectorBytes
        file.overwrite(bytes[..<min(bytes.count, file.medium.count - offset)], at: offset)
        counters[.misdirectedWrite] += 1
    }
}

/// A file: its bytes on the medium, and what was done to it since its last sync.
final class SectorFile {
    static let sectorBytes = 512

    /// What the medium makes of a write when it gets there.
    enum Fate {
        case whole, lost, misdirected
        case stale(sector: Int)
    }

    private struct Write {
        var bytes: [UInt8]
        /// Where in the file.
        var range: Range<Int>
        var fate: Fate

        subscript(part: Range<Int>) -> ArraySlice<UInt8> {
            bytes[part.lowerBound - range.lowerBound..<part.upperBound - range.lowerBound]
        }
    }

    private enum Step {
        case write(Write)
        case resize(Int)

        func size(after size: Int) -> Int {
            switch self {
            case .write(let write): max(size, write.range.upperBound)
            case .resize(let size): size
            }
        }

        var sectors: Range<Int> { if case .write(let write) = self { SectorFile.sectors(write.range) } else { 0..<0 } }
    }

    var medium: [UInt8]
    private var pending: [Step] = []
    private(set) var size: Int
    var isNamed = false
    var handles = 0

    init(_ bytes: [UInt8] = []) {
        medium = bytes
        size = bytes.count
    }

    /// A file without a name or a handle is gone.
    var holdsSpace: Bool { isNamed || handles > 0 }

    static func sectors(_ bytes: Range<Int>) -> Range<Int> {
        bytes.lowerBound / sectorBytes..<(bytes.upperBound + sectorBytes - 1) / sectorBytes
    }

    func read(at offset: Int, count: Int) -> [UInt8] {
        guard offset < size else { return [] }
        let range = offset..<offset + min(count, size - offset)
        if pending.isEmpty { return Array(medium[range]) }
        var bytes = Array(medium[range.clamped(to: 0..<medium.count)])
        bytes.append(contentsOf: repeatElement(0, count: range.count - bytes.count))
        for step in pending {
            switch step {
            case .write(let write):
                let part = range.clamped(to: write.range)
                if !part.isEmpty { bytes.replaceSubrange(part.lowerBound - offset..<part.upperBound - offset, with: write[part]) }
            case .resize(let size):
                for place in max(size - offset, 0)..<max(size - offset, bytes.count) { bytes[place] = 0 }
            }
        }
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: Int, fate: Fate) {
        append(.write(Write(bytes: bytes, range: offset..<offset + bytes.count, fate: fate)))
    }

    func resize(to size: Int) { append(.resize(size)) }

    private func append(_ step: Step) {
        pending.append(step)
        size = step.size(after: size)
    }

    func dropPending() {
        pending.removeAll(keepingCapacity: true)
        size = medium.count
    }

    /// Brings what waits to the medium; returns the writes that have gone astray.
    func settle(_ counters: inout DiskCounters) -> [[UInt8]] {
        var astray: [[UInt8]] = []
        for step in pending {
            switch step {
            case .resize(let size): setSize(size)
            case .write(let write):
                switch write.fate {
                case .whole: break
                case .lost: counters[.lostWrite] += 1
                case .misdirected: astray.append(write.bytes)
                case .stale: counters[.staleSector] += 1
                }
                put(write, kept: nil)
            }
        }
        setSize(size)
        dropPending()
        return astray
    }

    /// Power fails: each sector holds what it held after any of the writes to it, and the size is any of those since the last sync.
    func cutPower(using generator: inout SeededGenerator, _ counters: inout DiskCounters) {
        guard !pending.isEmpty else { return }
        let survival = Survival(of: pending.count, using: &generator)
        let sizes = pending.reduce(into: [medium.count]) { $0.append($1.size(after: $0[$0.count - 1])) }
        let version = survival.version(of: pending.count, using: &generator)
        if sizes[version] != size { counters[.lostSize] += 1 }
        for (place, (step, kept)) in zip(pending, keptSectors(survival, using: &generator)).enumerated() {
            switch step {
            case .resize(let size): if place < version { setSize(size) }
            case .write(let write):
                counters[!kept.contains(true) ? .droppedWrite : kept.contains(false) ? .tornWrite : .keptWrite] += 1
                put(write, kept: kept)
            }
        }
        setSize(sizes[version])
        dropPending()
    }

    /// Which sectors of each write reach the medium. A sector goes there whole: a later write in it takes the earlier ones along.
    private func keptSectors(_ survival: Survival, using generator: inout SeededGenerator) -> [[Bool]] {
        var kept = pending.enumerated().map { survival.sectors(of: $1.sectors.count, at: $0, using: &generator) }
        var later: Set<Int> = []
        for place in pending.indices.reversed() {
            for (index, sector) in pending[place].sectors.enumerated() {
                if later.contains(sector) { kept[place][index] = true }
                if kept[place][index] { later.insert(sector) }
            }
        }
        return kept
    }

    /// - Parameter kept: which sectors of the write get there; nil for all.
    private func put(_ write: Write, kept: [Bool]?) {
        if case .whole = write.fate, kept == nil { return overwrite(write.bytes[...], at: write.range.lowerBound) }
        for (index, sector) in Self.sectors(write.range).enumerated() where kept?[index] ?? true {
            switch write.fate {
            case .lost, .misdirected, .stale(sector): continue
            case .whole, .stale: break
            }
            let part = write.range.clamped(to: sector * Self.sectorBytes..<(sector + 1) * Self.sectorBytes)
            overwrite(write[part], at: part.lowerBound)
        }
    }

    func overwrite(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        if offset > medium.count { setSize(offset) }
        medium.replaceSubrange(offset..<min(offset + bytes.count, medium.count), with: bytes)
    }

    private func setSize(_ size: Int) {
        if size < medium.count { medium.removeSubrange(size...) }
        medium.append(contentsOf: repeatElement(0, count: size - medium.count))
    }
}

/// How much of what was not synced a power cut leaves.
struct Survival {
    /// All before it and nothing after it; nil: each by chance.
    private let end: Int?

    init(of count: Int, using generator: inout SeededGenerator) {
        let draw = generator.next() % 6
        end = draw == 0 ? -1 : draw == 1 ? count : draw < 4 ? Int.random(in: 0...count, using: &generator) : nil
    }

    func keeps(_ place: Int, using generator: inout SeededGenerator) -> Bool {
        end.map { place < $0 } ?? Bool.random(using: &generator)
    }

    /// After how many of the changes the size is taken.
    func version(of count: Int, using generator: inout SeededGenerator) -> Int {
        end.map { max(0, $0) } ?? Int.random(in: 0...count, using: &generator)
    }

    /// Which of a write's sectors are kept: none, all, a beginning, an end, a middle, or each by chance.
    func sectors(of count: Int, at place: Int, using generator: inout SeededGenerator) -> [Bool] {
        let shape = end.map { place < $0 ? 1 : place == $0 ? 2 : 0 } ?? Int(generator.next() % 6)
        if shape == 5 { return (0..<count).map { _ in Bool.random(using: &generator) } }
        let low = shape < 3 ? 0 : Int.random(in: 0..<max(1, count), using: &generator)
        let high = shape == 0 ? 0 : shape == 2 || shape == 4 ? Int.random(in: low...count, using: &generator) : count
        return (0..<count).map { (low..<high).contains($0) }
    }
}
