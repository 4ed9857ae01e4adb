import Cells
import Foundation
import Primitives
import Testing
import Text

@testable import Operator

/// Requirement 8: the log inspector, and one log beside another. Files in Screens are written as in `ScreenTests`.
struct RaftLogScreenTests {
    private static func state(_ node: String, against: String? = nil, size: Size = Size(120, 40)) -> ConsoleState {
        var state = SampleNode.empty(.raftLog, size: size)
        state.place.subject = node
        state.place.against = against
        SampleNode.feed(&state)
        return state
    }

    /// The row of an entry, all of which are of term 7.
    private func line(_ state: ConsoleState, _ index: Int) -> String {
        state.screen.split(separator: "\n").map(String.init).first { $0.contains("\(index)      7 ") } ?? ""
    }

    @Test(arguments: ScreenTables.sizes)
    func `two logs beside each other look as they did`(size: Size) throws {
        let drawn = Self.state("c-1", against: "c-4", size: size).screen
        let file = "raft-log-beside-\(size.width)x\(size.height)"
        if ScreenTables.isWriting {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Screens")
            return try Data(drawn.utf8).write(to: folder.appending(path: "\(file).txt"))
        }
        let place = Bundle.module.url(forResource: file, withExtension: "txt", subdirectory: "Screens")
        let found = try #require(place, "there is no Screens/\(file).txt; DISTRIC_WRITE_SCREENS=1 writes it")
        let text = String(decoding: try Data(contentsOf: found), as: UTF8.self)
        if let difference = ScreenTables.difference(drawn, text) { Issue.record("Screens/\(file).txt, \(difference)") }
    }

    // MARK: Ways there

    @Test func `enter and a key open the log of the member that is selected, and the key is hinted at`() {
        for key in ["Enter", "L"] {
            var state = SampleRaft.state(SampleRaft.well)
            #expect(state.screen.contains("L log"), "\(state.screen)")
            state.hit("Down", key)
            #expect(state.place.view == .raftLog && state.place.subject == "c-2", "\(key)")
            let feed = state.wantedFeeds.first { $0.key.path == "/api/v1/raft/log" }
            #expect(feed?.key.parameters == [.init(name: "node", value: "c-2")])
        }
        var typed = SampleRaft.state(SampleRaft.well, view: .pulse)
        typed.command("raft log")
        #expect(typed.place.view == .raftLog && typed.place.subject == "c-1")
        var elsewhere = SampleNode.state(.runs)
        elsewhere.hit("L")
        #expect(elsewhere.place.view == .runs && elsewhere.toast?.text == "a log is that of a member: select one in :raft")
    }

    @Test func `help names the keys of the log`() {
        let text = HelpText.lines(.standard, readOnly: false).map(\.text)
        #expect(text.contains { $0.contains("L ") && $0.contains("open the log of the selected member") })
        #expect(text.contains { $0.contains("= ") && $0.contains("beside it") })
    }

    // MARK: One log

    @Test func `the newest entry is first, with index, term, kind, bytes and whether it is applied`() {
        let state = Self.state("c-1")
        #expect(state.screen.contains("log of      c-1  ● leader"))
        #expect(state.screen.contains("entries     118002 to 120334, committed 120331, applied 120331"))
        #expect(state.selectedRow?["index"] == 120_334)
        #expect(line(state, 120_334).contains("appended") && line(state, 120_331).contains("applied"))
        #expect(line(state, 120_332).contains(#/ 7 +commands +262 /#), "\(line(state, 120_332))")
        #expect(line(state, 120_329).contains("configuration") && line(state, 120_329).contains("voters c-1, c-2, c-3"))
        #expect(line(state, 120_323).contains("leader-start"))
        #expect(state.screen.contains("1/2333"))
    }

    @Test func `pages go down the log, and a key goes back to the newest`() {
        var state = Self.state("c-1")
        state.hit("PgDn", "PgDn", "PgDn")
        SampleNode.feed(&state)
        let row = state.place.row
        #expect(row == 3 * state.pageRows && state.selectedRow?["index"] == .int(Int64(120_334 - row)))
        state.hit("f")
        SampleNode.feed(&state)
        #expect(state.place.row == 0 && state.place.selectedID == nil && state.selectedRow?["index"] == 120_334)
    }

    @Test func `enter shows all of an entry`() {
        var state = Self.state("c-1")
        state.hit("Down", "Enter")
        #expect(state.place.view == .output && state.place.subject == "entry 120333 of c-1")
        for piece in [
            "entry       120333   term 7", "commands    submit in default, 120 bytes", "chain ", "distric raft log list --from 120333",
        ] {
            #expect(state.screen.contains(piece), "\(piece)\n\(state.screen)")
        }
        state.hit("Esc")
        #expect(state.place.view == .raftLog && state.selectedRow?["index"] == 120_333)
    }

    @Test func `a filter goes to the node`() {
        var state = Self.state("c-1")
        state.hit("/")
        state.write("kind=configuration")
        state.hit("Enter")
        let feed = state.wantedFeeds.first { $0.key.path == "/api/v1/raft/log" }
        #expect(feed?.key.parameters.contains(.init(name: "filter", value: "kind=configuration")) == true)
    }

    // MARK: Two logs

    @Test func `tab goes from member to member`() {
        var state = Self.state("c-1")
        state.hit("Tab")
        #expect(state.place.subject == "c-2")
        state.hit("Tab", "Tab")
        #expect(state.place.subject == "c-1")
        state.hit("S-Tab")
        #expect(state.place.subject == "c-3")
    }

    @Test func `a key puts the next member's log beside it, and at the end none`() {
        var state = Self.state("c-1")
        #expect(state.againstRequest == nil)
        for wanted in ["c-2", "c-3", nil] as [String?] {
            state.hit("=")
            #expect(state.place.against == wanted)
        }
        var other = Self.state("c-1", against: "c-2")
        other.hit("Tab")
        #expect(other.place.subject == "c-2" && other.place.against == "c-1")
    }

    @Test func `what the other has not yet, and what differs there, is marked`() {
        let behind = Self.state("c-1", against: "c-2")
        #expect(line(behind, 120_334).contains("missing") && line(behind, 120_331).contains("applied"))
        #expect(behind.screen.contains("beside it   c-2   no difference among the entries on the screen"), "\(behind.screen)")
        let parts = Self.state("c-1", against: "c-4")
        #expect(line(parts, 120_326).contains("missing"))
        for index in [120_320, 120_325] { #expect(line(parts, index).contains("✗ differs"), "\(line(parts, index))") }
        #expect(line(parts, 120_319).contains("applied"))
        #expect(parts.screen.contains("beside it   c-4   they differ from 120320 on"), "\(parts.screen)")
    }

    @Test func `the detail says what the other log has`() {
        var state = Self.state("c-1", against: "c-4", size: Size(200, 50))
        for _ in 0..<9 { state.hit("Down") }
        for piece in ["beside it   another entry", "term        6 there"] {
            #expect(state.screen.contains(piece), "\(piece)\n\(state.screen)")
        }
    }

    @Test func `a member that cannot be asked is said to be so, and its log is all the same`() {
        let state = Self.state("c-1", against: "c-5")
        #expect(state.screen.contains("beside it   c-5   node c-5 cannot be reached") && state.screen.contains("120334"), "\(state.screen)")
    }

    /// A log that grows by thousands of entries a second must not open a stream for each of them.
    @Test func `the other log is asked for anew once in 64 entries`() {
        var state = Self.state("c-1", against: "c-4")
        let before = state.againstRequest
        var requests: Set<FeedRequest> = []
        for index in 120_335...120_462 {
            let rows = (0..<60).map { SampleLog.entry(index - $0, of: "c-1") }
            let key = state.rowsFeed ?? Views.statusFeed
            let ids = rows.compactMap { $0["id"]?.string }
            _ = state.update(.feed(key, .rows(total: 2000, matched: 2000, offset: 0, ids: ids, rows: rows)))
            if let request = state.againstRequest { requests.insert(request) }
        }
        #expect(before != nil && requests.count <= 3, "\(requests.count)")
    }
}
