import Cells
import Foundation
import Primitives
import Testing
import Text

@testable import Operator

enum ScreenTables {
    static let sizes = [Size(80, 24), Size(120, 40), Size(200, 50)]
    static let isWriting = ProcessInfo.processInfo.environment["DISTRIC_WRITE_SCREENS"] == "1"

    /// The first line in which two texts differ, in words.
    static func difference(_ found: String, _ wanted: String) -> String? {
        let (left, right) = (lines(found), lines(wanted))
        for number in 0..<max(left.count, right.count) {
            let one = left.indices.contains(number) ? left[number] : "(nothing)"
            let other = right.indices.contains(number) ? right[number] : "(nothing)"
            if !sameBytes(one, other) { return "line \(number + 1)\n  drawn:  \(one)\n  golden: \(other)" }
        }
        return nil
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
}

/// Every view as text, against the files in Screens; `DISTRIC_WRITE_SCREENS=1` writes them anew.
struct ScreenTests {
    @Test(arguments: SampleNode.screens, ScreenTables.sizes)
    func `a view looks as it did`(view: View, size: Size) throws {
        let drawn = SampleNode.state(view, size: size).screen
        let name = "\(view.rawValue)-\(size.width)x\(size.height)"
        if ScreenTables.isWriting {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Screens")
            try Data(drawn.utf8).write(to: folder.appending(path: "\(name).txt"))
            return
        }
        let place = Bundle.module.url(forResource: name, withExtension: "txt", subdirectory: "Screens")
        let file = try #require(place, "there is no Screens/\(name).txt; DISTRIC_WRITE_SCREENS=1 writes it")
        let golden = String(decoding: try Data(contentsOf: file), as: UTF8.self)
        if let difference = ScreenTables.difference(drawn, golden) { Issue.record("Screens/\(name).txt, \(difference)") }
    }

    @Test(arguments: SampleNode.screens)
    func `the same state gives the same cells`(view: View) {
        let state = SampleNode.state(view)
        let (first, second) = (state.draw(theme: .plain), state.draw(theme: .plain))
        #expect(first == second)
        let again = SampleNode.state(view).draw(theme: .plain)
        #expect(first == again)
    }

    @Test(arguments: SampleNode.screens)
    func `a terminal that has only ASCII gets only ASCII`(view: View) {
        var state = SampleNode.state(view)
        state.settings.glyphs = .ascii
        let surface = state.draw(theme: .plain)
        #expect(surface.cells.allSatisfy { (0x20..<0x7F).contains($0.scalar) && $0.mark1 == 0 && $0.mark2 == 0 })
    }

    @Test(arguments: SampleNode.screens)
    func `before anything came a view says whom it asks`(view: View) {
        let text = SampleNode.empty(view).screen
        #expect(text.contains(" NO DATA "))
        #expect(text.contains("no data: asking \(SampleNode.url)"))
    }

    @Test(arguments: SampleNode.screens)
    func `a list that is empty says so`(view: View) {
        var state = SampleNode.empty(view)
        SampleNode.feed(&state) { update in
            switch update {
            case .rows: .rows(total: 0, matched: 0, offset: 0, ids: [], rows: [])
            case .lines: .lines([], missed: 0)
            case .value, .alive, .failed: update
            }
        }
        guard state.rows.count == 0, !state.spec.columns.isEmpty || state.rowsFeed != nil else { return }
        #expect(state.screen.contains(String(state.spec.empty.prefix(30))))
    }

    /// Design, Console: six boxes; three lines and tabs; tabs; a plain list. Never "too small".
    @Test func `the pulse shows as much as fits`() {
        let forms: [(Size, Layout.PulseForm, Int)] = [
            (Size(120, 40), .boxes, 6), (Size(100, 25), .boxes, 6), (Size(80, 24), .lines, 4), (Size(99, 40), .lines, 4),
            (Size(60, 16), .tabs, 1), (Size(40, 11), .tabs, 1), (Size(39, 24), .facts, 0), (Size(120, 6), .facts, 0),
        ]
        for (size, form, boxes) in forms {
            let state = SampleNode.state(.pulse, size: size)
            let layout = Layout(state)
            #expect(layout.pulse == form, "\(size)")
            #expect(layout.boxes.count == boxes, "\(size)")
            #expect(state.screen.contains("c-1"), "\(size)")
            #expect(!state.screen.lowercased().contains("too small"), "\(size)")
        }
    }

    /// Requirement 7: the pulse says what the status says.
    @Test func `the pulse has the numbers of the status`() {
        let text = SampleNode.state(.pulse, size: Size(160, 50)).screen
        let wanted = [
            "leader c-1", "term 7", "commit 120331", "quorum 3/3", "members 3 alive 1 suspect 0 dead", "queue 118", "err 0.2/s",
            "disk degraded", "alive 3", "suspect 1", "dead 0", "depth 118", "oldest 4.1s", "run 31", "wait 80", "unknown 1", "p50 42ms",
            "p99 910ms", "failed runs 212", "open 6", "ended 8.8k", "big-order", "4.0%", "ERR 3", "order-fulfil", "storage.failed",
        ]
        for piece in wanted { #expect(text.contains(piece), "\(piece)") }
    }

    @Test func `from 140 columns on the detail stands beside the table, else below it`() {
        let (wide, narrow) = (Layout(SampleNode.state(.runs, size: Size(140, 40))), Layout(SampleNode.state(.runs, size: Size(139, 40))))
        #expect(wide.detail.x > wide.rows.x + wide.rows.width - 1)
        #expect(narrow.detail.x == 0 && narrow.detail.y >= narrow.rows.y + narrow.rows.height)
        var state = SampleNode.state(.runs, size: Size(140, 40))
        state.hit("d")
        #expect(Layout(state).detail.isEmpty)
        state.hit("d")
        #expect(!Layout(state).detail.isEmpty)
    }

    @Test func `a state is told by glyph and word, not by colour alone`() {
        let text = SampleNode.state(.runs).screen
        for piece in ["▶ running", "● succeeded", "✗ failed", "· cancelled", "▲ held", "▲ timed_out"] {
            #expect(text.contains(piece), "\(piece)")
        }
    }

    /// The views as they are in a cluster of several nodes.
    @Test func `the view of a node is about that node`() {
        var state = SampleNode.empty(.node)
        state.place = Place(.node, "w-07")
        SampleNode.feed(&state)
        let line = state.screen.split(separator: "\n").first { $0.contains(" node ") }
        #expect(line?.contains("w-07") == true)
    }

    @Test func `a run of the sample draws its graph`() {
        let text = SampleNode.state(.run, size: Size(260, 60)).screen
        #expect(text.contains("[ ● validate ]─┬───( ● reserve )─────┬───[ ● pay ]─┬───( ▶ pick )"))
        #expect(text.contains("╰───[ ● fraud-check ]─╯"))
    }
}
