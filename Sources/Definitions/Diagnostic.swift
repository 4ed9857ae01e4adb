package import Primitives
import Text

/// A place in a file, both from 1.
package struct SourcePosition: Equatable, Sendable, CustomStringConvertible {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package var description: String { "\(line):\(column)" }

    /// Where a byte of a text stands.
    package init(ofByte offset: Int, in text: some Collection<UInt8>) {
        var line = 1
        var column = 1
        for byte in text.prefix(offset) {
            if byte == 0x0A { (line, column) = (line + 1, 1) } else if byte & 0xC0 != 0x80 { column += 1 }
        }
        self.init(line: line, column: column)
    }
}

/// Something wrong in a file, as an editor can jump to it.
package struct Diagnostic: Error, Equatable, Sendable, CustomStringConvertible {
    package var file: String
    package var position: SourcePosition?
    package var message: String

    package init(file: String, position: SourcePosition?, message: String) {
        self.file = file
        self.position = position
        self.message = message
    }

    package var description: String { "\(file)\(position.map { ":\($0)" } ?? ""): \(message)" }
}

/// One definition read from a file, and where its parts stand there.
package struct SourceDocument {
    package let file: String
    package let value: Value
    private let locate: (String) -> SourcePosition?

    init(file: String, value: Value, locate: @escaping (String) -> SourcePosition?) {
        self.file = file
        self.value = value
        self.locate = locate
    }

    /// The problem with its place in the file: that of the pointer, or of the nearest part around it.
    package func diagnostic(pointer: String, message: String) -> Diagnostic {
        var pointer = pointer
        while true {
            if let position = locate(pointer) { return Diagnostic(file: file, position: position, message: message) }
            guard let slash = pointer.lastIndex(of: "/") else { return Diagnostic(file: file, position: nil, message: message) }
            pointer = String(pointer[..<slash])
        }
    }
}
