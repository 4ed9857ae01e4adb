import Testing

@testable import distric_bench

/// How several measurements become one figure.
struct TallyTests {
    private func figures(_ values: [Double]) -> Tally {
        var tally = Tally()
        for value in values { tally.note("case", "metric", value, "ms") }
        return tally
    }

    @Test func `the median of an odd number is the one in the middle, of an even number the mean of two`() {
        #expect(figures([3]).figures[0].median == 3)
        #expect(figures([9, 1, 5]).figures[0].median == 5)
        #expect(figures([9, 1, 5, 6]).figures[0].median == 5.5)
    }

    @Test func `one that is far off moves the spread and not the median`() {
        let figure = figures([10, 11, 5000, 12, 9]).figures[0]
        #expect(figure.median == 11)
        #expect(figure.spread == "9.00 to 5000 ms")
    }

    @Test func `figures stand in the order in which they came first, each test and metric by itself`() {
        var tally = Tally()
        for round in [1.0, 2, 3] {
            tally.note("b", "p50", round, "ms")
            tally.note("a", "p50", 10 * round, "ms")
            tally.note("b", "p99", 100 * round, "ms")
        }
        #expect(tally.figures.map { "\($0.test)/\($0.metric)" } == ["b/p50", "a/p50", "b/p99"])
        #expect(tally.figures.map(\.median) == [2, 20, 200])
    }

    @Test func `quantiles are those of the sorted values`() {
        let quantiles = Quantiles((1...200).map(Double.init).shuffled())
        #expect(quantiles.at(0) == 1)
        #expect(quantiles.at(0.5) == 101)
        #expect(quantiles.at(0.99) == 199)
        #expect(quantiles.at(1) == 200)
        #expect(Quantiles([]).at(0.5).isNaN)
    }
}
