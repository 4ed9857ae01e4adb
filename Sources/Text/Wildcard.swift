/// A pattern of literal bytes in which `*` stands for any run and `?` for one character. Matching takes time in proportion to
/// pattern times text at worst and never recurses.
package struct Wildcard: Equatable, Sendable {
    private let pattern: [UInt8]
    /// Whether `*` and `?` also stand for '/'; file patterns say no.
    private let starCrossesSlash: Bool

    package init(_ pattern: String, starCrossesSlash: Bool = true) {
        self.pattern = Array(pattern.utf8)
        self.starCrossesSlash = starCrossesSlash
    }

    package func matches(_ text: String) -> Bool {
        var text = text
        return text.withUTF8 { matches($0) }
    }

    private func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var p = 0
        var t = 0
        var retry: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                retry = (p + 1, t)
                p += 1
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?"), starCrossesSlash || text[t] != UInt8(ascii: "/") {
                t += characterLength(text, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let last = retry, starCrossesSlash || text[last.text] != UInt8(ascii: "/") {
                retry = (last.pattern, last.text + 1)
                (p, t) = (last.pattern, last.text + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    private func characterLength(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
        var end = start + 1
        while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
        return end - start
    }
}
