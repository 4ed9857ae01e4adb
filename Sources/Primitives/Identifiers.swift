/// Why a name was refused.
package struct IdentifierError: Error, Equatable, CustomStringConvertible {
    package let what: String
    package let text: String
    package let rule: String

    package var description: String { "\(what) '\(text.prefix(80))' is not valid: \(rule)" }
}

/// A node's name on the wire, in the API and on disk: 1 to 63 bytes of `[a-z0-9.-]`.
package struct NodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) throws(IdentifierError) {
        guard isName(text.utf8, also: UInt8(ascii: "."), UInt8(ascii: "-")) else {
            throw IdentifierError(what: "node id", text: text, rule: "1 to 63 bytes of a-z, 0-9, '.' and '-'")
        }
        self.text = text
    }

    /// The same, of bytes as they came.
    package init(utf8 bytes: UnsafeRawBufferPointer) throws(IdentifierError) {
        guard isName(bytes, also: UInt8(ascii: "."), UInt8(ascii: "-")) else {
            try self.init(String(decoding: bytes, as: UTF8.self))
            return
        }
        self.init(checked: String(decoding: bytes, as: UTF8.self))
    }

    private init(checked text: String) { self.text = text }

    /// What stands where a name is still to be read.
    package static let unnamed = NodeID(checked: "unnamed")

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
        self.init(checked: String(decoding: bytes, as: UTF8.self))
    }

    private init(checked text: String) { self.text = text }

    package var description: String { text }

    package static func < (left: Namespace, right: Namespace) -> Bool { left.text.utf8.lexicographicallyPrecedes(right.text.utf8) }
}

/// Whether a definition, rule or task may bear this name: 1 to 63 bytes of `[a-z0-9_-]`.
package func isDefinitionName(_ text: String) -> Bool { isName(text.utf8, also: UInt8(ascii: "_"), UInt8(ascii: "-")) }

private func isName(_ bytes: some Collection<UInt8>, also first: UInt8, _ second: UInt8) -> Bool {
    guard (1...63).contains(bytes.count) else { return false }
    return bytes.allSatisfy { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || byte == first || byte == second
    }
}

/// A period of at most one leader (Raft section 5.1). 0 is before the first election.
package struct Term: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package var next: Term { Term(number + 1) }
    package var description: String { String(number) }
    package static func < (left: Term, right: Term) -> Bool { left.number < right.number }
}

/// A position in the replicated log; the first entry has index 1 (Raft section 5.3).
package struct LogIndex: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
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
