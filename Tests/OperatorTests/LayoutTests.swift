import Cells
import Primitives
import Testing
import Text

@testable import Operator

enum LayoutTables {
    static let widths = [20, 21, 39, 40, 59, 60, 79, 80, 99, 100, 119, 120, 139, 140, 200, 250]
    static let heights = [5, 6, 11, 12, 13, 16, 22, 24, 25, 30, 40, 50, 80]
    /// Those whose parts differ most get every size, the others every fifth.
    static let thorough: Set<View> = [.pulse, .run]

    /// Each width and each height comes for every view.
    static func sizes(_ view: View) -> [Size] {
        let offset = View.allCases.firstIndex(of: view) ?? 0
        var sizes: [Size] = []
        for (column, width) in widths.enumerated() {
            for (row, height) in heights.enumerated() where thorough.contains(view) || (column + row + offset) % 5 == 0 {
                sizes.append(Size(width, height))
            }
        }
        return sizes
    }
}

/// Requirement 23: sizes from 20 to 250 by 5 to 80, no trap, no overdraw.
struct LayoutTests {
    private func parts(_ layout: Layout) -> [Rect] {
        [
            layout.title, layout.strip, layout.top, layout.graph, layout.header, layout.rows, layout.detail, layout.bottom, layout.tour,
        ]
    }

    private func overlap(_ one: Rect, _ other: Rect) -> Bool {
        !one.isEmpty && !other.isEmpty && one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    private func check(_ state: ConsoleState) {
        let (size, view) = (state.size, state.place.view)
        let surface = state.draw(theme: .plain)
        let layout = Layout(state)
        if surface.width != max(0, size.width) || surface.height != max(0, size.height) {
            Issue.record("\(view) at \(size): \(surface.width)")
        }
        let parts = parts(layout)
        for (place, part) in parts.enumerated() {
            let isWithin =
                part.isEmpty || part.x >= 0 && part.y >= 0 && part.x + part.width <= size.width && part.y + part.height <= size.height
            if !isWithin { Issue.record("\(view) at \(size): part \(place) is \(part)") }
            for other in parts[(place + 1)...] where overlap(part, other) { Issue.record("\(view) at \(size): \(part) lies over \(other)") }
        }
        var x = layout.rows.x + Layout.gutter
        for column in layout.columns {
            if column.x < x || column.width < 0 || column.width > 0 && column.x + column.width > layout.rows.x + layout.rows.width {
                Issue.record("\(view) at \(size): column \(column)")
            }
            x = column.x + column.width + 1
        }
    }

    @Test(arguments: SampleNode.views)
    func `every size is drawn, and nothing lies over anything else`(view: View) {
        var state = SampleNode.state(view, size: Size(250, 80))
        state.hit("Down", "Down")
        for size in LayoutTables.sizes(view) {
            _ = state.update(.resized(size))
            check(state)
        }
    }

    @Test(arguments: SampleNode.views)
    func `a terminal of next to nothing is drawn too`(view: View) {
        var state = SampleNode.state(view)
        for height in [0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 40] {
            for width in 0...4 {
                _ = state.update(.resized(Size(width, height)))
                let surface = state.draw(theme: .plain)
                #expect(surface.width == width && surface.height == height)
                #expect(Layout(state).columns.allSatisfy { $0.width >= 0 })
            }
        }
        for size in [Size(120, 0), Size(120, 1), Size(120, 4), Size(250, 2), Size(-1, -1), Size(-3, 10)] {
            _ = state.update(.resized(size))
            #expect(state.draw(theme: .plain).cells.count == max(0, size.width) * max(0, size.height), "\(size)")
        }
    }

    @Test(arguments: [View.runs, .run, .pulse, .logs])
    func `prompts, questions and choices are drawn at every size`(view: View) {
        for keys in [[":", "r", "Tab"], ["/", "x"], ["s", "Right"], ["x"], ["?"]] {
            var state = SampleNode.state(view)
            for key in keys { state.hit(key) }
            for size in [
                Size(0, 0), Size(1, 1), Size(2, 5), Size(4, 3), Size(20, 5), Size(33, 9), Size(60, 16), Size(80, 24), Size(250, 80),
            ] {
                _ = state.update(.resized(size))
                let surface = state.draw(theme: .plain)
                #expect(surface.cells.count == size.width * size.height, "\(keys) in \(view) at \(size)")
                #expect(surface.isWhole, "\(keys) in \(view) at \(size)")
            }
        }
    }

    @Test(arguments: SampleNode.views)
    func `without data every size is drawn too`(view: View) {
        for size in [Size(1, 1), Size(20, 5), Size(40, 12), Size(80, 24), Size(140, 30), Size(250, 80)] {
            let state = SampleNode.empty(view, size: size)
            #expect(state.draw(theme: .plain).cells.count == size.width * size.height)
        }
    }

    @Test func `the tour stands below the pulse where there is room`() {
        for (size, isShown) in [(Size(120, 40), true), (Size(80, 24), true), (Size(39, 40), false), (Size(120, 13), false)] {
            var state = SampleNode.state(.pulse, size: size)
            state.settings.hasTour = true
            #expect(Layout(state).tour.isEmpty != isShown, "\(size)")
            check(state)
        }
    }

    @Test func `columns of little worth go first`() {
        var last = Int.max
        for width in [250, 120, 80, 60, 40, 30, 20] {
            let state = SampleNode.state(.tasks, size: Size(width, 40))
            let columns = Layout(state).columns
            #expect(columns.count <= last, "\(width)")
            last = columns.count
            if width >= 40 { #expect(columns.contains { state.spec.columns[$0.index].key == "task" }, "\(width)") }
            let least = state.spec.columns.indices.filter { index in !columns.contains { $0.index == index } }.map {
                state.spec.columns[$0].rank
            }
            let kept = columns.map { state.spec.columns[$0.index].rank }
            #expect(least.isEmpty || (least.min() ?? 0) >= (kept.max() ?? 0), "\(width)")
        }
    }

    @Test func `what is left over goes to the columns that can use it`() {
        let state = SampleNode.state(.workflows, size: Size(200, 40))
        let layout = Layout(state)
        let last = layout.columns.last
        #expect(layout.columns.count == state.spec.columns.count)
        #expect(last.map { $0.x + $0.width } == layout.rows.x + layout.rows.width)
    }
}

extension Surface {
    /// No half of a wide character stands alone.
    var isWhole: Bool {
        for y in 0..<height {
            for x in 0..<width {
                let isRight = self[x, y].scalar == 0
                let isAwaited = x > 0 && (Unicode.Scalar(self[x - 1, y].scalar).map { scalar in CharacterWidth.of(scalar) == 2 } ?? false)
                if isRight != isAwaited { return false }
            }
            if width > 0, let scalar = Unicode.Scalar(self[width - 1, y].scalar), CharacterWidth.of(scalar) == 2 { return false }
        }
        return true
    }
}
