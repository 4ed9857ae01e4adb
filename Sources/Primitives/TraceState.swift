/// The `tracestate` header (W3C Trace Context, Recommendation of 2021-11-23, section 3.3).
package enum TraceState {
    /// Most list members that a header may have (3.3.1.1).
    private static let memberLimit = 32
    /// What is passed on at least; longer lists lose members (3.3.1.5).
    private static let bytesKept = 512
    /// Members longer than this go first.
    private static let longMember = 128

    /// The list as it may be passed on; empty when it breaks the grammar, since then all of it is to be dropped. Several headers are
    /// joined with commas before.
    package static func passedOn(_ header: String) -> String {
        guard !header.isEmpty else { return "" }
        var seen: Set<Substring> = []
        var members: [Substring] = []
        for part in header.split(separator: ",", omittingEmptySubsequences: true) {
            let member = trimmed(part)
            if member.isEmpty { continue }
            guard let mark = member.firstIndex(of: "="), isKey(member[..<mark]), isValue(member[member.index(after: mark)...]) else {
                return ""
            }
            // The first of a key counts: it is the newest.
            if seen.insert(member[..<mark]).inserted { members.append(member) } else { continue }
        }
        guard members.count <= memberLimit else { return "" }
        return shortened(members).joined(separator: ",")
    }

    private static func shortened(_ members: [Substring]) -> [Substring] {
        func bytes(_ members: [Substring]) -> Int { members.reduce(members.count - 1) { $0 + $1.utf8.count } }
        var kept = members
        while bytes(kept) > bytesKept {
            kept.remove(at: kept.lastIndex { $0.utf8.count > longMember } ?? kept.count - 1)
        }
        return kept
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return start.prefix(0) }
        return start[...end]
    }

    /// `vendor` or `tenant@vendor` (3.3.1.3.1).
    private static func isKey(_ key: Substring) -> Bool {
        let parts = key.split(separator: "@", omittingEmptySubsequences: false)
        func isPart(_ part: Substring, upTo limit: Int, mayBeginWithDigit: Bool) -> Bool {
            guard let first = part.utf8.first, part.utf8.count <= limit, isLetter(first) || mayBeginWithDigit && isDigit(first) else {
                return false
            }
            return part.utf8.allSatisfy { isLetter($0) || isDigit($0) || [0x5F, 0x2D, 0x2A, 0x2F].contains($0) }
        }
        switch parts.count {
        case 1: return isPart(parts[0], upTo: 256, mayBeginWithDigit: false)
        case 2: return isPart(parts[0], upTo: 241, mayBeginWithDigit: true) && isPart(parts[1], upTo: 14, mayBeginWithDigit: false)
        default: return false
        }
    }

    /// Up to 256 printable characters without comma and equals sign, the last no space (3.3.1.3.2).
    private static func isValue(_ value: Substring) -> Bool {
        guard let last = value.utf8.last, last != 0x20, value.utf8.count <= 256 else { return false }
        return value.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x2C && $0 != 0x3D }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
