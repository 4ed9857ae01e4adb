import ArgumentParser
import Operator

/// `distric cluster`.
struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "The cluster as a whole: who belongs to it, what is frozen, upgrades, and beginning again after a disaster.",
        discussion: """
              distric cluster status
              distric cluster members
              distric cluster join c-4
              distric cluster leave c-3
              distric cluster freeze intake --reason 'moving the database'
              distric cluster upgrade status
              distric cluster recover --data /var/lib/distric
              distric cluster resume
            """,
        subcommands: [
            Operator.Status.self, ClusterMembers.self, ClusterJoin.self, ClusterLeave.self, ClusterFreeze.self, ClusterThaw.self,
            Upgrade.self,
            RecoverCommand.self, ClusterResume.self,
        ])
}
