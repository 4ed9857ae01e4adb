import ArgumentParser
import Testing

@testable import Operator

/// What is said of a command word that does not exist (Spelling.swift).
struct SpellingTests {
    /// As the door has it: what asks a node, and some that need none.
    private struct Root: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "distric", subcommands: OperatorCommands.all + [Cluster.self, Backup.self, Start.self],
            defaultSubcommand: Start.self)
    }

    private struct Cluster: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "cluster", subcommands: [Recover.self, ClusterResume.self])
    }

    private struct Backup: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "backup", subcommands: [Verify.self, Restore.self])
    }

    private struct Recover: ParsableCommand { static let configuration = CommandConfiguration(commandName: "recover") }
    private struct Restore: ParsableCommand { static let configuration = CommandConfiguration(commandName: "restore") }
    private struct Verify: ParsableCommand { static let configuration = CommandConfiguration(commandName: "verify") }
    private struct Start: ParsableCommand { static let configuration = CommandConfiguration(commandName: "node") }

    private func problem(_ line: String) -> String? { Spelling.problem(line.split(separator: " ").map(String.init), in: Root.self) }

    @Test(arguments: [
        ("nod", "distric node"), ("rafft", "distric raft"), ("raft statsu", "distric raft status"), ("raft peer", "distric raft peers"),
        ("runs lst", "distric runs list"), ("chaos statu", "distric chaos status"), ("backup verfy b", "distric backup verify"),
        ("help rusn", "distric runs"),
    ])
    func `a word that changes nothing is named as the one that was meant`(line: String, meant: String) {
        #expect(problem(line)?.contains("; did you mean '\(meant)'?\n") == true, "\(problem(line) ?? "")")
    }

    @Test(arguments: [
        "raft remov c-3", "raft ad c-3", "raft promot c-3", "raft transfr", "raft snapshto", "runs cancl x", "runs rety x",
        "tasks resolv x",
        "rules delet x", "rules aply x", "chaos lnik c-2", "chaos dsk", "chaos hea", "cluster recovr", "cluster resum", "backup restor b",
        "messages submt -",
    ])
    func `one that changes something is never put into anybody's mouth: the words are listed`(line: String) {
        let words = line.split(separator: " ")
        let text = problem(line) ?? ""
        #expect(text.hasPrefix("no command '\(words[0]) \(words[1])'\ndistric \(words[0]) has: "), "\(text)")
        #expect(!text.contains("did you mean"))
    }

    @Test func `no other word takes the place of one that is not named`() {
        // 'resume' is nearer than anything that only looks.
        #expect(problem("cluster resme")?.contains("did you mean") == false)
    }

    @Test func `what is right, or is a word for the command that runs by itself, is left to the parser`() {
        for line in [
            "raft", "raft status", "raft --connect x", "raft remove c-3", "metrics distric_raft", "logs level", "status", "", "--version",
        ] { #expect(problem(line) == nil, "\(line)") }
    }
}
