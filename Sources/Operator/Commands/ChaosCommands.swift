package import ArgumentParser
import Primitives
import Text

/// `distric chaos`.
package struct Chaos: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "chaos", abstract: "Break links and the disk of a node on purpose, where it was started with --allow-chaos.",
        subcommands: [Status.self, Link.self, Disk.self, Heal.self], defaultSubcommand: Status.self)
    package init() {}

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "What is broken on purpose on the node, and what that did so far.")
        @OptionGroup var common: CommonOptions

        @concurrent
        func run() async throws { ChaosText.show(try await common.client.get("/api/v1/chaos"), common) }
    }

    struct Link: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cut, slow or thin what the node sends to others.",
            discussion: """
                One way: what comes back is the other's to send. To cut both ways, ask the other node too (--connect). What is said takes the place of
                what was said of the link before.

                  distric chaos link c-2 c-3 --cut --connect 127.0.0.1:8081
                  distric chaos link c-2 --delay 50ms --loss 0.2
                """)
        @Argument(help: "Nodes that the links lead to.") var nodes: [String]
        @Flag(name: .long, help: "Nothing arrives.") var cut = false
        @Option(name: .long, help: "Everything arrives so much later: 50ms, up to 10m.") var delay: String?
        @Option(name: .long, help: "So large a share is lost, 0 to 1.") var loss: Double?
        @OptionGroup var common: CommonOptions

        func validate() throws {
            guard cut || delay != nil || loss != nil else {
                throw ValidationError("say what shall happen to the link: --cut, --delay 50ms or --loss 0.2")
            }
            if let loss, !(0...1).contains(loss) { throw ValidationError("--loss is a share from 0 to 1: 0.2 loses every fifth") }
            try ChaosText.check(delay, "--delay")
        }

        @concurrent
        func run() async throws {
            let links = nodes.map { node in
                Value.object([
                    "to": .string(node), "cut": cut ? .bool(true) : nil, "delay": delay.map(Value.string), "loss": loss.map(Value.double),
                ])
            }
            ChaosText.show(try await common.client.post("/api/v1/chaos/links", body: ["links": .list(links)]), common)
        }
    }

    struct Disk: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stall or fail the syncs of the disk under the node's log.",
            discussion: """
                A sync that fails is final, as it is on a real disk: the node's log stops, and goes on when the node is started again.

                  distric chaos disk --stall 250ms --every 5s
                  distric chaos disk --stall 3s --once
                  distric chaos disk --fail
                """)
        @Option(name: .long, help: "A sync takes so much longer: 250ms, up to 10m.") var stall: String?
        @Option(name: .long, help: "From one stall to the next; 0s stalls every sync.") var every: String?
        @Flag(name: .long, help: "The next sync alone stalls.") var once = false
        @Flag(name: .long, help: "Every sync fails from here on.") var fail = false
        @OptionGroup var common: CommonOptions

        func validate() throws {
            let isStall = stall != nil && once != (every != nil)
            guard fail ? stall == nil && every == nil && !once : isStall else {
                throw ValidationError("write --stall 250ms --every 5s, --stall 3s --once, or --fail")
            }
            try ChaosText.check(stall, "--stall")
            try ChaosText.check(every, "--every")
        }

        @concurrent
        func run() async throws {
            let body = Value.object([
                "stall": stall.map(Value.string), "every": every.map(Value.string), "once": once ? .bool(true) : nil,
                "fail": fail ? .bool(true) : nil,
            ])
            ChaosText.show(try await common.client.post("/api/v1/chaos/disk", body: body), common)
        }
    }

    struct Heal: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make links and disk whole again: all of them, or those that are named.",
            discussion: "  distric chaos heal\n  distric chaos heal c-2\n  distric chaos heal --disk")
        @Argument(help: "Nodes that the links lead to.") var nodes: [String] = []
        @Flag(name: .long, help: "All links.") var links = false
        @Flag(name: .long, help: "The disk.") var disk = false
        @OptionGroup var common: CommonOptions

        func validate() throws {
            guard nodes.isEmpty || !links else { throw ValidationError("--links heals all links: leave it out, or the nodes") }
        }

        @concurrent
        func run() async throws {
            let client = try common.client
            let isAll = nodes.isEmpty && !links && !disk
            var answer = Value.null
            for node in nodes {
                answer = try NodeClient.value(try await client.send("DELETE", "/api/v1/chaos/links", [("to", node)]))
            }
            if links || isAll { answer = try NodeClient.value(try await client.send("DELETE", "/api/v1/chaos/links")) }
            if disk || isAll { answer = try NodeClient.value(try await client.send("DELETE", "/api/v1/chaos/disk")) }
            ChaosText.show(answer, common)
        }
    }
}

/// Faults in words.
enum ChaosText {
    static func check(_ text: String?, _ name: String) throws {
        guard let text else { return }
        _ = try DurationFlag.read(text, of: name, allowsNone: true, atMost: .seconds(600), example: "250ms or 5s")
    }

    static func show(_ answer: Value, _ common: CommonOptions) {
        guard common.output == .table || common.output == .wide else { return common.print(answer) }
        let columns = [Column("NODE", "node"), Column("BROKEN", "what"), Column("HOW", "how")]
        common.print(
            rows(answer), columns, name: "what", empty: "nothing is broken on purpose on \(Column.plain(answer["node"] ?? .null))")
        let did = did(answer)
        if !did.isEmpty { Session.current.note("so far: \(did)\n") }
    }

    static func rows(_ answer: Value) -> [Value] {
        let node = answer["node"] ?? .null
        let links = (answer["links"]?.list ?? []).map { link -> Value in
            ["node": node, "what": .string("link to \(Column.plain(link["to"] ?? .null))"), "how": .string(how(link: link))]
        }
        let disk = how(disk: answer["disk"] ?? .null).map { how -> Value in ["node": node, "what": "disk", "how": .string(how)] }
        return links + (disk.map { [$0] } ?? [])
    }

    private static func how(link: Value) -> String {
        if link["cut"]?.bool == true { return "cut" }
        var parts: [String] = []
        if let delay = link["delay"]?.string, delay != "0s" { parts.append("\(delay) slower") }
        if let loss = link["loss"]?.number, loss > 0 { parts.append("\(Column.plain(.double(loss))) of it is lost") }
        return parts.joined(separator: ", ")
    }

    private static func how(disk: Value) -> String? {
        if disk["fail"]?.bool == true { return "every sync fails" }
        guard let stall = disk["stall"]?.string else { return nil }
        guard let every = disk["every"]?.string else { return "the next sync stalls for \(stall)" }
        return every == "0s" ? "every sync stalls for \(stall)" : "one sync every \(every) stalls for \(stall)"
    }

    /// What the faults did, those of before too; empty when that is nothing.
    static func did(_ answer: Value) -> String {
        func count(_ words: String, _ value: Value?) -> String? {
            guard let number = value?.int, number > 0 else { return nil }
            return "\(words) \(number)"
        }
        let parts = [
            count("lost on links", answer["lost"]), count("stalled syncs", answer.at("disk", "stalls")),
            count("stalling now", answer.at("disk", "stalling")), count("failed syncs", answer.at("disk", "failures")),
            answer.at("disk", "note")?.string,
        ]
        return parts.compactMap(\.self).joined(separator: ", ")
    }
}
