import ArgumentParser
import DistriC
import Foundation
import Operator

/// `distric init`.
struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Write settings, example rules and workflows, and 1,000 example messages into a folder.",
        discussion: "  distric init demo && cd demo && distric node")
    @Argument(help: "The folder; it is created, and nothing in it is overwritten.") var folder: String

    @concurrent
    func run() async throws {
        guard !folder.isEmpty else { throw CommandFailure(.usage, "the folder's name is empty") }
        let root = URL(filePath: folder, directoryHint: .isDirectory)
        let files = Examples.files
        for file in files where FileManager.default.fileExists(atPath: root.appending(path: file.path).path(percentEncoded: false)) {
            throw CommandFailure(.cannotWrite, "\(folder)/\(file.path) exists already; nothing was written")
        }
        var written: [URL] = []
        do {
            for file in files {
                let place = root.appending(path: file.path)
                written.append(place)
                try FileManager.default.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(file.text.utf8).write(to: place)
            }
        } catch {
            for place in written { try? FileManager.default.removeItem(at: place) }
            throw CommandFailure(.cannotWrite, "cannot write into \(folder): \(error.localizedDescription)")
        }
        Session.current.out("\(files.count) files written into \(folder); \(folder)/README.md says what to do with them\n")
    }
}
