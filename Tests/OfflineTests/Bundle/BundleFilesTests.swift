import Foundation
import Glibc
import Observability
import Primitives
import Testing

@testable import Offline

/// How a bundle is written (Bundle/BundleFiles.swift, Bundle/TarArchive.swift).
struct BundleFilesTests {
    private func mode(_ path: String) -> mode_t {
        var about = stat()
        stat(path, &about)
        return about.st_mode & 0o777
    }

    @Test func `an archive holds its files as ustar has them`() throws {
        var archive = TarArchive()
        try archive.add("b/one.txt", Array("hello\n".utf8), seconds: 1_790_000_000)
        try archive.add("b/empty", [], seconds: 0)
        let bytes = try Gzip.unpack(archive.packed, limit: 1 << 20)
        #expect(bytes.count == 512 * 5)
        #expect(String(decoding: bytes[0..<9], as: UTF8.self) == "b/one.txt")
        #expect(String(decoding: bytes[124..<135], as: UTF8.self) == "00000000006")
        #expect(String(decoding: bytes[257..<262], as: UTF8.self) == "ustar" && bytes[262] == 0)
        #expect(String(decoding: bytes[512..<518], as: UTF8.self) == "hello\n")
        #expect(bytes.suffix(1024).allSatisfy { $0 == 0 })
        // The sum is that of the header with spaces in its place.
        var header = Array(bytes[0..<512])
        let said = Int(String(decoding: header[148..<154], as: UTF8.self), radix: 8)
        header.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
        #expect(said == header.reduce(0) { $0 + Int($1) })
    }

    @Test func `long names are split at a slash, and what does not fit is refused`() throws {
        var archive = TarArchive()
        let long = String(repeating: "f", count: 90) + "/" + String(repeating: "n", count: 80)
        try archive.add(long, [], seconds: 0)
        let bytes = try Gzip.unpack(archive.packed, limit: 1 << 20)
        #expect(String(decoding: bytes[0..<80], as: UTF8.self) == String(repeating: "n", count: 80) && bytes[80] == 0)
        #expect(String(decoding: bytes[345..<435], as: UTF8.self) == String(repeating: "f", count: 90))
        for name in ["", "/etc/passwd", String(repeating: "x", count: 101), "a\0b"] {
            #expect(throws: TarArchive.BadName(name: name)) { try archive.add(name, [], seconds: 0) }
        }
    }

    @Test func `its owner alone may read it, and nothing is overwritten`() throws {
        let folder = try TemporaryFolder()
        for name in ["a.tar.gz", "b.tgz", "plain"] {
            let path = folder.path + "/" + name
            var files = try BundleFiles(path)
            files.add("nodes/c-1/x.json", Array("{}".utf8))
            files.add("manifest.json", Array("{}".utf8))
            try files.write(seconds: 0)
            #expect(mode(path) == (name == "plain" ? 0o700 : 0o600))
            #expect(throws: BundleFiles.Failure.self) { try BundleFiles(path) }
            // One that came to be meanwhile.
            #expect(throws: BundleFiles.Failure.self) { try files.write(seconds: 0) }
        }
        #expect(mode(folder.path + "/plain/nodes/c-1/x.json") == 0o600)
        #expect(throws: BundleFiles.Failure.self) { try BundleFiles(folder.path + "/none/of/it.tgz").write(seconds: 0) }
    }
}
