import Foundation
import NIOCore
import Primitives
import Testing

@testable import Wire

/// Frames as version 1.0 wrote them, a promise to every later version. `DISTRIC_WRITE_FRAMES=1` writes the files of new messages; a change
/// of one that is there is a break of the protocol.
struct GoldenFramesTests {
    private static let ending = "-1.0.hex"
    private let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Frames")

    init() throws {
        guard ProcessInfo.processInfo.environment["DISTRIC_WRITE_FRAMES"] == "1" else { return }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for sample in Samples.all {
            try text(sample.frame).write(to: file(sample.name), atomically: true, encoding: .utf8)
        }
    }

    private func file(_ name: String) -> URL { folder.appending(path: name + Self.ending) }

    private func golden(_ name: String) throws -> String { try String(contentsOf: file(name), encoding: .utf8) }

    /// 32 bytes a line.
    private func text(_ frame: ByteBuffer) -> String {
        let all = Array(frame.readableBytesView)
        let lines = stride(from: 0, to: all.count, by: 32).map { start in
            all[start..<min(start + 32, all.count)].map { hexadecimal(UInt64($0), digits: 2) }.joined() + "\n"
        }
        return lines.joined()
    }

    @Test func `there is a sample of every kind, in their order`() {
        let samples = Samples.all.map(\.name)
        let kinds = WireMessages.all.map(\.name)
        #expect(samples == kinds)
        #expect(Set(kinds).count == kinds.count)
        #expect(Set(WireMessages.all.map(\.type)).count == kinds.count)
    }

    @Test func `every kind has a file, and every file a kind`() throws {
        let found = try FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false)).filter { !$0.hasPrefix(".") }
        let expected = WireMessages.all.map { $0.name + Self.ending }
        #expect(found.sorted() == expected.sorted())
    }

    @Test func `the frame of every message stays`() throws {
        for sample in Samples.all {
            let frozen = try golden(sample.name)
            let now = text(sample.frame)
            #expect(now == frozen, "\(sample.name)")
        }
    }

    @Test func `every golden frame reads, and is written again as it was`() throws {
        for sample in Samples.all {
            let frozen = bytes(hex: try golden(sample.name))
            var decoder = FrameDecoder()
            decoder.append(ByteBuffer(bytes: frozen))
            let next = try decoder.next()
            let frame = try #require(next, "\(sample.name)")
            #expect(decoder.waitingBytes == 0)
            #expect(frame.header.version == WireVersion(major: 1, minor: 0))
            #expect(frame.header.type == sample.type)
            #expect(frame.header.id == Samples.id)
            #expect(frame.header.millisecondsLeft == Samples.millisecondsLeft)
            let attached = Samples.encoded(try frame.frameExtension())
            let reading = try sample.read(frame.payload)
            #expect(reading.isTheSample, "\(sample.name)")
            var header = frame.header
            header.extensionBytes = attached.count
            var again = ByteBuffer()
            FrameEncoder.frame(header, payload: ByteBuffer(bytes: attached + reading.again), into: &again)
            #expect(Array(again.readableBytesView) == frozen, "\(sample.name)")
        }
    }

    @Test func `the extension of a golden frame holds trace, session, sequence and key`() throws {
        let frozen = bytes(hex: try golden("propose"))
        var decoder = FrameDecoder()
        decoder.append(ByteBuffer(bytes: frozen))
        let next = try decoder.next()
        let frame = try #require(next)
        let attached = try frame.frameExtension()
        #expect(attached == Samples.attached)
    }
}
