/// A header that lists what is accepted, each with a weight (RFC 9110 section 12.4.2): `text/html;q=0.5, */*;q=0.1`.
package struct QualityList: Equatable, Sendable {
    private struct Item: Equatable, Sendable {
        var name: String
        /// 0 to 1000.
        var weight: Int
    }

    private var items: [Item] = []

    /// What cannot be read is passed over, and a weight that cannot be read is the greatest.
    package init(_ header: String) {
        for part in header.split(separator: ",").prefix(64) {
            let pieces = part.split(separator: ";").map { Self.trimmed($0).lowercased() }
            guard let name = pieces.first, !name.isEmpty else { continue }
            let weight = pieces.dropFirst().first { $0.hasPrefix("q=") }.map { Self.weight($0.dropFirst(2)) } ?? 1000
            items.append(Item(name: name, weight: weight))
        }
    }

    /// 0 when it is not wanted, 1000 when nothing is wanted more. A name that is listed beats `type/*`, which beats `*/*` and `*`.
    package func weight(of name: String) -> Int {
        let wildcards = [name, name.split(separator: "/").first.map { "\($0)/*" } ?? name, "*/*", "*"]
        return wildcards.lazy.compactMap { wanted in items.first { $0.name == wanted }?.weight }.first ?? 0
    }

    private static func weight(_ text: Substring) -> Int {
        guard let number = Double(text), (0...1).contains(number) else { return 1000 }
        return Int((number * 1000).rounded())
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return start.prefix(0) }
        return start[...end]
    }
}
