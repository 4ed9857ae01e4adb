package import Primitives

/// Where a condition looks: `data.amount`, `data."a.b".c`, or a JSON Pointer (`/data/a.b`).
package struct FieldPath: Hashable, Sendable, CustomStringConvertible {
    package static let stepLimit = 32

    package let text: String
    package let steps: [String]

    /// Nil when the text is neither form, or longer than 32 steps.
    package init?(_ text: String) {
        guard let steps = text.hasPrefix("/") ? Self.pointer(text) : Self.dotted(text), (1...Self.stepLimit).contains(steps.count) else {
            return nil
        }
        self.text = text
        self.steps = steps
    }

    package var description: String { text }

    private static func pointer(_ text: String) -> [String]? {
        var steps: [String] = []
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            var step = ""
            var rest = part[...]
            while let character = rest.popFirst() {
                guard character == "~" else {
                    step.append(character)
                    continue
                }
                switch rest.popFirst() {
                case "0": step.append("~")
                case "1": step.append("/")
                default: return nil
                }
            }
            steps.append(step)
        }
        return steps
    }

    private static func dotted(_ text: String) -> [String]? {
        var steps: [String] = []
        var rest = text[...]
        while true {
            let step: Substring
            if rest.first == "\"" {
                guard let end = rest.dropFirst().firstIndex(of: "\"") else { return nil }
                step = rest[rest.index(after: rest.startIndex)..<end]
                rest = rest[rest.index(after: end)...]
            } else {
                step = rest.prefix { $0 != "." && $0 != "\"" }
                rest = rest.dropFirst(step.count)
            }
            guard !step.isEmpty else { return nil }
            steps.append(String(step))
            if rest.isEmpty { return steps }
            guard rest.popFirst() == "." else { return nil }
        }
    }

    /// The value there; nil when a step is missing or passes through what is no map (a list index is a step of digits).
    func value(in root: some RuleRoot) -> Value? {
        guard var here = root.member(steps[0]) else { return nil }
        for step in steps.dropFirst() {
            switch here {
            case .map(let fields):
                guard let next = fields[step] else { return nil }
                here = next
            case .list(let items):
                guard let index = Int(step), items.indices.contains(index) else { return nil }
                here = items[index]
            case .null, .bool, .int, .uint, .double, .string: return nil
            }
        }
        return here
    }
}

/// What a path starts from: a message, or one element of a list.
protocol RuleRoot {
    func member(_ name: String) -> Value?
}

extension Message: RuleRoot {
    func member(_ name: String) -> Value? { self[attribute: name] }
}

extension Value: RuleRoot {
    func member(_ name: String) -> Value? { self[name] }
}
