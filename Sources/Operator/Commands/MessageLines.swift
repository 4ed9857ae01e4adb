import Foundation
import Primitives
import Text

/// One message to be submitted, and the line of its file that it begins at.
struct MessageLine: Equatable {
    /// What a node reads out of a message that has `data`; any other JSON is the data as a whole.
    private static let attributes: Set<String> = ["id", "source", "type", "event_type", "time", "subject", "namespace", "data"]
    private static let typeBytes = 1024

    var number: Int
    private(set) var bytes: [UInt8]
    /// The id that it got here; nil where it has its own.
    private(set) var madeID: String?
    /// Sent again, it is known as the same; or it is refused in any case.
    private(set) var isRepeatable = false
    /// It may have been accepted already.
    var isUncertain = false
    /// As it stood in the file.
    private var bare: [UInt8]

    init(number: Int, bytes: [UInt8]) { (self.number, self.bytes, bare) = (number, bytes, bytes) }

    /// Gives it an id where it has none, in such a way that the node reads the same message otherwise.
    mutating func identify(_ makeID: () -> String) {
        isRepeatable = true
        guard let value = try? JSONScanner.parse(bytes) else { return }
        guard case .map(var fields) = value else { return wrap(type: nil, makeID()) }
        // A CloudEvent without an id is none.
        guard fields["specversion"] == nil else { return }
        guard fields["data"] != nil, fields.members.allSatisfy({ Self.attributes.contains($0.key) }) else {
            guard fields["id"]?.string?.isEmpty ?? true else { return }
            let type = (fields["type"] ?? fields["event_type"])?.string.flatMap { $0.isEmpty ? nil : $0 }
            guard (type?.utf8.count ?? 0) <= Self.typeBytes else { return isRepeatable = false }
            return wrap(type: type, makeID())
        }
        guard let written = fields["id"] else { return insert(makeID()) }
        guard written == .null else { return }
        let id = makeID()
        fields["id"] = .string(id)
        (bytes, madeID) = (JSONWriter.bytes(.map(fields)), id)
    }

    private mutating func wrap(type: String?, _ id: String) {
        var whole = Array(JSONWriter.bytes(.object(["id": .string(id), "type": type.map(Value.string)])).dropLast())
        whole += ",\"data\":".utf8
        whole += bare
        whole.append(UInt8(ascii: "}"))
        (bytes, madeID) = (whole, id)
    }

    /// Every other byte stays as it is.
    private mutating func insert(_ id: String) {
        guard let brace = bytes.firstIndex(of: UInt8(ascii: "{")) else { return }
        bytes.insert(contentsOf: Array("\"id\":\"\(id)\",".utf8), at: brace + 1)
        madeID = id
    }

    /// Too long with an id, it may do without: the node gives it one then.
    ///
    /// - Returns: false when it had none from here.
    mutating func strip() -> Bool {
        guard madeID != nil else { return false }
        (bytes, madeID, isRepeatable) = (bare, nil, false)
        return true
    }
}

/// A file's messages.
enum MessageLines {
    /// Each with an id.
    static func read(_ file: String) throws -> [MessageLine] {
        var generator = SystemRandomNumberGenerator()
        var lines = try split(bytes(of: file))
        for place in lines.indices {
            lines[place].identify {
                UUIDv7(at: ClusterTime(milliseconds: UInt64(max(0, Date().timeIntervalSince1970 * 1000))), using: &generator).description
            }
        }
        return lines
    }

    private static func bytes(of file: String) throws(CommandFailure) -> [UInt8] {
        if file == "-" { return try Session.standardInput() }
        guard let found = FileManager.default.contents(atPath: file) else { throw CommandFailure(.failed, "cannot read \(file)") }
        return [UInt8](found)
    }

    static func split(_ bytes: [UInt8]) -> [MessageLine] {
        let bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        if let whole = whole(bytes) { return whole }
        var lines: [MessageLine] = []
        for (number, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x0D && $0 != 0x09 }) else { continue }
            lines.append(MessageLine(number: number + 1, bytes: Array(line)))
        }
        return lines
    }

    /// A file that is one JSON text over several lines, or a list.
    private static func whole(_ bytes: [UInt8]) -> [MessageLine]? {
        guard let first = bytes.first(where: { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }),
            first == UInt8(ascii: "[") || first == UInt8(ascii: "{")
        else {
            return nil
        }
        guard let value = try? JSONScanner.parse(bytes) else { return nil }
        if let items = value.list { return items.map { MessageLine(number: 1, bytes: JSONWriter.bytes($0)) } }
        return [MessageLine(number: 1, bytes: JSONWriter.bytes(value))]
    }
}
