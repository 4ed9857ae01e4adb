import Primitives
import Raft

/// The state machine that simulated servers replicate: registers and lists by key, behind the session table that makes a repeated request apply once.
struct KeyValueMachine: Equatable, Sendable {
    struct Command: Equatable, Sendable {
        enum Kind: UInt8, Sendable {
            case write = 1, compareAndSwap, append, open
            /// The feature level is this from now on; the other one is a write that came with level 2.
            case raise, writeByNewer
        }

        static let bytes = 34

        /// Programs of a lower feature level stop before it.
        var neededLevel: UInt16 {
            switch kind {
            case .write, .compareAndSwap, .append, .open: 1
            case .raise, .writeByNewer: 2
            }
        }

        var session: UInt64
        var sequence: UInt64
        var kind: Kind
        var key: UInt8
        var value: UInt64
        var expected: UInt64

        var payload: [UInt8] {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(Self.bytes)
            for number in [session, sequence, value, expected] { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
            bytes += [kind.rawValue, key]
            return bytes
        }

        init(session: UInt64, sequence: UInt64, kind: Kind, key: UInt8, value: UInt64, expected: UInt64 = 0) {
            (self.session, self.sequence, self.kind) = (session, sequence, kind)
            (self.key, self.value, self.expected) = (key, value, expected)
        }

        init?(_ bytes: [UInt8]) {
            guard bytes.count >= Self.bytes, let kind = Kind(rawValue: bytes[32]) else { return nil }
            func word(_ place: Int) -> UInt64 {
                bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)) }
            }
            self.init(session: word(0), sequence: word(1), kind: kind, key: bytes[33], value: word(2), expected: word(3))
        }
    }

    /// What a command came to, and whether it had been done before.
    enum Outcome: Equatable, Sendable {
        case done
        case swapped(Bool)
        case opened(UInt64)
        case expired

        var bytes: [UInt8] {
            switch self {
            case .done: [1]
            case .swapped(let isDone): [isDone ? 3 : 2]
            case .opened, .expired: [0]
            }
        }

        init(_ bytes: [UInt8]) {
            switch bytes.first {
            case 1: self = .done
            case 2: self = .swapped(false)
            case 3: self = .swapped(true)
            default: self = .expired
            }
        }
    }

    private(set) var applied = LogIndex.zero
    private(set) var registers: [UInt64?]
    private(set) var lists: [[UInt64]]
    private(set) var sessions = SessionTable(limit: 8)
    /// Commands that had been done before; of this server's own time.
    private(set) var repeats = 0
    /// Over all that was ever applied.
    private(set) var digest: UInt64 = 0
    /// Raised by a command; never falls.
    private(set) var featureLevel: UInt16 = 1

    init(keys: Int) {
        registers = Array(repeating: nil, count: keys)
        lists = Array(repeating: [], count: keys)
    }

    /// The outcome of a command; nil for entries that are none.
    mutating func apply(_ entry: LogEntry) -> Outcome? {
        precondition(entry.index == applied.next, "apply \(entry.index) after \(applied)")
        applied = entry.index
        var hasher = StableHasher(key: digest)
        hasher.combine(entry.term.number)
        hasher.combine(entry.payload)
        digest = hasher.finish().low
        guard entry.kind == .commands, let command = Command(entry.payload) else { return nil }
        switch command.kind {
        case .open:
            sessions.open(at: entry.index)
            return .opened(entry.index.number)
        case .raise:
            featureLevel = max(featureLevel, UInt16(clamping: command.value))
            return nil
        case .write, .compareAndSwap, .append, .writeByNewer: break
        }
        switch sessions.verdict(session: command.session, sequence: command.sequence) {
        case .expired: return .expired
        case .repeated(let result):
            repeats += 1
            return Outcome(result)
        case .fresh: break
        }
        let outcome = perform(command)
        sessions.record(session: command.session, sequence: command.sequence, result: outcome.bytes, at: entry.index)
        return outcome
    }

    private mutating func perform(_ command: Command) -> Outcome {
        let key = Int(command.key) % registers.count
        switch command.kind {
        case .write, .writeByNewer:
            registers[key] = command.value
            return .done
        case .compareAndSwap:
            guard registers[key] == command.expected else { return .swapped(false) }
            registers[key] = command.value
            return .swapped(true)
        case .append:
            lists[key].append(command.value)
            return .done
        case .open, .raise: return .done
        }
    }

    /// What a command could change: another one after it than before it shows that it did.
    func trail(of command: Command) -> [UInt64?] {
        let key = Int(command.key) % registers.count
        return [registers[key], UInt64(lists[key].count)]
    }

    // MARK: Snapshots

    var snapshot: [UInt8] {
        var bytes: [UInt8] = []
        func put(_ number: UInt64) { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
        put(applied.number)
        put(digest)
        put(UInt64(featureLevel))
        put(UInt64(registers.count))
        for register in registers {
            put(register == nil ? 0 : 1)
            put(register ?? 0)
        }
        for list in lists {
            put(UInt64(list.count))
            list.forEach(put)
        }
        sessions.write(to: &bytes)
        return bytes
    }

    init?(snapshot bytes: [UInt8]) {
        var offset = 0
        func get() -> UInt64? {
            guard bytes.count - offset >= 8 else { return nil }
            defer { offset += 8 }
            return bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        }
        guard let applied = get(), let digest = get(), let level = get(), let count = get(), count <= 256 else { return nil }
        self.init(keys: Int(count))
        (self.applied, self.digest, featureLevel) = (LogIndex(applied), digest, UInt16(clamping: level))
        for key in registers.indices {
            guard let isSet = get(), let value = get() else { return nil }
            registers[key] = isSet == 1 ? value : nil
        }
        for key in lists.indices {
            guard let length = get(), length <= UInt64(bytes.count) else { return nil }
            for _ in 0..<length {
                guard let value = get() else { return nil }
                lists[key].append(value)
            }
        }
        guard let sessions = SessionTable(bytes, at: &offset, limit: 8) else { return nil }
        self.sessions = sessions
    }
}
