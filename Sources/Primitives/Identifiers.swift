/// Why a name was refused.
package struct IdentifierError: Error, Equatable, CustomStringConvertible {
    package let what: String
    package let text: String
    package let rule: String

    package var description: String { "\(what) '\(text.prefix(80))' is not valid: \(rule)" }
}

/// A node's name on the wire, in the API and on disk: 1 to 63 bytes of `[a-z0-9.-]`, a letter or digit first and last. So it never is a
/// folder's `.` or `..`, nor reads as an option.
package struct NodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    private static let rule = "1 to 63 bytes of a-z, 0-9, '.' and '-', with a letter or a digit first and last"

    package let text: String

    package init(_ text: String) throws(IdentifierError) {
        guard Self.isID(text.utf8) else { throw IdentifierError(what: "node id", text: text, rule: Self.rule) }
        self.text = text
    }

    /// The same, of bytes as they came.
    package init(utf8 bytes: UnsafeRawBufferPointer) throws(IdentifierError) {
        guard Self.isID(bytes) else {
            try self.init(String(decoding: bytes, as: UTF8.self))
            return
        }
        self.init(checked: textOfName(bytes))
    }

    private static func isID(_ bytes: some BidirectionalCollection<UInt8>) -> Bool {
        guard isName(bytes, also: UInt8(ascii: "."), UInt8(ascii: "-")), let first = bytes.first, let last = bytes.last else {
            return false
        }
        return first > UInt8(ascii: ".") && last > UInt8(ascii: ".")
    }

    private init(checked text: String) { self.text = text }

    /// What stands where a name is still to be read. Computed: a constant that takes no look at whether it was made.
    package static var unnamed: NodeID { NodeID(checked: "unnamed") }

    package var description: String { text }

    package static func < (left: NodeID, right: NodeID) -> Bool { left.text.utf8.lexicographicallyPrecedes(right.text.utf8) }
}

/// The owner of definitions, runs, keys and quotas: 1 to 63 bytes of `[a-z0-9-]`. No command touches two namespaces.
package struct Namespace: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let text: String

    package static let `default` = Namespace(checked: "default")

    package init(_ text: String) throws(IdentifierError) {
        guard isName(text.utf8, also: UInt8(ascii: "-"), UInt8(ascii: "-")) else {
            throw IdentifierError(what: "namespace", text: text, rule: "1 to 63 bytes of a-z, 0-9 and '-'")
        }
        self.text = text
    }

    /// The same, of bytes as they came.
    package init(utf8 bytes: UnsafeRawBufferPointer) throws(IdentifierError) {
        guard isName(bytes, also: UInt8(ascii: "-"), UInt8(ascii: "-")) else {
            try self.init(String(decoding: bytes, as: UTF8.self))
            return
        }
        self.init(checked: textOfName(bytes))
    }

    private init(checked text: String) { self.text = text }

    package var description: String { text }

    package static func < (left: Namespace, right: Namespace) -> Bool { left.text.utf8.lexicographicallyPrecedes(right.text.utf8) }
}

/// Whether a definition, rule or task may bear this name: 1 to 63 bytes of `[a-z0-9_-]`.
package func isDefinitionName(_ text: String) -> Bool { isName(text.utf8, also: UInt8(ascii: "_"), UInt8(ascii: "-")) }

private func isName(_ bytes: some Collection<UInt8>, also first: UInt8, _ second: UInt8) -> Bool {
    guard (1...63).contains(bytes.count) else { return false }
    // A bit for each byte of ASCII: names come with every message.
    let low = 0x03FF_0000_0000_0000 | bit(first, in: 0) | bit(second, in: 0)
    let high = 0x07FF_FFFE_0000_0000 | bit(first, in: 64) | bit(second, in: 64)
    return bytes.allSatisfy { byte in byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 == 1 }
}

private func bit(_ byte: UInt8, in half: UInt8) -> UInt64 { byte & 64 == half ? 1 << UInt64(byte & 63) : 0 }

/// The text of a name that was checked, which makes it ASCII: names come with every message, and those of 15 bytes or less take no memory.
private func textOfName(_ name: UnsafeRawBufferPointer) -> String {
    String(unsafeUninitializedCapacity: name.count) { space in
        UnsafeMutableRawBufferPointer(space).copyMemory(from: name)
        return name.count
    }
}

/// A period of at most one leader (Raft section 5.1). 0 is before the first election.
package struct Term: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var number: UInt64
    @inlinable package init(_ number: UInt64) { self.number = number }
    package var next: Term { Term(number + 1) }
    package var description: String { String(number) }
    package static func < (left: Term, right: Term) -> Bool { left.number < right.number }
}

/// A position in the replicated log; the first entry has index 1 (Raft section 5.3).
package struct LogIndex: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var number: UInt64
    @inlinable package init(_ number: UInt64) { self.number = number }
    package static let zero = LogIndex(0)
    package var next: LogIndex { LogIndex(number + 1) }
    package var description: String { String(number) }
    package static func < (left: LogIndex, right: LogIndex) -> Bool { left.number < right.number }
}

/// The number that an assignment bears and its report repeats; a report below the newest one is refused.
/// Order: term first, then the count of assignments.
package struct Fence: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var term: Term
    package var assignment: UInt64

    package init(term: Term, assignment: UInt64) {
        self.term = term
        self.assignment = assignment
    }

    package static let none = Fence(term: Term(0), assignment: 0)

    package var description: String { "\(term).\(assignment)" }

    package static func < (left: Fence, right: Fence) -> Bool { (left.term, left.assignment) < (right.term, right.assignment) }
}
