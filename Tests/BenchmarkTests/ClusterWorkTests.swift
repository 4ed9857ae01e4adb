import ArgumentParser
import Primitives
import Testing
import Text
import Workflows

@testable import distric_bench

/// What the cluster suite sends, and what it lets itself be told.
struct ClusterWorkTests {
    @Test(arguments: ClusterWork.allCases)
    func `a message is one of its type, in 256 bytes`(work: ClusterWork) throws {
        let names = MessageNames()
        let bytes = work.message(names[17])
        #expect(bytes.count == 256)
        let value = try JSONScanner.parse(bytes)
        #expect(value["id"]?.string == names[17])
        #expect(value["type"]?.string == work.rawValue)
        #expect((value.at("data", "sent")?.int ?? 0) > 1_700_000_000_000)
    }

    @Test func `names of two loads differ, and a load knows its own`() {
        let (one, other) = (MessageNames(), MessageNames())
        #expect(one.owns(one[3]) && !one.owns(other[3]))
        #expect(one[3] != other[3] && one[3] != one[4])
    }

    @Test func `every workflow of the definitions can be read, and has the tasks that are counted`() throws {
        var tasks: [String: Int] = [:]
        for item in ClusterWork.definitions.list ?? [] where item["kind"]?.string == "Workflow" {
            let problems = Shape.Problems()
            let definition = WorkflowDefinition(item, namespace: .default, problems: problems)
            #expect(problems.all.isEmpty)
            tasks[definition?.name ?? ""] = definition?.tasks.count
        }
        #expect(tasks == ["one": 1, "chain": 4, "wide": ClusterWork.wideTasks, "held": ClusterWork.wideTasks])
    }

    @Test(arguments: [
        ["--case", "nothing"], ["--seconds", "0"], ["--seconds", "inf"], ["--times", "0"], ["--workers", "0"], ["--workers", "65"],
        ["--simulated", "5000"], ["--ports", "23000"], ["--ports", "23999-23000"], ["--ports", "1-70000"], ["--ports", "23000-23005"],
        ["--ports", "-"], ["--to", "nobody"],
    ])
    func `what cannot be measured is refused`(arguments: [String]) {
        #expect(throws: (any Error).self) { try ClusterSuite.parse(arguments) }
    }

    @Test(arguments: [[], ["--case", "failover", "--times", "1"], ["--ports", "23000-23999", "--to", "all"]])
    func `what can be measured is taken`(arguments: [String]) throws { _ = try ClusterSuite.parse(arguments) }
}
