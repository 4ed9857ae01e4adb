import Foundation

/// A folder of its own for one test; it goes with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "distric-offline-\(UUID().uuidString)").path(percentEncoded: false)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Every file below it with its bytes; LOCK, which each look writes, is left out.
    func contents() throws -> [String: Data] {
        var found: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) where !name.hasSuffix("LOCK") {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder), !isFolder.boolValue else { continue }
            found[name] = try Data(contentsOf: URL(filePath: path + "/" + name))
        }
        return found
    }
}

/// Makes a byte of a file another.
func flip(_ path: String, at offset: Int) throws {
    var bytes = try Data(contentsOf: URL(filePath: path))
    bytes[offset] ^= 0x10
    try bytes.write(to: URL(filePath: path))
}
