package import Primitives
package import Text

/// One test of one field.
package struct Predicate: Equatable, Sendable {
    /// How a scalar test treats a list: one element suffices, all must pass, or none may.
    package enum Quantifier: String, Sendable, CaseIterable { case any, all, none }

    package enum Test: Equatable, Sendable {
        case equals(Value)
        case notEquals(Value)
        case oneOf([Value])
        case notOneOf([Value])
        case range(Range)
        case contains(String)
        case prefix(String)
        case suffix(String)
        case wildcard(Wildcard, source: String)
        case cidr([AddressBlock], source: Value)
        case exists(Bool)
    }

    /// Bounds of numbers, or of strings by bytes.
    package struct Range: Equatable, Sendable {
        var lower: Bound?
        var upper: Bound?

        struct Bound: Equatable, Sendable {
            var value: Value
            var isInclusive: Bool
        }
    }

    package var field: FieldPath
    package var operation: String
    package var test: Test
    package var quantifier = Quantifier.any
    package var ignoresCase = false

    /// Whether the field's value passes. A missing field passes only `exists: false`.
    func holds(for found: Value?) -> Bool {
        if case .exists(let wanted) = test { return (found != nil) == wanted }
        guard let found else { return false }
        guard case .list(let items) = found, !comparesWholeLists else { return passes(found) }
        return switch quantifier {
        case .any: items.contains(where: passes)
        case .all: !items.isEmpty && items.allSatisfy(passes)
        case .none: !items.contains(where: passes)
        }
    }

    /// `equals [1, 2]` means the list itself.
    var comparesWholeLists: Bool {
        switch test {
        case .equals(.list), .notEquals(.list): true
        default: false
        }
    }

    private func passes(_ value: Value) -> Bool {
        switch test {
        case .equals(let wanted): same(value, wanted)
        case .notEquals(let unwanted): !same(value, unwanted)
        case .oneOf(let wanted): wanted.contains { same(value, $0) }
        case .notOneOf(let unwanted): !unwanted.contains { same(value, $0) }
        case .range(let range): range.holds(value)
        case .contains(let piece): text(value).map { $0.containsBytes(of: piece) } ?? false
        case .prefix(let piece): text(value).map { $0.utf8.starts(with: piece.utf8) } ?? false
        case .suffix(let piece): text(value).map { $0.utf8.reversed().starts(with: piece.utf8.reversed()) } ?? false
        case .wildcard(let pattern, _): text(value).map { pattern.matches($0) } ?? false
        case .cidr(let blocks, _): value.string.flatMap(Address.init).map { address in blocks.contains { $0.contains(address) } } ?? false
        case .exists: false
        }
    }

    private func same(_ value: Value, _ constant: Value) -> Bool {
        guard ignoresCase, case .string(let text) = value, case .string(let wanted) = constant else { return value == constant }
        return sameBytes(folded(text), wanted)
    }

    private func text(_ value: Value) -> String? { value.string.map { ignoresCase ? folded($0) : $0 } }
}

extension Predicate.Range {
    func holds(_ value: Value) -> Bool {
        if let lower, !isBeyond(value, lower, outward: .greater) { return false }
        if let upper, !isBeyond(value, upper, outward: .less) { return false }
        return true
    }

    private func isBeyond(_ value: Value, _ bound: Bound, outward: Ordering) -> Bool {
        let order: Ordering? =
            switch (value, bound.value) {
            case (.string(let a), .string(let b)): bytesPrecede(a, b) ? .less : sameBytes(a, b) ? .equal : .greater
            default: Value.compareNumbers(value, bound.value)
            }
        return order == outward || (bound.isInclusive && order == .equal)
    }
}

/// Simple case folding, scalar by scalar: what has no single-scalar fold stays as it is.
func folded(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.lowercased() }
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        let lower = scalar.properties.lowercaseMapping.unicodeScalars
        out.append(lower.count == 1 ? lower[lower.startIndex] : scalar)
    }
    return String(out)
}

extension String {
    fileprivate func containsBytes(of piece: String) -> Bool {
        let wanted = Array(piece.utf8)
        guard let first = wanted.first else { return true }
        var text = self
        return text.withUTF8 { bytes in
            guard bytes.count >= wanted.count else { return false }
            return (0...bytes.count - wanted.count).contains { bytes[$0] == first && bytes[$0...].starts(with: wanted) }
        }
    }
}
