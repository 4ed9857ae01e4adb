import Primitives
import Simulation
import Testing

/// The language of the scenarios, after cockroachdb/datadriven.
struct RaftScriptTests {
    private func run(_ text: String) -> [String] { RaftScript.run(text).map(\.actual) }

    @Test func `blocks are commands, a line, and what they print`() {
        let text = """
            # A comment.
            cluster n1
            run 1
            ----
            n1 is pre-candidate in term 0 (start)
            n1 is candidate in term 1 (start)
            n1 leads term 1
            n1 commits 1

            # Another.

            commit
            ----
            n1 commit=1 applied=1
            """
        let results = RaftScript.run(text)
        #expect(results.map(\.line) == [2, 12])
        #expect(results.map(\.command) == ["cluster n1\nrun 1", "commit"])
        #expect(results.allSatisfy { $0.isAsExpected })
        #expect(RaftScript.rendered(text) == text + "\n")
    }

    @Test func `what is printed takes the place of what was expected`() {
        let text = "# Keep me.\n\ncluster n1\n----\nnot this\nnor this\n\n\nstate\n----\n"
        let rendered = RaftScript.rendered(text)
        #expect(
            rendered == "# Keep me.\n\ncluster n1\n----\nok\n\n\nstate\n----\n"
                + "n1 follower term=0 vote=- leader=- commit=0 last=0@0 durable=0 voters=n1\n")
        #expect(RaftScript.rendered(rendered) == rendered)
        #expect(RaftScript.run(rendered).allSatisfy { $0.isAsExpected })
    }

    @Test func `nothing is nothing`() {
        #expect(RaftScript.run("").isEmpty)
        #expect(RaftScript.rendered("") == "")
        #expect(RaftScript.run("# only\n\n# comments\n").isEmpty)
    }

    /// What is wrong, and what is said of it.
    static let mistakes: [(String, String)] = [
        ("jump n1", "unknown verb 'jump'"),
        ("campaign", "'campaign' wants a server"),
        ("campaign n9", "there is no server 'n9'"),
        ("campaign N9", "node id 'N9' is not valid: 1 to 63 bytes of a-z, 0-9, '.' and '-', with a letter or a digit first and last"),
        ("campaign n1 now", "'campaign' does not know what to do with 'now'"),
        ("tick n1", "'tick' wants milliseconds"),
        ("tick n1 0", "milliseconds is a number from 1 to 3600000, not '0'"),
        ("tick n1 99999999999999999999", "milliseconds is a number from 1 to 3600000, not '99999999999999999999'"),
        ("advance -5", "milliseconds is a number from 1 to 3600000, not '-5'"),
        ("propose n1", "'propose' wants a text"),
        ("fill n1 0", "a count is a number from 1 to 10000, not '0'"),
        ("read n1", "'read' wants a number for the read"),
        ("read n1 0", "a read's number is a number from 1 to 1000000, not '0'"),
        ("snapshot n1", "n1 has applied nothing since its last snapshot"),
        ("restart n1", "n1 is up"),
        ("crash n1 lose=3", "lose is a number from 0 to 0, not '3'"),
        ("cut n1 n1", "'n1' has no link to itself"),
        ("cut n1 one-way", "'cut' wants both ends of what is cut one way"),
        ("close n1 n1", "'n1' has no connection to itself"),
        ("deliver n1=>n2", "'n1=>n2' is neither a link (n1->n2), a kind of message nor a count"),
        ("deliver n1->n9", "there is no server 'n9'"),
        ("deliver 0", "a count is a number from 1 to 1000000, not '0'"),
        ("clock n1 20", "a rate in percent is a number from 50 to 200, not '20'"),
        ("cluster", "'cluster' wants the names of its voters"),
        ("cluster n1 n1", "'n1' is there twice"),
        ("cluster n1 learners=n1", "'n1' is there twice"),
        ("cluster n1 speed=3", "'cluster' does not know what to do with 'speed=3'"),
        ("cluster n1 election=500", "election is two numbers of milliseconds, as 500-1000"),
        ("cluster n1 election=500-400", "the greatest election timeout is a number from 501 to 200000, not '400'"),
        ("cluster n1 election=60-90 heartbeat=30", "heartbeat is a number from 1 to 20, not '30'"),
        ("log n1 terms=2,1", "terms never fall from one entry to the next"),
        ("log n1 terms=3 term=2", "term is a number from 3 to 1000000, not '2'"),
        ("log n1 terms=1 base=2", "base is a number from 0 to 1, not '2'"),
        ("log n1 terms=0", "a term is a number from 1 to 1000000, not '0'"),
    ]

    @Test(arguments: mistakes)
    func `what is wrong is said with its line, and ends the block`(command: String, reason: String) {
        let results = RaftScript.run("cluster n1 n2 n3\n----\n\n# here\nquiet\n\(command)\nadvance 5000\n----\n\nstate n2\n----\n")
        #expect(results.count == 3)
        #expect(results[1].actual == "error: line 6: \(reason)")
        #expect(results[2].actual.hasPrefix(command.hasPrefix("cluster n1 election") ? "n2 follower" : "n2 "))
    }

    @Test func `servers that are down or paused do nothing`() {
        let results = run("cluster n1 n2\ncrash n2\n----\n\ncampaign n2\n----\n\npause n1\nread n1 3\n----\n\nstore n2\n----\n")
        #expect(results[1] == "error: line 5: n2 is down")
        #expect(results[2] == "error: line 9: n1 is paused")
        #expect(results[3] == "error: line 12: n2 is down")
    }

    @Test func `a block that does not end, or has no command, is an error`() {
        #expect(run("cluster n1\nstate\n") == ["error: line 1: the block has no '----' before its end"])
        #expect(
            run("cluster n1\n\n----\nok\n") == [
                "error: line 1: the block has no '----' before its end", "error: line 3: the block has no command before its '----'",
            ])
        #expect(run("state\n----\n") == ["error: line 1: there is no cluster yet"])
    }

    @Test func `every verb is in the help`() {
        let verbs = [
            "cluster", "help", "quiet", "loud", "log", "state", "progress", "messages", "reads", "commit", "agree", "campaign", "propose",
            "fill",
            "read", "change", "transfer", "snapshot", "tick", "advance", "run", "clock", "pause", "resume", "deliver", "drop", "hold",
            "release",
            "duplicate", "stabilize", "cut", "heal", "stall", "store", "unstall", "crash", "restart", "spoil", "close", "unreachable",
        ]
        for verb in verbs {
            let isThere =
                RaftScript.help.contains { $0.isNewline } && RaftScript.help.contains(verb + " ") || RaftScript.help.contains(verb + "'")
            #expect(isThere, "\(verb)")
            let first = run("cluster n1\n\(verb)\n----\n")[0]
            #expect(!first.contains("unknown verb"), "\(verb)")
        }
    }

    @Test func `every kind of message can be named`() {
        for kind in MessageFilter.Kind.allCases {
            #expect(RaftScript.help.contains(kind.rawValue))
            #expect(run("cluster n1\ndeliver \(kind.rawValue)\n----\n") == ["nothing to deliver"])
        }
    }

    @Test func `text of any kind is answered, and never traps`() {
        let words = [
            "cluster", "n1", "n2", "n3", "campaign", "stabilize", "deliver", "drop", "hold", "release", "duplicate", "n1->n2", "*->*", "->",
            "append",
            "vote", "7", "100", "propose", "fill", "read", "crash", "restart", "wiped", "lost-vote", "damaged=1", "stall", "store",
            "unstall", "cut",
            "heal", "one-way", "pause", "resume", "snapshot", "chunks=3", "change", "voters=n1,n2", "learners=n3", "transfer", "close",
            "unreachable",
            "tick", "advance", "run", "clock", "state", "log", "terms=1,2", "progress", "messages", "reads", "commit", "agree", "quiet",
            "loud", "----",
            "\n", "\n", "\n", "#", "lose=1", "all",
        ]
        for seed in UInt64(1)...200 {
            var generator = SeededGenerator(seed: seed)
            var text = "cluster n1 n2 n3 spare=n4\ncampaign n1\nstabilize\n----\n\n"
            for _ in 0..<80 { text += (words.randomElement(using: &generator) ?? "") + " " }
            let (first, second) = (RaftScript.run(text), RaftScript.run(text))
            #expect(first == second, "seed \(seed)")
        }
    }
}
