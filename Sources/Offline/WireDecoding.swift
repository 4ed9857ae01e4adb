import NIOCore
package import Primitives
import Wire

/// Shows a captured stream of the binary protocol, frame by frame and field by field.
package struct WireDecoding: Sendable {
    /// Where the stream stopped making sense.
    package struct Problem: Error, Equatable, CustomStringConvertible {
        /// Of the first byte that makes none; nil where that is not what is wrong.
        package let offset: Int?
        package let reason: String

        package init(offset: Int? = nil, reason: String) {
            self.offset = offset
            self.reason = reason
        }

        package var description: String { offset.map { "byte \($0): \(reason)" } ?? reason }
    }

    private var decoder = FrameDecoder()
    private var offset = 0
    private var problem: Problem?

    package init() {}

    /// Frames that are whole now, each as one value: offset, header, extension, fields.
    package mutating func take(_ bytes: [UInt8]) throws(Problem) -> [Value] {
        if let problem { throw problem }
        decoder.append(ByteBuffer(bytes: bytes))
        var frames: [Value] = []
        while true {
            let frame: Frame?
            do throws(WireError) { frame = try decoder.next() } catch {
                // What came before it is shown first.
                problem = problem ?? Problem(offset: offset, reason: error.description)
                return frames
            }
            guard let frame else { return frames }
            frames.append(Self.value(frame, at: offset))
            offset += FrameHeader.bytes + frame.header.payloadBytes
        }
    }

    /// What is left when the stream is at its end: nothing, or part of a frame.
    package func finish() throws(Problem) {
        if let problem { throw problem }
        guard decoder.waitingBytes == 0 else {
            throw Problem(offset: offset, reason: "the stream ends \(decoder.waitingBytes) bytes into a frame")
        }
    }

    private static func value(_ frame: Frame, at offset: Int) -> Value {
        let header = frame.header
        let flags = FrameFlags.names.filter { header.flags.contains($0.0) }.map { Value.string($0.1) }
        var fields: Value = .list([])
        var (attached, problem): (Value?, String?)
        do throws(WireError) {
            attached = header.extensionBytes == 0 ? nil : .list(Self.lines(try frame.frameExtension()))
            if let kind = WireMessages.all.first(where: { $0.type == header.type }) {
                fields = .list(try kind.show(frame.payload).map(Self.line))
            } else {
                problem = "a message type that this program does not know"
            }
        } catch {
            problem = error.description
        }
        return .object([
            "offset": Value(offset), "type": .string(header.type.description),
            "number": .string("0x" + hexadecimal(UInt64(header.type.number), digits: 4)), "version": .string(header.version.description),
            "flags": .list(flags), "id": .uint(header.id), "millisecondsLeft": Value(Int(header.millisecondsLeft)),
            "bytes": Value(FrameHeader.bytes + header.payloadBytes), "extension": attached, "fields": fields,
            "problem": problem.map(Value.string),
        ])
    }

    private static func lines(_ attached: FrameExtension) -> [Value] {
        var (copy, lines) = (attached, FieldLines())
        try? copy.visit(&lines)
        return lines.lines.filter { $0.value != nil }.map(line)
    }

    private static func line(_ line: FieldLines.Line) -> Value {
        .object([
            "tag": Value(Int(line.tag)), "name": .string(line.name), "type": .string(line.type),
            "value": line.value.map(Value.string) ?? .null,
        ])
    }
}
