package import ArgumentParser
import Foundation
import Primitives

/// `dashboards`: what a monitoring stack beside the node can load.
package struct Dashboards: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "dashboards", abstract: "A Grafana dashboard and Prometheus alerts.", subcommands: [Export.self])
    package init() {}

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export", abstract: "Write the Grafana dashboard and the alert rules that come with this program.",
            discussion: """
                Writes distric-dashboard.json (import it in Grafana) and distric-alerts.yml (rule_files of Prometheus).
                Nodes tell Prometheus where they are at /api/v1/sd (http_sd_configs).

                  distric dashboards export --dir /etc/prometheus
                """)
        @Option(name: .long, help: "The folder to write into; it is made when it is not there.") var dir = "."
        @Flag(name: .long, help: "Replace files that are there.") var force = false

        private static let files: [(name: String, bytes: [UInt8])] = [
            ("distric-dashboard.json", PackageResources.distric_dashboard_json),
            ("distric-alerts.yml", PackageResources.distric_alerts_yml),
        ]

        @concurrent
        func run() async throws {
            let folder = URL(filePath: dir, directoryHint: .isDirectory)
            let places = Self.files.map { ($0.name, $0.bytes, folder.appending(path: $0.name)) }
            // All or nothing: a second file that is in the way is found before the first is written.
            if !force, let (_, _, taken) = places.first(where: { FileManager.default.fileExists(atPath: $0.2.path(percentEncoded: false)) })
            {
                throw CommandFailure(.cannotWrite, "\(taken.path(percentEncoded: false)) is there already; --force replaces it")
            }
            do {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                for (_, bytes, place) in places {
                    try Data(bytes).write(to: place, options: .atomic)
                    Session.current.out("\(place.path(percentEncoded: false))\n")
                }
            } catch {
                throw CommandFailure(.cannotWrite, "cannot write to \(dir): \(error.localizedDescription)")
            }
        }
    }
}
