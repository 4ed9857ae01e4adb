import ArgumentParser
import CoreFoundation
import Foundation
import Glibc
import Offline
import Operator
import Primitives

/// `distric wire`.
struct WireCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wire", abstract: "The binary protocol, as it was captured.", subcommands: [Decode.self])

    struct Decode: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "decode", abstract: "Print a captured stream frame by frame and field by field.",
            discussion: """
                The stream is one direction of a connection, as tcpflow or 'tshark -z follow,tcp,raw' give it, in bytes or as hexadecimal
                (--hex). distric-protocol(7) says what the fields are. Exit code 65 with the byte where it stops being one.

                  distric wire decode capture.bin
                  tshark -r calls.pcap -qz follow,tcp,raw,0 | grep -v '^[=FN]' | distric wire decode --hex -
                """)

        @Argument(help: "A file, or - for standard input.") var file: String
        @Flag(name: .long, help: "The input is hexadecimal, white space anywhere.") var hex = false
        @Option(name: [.customShort("o"), .long], help: "table, json, jsonl or yaml.") var output: OutputFormat = .table

        private static let piece = 1 << 20

        func validate() throws {
            guard [.table, .json, .jsonl, .yaml].contains(output) else { throw ValidationError("-o takes table, json, jsonl or yaml here") }
        }

        @concurrent
        func run() async throws {
            let handle = try opened()
            var decoding = WireDecoding()
            var nibble: UInt8?
            var count = 0
            if output == .json { Session.current.out("[") }
            defer { if output == .json { Session.current.out("]\n") } }
            do throws(WireDecoding.Problem) {
                while true {
                    let data: Data
                    do { data = try handle.read(upToCount: Self.piece) ?? Data() } catch {
                        throw WireDecoding.Problem(reason: "cannot be read: \(error.localizedDescription)")
                    }
                    guard !data.isEmpty else { break }
                    for frame in try decoding.take(hex ? try Self.bytes(data, &nibble) : [UInt8](data)) {
                        if output == .json { Session.current.out(count == 0 ? "\n" : ",\n") }
                        print(frame)
                        count += 1
                    }
                }
                guard nibble == nil else { throw WireDecoding.Problem(reason: "an odd number of hexadecimal digits") }
                try decoding.finish()
                if count == 0 { Session.current.note("\(file): there is no frame in it\n") }
            } catch {
                throw CommandFailure(.badData, "\(file): \(error)")
            }
        }

        private func opened() throws -> FileHandle {
            guard file != "-" else { return FileHandle.standardInput }
            var facts = stat()
            guard stat(file, &facts) == 0, let handle = FileHandle(forReadingAtPath: file) else {
                throw CommandFailure(.badData, "\(file): cannot be read: \(String(cString: strerror(errno)))")
            }
            guard facts.st_mode & S_IFMT != S_IFDIR else {
                throw CommandFailure(.badData, "\(file): is a folder: give a file of captured bytes")
            }
            return handle
        }

        private static func bytes(_ text: Data, _ nibble: inout UInt8?) throws(WireDecoding.Problem) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(text.count / 2)
            for character in text where ![0x20, 0x09, 0x0A, 0x0D].contains(character) {
                guard let digit = hexDigit(character) else {
                    throw WireDecoding.Problem(reason: "a character that is no hexadecimal digit")
                }
                if let high = nibble {
                    bytes.append(high << 4 | digit)
                    nibble = nil
                } else {
                    nibble = digit
                }
            }
            return bytes
        }

        private func print(_ frame: Value) {
            guard output == .table else {
                let rows = output == .json ? Rendering(format: .json).one(frame) : Rendering(format: output).rows([frame], [], name: "id")
                return Session.current.out(rows)
            }
            func text(_ key: String) -> String { frame[key].map { PlainText.oneLine($0.string ?? "\($0.int ?? 0)") } ?? "" }
            let flags = (frame["flags"]?.list ?? []).compactMap(\.string).joined(separator: ",")
            var lines = [
                "\(text("offset")): \(text("type")) (\(text("number"))) id \(id(frame)) \(text("bytes")) bytes version \(text("version"))"
                    + (flags.isEmpty ? "" : " [\(flags)]")
                    + (text("millisecondsLeft") == "0" ? "" : " \(text("millisecondsLeft")) ms left")
            ]
            for (title, key) in [("extension ", "extension"), ("", "fields")] {
                for field in frame[key]?.list ?? [] where field["value"] != .some(.null) {
                    // A line for a field: text of a peer must not look like another frame.
                    let value = PlainText.oneLine(field["value"]?.string ?? "")
                    lines.append(
                        "    \(title)\(field["tag"]?.int ?? 0) \(field["name"]?.string ?? "") (\(field["type"]?.string ?? "")) = \(value)")
                }
            }
            if let problem = frame["problem"]?.string { lines.append("    ! \(PlainText.oneLine(problem))") }
            Session.current.out(lines.joined(separator: "\n") + "\n")
        }

        private func id(_ frame: Value) -> String {
            if case .uint(let number)? = frame["id"] { return String(number) }
            return ""
        }
    }
}
