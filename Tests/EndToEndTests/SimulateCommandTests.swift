import Foundation
import Primitives
import Testing
import Text

/// `distric simulate`: verdicts, traces, and what is refused. What the simulator finds is tested beside it.
struct SimulateCommandTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func simulate(_ words: String...) throws -> Finished { try run(Built.distric, ["simulate"] + words, in: folder.path) }

    private func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: "\(folder.path)/\(name)")) }

    /// One JSON value a line.
    private func rows(_ text: String) throws -> [Value] { try text.split(separator: "\n").map { try JSONScanner.parse($0.utf8) } }

    /// Design 6, S0.
    @Test func `one seed gives the same verdict and the same trace in two processes`() throws {
        let first = try simulate("--seed", "11", "--servers", "3", "--duration", "3s", "--trace", "a.ndjson")
        let second = try simulate("--seed", "11", "--servers", "3", "--duration", "3s", "--trace", "b.ndjson")
        #expect(first.code == 0, "\(first.out)\(first.err)")
        #expect(first.out == second.out)
        let (a, b) = (try bytes("a.ndjson"), try bytes("b.ndjson"))
        #expect(!a.isEmpty)
        #expect(a == b)
        // To be watched changes nothing.
        let unseen = try simulate("--seed", "11", "--servers", "3", "--duration", "3s")
        #expect(unseen.out == first.out)
    }

    @Test func `a verdict says what was tried and what was seen`() throws {
        let finished = try simulate("--seed", "12", "--duration", "1s", "--faults", "kill,partition")
        #expect(finished.code == 0, "\(finished.err)")
        #expect(finished.err.isEmpty, "\(finished.err)")
        #expect(finished.out.hasPrefix("seed 12: holds\n"), "\(finished.out)")
        for part in [" servers", "what goes wrong: ", " events in ", " entries committed, ", "  trace ", "  seen: "] {
            #expect(finished.out.contains(part), "\(part): \(finished.out)")
        }
        let value = try JSONScanner.parse(try simulate("--seed", "12", "--duration", "1s", "--faults", "kill,partition", "--json").out)
        #expect(value["seed"]?.int == 12)
        #expect(value["holds"]?.bool == true)
        #expect(value["violation"] == nil)
        #expect(value["command"]?.string == "distric simulate --seed 12 --duration 1s --faults partition,kill")
        #expect((value["committed"]?.int ?? 0) > 0)
        #expect(finished.out.contains("  trace \(value["traceHash"]?.string ?? "none")\n"))
        let faults = value["faults"]?.string?.split(separator: ",").map(String.init) ?? []
        #expect(Set(faults).subtracting(["none", "kill", "partition"]).isEmpty, "\(faults)")
    }

    @Test func `several seeds are summed up, one object a seed for programs`() throws {
        let words = try simulate("--seed", "20", "--seeds", "3", "--servers", "1", "--duration", "1s", "--faults", "none")
        #expect(words.code == 0, "\(words.err)")
        #expect(words.out.hasPrefix("3 seeds from 20: all hold; "), "\(words.out)")
        #expect(words.out.contains("\n  never seen: "), "\(words.out)")
        #expect(words.err.isEmpty, "\(words.err)")
        let objects = try simulate("--seed", "20", "--seeds", "3", "--servers", "1", "--duration", "1s", "--faults", "none", "--json")
        let values = try rows(objects.out)
        #expect(values.dropLast().compactMap { $0["seed"]?.int } == [20, 21, 22])
        #expect(values.last?["seeds"]?.int == 3 && values.last?["violated"]?.int == 0)
        #expect(values.last?["events"]?.int == values.dropLast().compactMap { $0["events"]?.int }.reduce(0, +))
    }

    @Test func `without a seed it takes one and names it`() throws {
        let finished = try simulate("--servers", "1", "--duration", "1s", "--faults", "none")
        #expect(finished.code == 0, "\(finished.err)")
        let seed = try #require(finished.out.wholeMatch(of: /seed (\d+): holds\n[\s\S]*/)?.1)
        #expect(try simulate("--seed", String(seed), "--servers", "1", "--duration", "1s", "--faults", "none").out == finished.out)
    }

    @Test func `the trace has an object for each thing that happens, with the state that it left`() throws {
        #expect(try simulate("--seed", "3", "--servers", "3", "--duration", "2s", "--faults", "kill", "--trace", "t.ndjson").code == 0)
        let events = try rows(String(decoding: try bytes("t.ndjson"), as: UTF8.self))
        #expect(events.count > 100)
        for event in events {
            #expect(event["nid"]?.string?.hasPrefix("n") == true)
            #expect(["follower", "pre-candidate", "candidate", "leader"].contains(event["role"]?.string))
            #expect(event.at("state", "term")?.int != nil && event.at("state", "vote")?.string != nil)
            #expect((event.at("state", "commit")?.int ?? -1) <= (event["log"]?.int ?? -2))
            #expect(event["conf"]?.list?.count == 2)
            #expect(event["time"]?.int != nil && event["event"]?.int != nil)
        }
        #expect(zip(events, events.dropFirst()).allSatisfy { ($0["time"]?.int ?? 0) <= ($1["time"]?.int ?? 0) })
        let names = Set(events.compactMap { $0["name"]?.string })
        for name in [
            "InitState", "BecomePreCandidate", "BecomeCandidate", "BecomeLeader", "BecomeFollower", "Replicate", "Commit",
            "SendRequestVoteRequest", "ReceiveRequestVoteRequest", "SendRequestVoteResponse", "ReceiveRequestVoteResponse",
            "SendAppendEntriesRequest", "ReceiveAppendEntriesRequest", "SendAppendEntriesResponse", "ReceiveAppendEntriesResponse",
        ] { #expect(names.contains(name), "\(name)") }
        #expect(events.filter { $0["name"] == "InitState" }.compactMap { $0["nid"]?.string } == ["n1", "n2", "n3"])
        // Election safety, read off the trace alone (Raft section 5.2).
        var leaders: [Int64: Set<String>] = [:]
        for event in events where event["name"] == "BecomeLeader" {
            leaders[event.at("state", "term")?.int ?? 0, default: []].insert(event["nid"]?.string ?? "")
        }
        #expect(!leaders.isEmpty && leaders.values.allSatisfy { $0.count == 1 })
        for event in events where event["name"]?.string?.hasPrefix("Send") == true {
            #expect(event.at("msg", "from") == event["nid"])
            #expect(event.at("msg", "term")?.int != nil && event.at("msg", "to")?.string != nil)
        }
        for event in events where event["name"]?.string?.hasPrefix("Receive") == true { #expect(event.at("msg", "to") == event["nid"]) }
    }

    // MARK: Refusals

    private static let misuses: [[String]] = [
        ["--seed", "x"], ["--seed=-1"], ["--seed", "99999999999999999999"], ["--seeds", "0"], ["--seeds=-3"], ["--servers", "0"],
        ["--servers", "10"], ["--duration", "soon"], ["--duration", "0s"], ["--duration=-5s"], ["--duration", "25h"], ["--duration", ""],
        ["--faults", "nonsense"], ["--faults", ""], ["--faults", "kill,,power"], ["--faults", "kill power"], ["--trace", ""],
        ["--trace", "t", "--seeds", "2"], ["extra"], ["--bogus"],
    ]

    @Test(arguments: misuses) func `what cannot be meant exits 64 and runs nothing`(_ words: [String]) throws {
        let finished = try run(Built.distric, ["simulate"] + words, in: folder.path)
        #expect(finished.code == 64, "\(finished.err)")
        #expect(!finished.err.isEmpty)
        #expect(finished.out.isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func `a fault that there is not is named, with those that there are`() throws {
        let finished = try simulate("--faults", "kill,partitoin")
        #expect(finished.code == 64)
        #expect(finished.err.contains("'partitoin' is no fault; did you mean 'partition'?"), "\(finished.err)")
        #expect(finished.err.contains("there are: all, none, loss, duplication"), "\(finished.err)")
        #expect(finished.out.isEmpty)
    }

    @Test func `a trace that cannot be written exits 73`() throws {
        for path in ["/nonexistent/t.ndjson", "/dev/full"] {
            let finished = try simulate("--seed", "1", "--servers", "1", "--duration", "1s", "--faults", "none", "--trace", path)
            #expect(finished.code == 73, "\(finished.err)")
            #expect(finished.err.contains(path), "\(finished.err)")
            #expect(finished.out.isEmpty)
        }
    }

    @Test func `help says what a seed is, the faults and the exit codes`() throws {
        let finished = try simulate("--help")
        #expect(finished.code == 0)
        #expect(finished.out.contains("USAGE: distric simulate"))
        for part in ["lost-vote", "--keep-going", "Exit codes", "distric simulate --seed 42"] {
            #expect(finished.out.contains(part), "\(part)")
        }
    }
}
