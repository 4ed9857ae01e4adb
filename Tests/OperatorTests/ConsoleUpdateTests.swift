import Cells
import Primitives
import Testing
import Text

@testable import Operator

/// Every view is live, stale since some seconds, or without data because of something.
struct FreshnessTests {
    @Test(arguments: [View.pulse, .tasks, .run, .logs])
    func `a view begins without data, then is live`(view: View) {
        var state = SampleNode.empty(view)
        #expect(state.freshness == .none(CommandFailure(.unavailable, "asking \(SampleNode.url)")))
        SampleNode.feed(&state)
        #expect(state.freshness == .live)
        #expect(state.screen.contains(" LIVE "))
    }

    @Test func `a view goes stale when nothing comes any more, and live again by a beat`() {
        var state = SampleNode.state(.tasks)
        state.pass(.seconds(4))
        #expect(state.freshness == .live)
        state.pass(.seconds(6))
        #expect(state.freshness == .stale(seconds: 10, reason: nil))
        #expect(state.screen.contains(" STALE 10s "))
        for request in state.wantedFeeds { _ = state.update(.feed(request.key, .alive)) }
        #expect(state.freshness == .live)
    }

    @Test func `a feed that is lost makes the view stale at once, with the reason and all that was there`() throws {
        var state = SampleNode.state(.tasks)
        let key = try #require(state.rowsFeed)
        let count = state.rows.count
        state.pass(.seconds(1))
        _ = state.update(.feed(key, .failed(CommandFailure(.unavailable, "connection refused"))))
        #expect(state.freshness == .stale(seconds: 1, reason: "connection refused"))
        #expect(state.rows.count == count)
        _ = state.update(.feed(key, .alive))
        #expect(state.freshness == .live)
    }

    @Test func `the window of a list goes with the selected row, and is asked for anew only when that must be`() throws {
        var state = SampleNode.state(.runs)
        let feed = try #require(state.rowsFeed)
        func request() throws -> FeedRequest { try #require(state.wantedFeeds.first { $0.key == feed }) }
        #expect(try request().anchor == nil)
        state.hit("Down", "Down", "Down")
        let anchored = try request()
        let chosen = try #require(state.selectedRow?["id"]?.string)
        #expect(anchored.anchor?.id == state.loadedRows[1]["id"]?.string)
        // Three new runs above it: the cursor goes with its row, and the stream that is open is the one that is wanted.
        guard case .rows(let total, let matched, _, let ids?, let rows) = SampleNode.answer(FeedRequest(feed, count: 40)) else { return }
        let new = ["new-1", "new-2", "new-3"]
        let fresh = new.map { id -> Value in ["id": .string(id), "state": "running", "workflow": "w"] }
        _ = state.update(.feed(feed, .rows(total: total + 3, matched: matched + 3, offset: 0, ids: new + ids, rows: fresh + rows)))
        #expect(state.selectedRow?["id"]?.string == chosen && state.place.row == 6)
        #expect(try request() == anchored)
        // Held, it stays as it is.
        state.hit("p")
        _ = state.update(.feed(feed, .rows(total: 1, matched: 1, offset: 0, ids: ["other"], rows: [["id": "other"]])))
        #expect(state.selectedRow?["id"]?.string == chosen)
        // What is saved of it is the whole list all the same.
        var whole = state
        whole.wantsWholeLists = true
        _ = whole.update(.feed(feed, .rows(total: 1, matched: 1, offset: 0, ids: ["other"], rows: [["id": "other"]])))
        #expect(whole.loadedRows.compactMap { $0["id"]?.string } == ["other"])
        // Gone for good: said, not passed over.
        state.hit("p")
        _ = state.update(.feed(feed, .rows(total: 1, matched: 1, offset: 0, ids: ["other"], rows: [["id": "other"]])))
        #expect(state.toast?.text.contains("moved out of sight") == true)
    }

    @Test func `what is lost or refused before it was shown says why`() throws {
        for failure in [CommandFailure(.unavailable, "no route to host"), CommandFailure(.badData, "no column 'colour'")] {
            var state = SampleNode.empty(.tasks)
            let key = try #require(state.rowsFeed)
            _ = state.update(.feed(key, .failed(failure)))
            #expect(state.freshness == .none(failure))
            #expect(state.screen.contains("no data: \(failure.message)"))
        }
    }

    @Test func `what the node refuses after it was shown is not live`() throws {
        var state = SampleNode.state(.run)
        let key = try #require(state.valueFeed)
        state.pass(.seconds(2))
        _ = state.update(.feed(key, .failed(CommandFailure(.failed, "no run of this id is kept"))))
        guard case .stale(let seconds, let reason) = state.freshness else {
            Issue.record("\(state.freshness)")
            return
        }
        #expect(seconds == 2)
        #expect(reason == "no run of this id is kept")
    }

    @Test func `a clock that goes back makes nothing stale`() {
        var state = SampleNode.state(.tasks)
        state.pass(.seconds(-3600))
        #expect(state.freshness == .live)
    }

    @Test func `what nobody looks at any more is let go`() {
        var state = SampleNode.state(.runs)
        for number in 0..<600 {
            state.place.filter = "message:order-\(number)"
            for request in state.wantedFeeds where state.feeds[request.key] == nil {
                _ = state.update(.feed(request.key, .rows(total: 1, matched: 0, offset: 0, ids: [], rows: [])))
            }
        }
        #expect(state.feeds.count <= 500)
    }
}

/// The cursor stays on what it was put on.
struct SelectionTests {
    /// A long list of runs, the newest first; run 0 is the oldest.
    private func window(_ total: Int, _ places: Range<Int>) -> FeedUpdate {
        let rows = places.map { place -> Value in .object(["id": .string("run-\(total - 1 - place)"), "state": "running"]) }
        return .rows(total: total, matched: total, offset: places.lowerBound, ids: rows.map { $0["id"]?.string ?? "" }, rows: rows)
    }

    @Test func `the selection follows its row when others come above it`() throws {
        var state = SampleNode.empty(.runs)
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, window(100, 0..<60)))
        state.hit("Down", "Down", "Down")
        #expect(state.selectedRow?["id"] == "run-96")
        _ = state.update(.feed(key, window(105, 0..<60)))
        #expect(state.selectedRow?["id"] == "run-96")
        #expect(state.place.row == 8)
        #expect(state.place.top <= 8)
    }

    @Test func `the first row is the newest until one goes down`() throws {
        var state = SampleNode.empty(.runs)
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, window(100, 0..<60)))
        _ = state.update(.feed(key, window(103, 0..<60)))
        #expect(state.place.row == 0)
        #expect(state.selectedRow?["id"] == "run-102")
    }

    @Test func `the selection follows its row far down a long list too`() throws {
        var state = SampleNode.empty(.runs)
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, window(10_000, 0..<60)))
        state.hit("End")
        #expect(state.place.row == 9999)
        _ = state.update(.feed(key, window(10_000, 9900..<10_000)))
        #expect(state.selectedRow?["id"] == "run-0")
        _ = state.update(.feed(key, window(10_001, 9900..<10_001)))
        #expect(state.selectedRow?["id"] == "run-0")
        #expect(state.place.row == 10_000)
    }

    @Test func `when the selected row goes the cursor stays where it is`() throws {
        var state = SampleNode.empty(.runs)
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, window(10, 0..<10)))
        state.hit("Down", "Down")
        #expect(state.selectedRow?["id"] == "run-7")
        let left = (0..<10).filter { $0 != 7 }.reversed().map { "run-\($0)" }
        _ = state.update(.feed(key, .rows(total: 9, matched: 9, offset: 0, ids: left, rows: [])))
        #expect(state.place.row == 2)
        #expect(state.selectedRow?["id"] == "run-6")
        _ = state.update(.feed(key, .rows(total: 1, matched: 1, offset: 0, ids: ["run-9"], rows: [])))
        #expect(state.place.row == 0)
        #expect(state.selectedRow?["id"] == "run-9")
    }

    @Test func `a row that changes stays where it is`() throws {
        var state = SampleNode.empty(.runs)
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, window(10, 0..<10)))
        state.hit("Down")
        let changed: Value = ["id": "run-8", "state": "succeeded"]
        _ = state.update(.feed(key, .rows(total: 10, matched: 10, offset: 0, ids: nil, rows: [changed])))
        #expect(state.selectedRow == changed)
        #expect(state.place.row == 1)
    }

    @Test func `the window that is asked for goes with the cursor`() throws {
        var state = SampleNode.empty(.runs)
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, window(10_000, 0..<60)))
        for keys in [["PgDn", "PgDn", "PgDn"], ["End"], ["PgUp"], ["Home"]] {
            for name in keys { state.hit(name) }
            let request = try #require(state.wantedFeeds.first { $0.key == key })
            #expect(request.offset <= state.place.top, "\(keys)")
            #expect(request.offset + request.count >= min(10_000, state.place.top + state.pageRows), "\(keys)")
            #expect(request.count <= 1000)
        }
    }

    @Test(arguments: [View.tasks, .run, .messages, .logs])
    func `a new size keeps the selection, and shows it`(view: View) {
        var state = SampleNode.state(view)
        state.hit("Down", "Down", "Down", "Down", "Down", "Up")
        let chosen = state.selectedRow
        #expect(chosen != nil)
        for size in [Size(60, 16), Size(200, 50), Size(20, 5), Size(2, 2), Size(80, 24), Size(0, 0), Size(120, 40)] {
            _ = state.update(.resized(size))
            SampleNode.feed(&state)
            #expect(state.selectedRow == chosen, "\(size)")
            #expect(state.place.top <= state.place.row && state.place.row < state.place.top + state.pageRows, "\(size)")
        }
    }
}

/// By what a row is known, and what a person calls it.
struct RowIdentityTests {
    private func rows(_ view: View, _ rows: [Value], ids: [String]) throws -> ConsoleState {
        var state = SampleNode.empty(view)
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, .rows(total: rows.count, matched: rows.count, offset: 0, ids: ids, rows: rows)))
        return state
    }

    /// The key of a task is what may run only once at a time: many tasks have the same.
    @Test func `tasks are known by their id, whatever key they run under`() throws {
        let ids = (0..<3).map { "run.t\($0)" }
        let tasks = ids.map { id -> Value in .object(["id": .string(id), "run": "run", "state": "queued", "key": "customer-7"]) }
        var state = try rows(.tasks, tasks, ids: ids)
        #expect(state.loadedRows == tasks)
        state.hit("Down")
        let effects = state.hit("c")
        #expect(effects == [.copy("run.t1")])
    }

    @Test func `messages of one id in two namespaces are two rows, and the id is what is copied`() throws {
        let keys = ["default//shop/m-1", "test//shop/m-1"]
        let messages = keys.map { key -> Value in
            .object(["rowKey": .string(key), "id": "m-1", "namespace": .string(String(key.prefix { $0 != "/" }))])
        }
        var state = try rows(.messages, messages, ids: keys)
        #expect(state.loadedRows == messages)
        state.hit("Down")
        let feed = try #require(state.rowsFeed)
        _ = state.update(.feed(feed, .rows(total: 2, matched: 2, offset: 0, ids: keys.reversed(), rows: [])))
        #expect(state.place.row == 0)
        #expect(state.selectedRow == messages[1])
        let effects = state.hit("c")
        #expect(effects == [.copy("m-1")])
        state.hit("Enter")
        #expect(state.place.namespace == "test")
    }
}

/// Requirement 15: logs and events are followed, held and counted.
struct LineFeedTests {
    private func lines(_ numbers: ClosedRange<Int>) -> [Value] { numbers.map { SampleData.logLine($0) } }

    /// The view of logs before the first line.
    private func logs() -> ConsoleState {
        var state = SampleNode.empty(.logs)
        SampleNode.feed(&state) { update in
            if case .lines = update { return .lines([], missed: 0) }
            return update
        }
        return state
    }

    @Test func `lines that came and lines that were missed are counted`() throws {
        var state = logs()
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, .lines(lines(1...10), missed: 3)))
        _ = state.update(.feed(key, .lines(lines(14...40), missed: 0)))
        let data = try #require(state.feeds[key])
        #expect(data.received == 37)
        #expect(data.missed == 3)
        #expect(data.lines.count == 37)
        #expect(state.rows.count == 37)
    }

    @Test func `what is shown and what is counted is all that was sent`() throws {
        var state = logs()
        let key = try #require(state.rowsFeed)
        var (sent, number) = (0, 0)
        for burst in 0..<130 {
            let (count, missed) = (50, burst % 3 * 20)
            _ = state.update(.feed(key, .lines(lines(number + 1...number + count), missed: missed)))
            number += count
            sent += count + missed
        }
        let data = try #require(state.feeds[key])
        #expect(data.lines.count == FeedData.lineLimit)
        #expect(data.lines.count + data.dropped + data.missed == sent)
        #expect(data.received == number)
        #expect(data.lines.last?["seq"]?.int == Int64(number))
    }

    @Test func `the screen says how many lines are missing`() throws {
        var state = logs()
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, .lines(lines(1...10), missed: 4321)))
        #expect(state.screen.contains("4321"))
    }

    @Test func `the newest line is followed until one goes up`() throws {
        var state = logs()
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, .lines(lines(1...100), missed: 0)))
        #expect(state.selectedRow?["seq"] == 100)
        state.hit("Up")
        _ = state.update(.feed(key, .lines(lines(101...120), missed: 0)))
        #expect(state.selectedRow?["seq"] == 99)
        state.hit("f")
        #expect(state.selectedRow?["seq"] == 120)
        _ = state.update(.feed(key, .lines(lines(121...130), missed: 0)))
        #expect(state.selectedRow?["seq"] == 130)
        state.hit("Up", "Up", "End")
        _ = state.update(.feed(key, .lines(lines(131...140), missed: 0)))
        #expect(state.selectedRow?["seq"] == 140)
    }

    @Test func `held, nothing moves and nothing is lost`() throws {
        var state = logs()
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, .lines(lines(1...100), missed: 0)))
        state.hit("p")
        #expect(state.screen.contains(" HELD "))
        let held = state.loadedRows
        _ = state.update(.feed(key, .lines(lines(101...150), missed: 0)))
        #expect(state.loadedRows == held)
        #expect(state.selectedRow?["seq"] == 100)
        #expect(state.feeds[key]?.received == 150)
        state.hit("p")
        _ = state.update(.feed(key, .lines(lines(151...151), missed: 0)))
        #expect(state.rows.count == 151)
        #expect(state.selectedRow?["seq"] == 151)
    }

    @Test func `held or not followed, the cursor stays on its line when the oldest go`() throws {
        for name in ["p", "f"] {
            var state = logs()
            let key = try #require(state.rowsFeed)
            _ = state.update(.feed(key, .lines(lines(1...FeedData.lineLimit), missed: 0)))
            state.hit("Up", "Up", "Up", name)
            if name == "f" { state.hit("f", "Up", "Up", "Up") }
            let chosen = state.selectedRow
            _ = state.update(.feed(key, .lines(lines(FeedData.lineLimit + 1...FeedData.lineLimit + 100), missed: 0)))
            #expect(state.selectedRow == chosen, "after \(name)")
        }
    }

    @Test func `lists and lines can be held, a view that does not move cannot`() {
        for (view, text) in [(View.runs, "held; changes are not shown"), (.logs, "held; lines go on being counted")] {
            var state = SampleNode.state(view)
            state.hit("p")
            #expect(state.place.heldAt != nil, "\(view)")
            #expect(state.toast?.text == text)
            #expect(state.screen.contains(" HELD "), "\(view)")
            state.hit("p")
            #expect(state.place.heldAt == nil && state.toast?.text == "live", "\(view)")
        }
        var state = SampleNode.state(.run)
        state.hit("p")
        #expect(state.place.heldAt == nil)
        #expect(state.toast?.text == "this view is not one that moves")
    }

    @Test func `following is for lines; a table's cursor stays`() {
        var state = SampleNode.state(.runs)
        state.hit("Down", "Down", "f", "f")
        #expect(state.place.row == 2)
    }

    /// The level is a word in the line; columns of width 9 and 12 hold level and label.
    @Test func `a line shows its time, level, label, message and the rest`() throws {
        var state = logs()
        let key = try #require(state.rowsFeed)
        _ = state.update(.feed(key, .lines(lines(3...3), missed: 0)))
        let line = try #require(state.screen.split(separator: "\n").first { $0.contains("slow append") })
        #expect(line.contains("14:31:38 warning  raft        slow append to c-3  run=019aa1c2"))
    }
}

/// What stands below a while, and what leaves.
struct NoticeTests {
    @Test func `a notice goes after a while, a problem stays longer`() {
        for (isProblem, seconds) in [(false, 4), (true, 8)] {
            var state = SampleNode.state(.runs)
            _ = state.update(.note("look\nhere\u{1B}[2J", isProblem: isProblem))
            #expect(state.toast?.text == "look here [2J")
            #expect(state.screen.contains("look here"))
            state.pass(.seconds(seconds))
            #expect(state.toast != nil)
            state.pass(.seconds(1))
            #expect(state.toast == nil)
        }
    }

    @Test func `Ctrl-C twice leaves, from any view`() {
        for view in SampleNode.views {
            var state = SampleNode.state(view)
            let first = state.hit("C-c")
            #expect(first.isEmpty)
            #expect(state.toast?.text == "press c-c again to leave the console")
            let second = state.hit("C-c")
            #expect(second == [.quit], "\(view)")
        }
    }

    @Test func `another key between makes it once`() {
        var state = SampleNode.state(.runs)
        state.hit("C-c", "Down")
        let effects = state.hit("C-c")
        #expect(effects.isEmpty)
    }

    @Test func `the second Ctrl-C counts as long as the line asks for it`() {
        var state = SampleNode.state(.runs)
        state.hit("C-c")
        state.pass(.seconds(1))
        #expect(state.toast != nil)
        let effects = state.hit("C-c")
        #expect(effects == [.quit])
        state.hit("Down", "C-c")
        state.pass(.seconds(10))
        let late = state.hit("C-c")
        #expect(late.isEmpty)
    }

    @Test func `Ctrl-C leaves a prompt, a choice and a question first`() {
        for keys in [[":", "a"], ["/", "a"], ["s"], ["x"]] {
            var state = SampleNode.state(.runs)
            for key in keys { state.hit(key) }
            #expect(state.mode != .normal, "\(keys)")
            let effects = state.hit("C-c")
            #expect(effects.isEmpty)
            #expect(state.mode == .normal, "\(keys)")
        }
    }

}

/// The chart beside the table of metrics.
struct MetricChartTests {
    @Test func `the longer chart is asked for by the metric's id, whatever labels it has`() throws {
        for row in SampleData.metrics {
            let id = row["id"]?.string ?? ""
            let key = try #require(Views.spec(.metrics).detailFeed?(row))
            let text = try #require(key.parameters.first { $0.name == "filter" }?.value)
            let filter = try RowFilter(text)
            let found = SampleData.metrics.filter { metric in filter.matches(column: { metric[$0] }, text: { JSONWriter.text(metric) }) }
            #expect(found.compactMap { $0["id"]?.string } == [id], "\(text)")
        }
    }
}
