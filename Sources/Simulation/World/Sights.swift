/// Faults that are chosen by words on a command line.
package protocol NamedFaults: OptionSet {
    static var names: [(Self, String)] { get }
    static var all: Self { get }
}

extension NamedFaults where Element == Self {
    /// `kill,partition`, `all`, `none`; nil for a word that is none.
    package init?(_ text: String) {
        self.init()
        for word in text.split(separator: ",") {
            switch word {
            case "all": formUnion(.all)
            case "none": continue
            default:
                guard let known = Self.names.first(where: { $0.1 == word }) else { return nil }
                insert(known.0)
            }
        }
    }

    package var text: String {
        let words = Self.names.filter { contains($0.0) }.map(\.1)
        return words.isEmpty ? "none" : words.joined(separator: ",")
    }
}

/// Things that should happen now and then in what is simulated.
package protocol SightKind: CaseIterable, Equatable, RawRepresentable, Sendable where RawValue == Int {
    /// What is no aim: that it never happens is no lack.
    static var aimless: [Self] { get }
}

extension SightKind {
    package static var aimless: [Self] { [] }

    /// How reports spell it.
    package var name: String {
        var text = ""
        for character in "\(self)" {
            if character.isUppercase { text += "-" }
            text += character.lowercased()
        }
        return text
    }
}

/// How often each of them was seen.
package struct Sightings<Kind: SightKind>: Equatable, Sendable {
    package private(set) var counts = [Int](repeating: 0, count: Kind.allCases.count)

    package init() {}

    package subscript(_ sight: Kind) -> Int { counts[sight.rawValue] }
    package mutating func saw(_ sight: Kind, times: Int = 1) { counts[sight.rawValue] += times }
    package static func += (left: inout Self, right: Self) {
        for place in left.counts.indices { left.counts[place] += right.counts[place] }
    }

    package var never: [Kind] { Kind.allCases.filter { self[$0] == 0 && !Kind.aimless.contains($0) } }
}
