import Cells
import Foundation
import Primitives
import Testing
import Text

@testable import Operator

/// Requirement 8: the view of the group, as text. Files in Screens are written as in `ScreenTests`.
struct RaftScreenTests {
    static let golden = ["down", "joint", "learning", "leaderless"]

    private func raft(_ name: String) throws -> Value { try #require(SampleRaft.all.first { $0.name == name }?.raft) }

    private func line(_ state: ConsoleState, _ beginning: String) -> String? {
        state.screen.split(separator: "\n").map(String.init).first {
            $0.dropFirst().hasPrefix(beginning) || $0.dropFirst(2).hasPrefix(beginning)
        }
    }

    @Test(arguments: RaftScreenTests.golden, ScreenTables.sizes)
    func `the group looks as it did`(name: String, size: Size) throws {
        let drawn = SampleRaft.state(try raft(name), size: size).screen
        let file = "raft-\(name)-\(size.width)x\(size.height)"
        if ScreenTables.isWriting {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Screens")
            return try Data(drawn.utf8).write(to: folder.appending(path: "\(file).txt"))
        }
        let place = Bundle.module.url(forResource: file, withExtension: "txt", subdirectory: "Screens")
        let found = try #require(place, "there is no Screens/\(file).txt; DISTRIC_WRITE_SCREENS=1 writes it")
        let text = String(decoding: try Data(contentsOf: found), as: UTF8.self)
        if let difference = ScreenTables.difference(drawn, text) { Issue.record("Screens/\(file).txt, \(difference)") }
    }

    @Test func `a member's row has its role, its link, its lag and its lane`() {
        let state = SampleRaft.state(SampleRaft.oneDown)
        #expect(line(state, "c-1")?.contains("● leader") == true)
        #expect(line(state, "c-2")?.contains("▶ follower") == true)
        let gone = line(state, "c-3") ?? ""
        #expect(gone.contains("? unknown") && gone.contains("✗ down") && gone.contains("118240") && gone.contains("2094"), "\(gone)")
        // From the step on in which it went, 41 s ago.
        #expect(gone.trimmed.hasSuffix(String(repeating: "─", count: 21)), "\(gone)")
        let wide = SampleRaft.state(SampleRaft.oneDown, size: Size(250, 40))
        #expect(line(wide, "c-1")?.contains("ffcLLLL") == true || line(wide, "c-1")?.contains("fcLLLL") == true, "\(wide.screen)")
        #expect(line(wide, "c-2")?.contains("L─") == true)
    }

    @Test func `above the rows stand leader, quorum, log and the last elections`() {
        let state = SampleRaft.state(SampleRaft.oneDown, size: Size(80, 24))
        for piece in [
            " leader      c-1   term 7   asked c-1, leader", " quorum      2 of 3 voters, 2 needed\n",
            " log         118002 to 120334, committed 120331", " snapshot    up to 118001, 18.9MB logged since",
            " election    term 7: c-1 leads, 1m ago, leader disconnected, took 240ms", " before      term 6: c-2 leads, 5h ago, start",
            " lanes       L leader  f follower  c candidate  l learner  ─ unheard  2 s each", "LINK", "MATCH", "LAG", "ROLE OVER TIME",
        ] { #expect(state.screen.contains(piece), "\(piece)\n\(state.screen)") }
        #expect(!state.screen.contains("joint"))
    }

    @Test func `two configurations, and no leader, are told`() {
        let joint = SampleRaft.state(SampleRaft.joint)
        #expect(joint.screen.contains(" joint       from c-1, c-2, c-3 to c-1, c-2, c-4; both must agree"))
        #expect(line(joint, "c-3")?.contains("leaving") == true && line(joint, "c-4")?.contains("joining") == true)
        let none = SampleRaft.state(SampleRaft.noLeader)
        #expect(none.screen.contains(" leader      none   term 8   asked c-1, pre-candidate"))
        #expect(none.screen.contains(" quorum      1 of 3 voters, 2 needed: nothing can be committed"))
        #expect(none.screen.contains(" election    term 8: nobody won, 20s ago, lost quorum"))
        #expect(line(none, "c-1")?.contains("▲ candidate") == true)
    }

    @Test func `the details of a member are its link and its part of the log, those of the node itself what is on its disk`() {
        var state = SampleRaft.state(SampleRaft.learning, size: Size(200, 50))
        #expect(state.screen.contains("elections   term 7") && state.screen.contains("distric raft log inspect DATA"))
        state.hit("End")
        for piece in [
            "member      c-4  ○ learner  learner", "link        up, last heard 8ms ago", "address     127.0.0.1:9004   http 127.0.0.1:8084",
            "log         snapshot, match 0, next 1, lag 120334", "in flight   1 message, 262.1kB",
            "note        12 of 40 chunks of a snapshot",
        ] { #expect(state.screen.contains(piece), "\(piece)\n\(state.screen)") }
        state.hit("y")
        #expect(state.toast?.text == "term 7: c-1 leads, 1m ago, leader disconnected, took 240ms")
    }

    @Test func `where a follower is asked, the leader is asked for what it alone knows`() throws {
        var state = SampleRaft.state(SampleRaft.following, size: Size(200, 50))
        let feed = try #require(state.wantedFeeds.first { $0.key.path == "/api/v1/raft/peers" })
        #expect(line(state, "c-3")?.contains(#/120100 +234 /#) == true, "\(state.screen)")
        state.hit("End")
        #expect(state.screen.contains("log         replicate, match 120100, next 120101, lag 234"))
        // What it knew is not what it knows.
        _ = state.update(.feed(feed.key, .failed(CommandFailure(.temporary, "c-2 cannot be reached"))))
        #expect(line(state, "c-3")?.contains("120100") == false, "\(state.screen)")
        #expect(state.screen.contains("'distric raft peers' asks it") && state.freshness == .live)
        for raft in [SampleRaft.well, SampleRaft.noLeader] {
            #expect(!SampleRaft.state(raft).wantedFeeds.contains { $0.key.path == "/api/v1/raft/peers" })
        }
    }

    @Test(arguments: SampleRaft.all.map(\.name))
    func `with ASCII alone lanes are letters and hyphens`(name: String) throws {
        var state = SampleRaft.state(try raft(name))
        state.settings.glyphs = .ascii
        let surface = state.draw(theme: .plain)
        #expect(surface.cells.allSatisfy { (0x20..<0x7F).contains($0.scalar) })
        if name == "down" { #expect(line(state, "c-3")?.trimmed.hasSuffix("-----") == true) }
    }

    @Test func `a lane moves with its step, not with every second`() {
        var state = SampleRaft.state(SampleRaft.well)
        // To the beginning of a step.
        while state.now.milliseconds % RaftHistory.stepMilliseconds != 0 { state.pass(.milliseconds(1)) }
        let first = line(state, "c-2")
        state.pass(.milliseconds(Int(RaftHistory.stepMilliseconds) - 1))
        #expect(line(state, "c-2") == first)
    }

    @Test func `the view is live, stale, or without data because of something`() {
        #expect(SampleRaft.state(SampleRaft.well).freshness == .live)
        var state = SampleRaft.state(SampleRaft.well)
        state.pass(.seconds(12))
        #expect(state.screen.contains(" STALE 12s ") && state.screen.contains("c-1"))
        var empty = SampleNode.empty(.raft)
        _ = empty.update(.feed(Views.raftFeed, .failed(CommandFailure(.unavailable, "no route to host"))))
        #expect(empty.screen.contains("no data: no route to host"))
    }

    // MARK: The first screen

    @Test func `the first screen has every member with its lane`() {
        let state = SampleRaft.state(SampleRaft.oneDown, view: .pulse)
        let lines = state.screen.split(separator: "\n").map { String($0.prefix(38)) }
        #expect(lines.contains { $0.contains("● leader c-1  lag 0") && $0.contains("LLLL") }, "\(state.screen)")
        #expect(lines.contains { $0.contains("▶ follower c-2  lag 3") && $0.contains("ffff") })
        #expect(lines.contains { $0.contains("✗ down c-3  lag 2094") && $0.contains("────") })
        #expect(lines.contains { $0.contains("term 7  commit 120331  log 18.9MB") })
    }

    @Test func `more members than there are lines stand together by what they are`() {
        let ids = (1...9).map { "node-\($0)" }
        let raft: Value = [
            "node": "node-1", "role": "leader", "leader": "node-1", "voters": .list(ids.map(Value.string)), "learners": [],
            "peers": .list(ids.dropFirst().map { ["node": .string($0), "isConnected": .bool($0 != "node-4")] }),
        ]
        for size in [Size(120, 40), Size(200, 50), Size(110, 30)] {
            let state = SampleRaft.state(raft, size: size, view: .pulse)
            for id in ids { #expect(state.screen.contains(id), "\(id) at \(size)\n\(state.screen)") }
            #expect(state.screen.contains("✗ down node-4") && state.screen.contains("● leader node-1"), "\(size)")
        }
        let small = SampleRaft.state(SampleRaft.oneDown, size: Size(80, 24), view: .pulse)
        #expect(small.screen.contains("1 raft    ● leader c-1  ✗ down c-3  ▶ follower c-2  term 7"), "\(small.screen)")
    }
}
