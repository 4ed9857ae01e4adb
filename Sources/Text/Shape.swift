package import Primitives

/// One thing that is wrong in a definition, and where: a JSON Pointer (RFC 6901) into it.
package struct ShapeProblem: Error, Equatable, Sendable {
    package var pointer: String
    package var message: String

    package init(pointer: String, message: String) {
        self.pointer = pointer
        self.message = message
    }
}

/// A value that is being read into a type. Problems are gathered, so that one run reports them all; whoever reads on after one gets nil.
package struct Shape {
    /// Where the problems of one reading go; at most 100 are kept.
    package final class Problems {
        package private(set) var all: [ShapeProblem] = []
        package init() {}
        fileprivate func add(_ problem: ShapeProblem) { if all.count < 100 { all.append(problem) } }
    }

    package let value: Value
    package let pointer: String
    private let problems: Problems

    package init(_ value: Value, at pointer: String = "", problems: Problems) {
        self.value = value
        self.pointer = pointer
        self.problems = problems
    }

    package func fail(_ message: String) { problems.add(ShapeProblem(pointer: pointer, message: message)) }

    package func fail(at pointer: String, _ message: String) { problems.add(ShapeProblem(pointer: pointer, message: message)) }

    /// Nil, with a problem, when the value is no map.
    package func fields() -> Fields? {
        guard let fields = value.map else {
            fail("expected a map, found a \(value.kind)")
            return nil
        }
        return fields
    }

    /// Refuses keys that are not among `known`, with the one that was probably meant; `later` are keys that the format has and this
    /// version cannot do.
    package func only(_ known: [String], later: [String] = []) {
        guard let fields = fields() else { return }
        for member in fields.members where !known.contains(member.key) {
            let place = pointer + "/" + escapedPointer(member.key)
            if later.contains(member.key) {
                fail(at: place, "'\(member.key)' is not supported by this version")
            } else {
                let meant =
                    suggestion(for: member.key, among: known).map { "; did you mean '\($0)'?" }
                    ?? "; known keys: \(known.joined(separator: ", "))"
                fail(at: place, "unknown key '\(member.key)'\(meant)")
            }
        }
    }

    package subscript(key: String) -> Shape? {
        value[key].map { Shape($0, at: pointer + "/" + escapedPointer(key), problems: problems) }
    }

    /// The member, or nil with a problem.
    package func required(_ key: String) -> Shape? {
        guard fields() != nil else { return nil }
        if let found = self[key] { return found }
        fail("'\(key)' is missing")
        return nil
    }

    package func string() -> String? { expect("text", value.string) }
    package func bool() -> Bool? { expect("true or false", value.bool) }

    package func int(in range: ClosedRange<Int>) -> Int? {
        guard let number = expect("a whole number", value.int) else { return nil }
        guard range.contains(Int(number)) else {
            fail("\(number) is outside \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return Int(number)
    }

    /// `30s`, `1h30m`, ISO 8601, or a bare number of seconds.
    package func duration() -> Duration? {
        let text: String? =
            switch value {
            case .string(let text): text
            case .int(let seconds): String(seconds)
            case .double(let seconds): String(seconds)
            default: nil
            }
        guard let duration = text.flatMap({ Duration(text: $0) }) else {
            fail("expected a duration such as 30s, 1h30m, PT5M or a number of seconds")
            return nil
        }
        return duration
    }

    package func items() -> [Shape]? {
        expect("a list", value.list)?.enumerated().map { Shape($1, at: "\(pointer)/\($0)", problems: problems) }
    }

    package func members() -> [(key: String, value: Shape)]? {
        fields()?.members.map { ($0.key, Shape($0.value, at: pointer + "/" + escapedPointer($0.key), problems: problems)) }
    }

    /// A word of a fixed set.
    package func choice<T: RawRepresentable & CaseIterable>(_ type: T.Type) -> T? where T.RawValue == String {
        guard let word = string() else { return nil }
        if let found = T(rawValue: word) { return found }
        let all = T.allCases.map(\.rawValue)
        let meant = suggestion(for: word, among: all).map { "; did you mean '\($0)'?" } ?? ""
        fail("'\(word)' is none of \(all.joined(separator: ", "))\(meant)")
        return nil
    }

    private func expect<T>(_ what: String, _ found: T?) -> T? {
        if found == nil { fail("expected \(what), found a \(value.kind)") }
        return found
    }
}
