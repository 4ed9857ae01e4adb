import Storage

/// Reads a backup as its bytes come, in pieces of any size, and passes nothing on that a checksum does not vouch for. Holds one section at
/// a time.
package struct BackupReader: Sendable {
    /// What was found, in this order: one header, parts of the state, records of the history.
    package enum Part: Equatable, Sendable {
        case header(BackupHeader)
        case state([UInt8])
        case history([UInt8])
    }

    private enum Stage: Equatable {
        case line
        case head
        case payload(BackupFormat.Kind, count: Int, crc: UInt32)
        case done
    }

    /// The feature level of the program that reads.
    private let featureLevel: UInt16
    private var stage = Stage.line
    private var waiting: [UInt8] = []
    private var start = 0
    /// Where the section in hand begins, and the checksum of all before it.
    private var sectionOffset = 0
    private var sectionCRC: UInt32 = 0
    private var crc: UInt32 = 0
    private var sections: UInt32 = 0
    private var newest = BackupFormat.Kind.state
    /// How many bytes were read, and found good.
    package private(set) var offset = 0

    package init(featureLevel: UInt16 = CommandCodec.featureLevel) { self.featureLevel = featureLevel }

    /// Whether all of it has come, and is whole.
    package var isDone: Bool { stage == .done }

    /// Takes the next bytes.
    package mutating func take(_ bytes: [UInt8], visit: (Part) throws(BackupProblem) -> Void) throws(BackupProblem) {
        waiting += bytes
        while try step(visit) {}
        waiting.removeSubrange(..<start)
        start = 0
    }

    /// No more bytes come. Throws `.cut` when some should.
    package func finish() throws(BackupProblem) {
        guard isDone else { throw .cut(offset: offset + waiting.count) }
    }

    /// False when more bytes are needed.
    private mutating func step(_ visit: (Part) throws(BackupProblem) -> Void) throws(BackupProblem) -> Bool {
        let here = waiting[start...]
        switch stage {
        case .line:
            guard let end = here.prefix(BackupFormat.lineLimit).firstIndex(of: UInt8(ascii: "\n")) else {
                guard here.count < BackupFormat.lineLimit else { throw .damaged(offset: 0, reason: "it does not begin as a backup") }
                return false
            }
            let header = try BackupHeader(reading: Array(here[..<end]), featureLevel: featureLevel)
            // What reads back as the same and is written otherwise was not written so.
            guard header.line == Array(here[...end]) else { throw .damaged(offset: 0, reason: "its first line is not what is written") }
            pass(header.line.count)
            stage = .head
            try visit(.header(header))
        case .head:
            guard here.count >= BackupFormat.headBytes else { return false }
            try readHead(here.prefix(BackupFormat.headBytes))
        case .payload(let kind, let count, let expected):
            guard here.count >= count else { return false }
            let payload = Array(here.prefix(count))
            guard checksum(payload) == expected else {
                throw .damaged(offset: sectionOffset, reason: "the checksum of the section that begins there differs")
            }
            if kind == .end { try readEnd(payload[...]) }
            pass(count)
            stage = kind == .end ? .done : .head
            if kind == .state { try visit(.state(payload)) }
            if kind == .history { try visit(.history(payload)) }
        case .done:
            guard here.isEmpty else { throw .damaged(offset: offset, reason: "something follows its end") }
            return false
        }
        return true
    }

    private mutating func readHead(_ head: ArraySlice<UInt8>) throws(BackupProblem) {
        guard checksum(Array(head.prefix(12))) == BackupFormat.number(head, at: 12, as: UInt32.self) else {
            throw .damaged(offset: offset, reason: "the checksum of a section's head differs")
        }
        let count = Int(BackupFormat.number(head, at: 4, as: UInt32.self))
        guard let kind = head.first.flatMap({ BackupFormat.Kind(rawValue: $0) }), head.dropFirst().prefix(3).allSatisfy({ $0 == 0 }),
            count <= BackupFormat.payloadLimit, kind.rawValue >= newest.rawValue, kind != .end || count == BackupFormat.endBytes
        else { throw .damaged(offset: offset, reason: "a section's head says what no backup writes") }
        (newest, sectionOffset, sectionCRC) = (kind, offset, crc)
        if kind != .end { sections += 1 }
        stage = .payload(kind, count: count, crc: BackupFormat.number(head, at: 8))
        pass(BackupFormat.headBytes)
    }

    private func readEnd(_ witness: ArraySlice<UInt8>) throws(BackupProblem) {
        guard BackupFormat.number(witness, at: 0, as: UInt64.self) == UInt64(sectionOffset),
            BackupFormat.number(witness, at: 8, as: UInt32.self) == sections,
            BackupFormat.number(witness, at: 12, as: UInt32.self) == sectionCRC
        else {
            throw .damaged(
                offset: sectionOffset, reason: "its end does not fit what comes before: sections are missing, or are not its own")
        }
    }

    private mutating func pass(_ count: Int) {
        crc = checksum(Array(waiting[start..<start + count]), seed: crc)
        start += count
        offset += count
    }
}
