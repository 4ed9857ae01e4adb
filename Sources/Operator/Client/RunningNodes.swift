import Foundation
import Glibc
import Primitives
import Text

/// Nodes of this user that run inside a console, a demo or with `--ephemeral`: each leaves its URL in a file while it runs.
package enum RunningNodes {
    private static var folder: URL {
        let environment = ProcessInfo.processInfo.environment
        let runtime = environment["XDG_RUNTIME_DIR"].flatMap { $0.isEmpty ? nil : $0 }
        return URL(filePath: runtime ?? "/tmp/distric-\(getuid())", directoryHint: .isDirectory).appending(path: "distric")
    }

    /// The URL to ask: the one asked for, the session's, `$DISTRIC_URL`, a node that runs, the usual port.
    package static func url(asked: String?) -> String {
        let session = Session.current
        if let asked { return asked }
        if let url = session.url { return url }
        if let url = session.environment["DISTRIC_URL"], !url.isEmpty { return url }
        return newest() ?? "http://127.0.0.1:8080"
    }

    /// Says where this process's node is; removed by `withdraw`.
    package static func announce(_ url: String) {
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let value = Value.object(["url": .string(url), "pid": Value(Int(getpid()))])
        try? Data(JSONWriter.bytes(value)).write(to: file(getpid()))
    }

    package static func withdraw() { try? FileManager.default.removeItem(at: file(getpid())) }

    private static func file(_ process: pid_t) -> URL { folder.appending(path: "\(process).json") }

    /// Files of processes that are gone are swept up.
    private static func newest() -> String? {
        // In a folder that somebody else could write, anybody could leave an address.
        var about = stat()
        guard stat(folder.path(percentEncoded: false), &about) == 0, about.st_uid == getuid(), about.st_mode & 0o022 == 0 else {
            return nil
        }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false)) else { return nil }
        var best: (date: Date, url: String)?
        for name in names where name.hasSuffix(".json") {
            let place = folder.appending(path: name)
            guard let process = pid_t(name.dropLast(5)), let data = try? Data(contentsOf: place),
                let url = (try? JSONScanner.parse([UInt8](data)))?["url"]?.string
            else { continue }
            guard kill(process, 0) == 0 else {
                try? FileManager.default.removeItem(at: place)
                continue
            }
            let date =
                (try? FileManager.default.attributesOfItem(atPath: place.path(percentEncoded: false))[.modificationDate] as? Date)
                ?? .distantPast
            if date > best?.date ?? .distantPast { best = (date, url) }
        }
        return best?.url
    }
}
