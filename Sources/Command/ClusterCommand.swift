import ArgumentParser
import Operator

/// `distric cluster`.
struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "The cluster as a whole: upgrades, and beginning again after a disaster.",
        discussion: """
              distric cluster upgrade status
              distric cluster recover --data /var/lib/distric
              distric cluster resume
            """,
        subcommands: [Upgrade.self, RecoverCommand.self, ClusterResume.self])
}
