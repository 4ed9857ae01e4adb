import Foundation
import Primitives
import Testing
import Text

/// The soak of `distric-bench` for some seconds: that the load runs, that nothing is refused, and that descriptors and threads come to rest.
/// An hour of it is for releases.
struct SoakTests {
    private func soak(_ arguments: [String]) throws -> Finished {
        let bench = URL(filePath: Built.distric).deletingLastPathComponent().appending(path: "distric-bench").path(percentEncoded: false)
        return try run(bench, ["observability"] + arguments)
    }

    @Test func `a node under load keeps its descriptors`() throws {
        let finished = try soak(["--soak", "8", "--rate", "50", "--json"])
        #expect(finished.code == 0, "\(finished.err)")
        let figures = finished.out.split(separator: "\n").compactMap { try? JSONScanner.parse($0.utf8) }
        func figure(_ metric: String) -> Double {
            figures.first { $0["metric"]?.string == metric && $0["case"] == "soak-8s" }?["value"]?.number ?? .nan
        }
        #expect(figure("messages") >= 50)
        #expect(figure("refused") == 0)
        // Eight connections of the load and one of a question come and go each second.
        #expect(figure("descriptors-last") <= figure("descriptors-middle") + 10)
        #expect(figure("descriptors-most") <= figure("descriptors-first") + 20)
        #expect(figure("threads-last") <= figure("threads-first") + 4)
        #expect(figure("resident-last") > 1)
        #expect(!figure("resident-slope-second-half").isNaN)
    }

    @Test(arguments: [["--soak", "0"], ["--soak", "-1"], ["--soak", "5", "--rate", "0"], ["--case", "nothing"]])
    func `what cannot be measured is refused`(arguments: [String]) throws {
        let finished = try soak(arguments)
        #expect(finished.code != 0)
        #expect(!finished.err.isEmpty)
    }
}
