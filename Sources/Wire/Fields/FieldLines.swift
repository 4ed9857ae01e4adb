/// Shows a record's fields, as `distric wire decode` prints them and as the manual's tables have them.
package struct FieldLines: FieldCoder {
    /// One field.
    package struct Line: Equatable, Sendable {
        package var tag: UInt16
        package var name: String
        /// `u64`, `string`, `list of message`, ...
        package var type: String
        package var isRequired: Bool
        /// Nil where it was left out.
        package var value: String?

        var text: String { value ?? "-" }
    }

    package private(set) var lines: [Line] = []

    package init() {}

    package mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) {
        lines.append(Line(tag: tag, name: "\(name)", type: "\(V.fieldType)", isRequired: true, value: value.fieldText))
    }

    package mutating func later<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V) {
        lines.append(Line(tag: tag, name: "\(name)", type: "\(V.fieldType)", isRequired: false, value: value.fieldText))
    }

    package mutating func field<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ value: inout V?) {
        lines.append(Line(tag: tag, name: "\(name)", type: "\(V.fieldType)", isRequired: false, value: value.map(\.fieldText)))
    }

    package mutating func list<V: FieldValue>(_ tag: UInt16, _ name: StaticString, _ values: inout [V]) {
        let text = values.isEmpty ? nil : "[" + values.map(\.fieldText).joined(separator: ", ") + "]"
        lines.append(Line(tag: tag, name: "\(name)", type: "list of \(V.fieldType)", isRequired: false, value: text))
    }
}
