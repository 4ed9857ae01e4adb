package import Primitives

/// Takes secrets out of what a node tells and of what leaves a machine: the values of settings that hold some, wherever else they stand, and
/// what looks like one. What was redacted before stays as it is.
package struct Redaction: Sendable {
    package static let mark = "(redacted)"

    /// Whose values are nobody's business: headers for a collector, and what workflows take from the environment.
    private static let secretSettings: Set = ["tracing.otlp_headers", "workflows.env"]
    /// Words in the name of a key whose value is a secret, wherever it stands.
    private static let secretWords = [
        "secret", "password", "passwd", "passphrase", "token", "apikey", "api_key", "api-key", "authorization", "cookie", "credential",
        "private_key", "gossip_key",
    ]
    /// Shorter ones would tear holes into words that are no secrets.
    private static let shortest = 6
    /// What a value begins with that is a secret by its form: keys of the API, and what an Authorization header holds.
    private static let beginnings = ["dk_", "Bearer ", "Basic ", "AKIA", "ghp_", "xox", "-----BEGIN"]

    /// Found in settings so far, the longest first.
    private var known: [[UInt8]] = []

    package init() {}

    // MARK: Settings

    /// Remembers the secrets of a node's settings, rows as `/config` lists them, and returns the rows without them.
    package mutating func settings(_ rows: Value) -> Value {
        .list(
            (rows.list ?? []).map { row in
                guard case .map(var fields) = row, let key = row["key"]?.string, let value = row["value"] else { return row }
                fields["value"] = setting(key, value)
                return .map(fields)
            })
    }

    private mutating func setting(_ key: String, _ value: Value) -> Value {
        switch value {
        case .map(let members):
            guard Self.secretSettings.contains(key) else { return value }
            var hidden = Fields()
            for member in members.members {
                if let text = member.value.string { remember(text) }
                hidden[member.key] = .string(Self.mark)
            }
            return .map(hidden)
        case .string(let text):
            guard !Self.isSecret(key) || text.isEmpty else {
                remember(text)
                return .string(Self.mark)
            }
            return .string(url(text))
        default: return value
        }
    }

    /// A URL's password, and what its query holds.
    private mutating func url(_ text: String) -> String {
        guard let scheme = text.firstRange(of: "://") else { return text }
        var rest = text[scheme.upperBound...]
        if let at = rest.firstIndex(of: "@") {
            remember(String(rest[..<at].split(separator: ":", maxSplits: 1).last ?? ""))
            rest = Self.mark[...] + rest[at...]
        }
        if let query = rest.firstIndex(of: "?") {
            for pair in rest[query...].dropFirst().split(separator: "&") {
                remember(String(pair.split(separator: "=", maxSplits: 1).last ?? ""))
            }
            rest = rest[...query] + Self.mark[...]
        }
        return String(text[..<scheme.upperBound]) + rest
    }

    package mutating func remember(_ secret: String) {
        let bytes = Array(secret.utf8)
        guard bytes.count >= Self.shortest, secret != Self.mark, !known.contains(bytes) else { return }
        known.append(bytes)
        known.sort { $0.count > $1.count }
    }

    private static func isSecret(_ key: String) -> Bool {
        let lower = key.lowercased()
        // The path of a key's file is none.
        return secretWords.contains { lower.contains($0) } && !lower.hasPrefix("rpc.tls_")
    }

    // MARK: Everything else

    /// The same without values of keys that are called a secret, and without what is known or looks like one.
    package func value(_ value: Value) -> Value {
        switch value {
        case .map(let fields):
            var clean = Fields()
            for member in fields.members {
                let isHidden = Self.isSecret(member.key) && member.value.string?.isEmpty == false
                clean[text(member.key)] = isHidden ? .string(Self.mark) : self.value(member.value)
            }
            return .map(clean)
        case .list(let items): return .list(items.map(self.value))
        case .string(let text): return .string(self.text(text))
        default: return value
        }
    }

    package func text(_ text: String) -> String { String(decoding: bytes(Array(text.utf8)), as: UTF8.self) }

    package func bytes(_ bytes: [UInt8]) -> [UInt8] {
        var clean = bytes
        for secret in known { clean = Self.replace(secret, in: clean) }
        for beginning in Self.beginnings { clean = Self.cut(Array(beginning.utf8), in: clean) }
        return clean
    }

    private static func replace(_ secret: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var place = 0
        while let found = find(secret, in: bytes, from: place) {
            out += bytes[place..<found] + mark.utf8
            place = found + secret.count
        }
        return place == 0 ? bytes : out + bytes[place...]
    }

    /// From a beginning to the end of the word.
    private static func cut(_ beginning: [UInt8], in bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var place = 0
        var from = 0
        while let found = find(beginning, in: bytes, from: from) {
            var end = found + beginning.count
            while end < bytes.count, isWord(bytes[end]) { end += 1 }
            from = end
            // In the middle of a word, or too short, it is none.
            guard end - found - beginning.count >= shortest, found == 0 || !isWord(bytes[found - 1]) else { continue }
            out += bytes[place..<found] + mark.utf8
            place = end
        }
        return place == 0 ? bytes : out + bytes[place...]
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || "_-+/=.".utf8.contains(byte)
    }

    private static func find(_ wanted: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
        guard bytes.count - from >= wanted.count else { return nil }
        for place in from...(bytes.count - wanted.count) where bytes[place] == wanted[0] {
            if bytes[place..<place + wanted.count].elementsEqual(wanted) { return place }
        }
        return nil
    }
}
